"""Users: everybody who rated, their list and its reasons, two versions side by side."""

import random
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.widgets import Input

from recsys_tui import render
from recsys_tui.actions import Action
from recsys_tui.screens import lists
from recsys_tui.screens.crowd import Crowd, Order, complete, read_crowd
from recsys_tui.screens.person import READING, PersonPlace
from recsys_tui.widgets.columns import Field
from recsys_tui.widgets.person import ProfilePane, WhyPane
from recsys_tui.widgets.text import shown
from recsys_tui.widgets.virtual_table import VirtualTable

if TYPE_CHECKING:
    from engine.services import Services
    from recsys_tui.stream import Ticket

_USERS = [
    Field("user", grows=True, width=8, order="user"),
    Field("n_ratings", "ratings", width=9, align="right", order="ratings"),
    Field("mean", width=5, align="right", digits=2),
    Field("last_at", "last (UTC)", width=16, spare=True, show=render.when, tone="dim"),
]


class Users(PersonPlace):
    """Find a person, see what the active version would show them and why, and what another version would."""

    NAME = "users"
    HELP_TEXT = (
        "The list holds everybody who rated; type / to find an id. The middle shows what the active version "
        "recommends to the person under the cursor, with the interval that holds the true rating in 80 of 100 cases; "
        "the last pane says why, and what each of their ratings adds to the score. v holds the list against another "
        "version: +2 is two places higher there, new is only there, out is not there. x on a rating in the reasons "
        "shows the list as it would be without it; nothing is stored."
    )
    ACTIONS: ClassVar[tuple[Action, ...]] = (
        Action("users.open", "enter", "Open", "Go on to the list, and from it to the reasons.", "recommend {user}"),
        Action("users.why", "w", "Why", "Why this item for this person.", "explain {user} {item}"),
        Action(
            "users.versus",
            "v",
            "Versus",
            "Hold it against another version.",
            "recommend {user} --version {other}",
        ),
        Action("users.random", "o", "Random", "Go to anybody in the list.", "users show {user}"),
        Action("users.find", "slash", "Find", "Find users by a part of their id.", "users list --after {user}"),
        Action(
            "users.what_if",
            "x",
            "What if",
            "What if this rating were not?",
            "explain {user} {item} --what-if {supposed}",
        ),
        Action("users.filters", "f", "Filter", "Genres, years, diversity.", "{show}"),
        Action("users.seen", "i", "Seen", "Show or hide what they have rated.", "recommend {user} --include-seen"),
        Action("users.candidate", "V", "Next version", "Against the next version.", "models list", footer=False),
        Action("users.sort", "s", "Sort", "By id up, by id down, by ratings.", "users list", footer=False),
        Action("users.length", "L", "Length", "Lists of 10, 20 or 50.", "{show}", footer=False),
        Action("users.zoom", "z", "Zoom", "One pane alone, and back.", "recommend {user}", footer=False),
        Action("users.leave", "escape", "Back", "Back one pane; clear what was found.", "users list", footer=False),
    )
    CSS_PATH = "users.tcss"

    def __init__(self) -> None:
        super().__init__()
        self.crowd: Crowd | None = None

    def body(self) -> ComposeResult:
        """Yield the people, the list, and what is said about both."""
        with Container(id="panes"):
            with Vertical(id="people", classes="pane"):
                yield Input(id="find", placeholder="a part of an id", select_on_focus=False)
                yield VirtualTable(_USERS, id="users", key="user", empty=READING)
            yield from self.list_pane()
            yield ProfilePane(classes="pane")
            yield WhyPane(classes="pane")

    def on_mount(self) -> None:
        """Begin with everybody."""
        self.query_one("#people").border_title = "users"
        self.show_list(None)

    def look(self, kinds: frozenset[str]) -> None:
        """Read the people again where ratings changed, and the list where it may be another."""
        if "ratings" in kinds:
            self._read_people()
        if kinds & {"ratings", "versions"}:
            self.forget_lost_versions()
            self.read_list()

    # --- people ---------------------------------------------------------------------------------------------------

    def _read_people(self, *, to: str = "") -> None:
        text, order = self.query_one("#find", Input).value, Order(self.remembered("order", Order.UP.value))
        at, before = to or self.user, self.crowd

        def read(services: "Services", ticket: "Ticket") -> Crowd:
            return read_crowd(services.database, text, order, at, before, ticket)

        self.ask("people", read, self._people)

    def _people(self, found: Crowd) -> None:
        changed = found.pages is None or self.crowd is None or found.pages is not self.crowd.pages
        self.crowd = found
        if not found.complete:
            self.soon("inside", lambda: self._complete(found))
        table, pane = self.query_one("#users", VirtualTable), self.query_one("#people")
        table.order, table.reverse = found.order.column, found.order is not Order.UP
        total = render.count(found.everybody)
        part = f"{render.count(found.count)} of {total}" if found.text else total
        pane.border_title = shown(f"users · {part}")
        pane.border_subtitle = shown(found.order.words)
        if found.text:
            table.empty = "nobody's id holds that: fewer letters find more"
        else:
            table.empty = "no ratings yet: 5 (Data) imports them"
        if found.pages is None:
            table.show(found.rows, cursor=found.at)
        else:
            table.show_pages(found.count, self._read_rows, cursor=found.at if changed else table.cursor)
            if changed:
                self.soon("survey", lambda: self._survey(found))

    def _complete(self, found: Crowd) -> None:
        at = self.user

        def take(whole: Crowd) -> None:
            if found is self.crowd:  # else another was asked for meanwhile, and is shown
                self._people(whole)

        if found is self.crowd:
            self.ask("inside", lambda services: complete(services.database, found, at), take)

    def _survey(self, found: Crowd) -> None:
        pages = found.pages
        if found is self.crowd and pages is not None:
            self.ask("survey", lambda _, ticket: pages.survey(lambda: ticket.void), lambda _: None)

    def _read_rows(self, first: int, n: int, then: Any) -> None:
        pages = self.crowd.pages if self.crowd else None
        if pages is not None:
            self.ask("rows", lambda _: pages.rows(first, n), then, self._rows_failed)

    def _rows_failed(self, error: Exception) -> None:
        self._refused(error)
        self.query_one("#users", VirtualTable).ask_again()

    @on(Input.Changed, "#find")
    def _typed(self) -> None:
        self._read_people()

    @on(Input.Submitted, "#find")
    def _to_found(self) -> None:
        self.stand_in("#users")

    @on(VirtualTable.OrderAsked, "#users")
    def _header(self, message: VirtualTable.OrderAsked) -> None:
        now = Order(self.remembered("order", Order.UP.value))
        self._sort(Order.RATINGS if message.row == "ratings" else Order.DOWN if now is Order.UP else Order.UP)

    def action_sort(self) -> None:
        """Sort in the next way."""
        ways = list(Order)
        self._sort(ways[(ways.index(Order(self.remembered("order", Order.UP.value))) + 1) % len(ways)])

    def _sort(self, order: Order) -> None:
        self.remember("order", order.value)
        self.query_one("#people").border_subtitle = shown(f"{order.words}…")
        self._read_people()

    def action_random(self) -> None:
        """Go to anybody among those shown."""
        table = self.query_one("#users", VirtualTable)
        if table.count:
            table.cursor = random.randrange(table.count)

    def action_find(self) -> None:
        """Type a part of an id."""
        self.add_class("-finding")
        self.stand_in("#find")

    @on(VirtualTable.Highlighted, "#users")
    def _at_person(self, message: VirtualTable.Highlighted) -> None:
        user = message.row.user if message.row is not None else ""
        if user != self.user:
            self.user = user
            self.remember_person(user)
            self.soon("person", self._read_person)

    def _read_person(self) -> None:
        user = self.user
        if not user:
            self._profile(None)
            self.show_list(None)
            return
        self.ask("profile", lambda services: lists.profile(services, user), self._profile)
        self.read_list()

    def _profile(self, found: lists.Profile | None) -> None:
        self.query_one(ProfilePane).show(found)

    # --- moving about ---------------------------------------------------------------------------------------------

    @on(VirtualTable.Chosen)
    def action_open(self) -> None:
        """Go on to the next pane."""
        places = ["users", "items", "parts"]
        at = self.focused.id if self.focused is not None else None
        if at in places[:2]:
            self.stand_in(f"#{places[places.index(at) + 1]}")

    def action_zoom(self) -> None:
        """Show the pane alone that has the focus, or all of them."""
        self.toggle_class("-zoomed")

    def action_leave(self) -> None:
        """Go back one pane, then clear what was found, then leave."""
        at = self.focused.id if self.focused is not None else None
        if at == "parts" and self.without:
            self.suppose(frozenset())
        elif at == "parts":
            self.stand_in("#items")
        elif at == "items":
            self.stand_in("#users")
        elif self.has_class("-finding"):
            self.remove_class("-finding")
            self.query_one("#find", Input).value = ""
            self.stand_in("#users")

    @on(events.DescendantFocus)
    def _focused(self, event: events.DescendantFocus) -> None:
        self.set_class(event.widget.id in {"items", "parts"}, "-why")
