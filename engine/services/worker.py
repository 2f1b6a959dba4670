"""The process of one training run: `python -m engine.services.worker DATABASE JOB`.

It has its own session, so that it survives the terminal that started it; the database is its only channel.
"""

import os
import signal
import sys
import threading
from contextlib import closing, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.services import Services
from engine.services.checkpoints import Checkpoints
from engine.services.request import TrainingRequest
from store import errors as store_errors
from store.database import make_folder
from store.journal import training_lock

CANCELLED = 130
_HEARTBEAT_SECONDS = 1.0
_NICE = 5
_BESIDE = "beside-others"


def submit(
    services: Services,
    request: TrainingRequest,
    *,
    resume: int | None = None,
    wait: float = 0.0,
    origin: str = "cli",
    beside_others: bool = False,
) -> int:
    """Record a job and start its process; returns the job's number at once.

    Args:
        services: where the job is recorded.
        request: what to train.
        resume: a job whose checkpoint the run goes on from.
        wait: seconds to wait for another training to end.
        origin: who asked for it: "cli", "tui" or a schedule.
        beside_others: it is one of several that may train at once, for a caller who holds the shared training lock.

    Raises:
        Busy: another training runs and `wait` is 0.
    """
    if not wait:
        with training_lock(services.registry.folder):
            pass  # refused here and now, rather than by a job that fails a second later
    recorded = asdict(request) | {"resume": resume, "wait": wait}
    job = services.journal.create("train", request.model, recorded, origin=origin)
    log = services.registry.folder / "jobs"
    make_folder(log)
    _start(log / f"{job}.log", str(services.database.path), str(job), *([_BESIDE] if beside_others else []))
    return job


def _start(log: Path, *arguments: str) -> None:
    """Start this module in a session of its own, without our terminal; a thread collects it if it ends before us."""
    process = os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "engine.services.worker", *arguments],
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    threading.Thread(target=os.waitpid, args=(process, 0), daemon=True).start()


def main(path: str, number: str, beside: str = "") -> int:
    """Run one recorded job to its end and return the exit code that is recorded with it."""
    job = int(number)
    services = Services.open(path)
    stop, cancel = threading.Event(), threading.Event()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: cancel.set())
    _stand_back()
    if not services.journal.start(job, os.getpid()):
        return CANCELLED
    threading.Thread(target=_beat, args=(services, job, stop), daemon=True).start()
    try:
        return _run(services, job, cancel, beside_others=beside == _BESIDE)
    except (EngineError, store_errors.StoreError) as error:
        services.journal.fail(job, code=error.code, error=str(error), hint=error.hint)
    except MemoryError:
        hint = "use fewer factors (--set n_factors=…) or stop other programs; the active version stays"
        services.journal.fail(job, code="training_failed", error="out of memory", hint=hint)
    except Exception as error:
        log = services.registry.folder / "jobs" / f"{job}.log"
        services.journal.fail(job, code="error", error=f"unexpected: {error!r}", hint=f"see {log}")
        raise
    finally:
        stop.set()
    return 1


def _stand_back() -> None:
    """Let those who work at the machine go first: a training takes what they leave, which is all where nobody works."""
    with suppress(OSError):
        os.nice(_NICE)
    with suppress(OSError):  # Linux shares by sessions first where it groups them, and this one is a session of its own
        Path("/proc/self/autogroup").write_text(str(_NICE))


def checkpoint_folder(services: Services, job: int) -> Path:
    """Return where the checkpoints of a job lie: with the first run, where one that was resumed is resumed again."""
    while (earlier := services.journal.get(job).request.get("resume")) is not None:
        job = earlier
    return services.registry.folder / "checkpoints" / f"job{job}"


def _run(services: Services, job: int, cancel: threading.Event, *, beside_others: bool) -> int:
    recorded = services.journal.get(job).request
    resume, wait = recorded["resume"], recorded["wait"]
    request = TrainingRequest.recorded(recorded)
    checkpoints = Checkpoints(checkpoint_folder(services, job))
    with training_lock(services.registry.folder, wait_seconds=wait or 5.0, shared=beside_others):
        if not beside_others:  # what another is writing looks like an orphan
            services.registry.collect_orphans()
        if resume is not None and not checkpoints.exist:
            services.journal.add_event(job, "note", {"text": f"job {resume} left no checkpoint: begins anew"})
        with closing(services.training.run(request, checkpoints=checkpoints, job=job)) as events:
            for event in events:
                services.journal.add_event(job, event.kind, event.data)
                if event.kind == "version":
                    checkpoints.remove()
                    _finish(services, job, event.data)
                    return 0
                if cancel.is_set() or services.journal.cancel_requested(job):
                    events.close()  # writes the checkpoint before anybody is told that the run has stopped
                    services.journal.finish(job, "cancelled", exit_code=CANCELLED)
                    return CANCELLED
    raise AssertionError("a run ends with a version or an error")


def _finish(services: Services, job: int, outcome: dict[str, Any]) -> None:
    """Record the version that a run made, and why it was not activated where a gate refused it."""
    number = int(str(outcome["version"]).removeprefix("v"))
    if "refused" not in outcome:
        services.journal.finish(job, "done", exit_code=0, version=number)
        return
    services.journal.finish(
        job, "done", exit_code=0, version=number, code="gate_refused", error=outcome["refused"], hint=outcome["hint"]
    )


def _beat(services: Services, job: int, stop: threading.Event) -> None:
    """Say once a second that the process lives, also in the middle of a long epoch."""
    while not stop.wait(_HEARTBEAT_SECONDS):
        with suppress(store_errors.StoreError):
            services.journal.beat(job)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
