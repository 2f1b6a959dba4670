"""The cursor of a table and the keys by which it goes through the rows: arrows and those of vi."""

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.reactive import reactive
from textual.scroll_view import ScrollView


class Moving(ScrollView):
    """What moves the cursor; a table says how many rows there are and shows where it stands."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("home,g", "move_to(0)", "First", show=False),
        Binding("end,G", "move_to(-1)", "Last", show=False),
        Binding("pageup", "move_pages(-1.0)", "Page up", show=False),
        Binding("pagedown", "move_pages(1.0)", "Page down", show=False),
        Binding("ctrl+u", "move_pages(-0.5)", "Half a page up", show=False),
        Binding("ctrl+d", "move_pages(0.5)", "Half a page down", show=False),
        Binding("n", "match(1)", "Next match", show=False),
        Binding("N", "match(-1)", "Previous match", show=False),
    ]

    cursor: reactive[int] = reactive(0, repaint=False)
    """The number of the row on which the cursor stands."""

    @property
    def count(self) -> int:
        """The number of rows."""
        raise NotImplementedError

    @property
    def top(self) -> int:
        """The number of the first row on the screen."""
        return self.scroll_offset.y

    @property
    def _body(self) -> int:
        """Lines for rows, under the header."""
        raise NotImplementedError

    def matches(self, number: int) -> bool:
        """Tell whether a row is one of those that are looked for."""
        raise NotImplementedError

    def action_move(self, rows: int) -> None:
        """Move the cursor down by some rows."""
        self.cursor += rows

    def action_move_to(self, number: int) -> None:
        """Move the cursor to a row; -1 is the last."""
        self.cursor = number % max(self.count, 1)

    def action_move_pages(self, pages: float) -> None:
        """Move cursor and view by a share of what is on the screen."""
        step = max(round(abs(pages) * (self._body - 1)), 1) * (1 if pages > 0 else -1)
        self.scroll_to(y=self.top + step, animate=False, immediate=True)
        self.cursor += step

    def action_match(self, step: int) -> None:
        """Move the cursor to the next row that is looked for, or the one before; past the end it begins again."""
        numbers = ((self.cursor + step * far) % self.count for far in range(1, self.count))
        self.cursor = next((number for number in numbers if self.matches(number)), self.cursor)
