"""Rows as the bytes of an SQLite database: how millions of them reach SQLite without an object or a bind call for each.

NumPy lays the rows out in SQLite's own file format (https://www.sqlite.org/fileformat.html, frozen since 2004) with
cells of one size; SQLite then reads the image as an attached in-memory database, and `INSERT … SELECT` moves the rows
inside its own machine. No value is bound by a call, not even in C, and the merge with rows that exist already is
plain SQL.
"""

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.database import Connection

SCHEMA = "CREATE TABLE rows (user INTEGER, item INTEGER, rating REAL, at INTEGER)"
PAGE = 32_768

_CELL = np.dtype(
    [
        ("size", "u1"),  # bytes of the record: 5 of header, 24 of values
        ("rowid", "u1", 4),  # a varint of four bytes, most significant first, seven bits each
        ("header", "u1", 5),  # its own length, then a type for each value
        ("user", ">i4"),
        ("item", ">i4"),
        ("rating", ">f8"),
        ("at", ">i8"),
    ]
)
_RECORD_BYTES = 29
_RECORD_HEADER = (5, 4, 4, 7, 6)  # int32, int32, float64, int64
_FITS = (PAGE - 8) // (_CELL.itemsize + 2)  # rows in a leaf
_CONTENT = PAGE - _FITS * _CELL.itemsize  # where they begin
_LEAF = np.dtype(
    {
        "names": ["kind", "cells", "content", "pointers", "rows"],
        "formats": ["u1", ">u2", ">u2", (">u2", _FITS), (_CELL, _FITS)],
        "offsets": [0, 3, 5, 8, _CONTENT],
        "itemsize": PAGE,
    }
)
_CHILD = np.dtype([("page", ">u4"), ("rowid", "u1", 4)])
_LEAF_KIND, _INTERIOR_KIND = 13, 5
MOST_ROWS = _FITS * ((PAGE - 12) // (_CHILD.itemsize + 2))


def image(user: NDArray[Any], item: NDArray[Any], rating: NDArray[Any], at: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return a database with one table `rows (user, item, rating, at)` as bytes, the rows in the given order.

    Args:
        user: integers (n,) below 2**31, 1 <= n <= `MOST_ROWS`.
        item: integers (n,) below 2**31.
        rating: float64 (n,), finite.
        at: int64 (n,); there is no NULL, so the reader must know what stands for it.
    """
    n_leaves = -(-len(user) // _FITS)
    n_pages = 1 + n_leaves + (n_leaves > 1)
    pages = np.zeros(n_pages * PAGE, np.uint8)
    leaves = pages[PAGE : (1 + n_leaves) * PAGE].view(_LEAF)
    _fill(leaves, {"user": user, "item": item, "rating": rating, "at": at})
    if n_leaves > 1:
        pages[-PAGE:] = np.frombuffer(_interior(leaves["rows"]["rowid"][:-1, -1]), np.uint8)
    pages[:PAGE] = np.frombuffer(_first_page(n_pages), np.uint8)
    return pages


def load(connection: Connection, pages: NDArray[np.uint8]) -> None:
    """Attach an image as the schema `staged`, in place of the one before; outside a transaction."""
    attached = {name for _, name, _ in connection.execute("PRAGMA database_list")}
    if "staged" not in attached:
        connection.execute("ATTACH ':memory:' AS staged")
    connection.deserialize(pages.data, name="staged")


def unload(connection: Connection) -> None:
    """Detach the image and free its memory."""
    if any(name == "staged" for _, name, _ in connection.execute("PRAGMA database_list").fetchall()):
        connection.execute("DETACH staged")


def _fill(leaves: NDArray[Any], columns: dict[str, NDArray[Any]]) -> None:
    n_rows, n_leaves = len(columns["user"]), len(leaves)
    in_full, in_last = (n_leaves - 1) * _FITS, n_rows - (n_leaves - 1) * _FITS
    leaves["kind"] = _LEAF_KIND
    leaves["cells"] = _FITS
    leaves["cells"][-1] = in_last
    leaves["content"] = _CONTENT
    leaves["pointers"] = _CONTENT + np.arange(_FITS) * _CELL.itemsize
    rows = leaves["rows"]
    rows["size"] = _RECORD_BYTES
    rows["header"] = _RECORD_HEADER
    rowids = np.arange(1, n_leaves * _FITS + 1, dtype=np.uint32).reshape(n_leaves, _FITS)
    for byte in range(4):
        rows["rowid"][..., byte] = (rowids >> (7 * (3 - byte))) & 0x7F | (0x80 if byte < 3 else 0)
    for name, values in columns.items():
        rows[name][:-1] = values[:in_full].reshape(n_leaves - 1, _FITS)
        rows[name][-1, :in_last] = values[in_full:]


def _interior(last_rowids: NDArray[np.uint8]) -> bytes:
    """Return the root: each leaf but the last with its greatest row id (n_leaves - 1, 4), then the last leaf."""
    n_cells = len(last_rowids)
    cells = np.zeros(n_cells, _CHILD)
    cells["page"] = 2 + np.arange(n_cells)
    cells["rowid"] = last_rowids
    content = PAGE - cells.nbytes
    head = struct.pack(">BHHHBI", _INTERIOR_KIND, 0, n_cells, content, 0, 2 + n_cells)
    pointers = (content + _CHILD.itemsize * np.arange(n_cells)).astype(">u2").tobytes()
    return (head + pointers).ljust(content, b"\0") + cells.tobytes()


def _first_page(n_pages: int) -> bytes:
    """Return the file header and the schema, whose one table has its root on the last page."""
    values = b"table" + b"rows" + b"rows" + struct.pack(">I", n_pages) + SCHEMA.encode()
    types = bytes([13 + 2 * 5, 13 + 2 * 4, 13 + 2 * 4, 4]) + _varint(13 + 2 * len(SCHEMA))
    record = bytes([1 + len(types)]) + types + values
    cell = _varint(len(record)) + b"\1" + record
    # the schema's version is the root's page number: a connection reads the schema anew when the root has moved
    numbers = [PAGE, 1, 1, 0, 64, 32, 32, 1, n_pages, 0, 0, n_pages, 4, 0, 0, 1, 0, 0, 0, 1, 3_040_001]
    header = struct.pack(">16sH6B12I20x2I", b"SQLite format 3\0", *numbers)
    leaf = struct.pack(">BHHHBH", _LEAF_KIND, 0, 1, PAGE - len(cell), 0, PAGE - len(cell))
    return (header + leaf).ljust(PAGE - len(cell), b"\0") + cell


def _varint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([0x80 | number >> 7, number & 0x7F])
