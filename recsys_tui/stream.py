"""What happens in the database, as messages: one thread that polls it, and a few that work for the screens."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from textual.message import Message

from store import canaries, ratings
from store.changes import Watch
from store.database import Database
from store.errors import UsageRefused
from store.migrations import SCHEMA_VERSION, schema_version

if TYPE_CHECKING:
    from engine.services import Services
    from engine.services.timetable import Overview
    from store.journal import Job
    from store.registry import ModelVersion

_JOBS = 50
_LOOK_AT_PROCESSES_SECONDS = 2.0
_SOON_SECONDS = 0.2  # after the first look: by then what it found is on the screen
THREADS = 3  # connections to the database are one a thread, each with a cache of its own


@dataclass(frozen=True)
class StoreState:
    """What the polling knows of the database.

    Attributes:
        jobs: the newest, newest first.
        versions: all, newest first.
        revision: counts the changes of the ratings.
        canary: the version that is tried on a share of the users, or None.
        schedule: what is trained once a week, and when it is next; None while it is not known.
    """

    jobs: tuple["Job", ...] = ()
    versions: tuple["ModelVersion", ...] = ()
    revision: int = 0
    canary: int | None = None
    schedule: "Overview | None" = None

    @property
    def active(self) -> "ModelVersion | None":
        """The version being served."""
        return next((version for version in self.versions if version.active), None)

    @property
    def running(self) -> "Job | None":
        """The training that runs now."""
        return next((job for job in self.jobs if not job.ended), None)


class StoreChanged(Message):
    """Something in the database is different.

    Attributes:
        state: as it is now.
        kinds: which parts differ: "jobs" (any event or heartbeat, and the schedule), "versions", "ratings".
    """

    def __init__(self, state: StoreState, kinds: frozenset[str]) -> None:
        super().__init__()
        self.state, self.kinds = state, kinds


class StoreTrouble(Message):
    """The database cannot be read now: gone, locked, damaged or too new. A `StoreChanged` ends it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__()
        self.message, self.hint = message, hint


class Answered(Message):
    """What a piece of work for a screen came to: a result for `then`, or an error."""

    def __init__(self, ticket: "Ticket", result: Any = None, error: Exception | None = None) -> None:
        super().__init__()
        self.ticket, self.result, self.error = ticket, result, error


@dataclass(eq=False)
class Ticket:
    """A piece of work that somebody waits for.

    Attributes:
        group: a newer ticket of the same group makes an older one void, as the next letter typed does a search.
        work: runs in a thread.
        then: takes the result, on the event loop.
        failed: takes the error, on the event loop.
        void: nobody waits for it any more; long work asks and stops.
    """

    group: str
    work: Callable[["Ticket"], Any]
    then: Callable[[Any], None]
    failed: Callable[[Exception], None]
    void: bool = False


def refuse_migration(path: Path) -> None:
    """Raise where opening a database would change it: under `--read-only`.

    Raises:
        UsageRefused: an older program wrote it.
    """
    version = schema_version(Database(path))
    if version < SCHEMA_VERSION:
        raise UsageRefused(
            f"{path} has schema {version}, this program {SCHEMA_VERSION}: reading it takes a migration",
            hint="start once without --read-only; a backup is made first",
        )


class Desk:
    """A few daemon threads that do work in the order it comes; quitting waits for none of them."""

    def __init__(self, threads: int = THREADS) -> None:
        self._queue: SimpleQueue[tuple[Ticket, Callable[[Message], Any]]] = SimpleQueue()
        self._threads = threads
        self._started = False

    def give(self, ticket: Ticket, post: Callable[[Message], Any]) -> None:
        """Queue a piece of work; `post` takes the `Answered` from the thread."""
        if not self._started:
            self._started = True
            for _ in range(self._threads):
                threading.Thread(target=self._serve, daemon=True).start()
        self._queue.put((ticket, post))

    def _serve(self) -> None:
        while True:
            ticket, post = self._queue.get()
            if ticket.void:
                continue
            try:
                answer = Answered(ticket, ticket.work(ticket))
            except Exception as error:  # noqa: BLE001  told to the screen that asked
                answer = Answered(ticket, error=error)
            post(answer)


