"""Ratings of many threads in few transactions: a writer thread commits whatever has come in while it wrote before.

Every caller waits until its rating is on the disk. A transaction ends with fsync of journal, database and folder
(`synchronous = FULL`), which takes the same time for one rating as for a hundred: sixteen clients share it. In a stream
of groups it is one fsync, of the write-ahead log (see `store/wal.py`). While the disk works, a second thread folds the
users of the group in; their vectors go to the disk with the next group, or by themselves where none comes. Both threads
start with the first rating and end when nothing has come for a while.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from engine.resources import thread_limit
from store import errors, vectors
from store.database import Database
from store.vectors import Kept
from store.wal import hasten, settle
from store.writes import Entry, Outcome, Put, explained, store_requests

log = logging.getLogger(__name__)

MOST_WAITING = 1_024  # requests; who comes later waits for room
_GATHER_SECONDS = 0.0005  # for those who were answered together and will ask again together
_VECTORS_SECONDS = 0.005  # after which vectors go to the disk by themselves
_IDLE_SECONDS = 1.0
_STREAM = 32  # groups without a pause: fewer are not worth another journal
_CROWD = 4  # requests of a group: where one client rates by itself, the disk is what it waits for


class Folds(Protocol):
    """What brings the vectors of users up to date, and counts where that failed."""

    failures: int

    def look(self) -> None:
        """Get ready, before the transaction."""

    def read(self, outcome: Outcome) -> Callable[[], list[Kept]]:
        """Read what is needed of the users touched inside the transaction; return the rest, for a thread."""
        ...

    def hasten(self) -> None:
        """Get ready for a stream of groups, in a thread that may take its time."""

    def forget(self) -> None:
        """Drop what is kept of the ratings: the transaction has failed."""


class _Request:
    """Entries that are stored together or not at all, and where their outcome goes."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = entries
        self.result: list[Put] | BaseException = []
        self._done = threading.Lock()
        self._done.acquire()

    def answer(self, result: list[Put] | BaseException) -> None:
        """Let the caller go on."""
        self.result = result
        self._done.release()

    def wait(self) -> list[Put] | BaseException:
        """Return what became of it, as soon as that is known."""
        self._done.acquire()
        return self.result


