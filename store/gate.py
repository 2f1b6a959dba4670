"""Who of this process may have the database file open: many sections at once, or one that is alone."""

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from store import errors


class Closable(Protocol):
    """What the gate asks of a connection."""

    def close(self) -> None:
        """End the connection."""


class Gate:
    """Many sections at once, or one exclusive holder: keeps two SQLite libraries of one process apart.

    ADBC brings its own SQLite. POSIX drops *all* locks of a process on a file when *any* descriptor on it is closed,
    so while ADBC has the file open no connection of the standard library may be open in this process, whichever
    `Database` object it belongs to.

    Attributes:
        generation: changes whenever the connections are closed.
    """

    def __init__(self) -> None:
        self.generation = 0
        self._condition = threading.Condition()
        self._inside = 0
        self._exclusive = False
        self._local = threading.local()
        self._connections: weakref.WeakSet[Closable] = weakref.WeakSet()
        self._pid = os.getpid()

    def add(self, connection: Closable) -> None:
        """Take note of an open connection."""
        with self._condition:
            if not len(self._connections):
                self._pid = os.getpid()
            self._connections.add(connection)

    def _close_connections(self) -> None:
        """Close every connection of this process to the file; call it as the exclusive holder."""
        with self._condition:
            for connection in list(self._connections):
                connection.close()
            self._connections.clear()
            self.generation += 1

    def _refuse_after_fork(self) -> None:
        """Raise in a child process that was forked while a connection was open: even closing it would do harm."""
        if self._pid != os.getpid() and len(self._connections):
            raise errors.StoreError(
                "a database connection was carried across fork",
                hint="start workers by spawn; this is a bug to report",
            )

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Hold a place among the sections that exclude `exclusive`; nests."""
        self._refuse_after_fork()
        depth = getattr(self._local, "depth", 0)
        if depth == 0:
            self._refuse_own_exclusive()
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
        """Wait until no section is inside, then keep all others out; every connection is closed first."""
        self._refuse_after_fork()
        if getattr(self._local, "depth", 0):
            raise RuntimeError("bulk access inside a transaction of the same thread")
        self._refuse_own_exclusive()
        with self._condition:
            self._condition.wait_for(lambda: not self._exclusive and self._inside == 0)
            self._exclusive = True
        self._local.exclusive = True
        try:
            self._close_connections()
            yield
        finally:
            self._local.exclusive = False
            with self._condition:
                self._exclusive = False
                self._condition.notify_all()

    def _refuse_own_exclusive(self) -> None:
        """Raise where this thread would wait for itself, as a signal handler in the middle of bulk access would."""
        if getattr(self._local, "exclusive", False):
            raise RuntimeError("database access inside bulk access of the same thread")


_gates: dict[str, Gate] = {}
_lock = threading.Lock()


def gate_of(path: Path) -> Gate:
    """Return the one gate of this process for a file, by whatever path it is reached."""
    with _lock:
        return _gates.setdefault(str(path.resolve()), Gate())
