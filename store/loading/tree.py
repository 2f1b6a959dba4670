"""The pages of a whole table, laid out by NumPy: how an empty `ratings` table is filled without an insert for each row.

`ratings` is clustered (WITHOUT ROWID), so in SQLite's file format (https://www.sqlite.org/fileformat.html, sections 1.6
and 2.4, frozen since 2004) it is one index b-tree whose keys are the rows. Rows that come in key order fill leaves from
the left; between two leaves one row goes up as their divider, and the dividers are grouped the same way until one page
holds them all: the root.
"""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.loading.spool import Rows

_LEAF, _INTERIOR = 10, 2  # kinds of page
_HEAD = {_LEAF: 8, _INTERIOR: 12}  # bytes before the pointers to cells
_PENDING_BYTE = 1 << 30  # the page that holds it belongs to the locks and is never used
_INTEGER = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 8: 6}  # bytes of an integer to its serial type; none is NULL
_REAL = 7


@dataclass(frozen=True)
class Widths:
    """Bytes for each column of a row, the same for all rows of an import.

    Attributes:
        user, item, number: of the dense ids and of the import, 1 to 4.
        rating: 1 for whole numbers, 8 for a real.
        at: 4 or 8, 0 where no time is known.
    """

    user: int
    item: int
    rating: int
    at: int
    number: int

    @property
    def columns(self) -> tuple[tuple[str, int], ...]:
        """Names and widths in the order in which SQLite keeps them: the key first."""
        names = ("user", "item", "rating", "at", "number")
        return tuple((name, getattr(self, name)) for name in names)

    @property
    def header(self) -> list[int]:
        """The header of a record: its own length and the serial types of the columns."""
        real = {("rating", 8): _REAL}
        return [6, *(real.get(column, _INTEGER[column[1]]) for column in self.columns)]

    @property
    def cell(self) -> np.dtype[Any]:
        """A row as a cell: the length of its record, the header, the columns; of three bytes the first lies apart."""
        fields: list[tuple[str, str] | tuple[str, str, int]] = [("size", "u1"), ("header", "u1", 6)]
        for name, width in self.columns:
            if width == 3:
                fields.append((f"{name}_high", "u1"))
            if width:
                kind = "f" if (name, width) == ("rating", 8) else "i"
                fields.append((name, f">{kind}{2 if width == 3 else width}"))
        return np.dtype(fields)


def integer_width(low: int, high: int) -> int:
    """Return the bytes that hold every integer of a range: 1 to 4, or 8."""
    for width in (1, 2, 3, 4):
        if -(1 << (8 * width - 1)) <= low and high < 1 << (8 * width - 1):
            return width
    return 8


