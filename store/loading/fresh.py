"""The first ratings of a database, all at once: they become pages of its file instead of one insert each.

A private copy of the database, small as long as there are no ratings, gets the rows as a finished b-tree and everything
else by SQL; then it takes the place of the original in one transaction. Where something does not suit, nothing has
happened, and the rows go in by batches (`store.loading.ingest`), three times as slowly.
"""

import os
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from store import errors
from store.database import Connection, Database
from store.importers.base import NO_TIME
from store.loading import swap
from store.loading.ids import IdTable
from store.loading.ingest import Counts, count, note_scale, runs, touch
from store.loading.spool import Facts, Rows
from store.loading.tree import TreeWriter, Widths, integer_width
from store.scales import Acceptance

_LARGEST = 64 << 20  # bytes to copy; a database of this size without ratings holds other things of worth
_HEADER = struct.Struct(">24xII")  # of the file: its change counter, its pages
_VALID_FOR = 92  # where the header tells for which change counter its number of pages holds


@dataclass(frozen=True)
class First:
    """The first import of a database.

    Attributes:
        import_id: its number.
        users, items: the ids that its rows use.
        facts: about all rows.
        averages: rows of one pair become their mean.
        taken: which ratings are accepted.
    """

    import_id: int
    users: IdTable
    items: IdTable
    facts: Facts
    averages: bool
    taken: Acceptance

    def widths(self) -> Widths:
        """Return how many bytes the columns need."""
        last = [max(table.known.values(), default=1) for table in (self.users, self.items)]
        user, item, number = (min(4, integer_width(0, value)) for value in (*last, self.import_id))
        timed = self.facts.last_at != NO_TIME
        at = 0 if not timed else max(4, integer_width(self.facts.first_at, self.facts.last_at))
        return Widths(
            user=user, item=item, rating=1 if self.facts.whole and not self.averages else 8, at=at, number=number
        )


def store_first(database: Database, first: First, rows: Iterable[Rows], tell: Callable[[int], None]) -> Counts | None:
    """Store the first ratings of a database; return None, with nothing done, where that cannot be.

    Args:
        database: the store.
        first: what is known of the import.
        rows: with distinct keys, in ascending order.
        tell: called with the number of rows laid out so far.

    Raises:
        Busy, NoSpace, NoPermission: nothing has been stored.
    """
    with database.read() as db:
        if not _suits(db, first):
            return None
    try:
        with swap.private_copy(database) as copy:
            if not _prepare(copy.connection, first):
                return None
            total, ratings = _lay_out(copy, first, rows, tell)
            _conclude(copy.connection, first, total, ratings)
            return total if swap.put_back(database, copy) else None
    except errors.NoSpace:  # the copy may be what did not fit
        return None


def _suits(db: Connection, first: First) -> bool:
    """Tell whether there is nothing to merge with, and whether all rows can have cells of one size."""
    occupied = db.execute("SELECT EXISTS (SELECT 1 FROM ratings)").fetchone()[
        0
    ]  # first: only reading shows the journal
    settings = [
        db.execute("PRAGMA main.journal_mode").fetchone()[0],
        db.execute("PRAGMA main.auto_vacuum").fetchone()[0],
    ]
    size = db.execute("PRAGMA main.page_count").fetchone()[0] * db.execute("PRAGMA main.page_size").fetchone()[0]
    timed = {moment != NO_TIME for moment in (first.facts.first_at, first.facts.last_at)}
    return settings == ["delete", 0] and size <= _LARGEST and not occupied and len(timed) == 1


def _prepare(db: Connection, first: First) -> bool:
    """Store the ids; return False where others took the numbers that the rows use."""
    db.execute("BEGIN")
    db.execute("DROP INDEX IF EXISTS ratings_by_item")
    moved = [table.store(db) for table in (first.users, first.items)]
    db.execute("COMMIT")
    return all(part is None for part in moved)


def _lay_out(
    copy: swap.PrivateCopy, first: First, rows: Iterable[Rows], tell: Callable[[int], None]
) -> tuple[Counts, list[float]]:
    """Write the rows behind the last page and hang them below the root page of the table."""
    db = copy.connection
    after = db.execute("PRAGMA page_count").fetchone()[0]
    page = db.execute("PRAGMA page_size").fetchone()[0]
    root = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'ratings'").fetchone()[0]
    tree = TreeWriter(copy.file, after=after, page=page, widths=first.widths(), number=first.import_id)
    total, ratings = 0, np.zeros(0)
    for part in rows:
        tree.add(part)
        total += len(part)
        ratings = np.union1d(ratings, part.ratings)
        tell(total)
    tree.finish(root)
    counter, _ = _HEADER.unpack(os.pread(copy.file, _HEADER.size, 0))
    os.pwrite(copy.file, struct.pack(">II", counter + 1, tree.last_page), 24)
    os.pwrite(copy.file, struct.pack(">I", counter + 1), _VALID_FOR)
    return Counts(stored=total), ratings.tolist()


def _conclude(db: Connection, first: First, counts: Counts, ratings: list[float]) -> None:
    """Write what belongs to the rows: revisions, scale, the counters of the import."""
    db.execute("BEGIN")
    touch(db, runs(np.sort(np.fromiter(first.users.known.values(), np.int64))))
    note_scale(db, first.taken, ratings)
    count(db, first.import_id, counts)
    db.execute("COMMIT")