class Stream:
    """Polls the database and posts `StoreChanged` and `StoreTrouble`; a screen never polls by itself.

    Args:
        open_services: gives the services, or raises what keeps them from being opened.
        post: takes the messages, from any thread.
        seconds: between two looks.
    """

    def __init__(
        self, open_services: Callable[[], "Services"], post: Callable[[Message], Any], *, seconds: float = 0.5
    ) -> None:
        self._open, self._post, self._seconds = open_services, post, seconds
        self._wake, self._stop = threading.Event(), threading.Event()
        self._watch: Watch | None = None
        self._state: StoreState | None = None
        self._told: tuple[str, str] | None = None
        self._file: tuple[int, int] | None = None
        self._processes_at = 0.0
        self._looked = False

    def start(self) -> None:
        """Begin, in a thread of its own."""
        threading.Thread(target=self._run, daemon=True).start()

    def stop(self) -> None:
        """End after the present look."""
        self._stop.set()
        self._wake.set()

    def look_now(self, *, anew: bool = False) -> None:
        """Look without waiting for the next turn; `anew` tells everything again."""
        if anew:
            self._state = self._watch = None
        self._wake.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._look()
            self._wake.wait(_SOON_SECONDS if self._incomplete else self._seconds)
            self._wake.clear()

    @property
    def _incomplete(self) -> bool:
        """True after the first look, which goes without the schedule: time zones take longer to load than all else."""
        return self._state is not None and self._state.schedule is None

    def _look(self) -> None:
        try:
            services = self._open()
            self._reopen_where_replaced(services)
            if not self._due(services):
                return
            state = StoreState(
                tuple(services.journal.recent(_JOBS)),
                tuple(services.registry.versions()),
                ratings.revision(services.database),
                getattr(canaries.running(services.database), "version", None),
                _schedule(services.database) if self._looked else None,
            )
            self._looked = True
        except Exception as error:  # noqa: BLE001  whatever it is, polling goes on: it may pass
            told = (str(error), getattr(error, "hint", "run `recsys-tui doctor`"))
            self._watch = self._state = None
            if told != self._told:
                self._told = told
                self._post(StoreTrouble(*told))
            return
        before, self._state = self._state, state
        kinds = frozenset(_differences(before, state))
        if kinds or self._told or before is None:
            self._told = None
            self._post(StoreChanged(state, kinds))

    def _due(self, services: "Services") -> bool:
        """Tell whether to read: after any change, and now and then while a job runs, whose process may be gone."""
        if self._watch is None:
            self._watch = Watch(services.database)
        changed = self._watch.changed() or self._state is None or self._incomplete
        now = time.monotonic()
        waiting = self._state is not None and self._state.running is not None
        if changed or (waiting and now - self._processes_at >= _LOOK_AT_PROCESSES_SECONDS):
            self._processes_at = now
            return True
        return False

    def _reopen_where_replaced(self, services: "Services") -> None:
        """Let go of a file that was deleted or replaced: an open connection would go on reading what is no more."""
        database = services.database
        found = database.path.stat() if database.path.exists() else None
        file = (found.st_dev, found.st_ino) if found else None
        if self._file is not None and file != self._file:
            database.close()
            self._watch = self._state = None
        self._file = file


def _schedule(database: Database) -> "Overview":
    from engine.services.timetable import overview

    return overview(database)


def _differences(before: StoreState | None, now: StoreState) -> list[str]:
    if before is None:
        return ["jobs", "versions", "ratings"]
    pairs = {
        "jobs": ((before.jobs, before.schedule), (now.jobs, now.schedule)),
        "versions": ((before.versions, before.canary), (now.versions, now.canary)),
        "ratings": (before.revision, now.revision),
    }
    return [kind for kind, (old, new) in pairs.items() if old != new]
