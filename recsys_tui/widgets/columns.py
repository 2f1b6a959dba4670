"""Columns with a width, and how a row becomes a line of exactly the cells there are: for tables that scroll."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from rich.cells import cell_len, set_cell_size

from recsys_tui.render import Column, safe
from recsys_tui.render.table import crop
from recsys_tui.render.values import human

GAP = 2


@dataclass(frozen=True)
class Field(Column):
    """A column with a width: a table that never sees all rows cannot measure them.

    Attributes:
        width: cells; of a growing column its weight among those that share what is left.
        least: cells of a growing column below which spare columns give way.
        order: the name of the order that its header stands for; "" where the rows cannot be sorted by it.
        tone: how its cells look: "", "dim" or "accent".
    """

    width: int = 8
    least: int = 12
    order: str = ""
    tone: str = ""


class Placed(NamedTuple):
    """A column as it stands in a line: its first cell and its number of cells."""

    field: Field
    x: int
    width: int


def lay_out(fields: Sequence[Field], width: int, *, left: int = 0) -> list[Placed]:
    """Place columns side by side in `width` cells from `left` on; what has no room is left out, spare columns first.

    Growing columns share the room that is left, in proportion to their widths.
    """
    kept = list(fields)
    for spare in reversed([field for field in fields if field.spare]):
        if _needed(kept) <= width:
            break
        kept.remove(spare)
    growing = [field for field in kept if field.grows]
    room = width - _needed(kept) + sum(_least(field) for field in growing)
    weights = sum(field.width for field in growing)
    placed: list[Placed] = []
    x = left
    for field in kept:
        cells = field.width
        if field.grows:
            before = sum(other.width for other in growing[: growing.index(field)])
            cells = max(room * (before + field.width) // weights - room * before // weights, 0)
        cells = min(cells, left + width - x)
        if cells <= 0:
            continue
        placed.append(Placed(field, x, cells))
        x += cells + GAP
    return placed


def _least(field: Field) -> int:
    return min(field.width, field.least) if field.grows else field.width


def _needed(fields: Sequence[Field]) -> int:
    return sum(map(_least, fields)) + GAP * (len(fields) - 1)


def heading(placed: Placed, order: str, *, reverse: bool) -> str:
    """Return the header of a column in its cells, with an arrow where the rows are sorted by it."""
    arrow = "" if not order or placed.field.order != order else " ▼" if reverse else " ▲"
    return _fitted(safe(placed.field.title) + arrow, placed)


def cell_text(row: Any, placed: Placed) -> str:
    """Return a value of a row in the cells of its column, safe to show; figures stand at the right."""
    field = placed.field
    value = value_of(row, field.key)
    return _fitted(human(value, field.digits) if field.show is None else safe(field.show(value)), placed)


def value_of(row: Any, key: str) -> Any:
    """Return a value of a row, which is a mapping or an object."""
    return row.get(key) if isinstance(row, Mapping) else getattr(row, key)


def has_words(row: Mapping[str, Any] | Any, words: str) -> bool:
    """Tell whether all the words are somewhere in the values of a row, whatever their case."""
    text = " ".join(map(str, row.values() if isinstance(row, Mapping) else vars(row).values())).casefold()
    return all(word in text for word in words.casefold().split())


def _fitted(text: str, placed: Placed) -> str:
    shown = crop(text, placed.width)
    if placed.field.align == "right":
        return " " * (placed.width - cell_len(shown)) + shown
    return set_cell_size(shown, placed.width)


class Window:
    """The rows around those on the screen, a page at a time, the ones used last.

    Args:
        count: how many rows there are.
        ask: reads the rows `first` to `first + n - 1` and hands them to `then`, now or later; a newer question makes
            an older one void.
    """

    PAGE = 32
    PAGES = 96

    def __init__(
        self, count: int, ask: Callable[[int, int, Callable[[Sequence[Any]], None]], None], arrived: Callable[[], None]
    ) -> None:
        self.count = count
        self._ask, self._arrived = ask, arrived
        self._pages: dict[int, Sequence[Any]] = {}
        self._asked: tuple[int, int] | None = None

    def row(self, number: int) -> Any:
        """Return a row that is at hand, or None."""
        page, place = divmod(number, self.PAGE)
        rows = self._pages.get(page, ())
        return rows[place] if number >= 0 and place < len(rows) else None

    def want(self, first: int, n: int) -> None:
        """See to it that these rows are at hand soon, and then a page before and behind them."""
        last = max(self.count - 1, 0) // self.PAGE
        low, high = first // self.PAGE, min((first + n) // self.PAGE, last)
        missing = [page for page in range(low, high + 1) if page not in self._pages]
        missing = missing or [page for page in (high + 1, low - 1) if 0 <= page <= last and page not in self._pages][:1]
        if not missing or not self.count:
            return
        part = missing[0], missing[-1]
        if part != self._asked:
            self._asked = part
            self._ask(part[0] * self.PAGE, (part[1] - part[0] + 1) * self.PAGE, lambda rows: self._take(part, rows))

    def again(self) -> None:
        """Let what was asked for be asked for again: it did not come."""
        self._asked = None

    def _take(self, part: tuple[int, int], rows: Sequence[Any]) -> None:
        if part == self._asked:
            self._asked = None
        for k, page in enumerate(range(part[0], part[1] + 1)):
            self._pages.pop(page, None)
            self._pages[page] = rows[k * self.PAGE : (k + 1) * self.PAGE]
        for page in list(self._pages)[: -self.PAGES]:
            del self._pages[page]
        self._arrived()
