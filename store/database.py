"""The one place that opens SQLite: connections, transactions, permissions, journal mode, error translation."""

import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from store import errors

APPLICATION_ID = 0x52435355  # "RCSU", written to the header so that a stranger's file is recognised
BUSY_SECONDS = 10.0
_CACHE_KIB = 65_536

Connection = sqlite3.Connection  # for annotations: no other module imports sqlite3

_MESSAGES: tuple[tuple[str, type[errors.StoreError], str], ...] = (
    ("locked", errors.Busy, "another process is writing; try again, or pass --wait 10m"),
    (
        "disk is full",
        errors.NoSpace,
        "free some space (`recsys-tui models delete V` works on a full disk), then repeat",
    ),
    ("readonly database", errors.NoPermission, "check the owner and mode of the database and of its folder"),
    ("unable to open", errors.NoPermission, "check that the folder exists and that you may write to it"),
    ("not a database", errors.NotOurDatabase, "pass --db PATH of a recsys-tui database, or a new path"),
    ("malformed", errors.Damaged, "restore a backup: `recsys-tui restore FOLDER`; the damaged file is left as it is"),
    ("disk i/o error", errors.NoSpace, "check the disk (`df`, `dmesg`), then repeat"),
)


def wal_is_safe(version: tuple[int, int, int] = sqlite3.sqlite_version_info) -> bool:
    """Tell whether this SQLite has the mend of the WAL-reset bug (3.51.3; back-ported to 3.50.7 and 3.44.6)."""
    if version >= (3, 51, 3):
        return True
    return version[:2] in {(3, 50), (3, 44)} and version >= {50: (3, 50, 7), 44: (3, 44, 6)}[version[1]]


def translate(error: Exception, path: Path) -> errors.StoreError:
    """Turn an error of SQLite, ADBC or the file system into one of ours, naming the file."""
    if isinstance(error, PermissionError):
        return errors.NoPermission(
            f"{path}: permission denied", hint="check the owner and mode of the file and its folder"
        )
    if isinstance(error, OSError) and error.errno == 28:  # ENOSPC
        return errors.NoSpace(f"{path}: no space left on the device", hint="free some space, then repeat")
    text = str(error).lower()
    for fragment, kind, hint in _MESSAGES:
        if fragment in text:
            return kind(f"{path}: {str(error).splitlines()[0]}", hint=hint)
    return errors.StoreError(
        f"{path}: {str(error).splitlines()[0]}", hint="run `recsys-tui doctor` to check the database"
    )


class _Gate:
    """Many sections at once, or one exclusive holder: keeps two SQLite libraries of one process apart.

    ADBC brings its own SQLite. POSIX drops *all* locks of a process on a file when *any* descriptor on it is closed,
    so while ADBC has the file open no connection of the standard library may be open in this process.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._inside = 0
        self._exclusive = False
        self._local = threading.local()

    @contextmanager
    def shared(self) -> Iterator[None]:
        depth = getattr(self._local, "depth", 0)
        if depth == 0:
            with self._condition:
                self._condition.wait_for(lambda: not self._exclusive)
                self._inside += 1
        self._local.depth = depth + 1
        try:
            yield
        finally:
            self._local.depth = depth
            if depth == 0:
                with self._condition:
                    self._inside -= 1
                    self._condition.notify_all()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        if getattr(self._local, "depth", 0):
            raise RuntimeError("bulk access inside a transaction of the same thread")
        with self._condition:
            self._condition.wait_for(lambda: not self._exclusive and self._inside == 0)
            self._exclusive = True
        try:
            yield
        finally:
            with self._condition:
                self._exclusive = False
                self._condition.notify_all()


_gates: dict[str, _Gate] = {}
_gates_lock = threading.Lock()


class Database:
    """One SQLite file: a connection per thread, `read()` and `write()` sections, and exclusive `bulk()` access by ADBC.

    Opening does not create or change anything; `create()` makes the file (0600) and its folder (0700).
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path).expanduser().absolute()
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._generation = 0
        with _gates_lock:
            self._gate = _gates.setdefault(str(self.path.resolve()), _Gate())

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
            if not self.path.parent.exists():
                self.path.parent.mkdir(parents=True, mode=0o700)
            if not self.path.exists():
                descriptor = os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_EXCL, 0o600)
                os.fchmod(descriptor, stat.S_IRUSR | stat.S_IWUSR)
                os.close(descriptor)
        except OSError as error:
            raise translate(error, self.path) from error

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Yield this thread's connection for reading; inside `write()` it sees the open transaction."""
        with self._gate.shared():
            try:
                yield self._connection()
            except (sqlite3.Error, OSError) as error:
                raise translate(error, self.path) from error

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection inside BEGIN IMMEDIATE; commit at the end, roll back on any error. Nests by savepoints.

        Raises:
            Busy: where another process held the lock for longer than `BUSY_SECONDS`.
        """
        with self._gate.shared():
            try:
                connection = self._connection()
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
            except (sqlite3.Error, OSError) as error:
                raise translate(error, self.path) from error

    @contextmanager
    def bulk(self) -> Iterator[Any]:
        """Yield an ADBC cursor (autocommit) while no other connection of this process is open on the file.

        For moving millions of rows as Arrow. Transactions are the caller's: execute BEGIN IMMEDIATE and COMMIT.
        """
        from adbc_driver_manager import Error as AdbcError
        from adbc_driver_sqlite import dbapi

        with self._gate.exclusive():
            self._close_connections()
            try:
                connection = dbapi.connect(str(self.path), autocommit=True)
                try:
                    with connection.cursor() as cursor:
                        for pragma in self._pragmas():
                            cursor.execute(pragma)
                            cursor.fetchall()
                        yield cursor
                finally:
                    connection.close()
            except (AdbcError, OSError) as error:
                raise translate(error, self.path) from error

    def close(self) -> None:
        """Close every connection of this process to the file; the object can be used again."""
        with self._gate.exclusive():
            self._close_connections()

    def _close_connections(self) -> None:
        with self._lock:
            for connection in self._connections:
                connection.close()
            self._connections.clear()
            self._generation += 1

    def _connection(self) -> sqlite3.Connection:
        held = getattr(self._local, "held", None)
        if held is not None and held[:2] == (os.getpid(), self._generation):
            connection: sqlite3.Connection = held[2]
            return connection
        if held is not None and held[0] != os.getpid():
            raise errors.StoreError(
                "a database connection was carried across fork",
                hint="start workers by spawn; this is a bug to report",
            )
        if not self.path.exists():
            raise errors.NotFound(
                f"no database at {self.path}", hint="run `recsys-tui import FILE` or `recsys-tui init` first"
            )
        connection = sqlite3.connect(
            self.path,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        for pragma in self._pragmas():
            connection.execute(pragma)
        with self._lock:
            self._connections.append(connection)
        self._local.held = (os.getpid(), self._generation, connection)
        return connection

    def _pragmas(self) -> list[str]:
        """Settings of each connection. A version with the WAL-reset bug gets the rollback journal (RELIABILITY R9)."""
        mode = "WAL" if wal_is_safe() else "DELETE"
        return [
            f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}",
            f"PRAGMA journal_mode = {mode}",
            "PRAGMA synchronous = FULL",
            "PRAGMA foreign_keys = ON",
            f"PRAGMA cache_size = -{_CACHE_KIB}",
            "PRAGMA temp_store = MEMORY",
        ]
