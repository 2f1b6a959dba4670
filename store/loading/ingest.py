"""The bulk write path: rows in key order go into `ratings` a batch at a time, each batch one transaction.

A transaction holds everything that belongs to its rows: the ratings, what they replaced, the revision of the data and
of the users touched, the scale, and the counters of the import. So whenever the process dies, the counters of the
import tell exactly what is stored.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from store.database import Connection, Database
from store.importers.base import NO_TIME
from store.loading import pages
from store.loading.duplicates import Rule
from store.loading.spool import Rows
from store.offers import keep_offer
from store.ratings import bump
from store.scales import Acceptance, read_scale, shown, write_scale

BATCH_ROWS = 128 * 1024
_MATCHES = "staged.rows s CROSS JOIN ratings r ON r.user = s.user AND r.item = s.item"


@dataclass(frozen=True)
class Counts:
    """Rows by what became of them."""

    stored: int = 0
    updated: int = 0
    unchanged: int = 0

    @property
    def total(self) -> int:
        """All rows."""
        return self.stored + self.updated + self.unchanged

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.stored + other.stored, self.updated + other.updated, self.unchanged + other.unchanged)


@dataclass(frozen=True)
class Staged:
    """A batch ready for SQLite: distinct keys in ascending order, and the database image that holds them."""

    n_rows: int
    first: tuple[int, int]  # user, item
    last: tuple[int, int]
    all_timed: bool
    users: NDArray[np.int64]  # distinct, ascending
    ratings: list[float]  # distinct
    image: NDArray[np.uint8]
    rows: Rows

    @classmethod
    def of(cls, rows: Rows) -> "Staged":
        """Lay the rows out; heavy, and free of the interpreter lock for the most part."""
        users, items = rows.keys >> 32, rows.keys & 0xFFFFFFFF
        distinct = users[np.concatenate([[True], users[1:] != users[:-1]])]
        image = pages.image(users, items, rows.ratings, rows.times)
        all_timed = bool((rows.times != NO_TIME).all())
        return cls(len(rows), *_ends(rows), all_timed, distinct, np.unique(rows.ratings).tolist(), image, rows)


def store_batch(database: Database, staged: Staged, *, import_id: int, rule: Rule, taken: Acceptance) -> Counts:
    """Store one batch in one transaction, and say what became of its rows.

    Raises:
        Busy, NoSpace, NoPermission: nothing of the batch is stored.
    """
    with database.read() as connection:  # kept, with the image attached to it, until the transaction is over
        pages.load(connection, staged.image)
        with database.write() as db:
            counts, users = _merge(db, staged, import_id, rule)
            if users:
                touch(db, users)
            note_scale(db, taken, staged.ratings)
            count(db, import_id, counts)
    return counts


def note_scale(db: Connection, taken: Acceptance, ratings: list[float]) -> None:
    """Let the stored scale follow these ratings, inside the caller's transaction."""
    before = read_scale(db)
    scale = shown(None if before is None else before.scale, taken, ratings)
    if before is None or before.scale != scale or before.stated != taken.stated:
        write_scale(db, Acceptance(scale, taken.stated))


def count(db: Connection, import_id: int, counts: Counts) -> None:
    """Add to the counters of an import, inside the caller's transaction."""
    db.execute(
        "UPDATE imports SET stored = stored + ?, updated = updated + ?, unchanged = unchanged + ? WHERE id = ?",
        (counts.stored, counts.updated, counts.unchanged, import_id),
    )


def foresee_batch(database: Database, rows: Rows, *, rule: Rule) -> Counts:
    """Say what would become of rows with distinct ascending keys, without changing anything.

    Rows that meet no stored one are new without a look at each of them: they are not laid out at all.
    """
    with database.read() as db:
        if not _is_occupied(db, *_ends(rows)):
            return Counts(stored=len(rows))
        staged = Staged.of(rows)
        try:
            pages.load(db, staged.image)
            return _foreseen(db, staged, rule)
        finally:
            pages.unload(db)


def first_change(database: Database, staged: Staged, rule: Rule) -> int | None:
    """Return the key (user << 32 | item) of the first stored rating that a batch would change, or None."""
    with database.read() as db:
        pages.load(db, staged.image)
        row = db.execute(f"SELECT s.user << 32 | s.item FROM {_MATCHES} WHERE {rule.changes} LIMIT 1").fetchone()
    return None if row is None else int(row[0])


