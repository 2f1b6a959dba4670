"""The one place that opens SQLite: connections, transactions, permissions, journal mode."""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from store import errors
from store.gate import Section, gate_of
from store.header import Header
from store.patience import PatientConnection
from store.wal import checkpoint

if TYPE_CHECKING:
    from store.adbc import Cursor

APPLICATION_ID = 0x52435355  # "RCSU", written to the header so that a stranger's file is recognised
BUSY_SECONDS = 10.0
CACHE_KIB = 65_536
LOG_ROWS = 16_384  # changed by a connection before it brings what the write-ahead log holds into the database

Connection = sqlite3.Connection  # for annotations: no other module imports sqlite3

_JOURNAL = {True: "PRAGMA journal_mode = WAL", False: "PRAGMA journal_mode = DELETE"}  # by `wal_is_safe()`
_SQLITE = (sqlite3.Error, OverflowError, UnicodeError)


def wal_is_safe(version: tuple[int, int, int] = sqlite3.sqlite_version_info) -> bool:
    """Tell whether this SQLite has the mend of the WAL-reset bug (3.51.3; back-ported to 3.50.7 and 3.44.6)."""
    if version >= (3, 51, 3):
        return True
    return version[:2] in {(3, 50), (3, 44)} and version >= {50: (3, 50, 7), 44: (3, 44, 6)}[version[1]]


def make_folder(path: Path) -> None:
    """Make a folder and those above it that are missing, each for the owner alone, whatever the umask."""
    for folder in reversed((path, *path.parents)):
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)


