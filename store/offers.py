"""What imports said beside what they changed, kept small: so that undoing an earlier import leaves it to the later.

That is rows that changed nothing, and all rows of an import that averaged, since an average no longer tells them.

A batch whose ratings and times are all as stored is kept as its keys, about a byte a row; any other as whole rows.
"""

import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from store.database import Connection
from store.loading.spool import Rows

_KEYS, _ROWS = b"k", b"r"
_LEVEL = 1


class Offer(NamedTuple):
    """Rows that an import offered: sorted keys int64 (n,), and what it said where that was not what is stored."""

    import_id: int
    keys: NDArray[np.int64]
    rows: Rows | None


def keep_offer(db: Connection, import_id: int, rows: Rows, *, as_stored: bool) -> None:
    """Keep a batch, sorted by key, inside the caller's transaction."""
    data = _KEYS + _packed(rows.keys) if as_stored else _ROWS + _pack_rows(rows)
    first, last = int(rows.keys[0] >> 32), int(rows.keys[-1] >> 32)
    db.execute(
        "INSERT INTO offered (import, first_user, last_user, n_rows, data) VALUES (?, ?, ?, ?, ?)",
        (import_id, first, last, len(rows), data),
    )


def offers_of(db: Connection, import_id: int) -> Iterator[Offer]:
    """Yield what an import offered, in the order in which it came."""
    query = "SELECT rowid, n_rows FROM offered WHERE import = ? ORDER BY rowid"
    for row, n_rows in db.execute(query, (import_id,)).fetchall():
        (data,) = db.execute("SELECT data FROM offered WHERE rowid = ?", (row,)).fetchone()
        yield _unpack(import_id, n_rows, data)


def forget_in_offers(db: Connection, user: int) -> int:
    """Take a person out of what was offered, inside the caller's transaction; return how many rows were theirs."""
    query = "SELECT rowid, import, n_rows, data FROM offered WHERE first_user <= ? AND last_user >= ?"
    total = 0
    for row, number, n_rows, data in db.execute(query, (user, user)).fetchall():
        offer = _unpack(number, n_rows, data)
        keep = np.flatnonzero(offer.keys >> 32 != user)
        gone = n_rows - len(keep)
        if gone:
            db.execute("DELETE FROM offered WHERE rowid = ?", (row,))
            nothing = Rows(offer.keys, np.zeros(n_rows), np.zeros(n_rows, np.int64))
            rest = (offer.rows or nothing).take(keep)
            if len(rest):
                keep_offer(db, number, rest, as_stored=offer.rows is None)
        total += gone
    return total


def count_in_offers(db: Connection, user: int | None) -> int:
    """Return how many of the rows offered are a person's."""
    query = "SELECT import, n_rows, data FROM offered WHERE first_user <= ? AND last_user >= ?"
    found = db.execute(query, (user, user)).fetchall()
    return sum(int((_unpack(*row).keys >> 32 == user).sum()) for row in found)


def _unpack(import_id: int, n_rows: int, data: bytes) -> Offer:
    values = _unpacked(data[1:], 1 if data[:1] == _KEYS else 3, n_rows)
    keys = np.cumsum(values[0])
    if data[:1] == _KEYS:
        return Offer(import_id, keys, None)
    return Offer(import_id, keys, Rows(keys, values[1].view(np.float64), values[2]))


def _packed(keys: NDArray[np.int64]) -> bytes:
    return _squeezed(np.diff(keys, prepend=0)[None])


def _pack_rows(rows: Rows) -> bytes:
    return _squeezed(np.stack([np.diff(rows.keys, prepend=0), rows.ratings.view(np.int64), rows.times]))


def _squeezed(values: NDArray[np.int64]) -> bytes:
    """Compress columns int64 (k, n), equal bytes of all values side by side: most of them are zero."""
    return zlib.compress(np.ascontiguousarray(values.reshape(-1, 1).view(np.uint8).T).tobytes(), _LEVEL)


def _unpacked(data: bytes, n_columns: int, n_rows: int) -> NDArray[np.int64]:
    parts = np.frombuffer(zlib.decompress(data), np.uint8).reshape(8, n_columns * n_rows)
    return np.ascontiguousarray(parts.T).view(np.int64).reshape(n_columns, n_rows)
