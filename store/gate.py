"""Who of this process may have the database file open: many sections at once, or one that is alone."""

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from store import errors
from store.header import Header

Held = TypeVar("Held")


class Closable(Protocol):
    """What the gate asks of a connection."""

    def close(self) -> None:
        """End the connection."""


class Gate:
    """Many sections at once, or one exclusive holder: keeps two SQLite libraries of one process apart.

    ADBC brings its own SQLite. POSIX drops *all* locks of a process on a file when *any* descriptor on it is closed,
    so while ADBC has the file open no connection of the standard library may be open in this process, whichever
    `Database` object it belongs to.

    Args:
        path: of the file.

    Attributes:
        generation: changes whenever the connections are closed.
        header: of the file.
    """

    def __init__(self, path: Path) -> None:
        self.generation = 0
        self.header = Header(path)
        self._lock = threading.RLock()  # a signal handler may come in between
        self._condition = threading.Condition(self._lock)
        self._inside = 0
        self._exclusive = False
        self._local = threading.local()
        self._connections: weakref.WeakSet[Closable] = weakref.WeakSet()
        self._pid = os.getpid()

    def add(self, connection: Closable) -> None:
        """Take note of an open connection."""
        with self._lock:
            if not len(self._connections):
                self._pid = os.getpid()
            self._connections.add(connection)

    def _close_connections(self) -> None:
        """Close every connection of this process to the file; call it as the exclusive holder."""
        with self._lock:
            for connection in list(self._connections):
                connection.close()
            self._connections.clear()
            self.header.close()
            self.generation += 1

    def _refuse_after_fork(self) -> None:
        """Raise in a child process that was forked while a connection was open: even closing it would do harm."""
        if self._pid != os.getpid() and len(self._connections):
            raise errors.StoreError(
                "a database connection was carried across fork",
                hint="start workers by spawn; this is a bug to report",
            )

    def enter(self) -> None:
        """Take a place among the sections that exclude `exclusive`; nests. Each needs its `leave`."""
        self._refuse_after_fork()
        depth = getattr(self._local, "depth", 0)
        if not depth:
            self._refuse_own_exclusive()
            with self._lock:
                while self._exclusive:
                    self._condition.wait()
                self._inside += 1
        self._local.depth = depth + 1

    def leave(self) -> None:
        """Give the place of the last `enter` back."""
        self._local.depth -= 1
        if not self._local.depth:
            with self._lock:
                self._inside -= 1
                if not self._inside:
                    self._condition.notify_all()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Wait until no section is inside, then keep all others out; every connection is closed first."""
        self._refuse_after_fork()
        if getattr(self._local, "depth", 0):
            raise RuntimeError("bulk access inside a transaction of the same thread")
        self._refuse_own_exclusive()
        with self._lock:
            self._condition.wait_for(lambda: not self._exclusive and self._inside == 0)
            self._exclusive = True
        self._local.exclusive = True
        try:
            self._close_connections()
            yield
        finally:
            self._local.exclusive = False
            with self._lock:
                self._exclusive = False
                self._condition.notify_all()

    def _refuse_own_exclusive(self) -> None:
        """Raise where this thread would wait for itself, as a signal handler in the middle of bulk access would."""
        if getattr(self._local, "exclusive", False):
            raise RuntimeError("database access inside bulk access of the same thread")


class Section(Generic[Held]):
    """A block with a connection among those that exclude `exclusive`.

    Not made of generators: every question to the database goes through here, and most are answered in less time.

    Args:
        gate: where a place is taken for as long.
        connected: gives the connection.
        ours: what an error of the block is to be raised as, None for as it is.
    """

    __slots__ = ("_connected", "_gate", "_ours")

    def __init__(
        self, gate: Gate, connected: Callable[[], Held], ours: Callable[[BaseException], BaseException | None]
    ) -> None:
        self._gate, self._connected, self._ours = gate, connected, ours

    def __enter__(self) -> Held:
        self._gate.enter()
        try:
            return self._connected()
        except BaseException as error:
            self.__exit__(None, error, None)
            raise

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        self._gate.leave()
        if error is not None and (told := self._ours(error)) is not None:
            raise told from error


_gates: dict[str, Gate] = {}
_lock = threading.Lock()


def gate_of(path: Path) -> Gate:
    """Return the one gate of this process for a file, by whatever path it is reached."""
    place = path.resolve()
    with _lock:
        return _gates.setdefault(str(place), Gate(place))
