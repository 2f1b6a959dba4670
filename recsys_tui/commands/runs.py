"""Training runs as the commands see them: started in a process of their own, followed, and what they came to."""

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from recsys_tui import render
from recsys_tui.progress import Line
from recsys_tui.session import Session

if TYPE_CHECKING:
    from engine.services import Services
    from store.journal import Job

POLL_SECONDS = 0.1


def submit_run(
    services: "Services", options: Any, resume: int | None = None, wait: float = 0.0, *, origin: str = "cli"
) -> int:
    """Start a run, or go on with an earlier one, and return the number of its job; `origin` is who asked for it.

    Raises:
        SettingRefused: the model or a setting, before a job is made of it; members of an ensemble likewise.
        TrainingFailed: something that training needs is not installed.
        DataTooSmall: likewise.
        Busy: another training runs, and `wait` seconds is 0.
    """
    from engine.services.request import AUTO
    from engine.services.worker import submit

    if resume is not None:
        options = _resumed(services, resume, options)
    if options.model == AUTO:
        _check_auto(options)
    else:
        services.training.untrained(options)
    services.training.check_enough()
    return submit(services, options, resume=resume, wait=wait, origin=origin)


def _check_auto(options: Any) -> None:
    """Refuse what makes no sense where models are chosen by their figures.

    Raises:
        UsageRefused: settings, or nothing held out.
    """
    from store.errors import UsageRefused

    if options.settings:
        raise UsageRefused("auto takes no --set: it trains several models", hint="recsys-tui train MODEL --set …")
    if not options.test:
        raise UsageRefused("auto chooses by held-out ratings", hint="leave --test 0 out; --full fits on all in the end")


def _resumed(services: "Services", number: int, options: Any) -> Any:
    """Return what an earlier run was asked for; of the options given now only --activate counts.

    Raises:
        UsageRefused: that run is no longer to be resumed, or was of another model.
    """
    from dataclasses import replace

    from engine.services.request import TrainingRequest
    from store.errors import UsageRefused

    job = services.journal.get(number)
    if not job.ended or job.state == "done":
        raise UsageRefused(
            f"job {number} is {job.state}: there is nothing to go on with", hint="`recsys-tui jobs list` shows all runs"
        )
    if options.model not in ("", job.model):
        raise UsageRefused(f"job {number} trains {job.model}", hint=f"recsys-tui train --resume {number}")
    asked = TrainingRequest.recorded(job.request)
    return replace(asked, activate=options.activate or asked.activate)


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


def candidate_in_words(told: dict[str, Any]) -> str:
    """Say what a candidate of an `auto` run came to."""
    if told["version"] is None:
        return f"left out: {told['why']}"
    figures = [f"{name} {render.number(told[name])}" for name in ("ndcg@10", "rmse") if told[name] is not None]
    return ", ".join([told["version"], *figures])


def epochs_of(services: "Services", job: int) -> list[dict[str, Any]]:
    """Return what each epoch of a run reported."""
    return [event.data for event in services.journal.events(job) if event.kind == "epoch"]


def job_facts(job: "Job") -> dict[str, Any]:
    """Return a job as the contract names its parts."""
    ended = job.finished_at or time.time()
    return {
        "job": job.id,
        "model": job.model,
        "state": job.state,
        "origin": job.origin,
        "version": f"v{job.version}" if job.version else None,
        "created_at": render.iso(job.created_at),
        "started_at": render.iso(job.started_at),
        "finished_at": render.iso(job.finished_at),
        "seconds": round(ended - job.started_at, 3) if job.started_at else None,
        "exit_code": job.exit_code,
        "error": job.error,
        "hint": job.hint,
    }
