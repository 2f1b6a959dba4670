"""Data: what is stored, how it is spread, how new it is, where it came from, and bringing in more."""

import time
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.content import Content
from textual.widgets import Static

from recsys_tui import render
from recsys_tui.actions import Action
from recsys_tui.screens import stock
from recsys_tui.screens.imports import ImportsPlace
from recsys_tui.screens.sheet import Sheet
from recsys_tui.screens.stockview import curve_of, facts_of, health_page, tail_of
from recsys_tui.widgets.columns import Field
from recsys_tui.widgets.drawn import distribution
from recsys_tui.widgets.text import shown
from recsys_tui.widgets.virtual_table import VirtualTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from recsys_tui.render import Column
    from recsys_tui.stream import StoreTrouble
    from store.activity import Activity

_LEAST_SECONDS = 3.0  # between two counts of everything, and at least as many times as long as one takes
_IMPORTS = [
    Field("import_id", "#", width=4, align="right", tone="dim"),
    Field("source", grows=True, width=20, show=tail_of),
    Field("state", width=8),
    Field("stored", width=11, align="right"),
    Field("rejected", width=9, align="right"),
    Field("started_at", "started (UTC)", width=16, show=render.when, tone="dim", spare=True),
    Field("updated", width=9, align="right", spare=True),
    Field("unchanged", width=10, align="right", spare=True),
]
_REJECTED = [
    Field("line", width=9, align="right", tone="dim"),
    Field("reason", width=26),
    Field("raw", "row", grows=True, width=20),
]
_EMPTY = Content("No ratings yet\n\ni imports a file, a folder or a MongoDB\ns takes the sample data, to look around")


