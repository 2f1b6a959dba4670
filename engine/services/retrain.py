"""Training every model anew: each a job with a process of its own, side by side where processors and memory allow it.

A failure of one leaves the others. The ensemble comes last, since it combines what the others have become.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine import resources
from engine.errors import EngineError
from engine.models import MODELS, model_class
from engine.services.request import TrainingRequest
from store import catalog, ratings
from store.errors import StoreError
from store.journal import training_lock

if TYPE_CHECKING:
    from engine.services import Services

_LAST = "ensemble"
_ROOM = 0.9  # of the free memory
_POLL_SECONDS = 0.1
_WAIT_SECONDS = 60.0  # for another training to end


@dataclass(frozen=True)
class Run:
    """What became of one model.

    Attributes:
        job: its number, None where it was refused before a job was made of it.
        version: name of what was made, None where there is none.
        error: why there is none.
    """

    model: str
    job: int | None = None
    version: str | None = None
    error: EngineError | StoreError | None = None


def retrain_all(
    services: "Services",
    request: TrainingRequest,
    *,
    wait: float = 0.0,
    told: Callable[[str], None] = lambda _: None,
) -> list[Run]:
    """Train every model of the table and return what became of each, in the order of the table.

    No other training begins meanwhile.

    Args:
        services: over the database.
        request: of every run, whatever its model.
        wait: seconds to wait for another training to end; 0 for a minute.
        told: takes a sentence whenever a run begins or ends.

    Raises:
        Busy: another training goes on for longer than that.
    """
    from joblib import Parallel, delayed

    folder, patience = services.registry.folder, wait or _WAIT_SECONDS
    with training_lock(folder, wait_seconds=patience):
        services.registry.collect_orphans()
    names = [name for name in MODELS if name != _LAST]
    together = _together(services, names)
    threads = request.threads or max(1, resources.processors() // together)
    stop = threading.Event()
    with training_lock(folder, wait_seconds=patience, shared=True):
        try:
            work = (
                delayed(_run)(services, replace(request, model=name, threads=threads), stop, told) for name in names
            )
            made: list[Run] = list(Parallel(n_jobs=together, prefer="threads")(work))
            made.append(_run(services, replace(request, model=_LAST), stop, told))
        finally:
            stop.set()  # where we are interrupted: the jobs that run stop after their epoch
    return sorted(made, key=lambda run: list(MODELS).index(run.model))


def _together(services: "Services", names: list[str]) -> int:
    """Return how many can be trained at once: one a processor, as far as the largest of them fit in memory together."""
    counts = (*catalog.counts(services.database), ratings.count(services.database))
    needs = [model_class(name)().memory_bytes(*counts) + resources.PROCESS_BYTES for name in names]
    room, together = resources.available_memory() * _ROOM, 1
    needs.sort(reverse=True)
    while together < min(len(names), resources.processors()) and sum(needs[: together + 1]) <= room:
        together += 1
    return together


def _run(services: "Services", request: TrainingRequest, stop: threading.Event, told: Callable[[str], None]) -> Run:
    """Make a job of one model and follow it to its end."""
    from engine.errors import RunFailed
    from engine.services.worker import submit

    try:
        services.training.untrained(request)
        number = submit(services, replace(request, activate=False), beside_others=True, wait=_WAIT_SECONDS)
    except (EngineError, StoreError) as error:
        told(f"{request.model}: {error}")
        return Run(request.model, error=error)
    told(f"{request.model}: job {number}")
    while not (job := services.journal.get(number)).ended:
        if stop.is_set():
            with suppress(StoreError):  # it may have ended just now
                services.journal.request_cancel(number)
        time.sleep(_POLL_SECONDS)
    if job.state == "done":
        version = services.registry.get(job.version or 0).name
        told(f"{request.model}: {version}")
        return Run(request.model, number, version)
    why = RunFailed(
        job.error or f"job {number} is {job.state}", hint=job.hint or "", code=job.code or "training_failed"
    )
    told(f"{request.model}: {why}")
    return Run(request.model, number, error=why)
