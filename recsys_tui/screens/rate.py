"""Rate: find an item, rate it by one key, and watch that person's list change."""

from collections import deque
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Container, Horizontal, Vertical
from textual.widgets import Input, Static

from recsys_tui import render
from recsys_tui.actions import Action
from recsys_tui.screens.person import READING, PersonPlace
from recsys_tui.screens.rating import Change, Found, Stored, find, store
from recsys_tui.widgets.columns import Field
from recsys_tui.widgets.person import WhyPane
from recsys_tui.widgets.rating_table import RatingTable
from recsys_tui.widgets.text import shown
from recsys_tui.widgets.virtual_table import VirtualTable

_ITEMS = [
    Field("title", "item", grows=True, width=24),
    Field("genres", grows=True, width=12, spare=True, tone="dim"),
    Field("rating", "their rating", width=12, align="right", show=render.plainly),
]


class Rate(PersonPlace):
    """Rate for a person, one key a rating, each stored at once; their list follows."""

    NAME = "rate"
    NOBODY = "c names the person whose list this is, a asks somebody new"
    HELP_TEXT = (
        "Type / and a part of a title. Enter goes into the rating cell: there 1 to 5 rate, + and - go a step up or "
        "down, 0 takes the rating back; j and k go to the next item; Esc leaves the cell, and digits switch places "
        "again. Each key is stored before it is shown. u undoes. The list beside it says what each rating moved."
    )
    ACTIONS: ClassVar[tuple[Action, ...]] = (
        Action("rate.open", "enter", "Rate", "Go into the rating cell.", "rate {user} {item} VALUE", writes=True),
        Action("rate.find", "slash", "Find", "Find items by a part of their title.", "items search {text}"),
        Action("rate.undo", "u", "Undo", "Take the last rating back.", "rate --unset {user} {item}", writes=True),
        Action("rate.person", "c", "Change user", "Rate for somebody else, or somebody new.", "users show {user}"),
        Action("rate.newcomer", "a", "New user", "Five questions to somebody new.", "onboard USER", writes=True),
        Action("rate.why", "w", "Why", "Why this item is in the list.", "explain {user} {item}"),
        Action(
            "rate.seen",
            "i",
            "Seen",
            "Show or hide what they have rated.",
            "recommend {user} --include-seen",
            footer=False,
        ),
        Action("rate.filters", "f", "Filter", "Genres, years, diversity.", "{show}", footer=False),
        Action("rate.length", "L", "Length", "Lists of 10, 20 or 50.", "{show}", footer=False),
        Action("rate.leave", "escape", "Back", "Back one pane.", "users list", footer=False),
    )
    CSS_PATH = "rate.tcss"

    def __init__(self) -> None:
        super().__init__()
        self.done: list[Change] = []  # what undoes them, the last one last
        self._waiting: deque[Change] = deque()
        self._at_work = False

    def body(self) -> ComposeResult:
        """Yield the items to rate and the list of the person."""
        with Container(id="panes"):
            with Vertical(id="rating", classes="pane"):
                with Horizontal(classes="asks"):
                    yield Static("user")
                    yield Input(id="who", placeholder="an id, known or new", select_on_focus=True)
                    yield Static(id="known", classes="muted")
                with Horizontal(classes="asks"):
                    yield Static("find")
                    yield Input(id="find", placeholder="a part of a title, or an item's id", select_on_focus=True)
                yield RatingTable(_ITEMS, id="found", key="item", empty=READING)
            with Container(id="right"):
                yield from self.list_pane()
                yield WhyPane(classes="pane")

    def on_mount(self) -> None:
        """Begin with the person that was shown last."""
        self.query_one("#rating").border_title = "rate"
        self.show_list(None)

    def on_screen_resume(self, event: events.ScreenResume) -> None:  # noqa: ARG002  Textual's
        """Go on with the person that Users shows; what every place does then follows by itself."""
        user = self.person_before()
        if self.is_current and user and user != self.user:
            self._take_user(user)

    def look(self, kinds: frozenset[str]) -> None:
        """Read items and list again where they may have changed."""
        if "ratings" in kinds and not self._at_work:
            self._read_items()
        if kinds & {"ratings", "versions"} and not self._at_work and not (self.found and self.found.moved):
            self.read_list()

    # --- who and what ---------------------------------------------------------------------------------------------

    def _take_user(self, user: str) -> None:
        self.user = user
        self.done.clear()
        self.query_one("#who", Input).value = user
        self.remember_person(user)
        self._read_items()
        self.read_list()

    @on(Input.Submitted, "#who")
    def _who(self, event: Input.Submitted) -> None:
        if event.value.strip():
            self._take_user(event.value.strip())
            self.stand_in("#found")

    @on(Input.Changed, "#find")
    def _typed(self) -> None:
        self._read_items()

    @on(Input.Submitted, "#find")
    def _to_found(self) -> None:
        self.stand_in("#found")

    def _read_items(self) -> None:
        user, text = self.user, self.query_one("#find", Input).value.strip()
        self.ask("found", lambda services: find(services, user, text), self._found)

    def _found(self, found: Found) -> None:
        table = self.query_one("#found", RatingTable)
        at = table.current.item if table.current else ""
        table.scale = found.scale
        table.empty = "no title holds that" if self.query_one("#find", Input).value else "no items yet: 5 imports them"
        table.show(found.items, cursor=next((k for k, row in enumerate(found.items) if row.item == at), 0))
        known = f"{render.count(found.n_ratings)} ratings" if found.n_ratings is not None else "new: a rating adds them"
        self.query_one("#known", Static).update(shown(known if self.user else ""))
        self._hint()

    # --- rating ---------------------------------------------------------------------------------------------------

    @on(VirtualTable.Chosen, "#found")
    def action_open(self) -> None:
        """Go into the rating cell."""
        table = self.query_one("#found", RatingTable)
        if self.ui.read_only:
            self.ui.say_read_only()
        elif not self.user:
            self.action_person()
        elif table.current is not None:
            self.set_focus(table)
            table.rating = True
        self._hint()

    def _hint(self) -> None:
        table = self.query_one("#found", RatingTable)
        low, high, step = table.scale
        digits = f"{max(low, 1):g} to {high:g}" if high <= 10 else "1 to 9: tenths of the scale"
        by = f" · + - by {step:g}" if step else " · + -"
        words = f"{digits} rate{by} · 0 clears · esc leaves" if table.rating else "enter rates"
        self.query_one("#rating").border_subtitle = shown(words)

    @on(RatingTable.Refused)
    def _no_rating(self) -> None:
        low, high, step = self.query_one("#found", RatingTable).scale
        self.toast(f"the scale goes from {low:g} to {high:g}" + (f" by {step:g}" if step else ""), severity="warning")

    @on(RatingTable.Rated)
    def _rated(self, message: RatingTable.Rated) -> None:
        self._change(Change(self.user, message.row, message.value))

    def action_undo(self) -> None:
        """Put back what the last rating replaced."""
        if not self.done:
            self.toast("nothing to undo")
            return
        self._change(self.done.pop())

    def _change(self, change: Change) -> None:
        """Store changes one after the other: a later key must never be overtaken by an earlier one."""
        self._waiting.append(change)
        if not self._at_work:
            self._next()

    def _next(self) -> None:
        if not self._waiting:
            self._at_work = False
            self._read_items()
            return
        self._at_work = True
        change, wanted = self._waiting.popleft(), self.wanted
        before = [line for line in self.found.lines if line.move != "out"] if self.found else []

        self.ask("store", lambda services: store(services, change, wanted, before), self._stored, self._not_stored)

    def _not_stored(self, error: Exception) -> None:
        self._refused(error)
        self._waiting.clear()
        self._next()

    def _stored(self, result: Stored) -> None:
        change, rated, now = result
        if rated is not None:
            if not change.undoes:
                self.done.append(Change(change.user, change.item, rated.previous, undoes=True))
            given = "taken back" if change.value is None else f"{change.value:g}"
            was = f", was {rated.previous:g}" if rated.previous is not None else ""
            moved = f"{len(rated.entered)} new in the list" if rated.changed else "the list stays"
            self.query_one("#list").border_subtitle = shown("")
            said = shown(f"{change.item.title}: {given}{was} · {moved}")
        else:
            said = shown(f"{change.item.title}: there was no rating")
        if now is not None and change.user == self.user:
            self.show_list(now)
        self.query_one("#rating").border_title = said
        self._next()

    # --- moving about ---------------------------------------------------------------------------------------------

    def action_newcomer(self) -> None:
        """Ask for an id, then five questions."""
        from recsys_tui.screens.prompt import Prompt

        self.app.push_screen(self.ui.dialog(Prompt, "prompt").fill("somebody new", "Their id:"), self._interview)

    def _interview(self, user: str | None) -> None:
        from recsys_tui.screens.onboard import Onboarding

        if user and user.strip():
            name = user.strip()
            self.app.push_screen(Onboarding(self, name), lambda kept: self._take_user(name) if kept else None)

    def action_find(self) -> None:
        """Type a part of a title."""
        self.stand_in("#find")

    def action_person(self) -> None:
        """Type the id of somebody else."""
        self.stand_in("#who")

    def action_leave(self) -> None:
        """Go back to the list as it is, then to the items."""
        if self.without:
            self.suppose(frozenset())
            return
        self.remove_class("-why")
        self.stand_in("#found")
