"""A table of items with a cell in which a rating is given by one key."""

from collections.abc import Sequence
from typing import Any

from textual import events
from textual.reactive import reactive

from recsys_tui.widgets.columns import Placed
from recsys_tui.widgets.virtual_table import VirtualTable

_UP, _DOWN = {"plus", "equals_sign", "right"}, {"minus", "left"}
_STEPS = 20  # of a scale without steps


Scale = tuple[float, float, float | None]
"""Lowest rating, highest, and the step between them, None for any value."""


def rating_by(digit: int, scale: Scale) -> float | None:
    """Return what a digit stands for: itself, or so many tenths of a scale that goes further than digits do.

    None where that is no rating of the scale.
    """
    low, high, _ = scale
    value = float(digit) if high <= 10 else low + (high - low) * digit / 10
    return value if low <= value <= high else None


class RatingTable(VirtualTable):
    """Items with a column `rating`. While its cell has the keys, digits rate; elsewhere they go to other places.

    Attributes:
        scale: of the ratings.
        rating: the cell of the row under the cursor has the keys.
    """

    scale: Scale = (0.5, 5.0, 0.5)
    rating: reactive[bool] = reactive(False, repaint=False)
    _given: tuple[str, float | None] = ("", None)

    class Rated(VirtualTable.Told):
        """A rating was given: `value` is None where it is taken back."""

        def __init__(self, table: VirtualTable, row: Any, value: float | None) -> None:
            super().__init__(table, row)
            self.value = value

    class Refused(VirtualTable.Told):
        """A digit that is no rating here."""

    def show(self, rows: Sequence[Any], *, cursor: int = 0) -> None:
        """Show items with the ratings that are stored."""
        self._given = "", None
        super().show(rows, cursor=cursor)

    def watch_rating(self) -> None:
        """Show the cell as the one that has the keys, or not."""
        self._repaint(self.cursor)

    def on_blur(self) -> None:
        """Give the keys up."""
        self.rating = False

    def on_key(self, event: events.Key) -> None:
        """Take the keys of the cell; all others go where they go."""
        if not self.rating:
            return
        row = self.current
        if event.key in {"escape", "enter"}:
            self.rating = False
        elif row is not None and event.key.isdecimal() and len(event.key) == 1:
            self._digit(row, int(event.key))
        elif row is not None and event.key in _UP | _DOWN:
            self._step(row, 1 if event.key in _UP else -1)
        else:
            return
        event.stop()
        event.prevent_default()

    def cell(self, number: int, row: Any, placed: Placed) -> str:
        """Return the text of a cell; the one that has the keys stands in brackets."""
        text = super().cell(number, row, placed)
        here = placed.field.key == "rating" and self.rating and number == self.cursor
        return f"[{text.strip()}]".rjust(placed.width) if here else text

    def _digit(self, row: Any, digit: int) -> None:
        """Rate by a digit; 0 takes the rating back."""
        value = rating_by(digit, self.scale)
        refused = digit and value is None
        self.post_message(self.Refused(self, row) if refused else self.Rated(self, row, value if digit else None))

    def _step(self, row: Any, direction: int) -> None:
        """Rate one step higher or lower than it is; from the middle where it is not rated."""
        low, high, step = self.scale
        step = step or (high - low) / _STEPS
        middle = low + round((high - low) / 2 / step) * step
        item, given = self._given if self._given[0] == row.item else (row.item, row.rating)
        value = min(max(middle if given is None else given + direction * step, low), high)
        self._given = item, value  # the next key may come before the rows are read again
        self.post_message(self.Rated(self, row, value))
