"""A table of rows that are at hand and often read again: only the lines that look different are drawn again."""

from collections.abc import Sequence
from typing import Any

from recsys_tui.widgets.columns import Window, cell_text
from recsys_tui.widgets.virtual_table import VirtualTable


class RowTable(VirtualTable):
    """Shows a list that changes while it is looked at, with few bytes to the terminal."""

    _all: Sequence[Any] = ()

    def show(self, rows: Sequence[Any], *, cursor: int = 0) -> None:
        """Show rows that are at hand, with the cursor on the row of this number."""
        self._all = rows
        super().show(rows, cursor=cursor)

    def row(self, number: int) -> Any:
        """Return a row, also one far from those on the screen."""
        return self._all[number]

    def renew(self, rows: Sequence[Any], *, cursor: int = 0) -> None:
        """Show these rows; where they are as many as before, with the cursor on the same, by their differences."""
        if len(rows) != self.count or cursor != self.cursor:
            self.show(rows, cursor=cursor)
            return
        before = [self._cells(self._window.row(k)) for k in range(len(rows))]
        self._all = rows
        self._window = Window(len(rows), lambda first, n, then: then(rows[first : first + n]), lambda: None)
        self._want()
        for number, row in enumerate(rows):
            if self._cells(row) != before[number]:
                self._repaint(number)
        self._tell()

    def _cells(self, row: Any) -> list[str]:
        return [] if row is None else [cell_text(row, placed) for placed in self._placed()]
