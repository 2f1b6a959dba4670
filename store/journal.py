"""Jobs and their events: what runs, what ran, how it ended. The only channel between trainer, CLI and TUI."""

import json
import time
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from store import errors, locks
from store.database import Database, decoding

ENDED = frozenset({"done", "failed", "cancelled", "lost"})
_COLUMNS = (
    "id, kind, model, request, origin, state, pid, started_ticks, created_at, started_at, heartbeat_at, finished_at, "
    "cancel_requested, exit_code, code, error, hint, version"
)
_START_GRACE_SECONDS = 30.0


@dataclass(frozen=True)
class Job:
    """A run as recorded; times are seconds since 1970."""

    id: int
    kind: str
    model: str
    request: dict[str, Any]
    origin: str
    state: str
    pid: int | None
    started_ticks: float | None
    created_at: float
    started_at: float | None
    heartbeat_at: float | None
    finished_at: float | None
    cancel_requested: bool
    exit_code: int | None
    code: str | None
    error: str | None
    hint: str | None
    version: int | None

    @property
    def ended(self) -> bool:
        """True once the state can no longer change."""
        return self.state in ENDED


@dataclass(frozen=True)
class Event:
    """One line of progress of a job: kind "stage", "epoch" or "note"."""

    seq: int
    at: float
    kind: str
    data: dict[str, Any]


class Journal:
    """Jobs and events in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, kind: str, model: str, request: dict[str, Any], *, origin: str = "cli") -> int:
        """Record a queued job and return its number."""
        with self._database.write() as db:
            cursor = db.execute(
                "INSERT INTO jobs (kind, model, request, origin, state, created_at) VALUES (?, ?, ?, ?, 'queued', ?)",
                (kind, model, json.dumps(request), origin, time.time()),
            )
        assert cursor.lastrowid is not None  # noqa: S101  an INSERT has one
        return cursor.lastrowid

    def start(self, job: int, pid: int) -> bool:
        """Mark a queued job as running in the process `pid`; return False where it ended before, as by a cancel."""
        now = time.time()
        with self._database.write() as db:
            started = db.execute(
                "UPDATE jobs SET state = 'running', pid = ?, started_ticks = ?, started_at = ?, heartbeat_at = ? "
                "WHERE id = ? AND state = 'queued'",
                (pid, _process_started(pid), now, now, job),
            )
        return started.rowcount == 1

    def add_event(self, job: int, kind: str, data: dict[str, Any]) -> None:
        """Append one line of progress; it is a heartbeat too."""
        now = time.time()
        with self._database.write() as db:
            db.execute(
                "INSERT INTO events (job, seq, at, kind, data) "
                "SELECT ?, coalesce(max(seq), 0) + 1, ?, ?, ? FROM events WHERE job = ?",
                (job, now, kind, json.dumps(data), job),
            )
            db.execute("UPDATE jobs SET heartbeat_at = ? WHERE id = ?", (now, job))

    def beat(self, job: int) -> None:
        """Record that the job's process lives."""
        with self._database.write() as db:
            db.execute("UPDATE jobs SET heartbeat_at = ? WHERE id = ?", (time.time(), job))

    def finish(
        self,
        job: int,
        state: str,
        *,
        exit_code: int,
        version: int | None = None,
        code: str | None = None,
        error: str | None = None,
        hint: str | None = None,
    ) -> None:
        """Record that a job ended as `state`, with the version it made and what it has to say about it."""
        with self._database.write() as db:
            db.execute(
                "UPDATE jobs SET state = ?, exit_code = ?, version = ?, code = ?, error = ?, hint = ?, finished_at = ? "
                "WHERE id = ?",
                (state, exit_code, version, code, error, hint, time.time(), job),
            )

    def fail(self, job: int, *, code: str, error: str, hint: str) -> None:
        """Record that a job failed, with the kind of error, what happened and what to do next."""
        self.finish(job, "failed", exit_code=1, code=code, error=error, hint=hint)

    def request_cancel(self, job: int) -> Job:
        """Ask a job to stop after the epoch it is in; a queued job is cancelled at once.

        Raises:
            NotFound: no such job.
            UsageRefused: it has ended already.
        """
        found = self.get(job)
        if found.ended:
            raise errors.UsageRefused(
                f"job {job} is already {found.state}", hint="`recsys-tui jobs list` shows what runs"
            )
        with self._database.write() as db:
            db.execute("UPDATE jobs SET cancel_requested = 1 WHERE id = ?", (job,))
            db.execute(
                "UPDATE jobs SET state = 'cancelled', finished_at = ?, exit_code = 130 "
                "WHERE id = ? AND state = 'queued'",
                (time.time(), job),
            )
        return self.get(job)

    def cancel_requested(self, job: int) -> bool:
        """Tell whether somebody asked the job to stop."""
        with self._database.read() as db:
            row = db.execute("SELECT cancel_requested FROM jobs WHERE id = ?", (job,)).fetchone()
        return bool(row and row[0])

    def get(self, job: int) -> Job:
        """Return a job; one whose process is gone is recorded as lost first.

        Raises:
            NotFound: no such job.
        """
        with self._database.read() as db:
            row = db.execute(f"SELECT {_COLUMNS} FROM jobs WHERE id = ?", (job,)).fetchone()
        if row is None:
            raise errors.NotFound(f"no job {job}", hint="`recsys-tui jobs list` shows all")
        return self._seen(self._job(row))

    def recent(self, limit: int = 50) -> list[Job]:
        """Return the newest jobs, newest first; those whose process is gone are recorded as lost first."""
        with self._database.read() as db:
            rows = db.execute(f"SELECT {_COLUMNS} FROM jobs ORDER BY id DESC LIMIT ?", (limit,)).fetchall()
        return [self._seen(self._job(row)) for row in rows]

    def events(self, job: int, after: int = 0) -> list[Event]:
        """Return the events of a job with a number above `after`, in order."""
        with self._database.read() as db:
            rows = db.execute(
                "SELECT seq, at, kind, data FROM events WHERE job = ? AND seq > ? ORDER BY seq", (job, after)
            ).fetchall()
        with decoding(self._database.path):
            return [Event(seq, at, kind, json.loads(data)) for seq, at, kind, data in rows]

    def _seen(self, job: Job) -> Job:
        """Record a job as lost where its process ended without a word, and return it as it then stands."""
        if job.ended or _alive(job):
            return job
        hint = f"`recsys-tui train --resume {job.id}` goes on from the last checkpoint"
        with self._database.write() as db:
            db.execute(
                "UPDATE jobs SET state = 'lost', finished_at = ?, error = 'the process ended without a word', hint = ? "
                "WHERE id = ? AND state = ?",
                (time.time(), hint, job.id, job.state),
            )
            row = db.execute(f"SELECT {_COLUMNS} FROM jobs WHERE id = ?", (job.id,)).fetchone()
        return self._job(row)

    def _job(self, row: tuple[Any, ...]) -> Job:
        values = dict(zip(_COLUMNS.split(", "), row, strict=True))
        with decoding(self._database.path):
            values["request"] = json.loads(values["request"])
        values["cancel_requested"] = bool(values["cancel_requested"])
        return Job(**values)