class Data(ImportsPlace):
    """Counts, distribution, activity over time, freshness; imports with preview, rejected rows and undoing."""

    NAME = "data"
    HELP_TEXT = (
        "What is stored and how it is spread. i imports: choose the source, look at the preview, then import; the "
        "import is a process of its own and goes on when this screen is left. Enter on an import shows the rows it "
        "kept aside; x undoes it, after saying what that would do."
    )
    ACTIONS: ClassVar[tuple[Action, ...]] = (
        Action("data.new", "i", "Import", "Import ratings, with a preview.", "import SOURCE", writes=True),
        Action("data.rejected", "enter", "Rejected", "Show the rows an import kept aside.", "imports show {import}"),
        Action("data.undo", "x", "Undo", "Take an import back.", "imports undo {import}", writes=True),
        Action("data.health", "h", "Health", "Look for what is wrong with the data.", "data health"),
        Action("data.sample", "s", "Sample", "Import the sample data.", "import {sample}", writes=True),
        Action("data.leave", "escape", "Back", "Back to the imports.", "imports list", footer=False),
    )
    CSS_PATH = "data.tcss"

    def __init__(self) -> None:
        super().__init__()
        self.when: Activity | None = None
        self._counted = (-1, 0.0, 0.0)  # revision that was counted, when it began, seconds it took
        self._counting = False

    def body(self) -> ComposeResult:
        """Yield the panes, and what stands there when nothing is stored."""
        yield Static(_EMPTY, id="empty", classes="empty")
        yield Static(id="going")
        with Container(id="panes"):
            with Vertical(id="counts", classes="pane"):
                yield Static(id="facts")
            with Vertical(id="spread", classes="pane"):
                yield Static(id="bars")
            with Vertical(id="over", classes="pane"):
                yield Static(id="curve")
            with Vertical(id="imports-pane", classes="pane"):
                yield VirtualTable(_IMPORTS, id="imports", key="import_id", empty="nothing imported: i imports")
            with Vertical(id="rejected-pane", classes="pane"):
                yield VirtualTable(_REJECTED, id="rejected", key="line", empty="no row was rejected")

    def on_mount(self) -> None:
        """Name the panes."""
        for name, title in (("counts", "stored"), ("spread", "ratings"), ("over", "ratings over time")):
            self.query_one(f"#{name}").border_title = title
        self.query_one("#imports-pane").border_title = "imports"
        self.query_one("#rejected-pane").border_title = "rejected rows"
        self.set_interval(1.0, self._tick)

    def look(self, kinds: frozenset[str]) -> None:
        """Read counts and imports again where ratings changed."""
        if "ratings" in kinds:
            self.ask("quick", stock.quick, self._quick)
            self._count()
        self._draw()

    def take_trouble(self, trouble: "StoreTrouble | None") -> None:
        """Offer the sample data where there is no database yet."""
        super().take_trouble(trouble)
        if self.is_mounted and trouble is not None and not self.ui.database_path.exists():
            self.add_class("-empty")

    def _tick(self) -> None:
        """Look after an import that runs, here or elsewhere, and count again what had to wait."""
        if not self.is_current or self.ui.trouble is not None or not self.ui.seen_store:
            return
        if self.importing is not None or any(row.state == "running" for row in self.imports):
            self.ask("quick", stock.quick, self._quick)
        self._count()

    # --- reading --------------------------------------------------------------------------------------------------

    def _quick(self, found: stock.Quick) -> None:
        at = self.query_one("#imports", VirtualTable).current
        self.imports = found.imports
        self.set_class(not found.items and not found.imports, "-empty")
        row = next((k for k, row in enumerate(found.imports) if at is not None and row.import_id == at.import_id), 0)
        self.query_one("#imports", VirtualTable).show(found.imports, cursor=row)
        self._draw()

    def _count(self) -> None:
        """Count everything, unless that is being done, or was done so short a time ago that the machine needs rest."""
        revision, began, took = self._counted
        rested = time.monotonic() - began > max(_LEAST_SECONDS, 5 * took)
        due = rested or self.stock is None or not self.stock.ratings
        if self._counting or revision == self.state.revision or not due:
            return
        self._counting, self._counted = True, (self.state.revision, time.monotonic(), took)
        self.query_one("#counts").border_subtitle = "counting…"
        if self.when is not None and not self.when.days:
            self.when = None  # "no rating has a time" is said of the new ratings only once it is known
        self.ask("stock", stock.stock, self._stock, self._not_counted)
        self.ask("when", stock.when, self._when)

    def _stock(self, found: stock.Stock) -> None:
        revision, began, _ = self._counted
        self._counting, self._counted = False, (revision, began, time.monotonic() - began)
        self.stock = found
        self.query_one("#counts").border_subtitle = ""
        self._draw()

    def _not_counted(self, error: Exception) -> None:
        self._counting = False
        self.query_one("#counts").border_subtitle = ""
        self._refused(error)

    def _when(self, found: "Activity") -> None:
        self.when = found
        self._draw()

    # --- drawing --------------------------------------------------------------------------------------------------

    def on_resize(self, event: Any) -> None:
        """Draw for the new size."""
        super().on_resize(event)
        self.call_after_refresh(self._draw)

    def _draw(self) -> None:
        if not self.is_mounted:
            return
        facts, bars, curve = (self.query_one(f"#{name}", Static) for name in ("facts", "bars", "curve"))
        pane = self.query_one("#counts").content_size
        curve_below = None if self.has_class("-wide") else self.when
        stale = (
            self._counting and self.stock is not None and not self.stock.ratings
        )  # what was nothing is something now
        found = None if stale else self.stock
        facts.update(facts_of(found, self.imports, self.state.active, curve_below, pane.width, pane.height))
        if self.stock is not None:
            low, high, step = self.stock.scale
            by = f" in steps of {step:g}" if step else ""
            self.query_one("#spread").border_title = shown(f"ratings · {low:g} to {high:g}{by}")
            room = self.query_one("#spread").content_size
            bars.update(distribution(self.stock.bars(max(room.height, 10)), room.width))
        elif self._counting:
            bars.update(shown("counting…", "$text-muted"))
        if self.when is not None:
            room = self.query_one("#over").content_size
            if room.height > 2:
                curve.update(curve_of(self.when, room.width, room.height))

    def action_health(self) -> None:
        """Look for what is wrong with the data."""
        sheet = Sheet("health of the data", "data health", "looks through all ratings …")
        self.app.push_screen(sheet)
        self.ask("health", stock.health, lambda checks: sheet.fill(health_page(checks, sheet.room)), sheet.fail)

    # --- what the frame asks --------------------------------------------------------------------------------------

    def selected(self) -> "Mapping[str, str]":
        """Return the import under the cursor."""
        row = self.query_one("#imports", VirtualTable).current
        words = {"sample": str(stock.sample_folder()), "listing": "imports list", "show": "stats"}
        return words | ({"import": str(row.import_id), "show": f"imports show {row.import_id}"} if row else {})

    def copies(self) -> "Mapping[str, str]":
        """Return the source of the import under the cursor."""
        row = self.query_one("#imports", VirtualTable).current
        return {"source": row.source, "import": str(row.import_id)} if row is not None else {}

    def table(self) -> "tuple[list[Column | str], Iterable[Mapping[str, Any]]]":
        """Return the imports."""
        columns: list[Column | str] = ["import_id", "source", "format", "state", "read", "stored", "rejected"]
        return columns, [row._asdict() for row in self.imports]
