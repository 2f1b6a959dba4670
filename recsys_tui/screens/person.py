"""A place about one person: their list, held against another version's where asked for, and why each item is in it."""

from dataclasses import replace
from shlex import quote
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from recsys_tui.screens import lists
from recsys_tui.screens.base import Place
from recsys_tui.widgets.person import WhyPane, list_fields
from recsys_tui.widgets.text import shown
from recsys_tui.widgets.virtual_table import VirtualTable
from store import catalog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from textual.timer import Timer

    from engine.services import Services
    from engine.services.explain import Explanation
    from recsys_tui.render import Column
    from recsys_tui.stream import StoreTrouble

_SETTLE_SECONDS = 0.12  # a cursor that moves on asks for nothing
_LENGTHS = (10, 20, 50)
READING, UNREADABLE = "reading…", "it cannot be read now"
"""What a list says until its first rows come."""


class PersonPlace(Place):
    """What the places Users and Rate share: the pane of a person's list, and the reasons for the item under its cursor.

    Attributes:
        user: whose list is shown; "" for nobody.
        wanted: which list.
        found: the list shown, None where there is none.
        why: the reasons shown.
        without: ratings that are supposed not to be.
    """

    NOBODY: ClassVar[str] = ""
    """What the list says where no person is chosen."""

    def __init__(self) -> None:
        super().__init__()
        self.user = ""
        self.wanted = lists.Wanted()
        self.found: lists.Lists | None = None
        self.why: Explanation | None = None
        self._explaining = True
        self.without: frozenset[str] = frozenset()
        self._resting: dict[str, Timer] = {}

    def list_pane(self) -> ComposeResult:
        """Yield the pane of the list."""
        with Vertical(id="list", classes="pane"):
            yield Static(id="noted", classes="muted")
            yield VirtualTable(list_fields(None), id="items", key="item")

    def take_trouble(self, trouble: "StoreTrouble | None") -> None:
        """Say in the list too that nothing was read, where it still waits for its first rows."""
        super().take_trouble(trouble)
        if self.is_mounted and trouble is not None:
            table = self.query(VirtualTable).first()
            if table.empty == READING:
                there = self.ui.database_path.exists()
                table.empty = UNREADABLE if there else "nothing is stored yet: 5 (Data) imports ratings"
                table.refresh()

    def forget_lost_versions(self) -> None:
        """Hold the list against nothing where the other version is gone."""
        names = {version.name for version in self.state.versions}
        if self.wanted.other and self.wanted.other not in names:
            self.wanted = replace(self.wanted, other="")

    def read_list(self) -> None:
        """Ask for the list of the person shown, as it is."""
        self.without = frozenset()
        if not self.user:
            self.show_list(None)
        elif self.state.active is None:
            self.show_list(None, "no version is active: train one (1), then activate it (2)")
        else:
            user, wanted = self.user, self.wanted
            self.ask("list", lambda services: lists.lists(services, user, wanted), self.show_list, self._list_failed)

    def _list_failed(self, error: Exception) -> None:
        self.show_list(None, f"{error}")
        self._refused(error)

    def show_list(self, found: lists.Lists | None, empty: str = "", *, explain: bool = True) -> None:
        """Show a list, or none and why; `explain` follows its cursor with reasons."""
        self.found, self._explaining = found, explain
        table, pane = self.query_one("#items", VirtualTable), self.query_one("#list")
        noted = self.query_one("#noted", Static)
        table.columns = list_fields(found)
        table.empty = empty or ("no item is eligible: f changes the filters" if self.user else self.NOBODY)
        if found is None:
            pane.border_title, pane.border_subtitle, noted.display = shown("list"), shown(""), False
            table.show([])
            return
        versions = f"{found.version} | {found.other}" if found.other else found.version
        pane.border_title = shown(f"{found.user} · top {self.wanted.n} · {versions}")
        common = f"{found.common} in both · " if found.other else ""
        pane.border_subtitle = shown(f"{common}{found.rung} · {self.wanted.words}")
        noted.display = bool(found.notes)
        noted.update(shown("; ".join(found.notes)))
        same = self.why.movie_id if self.why else ""
        stays = (k for k, line in enumerate(found.lines) if line.item == same and line.move != "out")
        table.show(found.lines, cursor=next(stays, 0))

    @on(VirtualTable.Highlighted, "#items")
    def _at_item(self, message: VirtualTable.Highlighted) -> None:
        if not self._explaining:
            return
        if message.row is None:
            self._explained(None)
        else:
            self.soon("why", self._read_why)

    def _read_why(self) -> None:
        line, found = self.query_one("#items", VirtualTable).current, self.found
        if line is None or found is None:
            return
        version = (line.move == "new" and found.other) or found.version  # new beside another version, or since a rating
        self.ask("why", lambda services: lists.explanation(services, found.user, line.item, version), self._explained)

    def _explained(self, found: "Explanation | None") -> None:
        self.why = found
        self.query_one(WhyPane).show(found, self.found.ends if self.found else (0.0, 1.0))

    def action_seen(self) -> None:
        """Show or hide what the person has rated."""
        self._want(seen=not self.wanted.seen)

    def action_length(self) -> None:
        """Take the next length."""
        self._want(n=_LENGTHS[(_LENGTHS.index(self.wanted.n) + 1) % len(_LENGTHS)])

    def action_versus(self) -> None:
        """Hold the list against the newest other version, or against none."""
        others = self._others()
        if not others:
            self.toast("there is no other version: train one (1)", severity="warning")
            return
        self._want(other="" if self.wanted.other else others[0])

    def action_candidate(self) -> None:
        """Hold the list against the next of the other versions."""
        others = self._others()
        if others:
            at = others.index(self.wanted.other) + 1 if self.wanted.other in others else 0
            self._want(other=others[at % len(others)])

    def _others(self) -> list[str]:
        return [version.name for version in self.state.versions if not version.active]

    def action_filters(self) -> None:
        """Ask for genres, years and diversity."""
        from recsys_tui.screens.filters import FilterDialog

        dialog = FilterDialog(self.wanted)
        self.app.push_screen(dialog, self._want_all)
        self.ask("genres", lambda services: catalog.genre_names(services.database), dialog.know)

    def _want(self, **changes: Any) -> None:
        self._want_all(replace(self.wanted, **changes))

    def _want_all(self, wanted: lists.Wanted | None) -> None:
        if wanted is not None:
            self.wanted = wanted
            self.read_list()

    # --- what if --------------------------------------------------------------------------------------------------

    def action_what_if(self) -> None:
        """Suppose that the rating under the cursor of the reasons were not given, or suppose it again."""
        table = self.query_one("#parts", VirtualTable)
        row, why = table.current, self.why
        if not table.has_focus:
            self.action_why()
        elif row is not None and row["item"] and why is not None:
            table.toggle_mark()
            self.suppose(frozenset(table.marks), why.movie_id)
        else:
            self.toast("choose a rating: x shows the list without it")

    def suppose(self, without: frozenset[str], item: str = "") -> None:
        """Show the list as it would be without some ratings; without none, as it is."""
        if not without:
            self.read_list()
            return
        self.without = without
        user, wanted = self.user, self.wanted

        def work(services: "Services") -> lists.Lists:
            return lists.supposed(services, user, item, without, wanted)

        self.ask("list", work, self._supposed, self._not_supposed)

    def _supposed(self, found: lists.Lists) -> None:
        self.show_list(found, explain=False)
        self.query_one("#list").border_title = shown(f"{found.user} · what if · {found.version}")

    def _not_supposed(self, error: Exception) -> None:
        self.query_one("#parts", VirtualTable).marks.clear()
        self.without = frozenset()
        self._refused(error)

    def action_why(self) -> None:
        """Go to the reasons."""
        self.add_class("-why")
        self.stand_in("#parts")

    def remember_person(self, user: str) -> None:
        """Keep who is shown for the other place, and for the next session on this database."""
        self.ui.kept.set("app.person", [str(self.ui.database_path), user])

    def person_before(self) -> str:
        """Return who was shown last of this database; "" for nobody."""
        kept = self.ui.kept.get("app.person", ["", ""])
        return str(kept[-1]) if kept[:1] == [str(self.ui.database_path)] else ""

    def soon(self, name: str, call: "Callable[[], object]") -> None:
        """Call something once the cursor rests; a newer call of the same name takes the place of an older."""
        if name in self._resting:
            self._resting[name].stop()
        self._resting[name] = self.set_timer(_SETTLE_SECONDS, call)

    # --- what the frame asks --------------------------------------------------------------------------------------

    def selected(self) -> "Mapping[str, str]":
        """Return the user, the item and the versions under the cursors."""
        line = self.query_one("#items", VirtualTable).current
        names = {"user": self.user, "other": self.wanted.other}
        names |= {"item": line.item} if line is not None else {}
        names |= {"show": f"recommend {quote(self.user)} {self.wanted.flags}"} if self.user else {}
        names |= {"supposed": ",".join(f"{item}=none" for item in sorted(self.without))}
        return {"listing": "users list"} | {name: value for name, value in names.items() if value}

    def copies(self) -> "Mapping[str, str]":
        """Return the ids under the cursors, and the reason as a sentence."""
        found = {"user": self.user}
        line = self.query_one("#items", VirtualTable).current
        if line is not None:
            found |= {"item": line.item, "title": line.title}
        if self.why is not None:
            found["reasons"] = self.why.text
        return found

    def table(self) -> "tuple[list[Column | str], Iterable[Mapping[str, Any]]] | None":
        """Return the person's list."""
        if self.found is None:
            return None
        columns: list[Column | str] = ["rank", "item", "title", "figure", "genres", "why", "other", "move"]
        return columns, [vars(line) for line in self.found.lines]