def training_lock(folder: Path, *, wait_seconds: float = 0.0, shared: bool = False) -> AbstractContextManager[None]:
    """Hold the lock that lets one training run at a time; the kernel frees it when the process ends, however it ends.

    Runs that are meant to go side by side hold it `shared`, which keeps all others out.

    Raises:
        Busy: another training holds it for longer than `wait_seconds`.
    """
    busy = errors.Busy("another training is running", hint="`recsys-tui jobs list` shows it; --wait 10m waits for it")
    return locks.held(folder / "training.lock", busy, wait_seconds=wait_seconds, shared=shared)


def _alive(job: Job) -> bool:
    """Tell whether the job's process lives: same pid and same start time, since pids are used again."""
    if job.pid is None:
        return time.time() - job.created_at < _START_GRACE_SECONDS
    started = _process_started(job.pid)
    return started is not None and (job.started_ticks is None or abs(started - job.started_ticks) < 1.0)


def _process_started(pid: int) -> float | None:
    """Return when the process began, or None where there is none.

    A zombie counts as none once its last thread is gone: one that still writes holds on to the lock of training.
    In clock ticks since the machine started where the kernel says so: a clock that is set does not change them.
    """
    if Path("/proc/self/stat").exists():
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
            gone = fields[0] in b"ZX" and int(fields[17]) <= 1  # threads
            return None if gone else float(fields[19])
        return None
    import psutil

    with suppress(psutil.Error):
        process = psutil.Process(pid)
        if process.status() != psutil.STATUS_ZOMBIE:
            return float(process.create_time())
    return None
