"""A private copy of the database, to be changed in ways SQL has no words for, and put in the place of the original.

Putting it back is SQLite's online backup under the write lock: one transaction with a rollback journal, so other
processes see the old content or the new, whenever this process dies.
"""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from secrets import token_hex

from store import errors
from store.database import Connection, Database
from store.errors import translate

_PAGES_A_STEP = 4_096  # between two steps Ctrl-C is heard
_NAP = 0.002  # seconds between two looks whether others let the file go


@dataclass(frozen=True)
class PrivateCopy:
    """A file without a name, so that nothing is left of it when the process dies.

    Attributes:
        connection: for SQL; autocommit, no journal, nothing is synced.
        file: descriptor of the same file, for bytes; write only between transactions.
        version: what `PRAGMA data_version` said of the original before it was copied.
    """

    connection: Connection
    file: int
    version: int


@contextmanager
def private_copy(database: Database) -> Iterator[PrivateCopy]:
    """Copy the database as it is now, beside it.

    Raises:
        NoSpace, NoPermission: as the file system says.
    """
    path = database.path.with_name(f"{database.path.name}.staging-{os.getpid()}-{token_hex(4)}")
    with database.read() as original:
        version = data_version(original)
        try:
            file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise translate(error, path) from error
        try:
            with closing(sqlite3.connect(path, isolation_level=None)) as connection:
                connection.execute("PRAGMA synchronous = OFF")
                original.backup(connection)
                connection.execute("PRAGMA journal_mode = OFF")
                path.unlink()
                yield PrivateCopy(connection, file, version)
        except OSError as error:
            raise translate(error, path) from error
        finally:
            os.close(file)  # after the connection: closing a descriptor drops the locks of the process on the file
            with suppress(OSError):
                path.unlink()


def put_back(database: Database, copy: PrivateCopy) -> bool:
    """Make the copy the content of the database; return False, with nothing done, where the original has changed.

    Raises:
        Busy: others read or write for longer than the database waits.
        NoSpace: nothing has changed.
    """
    waited_since: list[float] = []

    def heard(status: int, _remaining: int, _total: int) -> None:
        if status not in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            waited_since.clear()
            return
        waited_since.append(time.monotonic())
        if waited_since[-1] - waited_since[0] >= database.busy_seconds:
            raise errors.Busy(
                f"{database.path}: database is locked", hint="another process is writing; try again when it has ended"
            )

    with database.read() as original:
        original.execute("PRAGMA main.locking_mode = EXCLUSIVE")  # the lock of the next transaction outlives it
        try:
            original.execute("BEGIN IMMEDIATE")
            changed = data_version(original) != copy.version
            original.execute("COMMIT")
            if not changed:
                copy.connection.backup(original, pages=_PAGES_A_STEP, progress=heard, sleep=_NAP)
        finally:
            if original.in_transaction:
                original.execute("ROLLBACK")
            original.execute("PRAGMA main.locking_mode = NORMAL")
            original.execute("SELECT count(*) FROM sqlite_master").fetchone()  # lets the lock go
    return not changed


def data_version(connection: Connection) -> int:
    """Return SQLite's count of changes by other connections."""
    version: int = connection.execute("PRAGMA main.data_version").fetchone()[0]
    return version
