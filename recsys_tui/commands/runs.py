"""Training runs as the commands see them: started in a process of their own, followed, and what they came to."""

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from recsys_tui.facts import job_facts
from recsys_tui.progress import Line
from recsys_tui.runs import candidate_in_words
from recsys_tui.session import Session

if TYPE_CHECKING:
    from engine.services import Services
    from store.journal import Job

POLL_SECONDS = 0.1


def finished(session: Session, services: "Services", number: int) -> dict[str, Any]:
    """Follow a run that this command started to its end and return what it came to; see `ending`."""
    follow(session, services, number)
    return ending(services, number)


def follow(session: Session, services: "Services", job: int) -> None:
    """Watch a run that this command started: Ctrl-C cancels it."""
    from store.errors import StoreError

    try:
        watch(session, services, job)
    except KeyboardInterrupt:
        with suppress(StoreError):  # it may have ended just now
            services.journal.request_cancel(job)
        raise KeyboardInterrupt(
            f"job {job} stops after this epoch; `recsys-tui train --resume {job}` goes on from there"
        ) from None


def watch(session: Session, services: "Services", job: int) -> None:
    """Show the progress of a run until it ends."""
    line, seen = Line(session), 0
    while True:
        state = services.journal.get(job)
        for event in services.journal.events(job, seen):
            seen = event.seq
            if event.kind == "epoch":
                line.epoch(event.data)
                if event.data["note"]:
                    line.end()
                    session.say(f"  {event.data['note']}")
            elif event.kind in {"stage", "note"}:
                line.end()
                session.say(f"  {event.data.get('stage') or event.data.get('text')}")
            elif event.kind == "candidate":
                line.end()
                session.say(f"  {event.data['model']}: {candidate_in_words(event.data)}")
        if state.ended:
            line.end()
            return
        time.sleep(POLL_SECONDS)


def ending(services: "Services", number: int) -> dict[str, Any]:
    """Return what a run that has ended came to.

    Raises:
        RunFailed: what it ended with, a refused gate among it.
        KeyboardInterrupt: it was cancelled.
    """
    from engine.errors import RunFailed

    job = services.journal.get(number)
    if job.state == "done" and not job.code:
        return _outcome(services, job)
    if job.state == "cancelled":
        raise KeyboardInterrupt(f"job {number} was cancelled; `recsys-tui train --resume {number}` goes on with it")
    message, hint = job.error or f"job {number} is {job.state}", job.hint or f"`recsys-tui jobs show {number}` has more"
    raise RunFailed(message, hint=hint, code=job.code or "training_failed")


def _outcome(services: "Services", job: "Job") -> dict[str, Any]:
    version = services.registry.get(job.version or 0)
    return {
        "job": job.id,
        "version": version.name,
        "model": version.model_type,
        "state": job.state,
        "metrics": {name: row.value for name, row in version.metrics.items()},
        "epochs": epochs_of(services, job.id),
        "training_data": {key: version.training_data[key] for key in ("n_users", "n_movies", "n_ratings")},
        "protocol": version.protocol,
        "active": version.active,
        "seconds": job_facts(job)["seconds"],
    } | _of_auto(services, job.id)


def _of_auto(services: "Services", job: int) -> dict[str, Any]:
    """Return the candidates of an `auto` run and why one was taken; nothing of other runs."""
    events = services.journal.events(job)
    why = next((event.data["why"] for event in events if event.kind == "choice"), None)
    return {"candidates": [event.data for event in events if event.kind == "candidate"], "why": why} if why else {}


def epochs_of(services: "Services", job: int) -> list[dict[str, Any]]:
    """Return what each epoch of a run reported."""
    return [event.data for event in services.journal.events(job) if event.kind == "epoch"]