class TreeWriter:
    """Writes the pages of the tree to a file as rows arrive; `finish` hangs them below the root page.

    Args:
        file: open for writing; pages are put at their places.
        after: number of the last page in use.
        page: bytes of a page.
        widths: of the columns.
        number: of the import, the same in all rows.
    """

    def __init__(self, file: int, *, after: int, page: int, widths: Widths, number: int) -> None:
        self._file, self._page, self._number = file, page, number
        self._widths = widths
        self._next = after + 1
        self._cell = widths.cell
        # joined arrays stay as they are: of numbers NumPy would turn the bytes into the machine's order
        self._opaque = np.dtype((np.void, self._cell.itemsize))
        self._child = np.dtype([("page", ">u4"), ("cell", self._opaque)])
        self._per_leaf = self._capacity(_LEAF)
        self._rest: list[NDArray[Any]] = []  # cells that wait for enough others
        self._n_rest = 0
        self._dividers: list[NDArray[Any]] = []
        self._leaves: list[NDArray[np.int64]] = []  # their page numbers
        self.last_page = after

    def add(self, rows: Rows) -> None:
        """Take rows whose keys are distinct, ascending, and above all keys before.

        Raises:
            OSError: the disk is full.
        """
        self._rest.append(self._cells(rows))
        self._n_rest += len(rows)
        group = self._per_leaf + 1
        groups = self._n_rest // group - 1  # what remains is enough for a leaf, whatever comes
        if groups < 1:
            return
        cells = np.concatenate(self._rest)
        taken = cells[: groups * group].reshape(groups, group)
        self._write_leaves(taken[:, :-1])
        self._dividers.append(taken[:, -1].copy())
        self._rest, self._n_rest = [cells[groups * group :].copy()], len(cells) - groups * group

    def finish(self, root: int) -> None:
        """Write what is left, and the root to the page `root`; at least one row must have been added.

        Raises:
            OSError: the disk is full.
        """
        _put(self._file, self._top(), (root - 1) * self._page)

    def _top(self) -> NDArray[np.uint8]:
        cells = np.concatenate(self._rest)
        sizes = _shares(len(cells), self._per_leaf)
        if len(sizes) == 1 and not self._leaves:
            return self._image(_LEAF, cells[np.newaxis])
        start = 0
        for size in sizes:
            if start:
                self._dividers.append(cells[start - 1 : start].copy())
            self._write_leaves(cells[np.newaxis, start : start + size])
            start += size + 1
        return self._grow(np.concatenate(self._leaves), np.concatenate(self._dividers))

    def _grow(self, children: NDArray[np.int64], dividers: NDArray[Any]) -> NDArray[np.uint8]:
        """Write the levels above pages (n,) with the dividers (n - 1,) between them; return the root."""
        capacity = self._capacity(_INTERIOR)
        while True:
            cells = np.zeros(len(dividers), self._child)
            cells["page"], cells["cell"] = children[:-1], dividers
            sizes = _shares(len(cells), capacity)
            ends = np.cumsum(sizes + 1) - 1  # the divider after each page, and one beyond the last
            images = [
                self._image(_INTERIOR, cells[np.newaxis, end - size : end], right=int(children[end]))
                for size, end in zip(sizes.tolist(), ends.tolist(), strict=True)
            ]
            if len(images) == 1:
                return images[0]
            dividers = dividers[ends[:-1]]
            children = self._write(np.concatenate(images))

    def _cells(self, rows: Rows) -> NDArray[Any]:
        pattern = np.zeros(1, self._cell)
        pattern["size"] = self._cell.itemsize - 1
        pattern["header"] = self._widths.header
        _set(pattern, "number", np.array([self._number]))
        cells = np.repeat(pattern, len(rows))
        values = {"user": rows.keys >> 32, "item": rows.keys & 0xFFFFFFFF, "rating": rows.ratings, "at": rows.times}
        for name, column in values.items():
            _set(cells, name, column)
        return cells.view(self._opaque)

    def _write_leaves(self, cells: NDArray[Any]) -> None:
        self._leaves.append(self._write(self._image(_LEAF, cells)))

    def _image(self, kind: int, cells: NDArray[Any], *, right: int = 0) -> NDArray[np.uint8]:
        """Return pages (n, page) of cells (n, k), at the end of each page, in order."""
        n_pages, n_cells = cells.shape
        size, head = cells.dtype.itemsize, _HEAD[kind]
        content = self._page - n_cells * size
        pages = np.zeros((n_pages, self._page), np.uint8)
        pages[:, 0] = kind
        pages[:, 3:5] = _bytes(np.full(1, n_cells, ">u2"), 2)
        pages[:, 5:7] = _bytes(np.full(1, content % 65_536, ">u2"), 2)
        if kind == _INTERIOR:
            pages[:, 8:12] = _bytes(np.full(1, right, ">u4"), 4)
        pointers = (content + size * np.arange(n_cells)).astype(">u2")
        pages[:, head : head + 2 * n_cells] = pointers.view(np.uint8)
        pages[:, content:] = np.ascontiguousarray(cells).view(np.uint8).reshape(n_pages, -1)
        return pages

    def _write(self, pages: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Write pages (n, page) one after the other and return their numbers (n,)."""
        reserved = _PENDING_BYTE // self._page + 1
        numbers = self._next + np.arange(len(pages))
        if self._next <= reserved:
            numbers[numbers >= reserved] += 1
        before = int(np.searchsorted(numbers, reserved))
        for part in (slice(0, before), slice(before, None)):
            if len(numbers[part]):
                _put(self._file, pages[part], (int(numbers[part][0]) - 1) * self._page)
        self.last_page = int(numbers[-1])
        self._next = self.last_page + 1
        return numbers

    def _capacity(self, kind: int) -> int:
        cell = self._cell if kind == _LEAF else self._child
        return (self._page - _HEAD[kind]) // (cell.itemsize + 2)


def _set(cells: NDArray[Any], name: str, values: NDArray[Any]) -> None:
    """Fill a column of cells (n,), where they have it."""
    fields = cells.dtype.names or ()
    if f"{name}_high" in fields:
        cells[f"{name}_high"] = values >> 16
        cells[name] = (values & 0xFFFF).astype(np.uint16).view(np.int16)
    elif name in fields:
        cells[name] = values


def _shares(n_cells: int, capacity: int) -> NDArray[np.int64]:
    """Return how many cells each page gets, evenly, one cell going up between each two pages."""
    n_pages = -(-(n_cells + 1) // (capacity + 1))
    inside = n_cells - (n_pages - 1)
    return inside // n_pages + (np.arange(n_pages) < inside % n_pages)


def _bytes(values: NDArray[Any], width: int) -> NDArray[np.uint8]:
    """Return the last `width` bytes of big-endian values (n,) as (n, width)."""
    return np.ascontiguousarray(values).view(np.uint8).reshape(len(values), -1)[:, values.itemsize - width :]


def _put(file: int, pages: NDArray[np.uint8], offset: int) -> None:
    data = np.ascontiguousarray(pages).reshape(-1).data
    written = 0
    while written < len(data):
        written += os.pwrite(file, data[written:], offset + written)