class GroupCommit:
    """A bounded queue of ratings before one writer thread.

    Args:
        database: where they go.
        folds: what it raises is logged and counted, and never keeps a rating from being stored.
        most: requests that may wait.
        clock: seconds since 1970, for ratings without a time.
    """

    def __init__(
        self,
        database: Database,
        folds: Folds,
        *,
        most: int = MOST_WAITING,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._folds = folds
        self._most = most
        self._clock = clock
        self._waiting: list[_Request] = []
        self._vectors: list[Kept] = []
        self._wanted = 1  # requests that are worth waking the writer for
        self._running = self._writing = self._flushing = False
        lock = threading.Lock()
        self._arrived, self._room, self._quiet = (threading.Condition(lock) for _ in range(3))

    def submit(self, entries: Sequence[Entry]) -> list[Put]:
        """Store entries, all or none, and return once they are on the disk and their users folded in.

        Raises:
            NotFound: an unknown item, or no rating to take back.
            DataRefused: a value that is not on the scale, or what is no user id.
            Busy, NoSpace, NoPermission: nothing of the request is stored.
        """
        request = _Request(entries)
        with self._arrived:
            while len(self._waiting) >= self._most:
                self._room.wait()
            if not self._running:
                threading.Thread(target=self._work, name="ratings", daemon=True).start()
                self._running = True
            self._waiting.append(request)
            if len(self._waiting) in {1, self._wanted}:
                self._arrived.notify()
        result = request.wait()
        if isinstance(result, errors.StoreError):
            raise explained(self._database, result)
        if isinstance(result, BaseException):
            raise result
        return result

    def flush(self) -> None:
        """Wait until every vector of the ratings that were answered is on the disk too."""
        with self._quiet:
            while self._waiting or self._vectors or self._writing:
                self._flushing = True
                self._arrived.notify()
                self._quiet.wait()

    # --- the writer thread ----------------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            with thread_limit(1), ThreadPoolExecutor(1, "fold-in") as folding:  # BLAS threads would wait for each other
                self._write_groups(folding)
        except BaseException as error:
            log.exception("the writer of ratings ended; the next rating starts another")
            with self._arrived:
                left, self._waiting, self._vectors = self._waiting, [], []
                self._running = self._writing = self._flushing = False
                self._room.notify_all()
                self._quiet.notify_all()
            for request in left:
                request.answer(error)

    def _write_groups(self, folding: ThreadPoolExecutor) -> None:
        """Write until nothing comes; a stream of groups commits by the write-ahead log, and the end of it goes back."""
        written, crowded, hastened = 0, 0, False
        while self._next():
            crowded += len(self._waiting) >= _CROWD
            self._write_group(folding)
            written += 1
            if written % _STREAM == 0:
                hastened = hasten(self._database)
            if crowded == _STREAM:
                crowded = 0
                folding.submit(self._folds.hasten)
        if hastened:
            settle(self._database)

    def _write_group(self, folding: ThreadPoolExecutor) -> None:
        with self._arrived:
            group, self._waiting = self._waiting, []
            kept, self._vectors = self._vectors, []
            self._wanted = max(1, len(group))
            self._room.notify_all()
        self._write(group, kept, folding)
        with self._quiet:
            self._writing = False
            if not self._vectors and not self._waiting:
                self._flushing = False
                self._quiet.notify_all()

    def _next(self) -> bool:
        """Wait until there is something to write, for a moment until as many have come as last time."""
        with self._arrived:
            patience = _VECTORS_SECONDS if self._vectors else _IDLE_SECONDS
            self._arrived.wait_for(lambda: self._waiting or self._flushing, patience)
            if self._waiting:
                self._arrived.wait_for(lambda: len(self._waiting) >= self._wanted, _GATHER_SECONDS)
            self._running = self._writing = bool(self._waiting or self._vectors)
            if not self._running:
                self._flushing = False
                self._quiet.notify_all()
            return self._running

    def _write(self, group: list[_Request], kept: list[Kept], folding: ThreadPoolExecutor) -> None:
        """Commit a group, fold its users in meanwhile, and answer everybody."""
        work: Future[list[Kept]] | None = None
        if group:
            self._folds.look()
        try:
            with self._database.write():
                self._keep(kept)
                outcome = store_requests(self._database, [request.entries for request in group], now=self._clock())
                if outcome.touched:
                    work = self._start(outcome, folding)
        except BaseException as error:  # noqa: BLE001  it belongs to those who wait, not to this thread
            self._folds.forget()
            results: Sequence[list[Put] | BaseException] = [error] * len(group)
        else:
            results = outcome.results
            if work is not None:
                self._take(work, len(outcome.touched))
        for request, result in zip(group, results, strict=True):
            request.answer(result)

    def _keep(self, kept: list[Kept]) -> None:
        """Write vectors inside the transaction; where their version is gone meanwhile, nobody needs them."""
        if kept:
            try:
                vectors.put_all(self._database, kept)
            except errors.StoreError as error:
                log.warning("%d vectors were not kept: %s", len(kept), error)

    def _start(self, outcome: Outcome, folding: ThreadPoolExecutor) -> "Future[list[Kept]] | None":
        """Let the fold-in of a group begin; whatever goes wrong with it is no reason to refuse a rating."""
        try:
            return folding.submit(self._folds.read(outcome))
        except Exception:
            self._folds.failures += len(outcome.touched)
            log.exception(_NOT_FOLDED, len(outcome.touched))
            return None

    def _take(self, work: "Future[list[Kept]]", users: int) -> None:
        try:
            folded = work.result()
        except Exception:
            self._folds.failures += users
            log.exception(_NOT_FOLDED, users)
            return
        with self._arrived:
            self._vectors += folded


_NOT_FOLDED = "the vectors of %d users were not brought up to date"