@contextmanager
def decoding(path: Path) -> Iterator[None]:
    """Report rows that cannot be what this program wrote: the bytes of the file were changed from outside."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise errors.Damaged(f"{path}: a row is not as it was written ({error})", hint=errors.RESTORE) from error


class _Held:
    """The connection of one thread, closed when the thread ends: left to itself it would wait for the collector."""

    def __init__(self, connection: PatientConnection, generation: int) -> None:
        self.connection, self.generation = connection, generation
        self.brought_in = -LOG_ROWS  # rows it had changed at its last checkpoint; the log may be long from before

    def close(self) -> None:
        self.connection.close()

    def __del__(self) -> None:
        self.close()


class Database:
    """One SQLite file: a connection per thread, `read()` and `write()` sections, and exclusive `bulk()` access by ADBC.

    Opening does not create or change anything; `create()` makes the file (0600) and its folder (0700).

    Args:
        path: of the file; it need not exist yet.
        busy_seconds: how long to wait for another process's transaction.
        cache_kib: pages that each connection keeps, in KiB.
    """

    def __init__(self, path: Path | str, *, busy_seconds: float = BUSY_SECONDS, cache_kib: int = CACHE_KIB) -> None:
        self.path = Path(path).expanduser().absolute()
        self.busy_seconds = busy_seconds
        self._cache_kib = cache_kib
        self._local = threading.local()
        self._gate = gate_of(self.path)

    def wait_for_others(self, seconds: float) -> None:
        """Wait this long for another process's transaction from now on."""
        self.busy_seconds = seconds
        self.close()

    @property
    def exists(self) -> bool:
        """True where the file is there and not empty."""
        return self.path.exists() and self.path.stat().st_size > 0

    def create(self) -> None:
        """Make the folder and an empty file with private modes, whatever the umask; an existing file is left alone.

        Raises:
            NoPermission, NoSpace: where the file system refuses.
        """
        try:
            make_folder(self.path.parent)
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_EXCL, 0o600))
        except FileExistsError:  # made earlier, or by another process just now
            return
        except OSError as error:
            raise errors.translate(error, self.path) from error

    @contextmanager
    def peek(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection for a look at a file that may be another program's: it keeps its journal mode."""
        with Section(self._gate, self._connect, self._ours) as connection, closing(connection):
            yield connection

    def read(self) -> Section[sqlite3.Connection]:
        """Give this thread's connection for reading; inside `write()` it sees the open transaction."""
        return Section(self._gate, self._connection, self._ours)

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection inside BEGIN IMMEDIATE; commit at the end, roll back on any error. Nests by savepoints.

        Raises:
            Busy: where another process held the lock for longer than `busy_seconds`.
        """
        with self.read() as connection:
            if connection.in_transaction:
                begin, commit, undo = "SAVEPOINT nested", "RELEASE nested", "ROLLBACK TO nested"
            else:
                begin, commit, undo = "BEGIN IMMEDIATE", "COMMIT", "ROLLBACK"
            connection.execute(begin)
            try:
                yield connection
                connection.execute(commit)
            except BaseException:
                with suppress(sqlite3.Error):  # the first error is the one to report
                    connection.execute(undo)
                    if undo.startswith("ROLLBACK TO"):
                        connection.execute(commit)
                raise
            if commit == "COMMIT":
                self._bound_log()

    def _bound_log(self) -> None:
        """Make a checkpoint after so many changes by this thread; one that fails is made up for by a later one."""
        held: _Held = self._local.held
        changed = held.connection.total_changes
        if changed - held.brought_in >= LOG_ROWS and not wal_is_safe():
            held.brought_in = changed
            with suppress(errors.StoreError):
                checkpoint(self)

    @contextmanager
    def bulk(self) -> Iterator["Cursor"]:
        """Yield an ADBC cursor (autocommit) while no other connection of this process is open on the file.

        For moving millions of rows as Arrow. Transactions are the caller's: execute BEGIN IMMEDIATE and COMMIT.
        """
        with self._gate.exclusive(), self.bulk_cursor() as cursor:
            yield cursor

    @contextmanager
    def bulk_cursor(self) -> Iterator["Cursor"]:
        """Yield a further ADBC cursor on a connection of its own, for another thread of the one that holds `bulk()`.

        The same library opens it, so the locks that `_Gate` watches over are safe.
        """
        from store import adbc

        self._refuse_missing()
        try:
            with adbc.connected(self.path) as cursor:
                for pragma in self._pragmas():
                    cursor.execute(pragma)
                with suppress(*adbc.ERRORS):  # others use the write-ahead log just now
                    cursor.execute(_JOURNAL[wal_is_safe()])
                yield cursor
        except adbc.ERRORS as error:
            raise errors.translate(error, self.path) from error

    @property
    def header(self) -> Header:
        """The header of the file, read past SQLite."""
        return self._gate.header

    def opened(self) -> sqlite3.Connection | None:
        """Return the connection that this thread has open, or None; outside of `read()` it may be closed any time."""
        held: _Held | None = getattr(self._local, "held", None)
        return held.connection if held is not None and held.generation == self._gate.generation else None

    def close(self) -> None:
        """Close every connection of this process to the file; the object can be used again."""
        with self._gate.exclusive():
            pass

    def _ours(self, error: BaseException) -> errors.StoreError | None:
        """Return what SQLite raised as one of our errors; others of the caller's block are the caller's."""
        return errors.translate(error, self.path) if isinstance(error, _SQLITE) else None

    def _connection(self) -> PatientConnection:
        """Return this thread's connection, opening it where there is none."""
        held: _Held | None = getattr(self._local, "held", None)
        if held is None or held.generation != self._gate.generation:
            held = _Held(self._connect(), self._gate.generation)
            for pragma in self._pragmas():
                held.connection.execute(pragma)
            with suppress(sqlite3.OperationalError):  # others use the write-ahead log just now
                held.connection.execute(_JOURNAL[wal_is_safe()])
            held.connection.wait(self.busy_seconds)
            self._gate.add(held)
            self._local.held = held
        return held.connection

    def _connect(self) -> PatientConnection:
        """Open the file; where a full disk has no room for WAL's shared index, with the index in memory and alone."""
        self._refuse_missing()
        connection = self._open()
        try:
            connection.execute("PRAGMA schema_version").fetchone()
        except sqlite3.OperationalError as error:
            connection.close()
            if not isinstance(errors.translate(error, self.path), errors.NoSpace):
                raise
            connection = self._open()
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        return connection

    def _open(self) -> PatientConnection:
        return sqlite3.connect(
            self.path,
            factory=PatientConnection,
            timeout=self.busy_seconds,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )

    def _refuse_missing(self) -> None:
        try:
            found = self.path.exists()
        except OSError as error:
            raise errors.translate(error, self.path) from error
        if not found:
            raise errors.NotFound(
                f"no database at {self.path}", hint="run `recsys-tui import FILE` or `recsys-tui init` first"
            )

    def _pragmas(self) -> list[str]:
        """Settings of each connection, besides the journal.

        A version with the WAL-reset bug gets the rollback journal, and no checkpoint by itself (RELIABILITY R9).
        """
        return [
            f"PRAGMA busy_timeout = {int(self.busy_seconds * 1000)}",
            f"PRAGMA wal_autocheckpoint = {1_000 if wal_is_safe() else 0}",
            "PRAGMA synchronous = FULL",
            "PRAGMA foreign_keys = ON",
            f"PRAGMA cache_size = -{int(self._cache_kib)}",
            "PRAGMA temp_store = MEMORY",
        ]
