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
        header: of the file, committed; None where commits do not show in it.
    """

    connection: Connection
    by_others: int
    by_us: int
    inside: bool
    header: bytes | None


class Watch:
    """Tells of changes by whomever: other processes, other threads, this thread itself."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._local = threading.local()

    def changed(self) -> bool:
        """Return whether the database has changed since this thread last asked.

        True the first time, and always inside a transaction of our own: what it did can still be rolled back.
        """
        before: _Seen | None = getattr(self._local, "seen", None)
        if before is not None and self._as_it_was(before):
            return False
        seen = self._local.seen = self._look()
        if before is None or seen.inside or before.inside:
            return True
        if seen.header is not None and before.header is not None:  # says it whatever has become of the connection
            return seen.header != before.header
        return seen != before

    def _as_it_was(self, before: _Seen) -> bool:
        """Return whether nobody has committed, and this thread has left its connection as it was; without SQLite."""
        if before.header is None or self._database.header.read() != before.header:
            return False
        connection = self._database.opened()
        if connection is not before.connection or before.inside:
            return False
        try:
            return not connection.in_transaction and connection.total_changes == before.by_us
        except before.connection.ProgrammingError:  # closed by another thread just now
            return False

    def _look(self) -> _Seen:
        """Ask SQLite; what the header says meanwhile is committed and stays, since a read lock is held."""
        with self._database.read() as db:
            inside, header = db.in_transaction, None
            if inside or self._database.header.read() is None:
                by_others: int = db.execute(_CHANGES).fetchone()[0]
            else:
                db.execute("BEGIN")
                try:
                    by_others = db.execute(_CHANGES).fetchone()[0]
                    header = self._database.header.read()
                finally:
                    db.execute("COMMIT")
            return _Seen(db, by_others, db.total_changes, inside, header)


_CHANGES = "PRAGMA data_version"
