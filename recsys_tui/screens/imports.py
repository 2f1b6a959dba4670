"""The imports of the place Data: starting one, its rejected rows, undoing it."""

from typing import TYPE_CHECKING

from textual import on
from textual.message import Message
from textual.widgets import Static

from recsys_tui import render
from recsys_tui.screens import stock
from recsys_tui.screens.base import Place
from recsys_tui.screens.importing import ImportDialog, Importing
from recsys_tui.screens.stockview import undo_words
from recsys_tui.stream import Desk, Ticket
from recsys_tui.widgets.text import shown
from recsys_tui.widgets.virtual_table import VirtualTable

if TYPE_CHECKING:
    from store.imports import Import, Quarantined
    from store.undo import Undoing


class ImportsPlace(Place):
    """What Data does with imports; the tables `#imports` and `#rejected` are its own.

    Attributes:
        stock: what is stored, None before it was counted.
        imports: as recorded, newest first.
        importing: the import that was started here and runs, or None.
    """

    class Said(Message):
        """How far the import is, in its own words."""

        def __init__(self, line: str) -> None:
            super().__init__()
            self.line = line

    def __init__(self) -> None:
        super().__init__()
        self.stock: stock.Stock | None = None
        self.imports: list[Import] = []
        self.importing: Importing | None = None
        self._desk = Desk(threads=1)  # an import may take as long as all else together

    @on(VirtualTable.Highlighted, "#imports")
    def _at_import(self, message: VirtualTable.Highlighted) -> None:
        pane, table = self.query_one("#rejected-pane"), self.query_one("#rejected", VirtualTable)
        if message.row is None:
            table.show([])
            return
        number, count = message.row.import_id, message.row.rejected
        pane.border_title = shown(f"rejected by import {number} · {render.count(count)}")
        if count:
            self.ask("rejected", lambda services: stock.rejected(services, number), self._rejected)
        else:
            table.show([])

    def _rejected(self, rows: "list[Quarantined]") -> None:
        self.query_one("#rejected", VirtualTable).show(rows)

    @on(VirtualTable.Chosen, "#imports")
    def action_rejected(self) -> None:
        """Go to the rows that the import kept aside."""
        self.add_class("-rejected")
        self.stand_in("#rejected")

    def action_leave(self) -> None:
        """Go back to the imports."""
        self.remove_class("-rejected")
        self.stand_in("#imports")

    def action_new(self) -> None:
        """Ask what to import, and from where."""
        if self.importing is not None:
            self.toast("an import is running: wait for its end", severity="warning")
            return
        self.app.push_screen(ImportDialog(), self._start)

    def action_sample(self) -> None:
        """Import the sample data; where there are ratings already, ask first."""
        sample = Importing([str(stock.sample_folder())])
        if self.has_class("-empty"):
            self._start(sample)
        else:
            detail = "Its invented users and items would stand among yours; x undoes it."
            self.confirm("Add the sample data to the ratings here?", lambda: self._start(sample), detail=detail)

    def _start(self, wanted: Importing | None) -> None:
        if wanted is None:
            return
        self.importing = wanted
        going = self.query_one("#going", Static)
        going.display = True
        going.update(shown(f"importing {wanted.source} …"))
        path = self.ui.database_path

        def said(line: str) -> None:
            self.post_message(self.Said(line))

        ticket = Ticket("import", lambda _: wanted.run(path, said), self._imported, self._not_imported)
        self._desk.give(ticket, self.post_message)

    @on(Said)
    def _going(self, message: Said) -> None:
        if self.importing is not None:
            self.query_one("#going", Static).update(shown(f"importing {self.importing.source}  {message.line}"))

    def _over(self) -> None:
        self.importing = None
        self.query_one("#going").display = False
        self.remove_class("-empty")
        self.ui.forget_services()

    def _imported(self, result: dict[str, int]) -> None:
        self._over()
        kept = f", {render.count(result['rejected'])} kept aside" if result["rejected"] else ""
        self.toast(f"{render.count(result['stored'])} ratings stored{kept}: 1 trains on them")

    def _not_imported(self, error: Exception) -> None:
        self._over()
        self._refused(error)

    def action_undo(self) -> None:
        """Say what undoing the import would do, and ask."""
        row = self.query_one("#imports", VirtualTable).current
        if row is not None:
            number = row.import_id
            self.ask("undo", lambda services: stock.foresee_undo(services, number), self._ask_undo)

    def _ask_undo(self, found: "Undoing") -> None:
        number = found.import_id
        self.confirm(
            f"Undo import {number}?",
            lambda: self.ask("undo", lambda services: stock.undo(services, number), self._undone),
            detail=undo_words(found),
        )

    def _undone(self, found: "Undoing") -> None:
        self.toast(f"import {found.import_id} is undone: {render.count(found.removed)} ratings went")
        self.look_again()