def finish(database: Database) -> None:
    """Free the memory that batches took."""
    with database.read() as db:
        pages.unload(db)


def _foreseen(db: Connection, staged: Staged, rule: Rule) -> Counts:
    # no policy changes what is the same already, and asking that first takes a third of the time off
    query = (
        "SELECT count(*), count(CASE WHEN s.at = r.at AND s.rating = r.rating THEN NULL "
        f"WHEN {rule.changes} THEN 1 END) FROM {_MATCHES}"
    )
    matched, updated = _one(db, query)
    return Counts(staged.n_rows - matched, updated, matched - updated)


def _merge(db: Connection, staged: Staged, import_id: int, rule: Rule) -> tuple[Counts, list[tuple[int, int]]]:
    """Write a batch; return the counts and the touched users as inclusive runs of dense ids."""
    at = "at" if staged.all_timed else f"CASE WHEN at > {NO_TIME} THEN at END"
    new_rows = f"SELECT user, item, rating, {at}, ? FROM staged.rows"
    if not _is_occupied(db, staged.first, staged.last):
        db.execute(f"INSERT INTO ratings {new_rows}", (import_id,))
        return Counts(stored=staged.n_rows), runs(staged.users)
    counts = _foreseen(db, staged, rule)
    if counts.updated:
        db.execute(
            "INSERT INTO replaced SELECT ?, r.user, r.item, r.rating, r.at, r.import "
            f"FROM {_MATCHES} WHERE {rule.changes}",
            (import_id,),
        )
        db.execute(  # reads the replaced rows as r: the same values, without reading the table that is written
            f"INSERT OR REPLACE INTO ratings SELECT s.user, s.item, {rule.rating}, {rule.at}, r.import "
            "FROM staged.rows s CROSS JOIN replaced r ON r.import = ? AND r.user = s.user AND r.item = s.item",
            (import_id,),
        )
    if counts.stored:
        db.execute(f"INSERT OR IGNORE INTO ratings {new_rows}", (import_id,))
    if counts.unchanged or (rule.averages and counts.updated):
        keep_offer(db, import_id, staged.rows, as_stored=_is_as_stored(db, staged, counts))
    if not counts.unchanged:
        return counts, runs(staged.users)
    if counts.unchanged == staged.n_rows:
        return counts, []
    users = db.execute(f"SELECT DISTINCT s.user FROM {_MATCHES} WHERE r.import = ?", (import_id,)).fetchall()
    return counts, runs(np.unique(np.array(users, np.int64)))


def _ends(rows: Rows) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return user and item of the first and of the last row."""
    first, last = int(rows.keys[0]), int(rows.keys[-1])
    return (first >> 32, first & 0xFFFFFFFF), (last >> 32, last & 0xFFFFFFFF)


def _is_occupied(db: Connection, first: tuple[int, int], last: tuple[int, int]) -> bool:
    """Tell whether any rating is stored between two pairs."""
    query = "SELECT EXISTS (SELECT 1 FROM ratings WHERE (user, item) >= (?, ?) AND (user, item) <= (?, ?))"
    return bool(_one(db, query, (*first, *last))[0])


def _is_as_stored(db: Connection, staged: Staged, counts: Counts) -> bool:
    """Tell whether every row says what is stored already."""
    same = f"SELECT count(*) FROM {_MATCHES} WHERE s.rating = r.rating AND s.at = coalesce(r.at, {NO_TIME})"
    return counts.unchanged == staged.n_rows and _one(db, same)[0] == staged.n_rows


def _one(db: Connection, query: str, values: tuple[int, ...] = ()) -> tuple[int, ...]:
    """Return the one row of a query, and end it: a cursor left open on the table makes every insert twice as slow."""
    (row,) = db.execute(query, values).fetchall()
    found: tuple[int, ...] = row
    return found


def touch(db: Connection, users: Iterable[tuple[int, int]]) -> None:
    """Count the revision of the data up by one and give it to the users whose ratings changed."""
    revision = bump(db)
    db.executemany("UPDATE users SET revision = ? WHERE id BETWEEN ? AND ?", ((revision, *run) for run in users))


def runs(ids: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return ascending ids as inclusive runs of consecutive numbers."""
    breaks = np.flatnonzero(np.diff(ids) != 1)
    return list(zip(ids[np.append(0, breaks + 1)].tolist(), ids[np.append(breaks, len(ids) - 1)].tolist(), strict=True))
