"""Whether anything in the database has changed since this thread last looked: one cheap question for every cache."""

import threading
from typing import NamedTuple

from store.database import Connection, Database


class _Seen(NamedTuple):
    """What a connection knows of changes; equal ones have nothing between them.

    Attributes:
        connection: the other figures count within one connection only; holding it keeps it from being mistaken.
        by_others: changes with every commit of any other connection, of this process or another.
        by_us: rows changed through this connection.
        inside: a transaction of our own is open.
    """

    connection: Connection
    by_others: int
    by_us: int
    inside: bool


class Watch:
    """Tells of changes by whomever: other processes, other threads, this thread itself."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._local = threading.local()

    def changed(self) -> bool:
        """Return whether the database has changed since this thread last asked.

        True the first time, and always inside a transaction of our own: what it did can still be rolled back.
        """
        with self._database.read() as db:
            by_others: int = db.execute("PRAGMA data_version").fetchone()[0]
            seen = _Seen(db, by_others, db.total_changes, db.in_transaction)
        before: _Seen | None = getattr(self._local, "seen", None)
        self._local.seen = seen
        return seen.inside or seen != before
