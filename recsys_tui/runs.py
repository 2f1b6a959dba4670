"""A training run as both front ends ask for it and tell of it."""

from typing import TYPE_CHECKING, Any

from recsys_tui import render
from recsys_tui.progress import figures_of

if TYPE_CHECKING:
    from engine.services import Services


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


def event_line(row: dict[str, Any]) -> str:
    """Return an event of a run, its kind among its data, in one line for people."""
    if row["kind"] == "version":
        return f"{row['version']} is registered" + (" and active" if row["active"] else "")
    if row["kind"] == "candidate":
        return f"{row['model']}: {candidate_in_words(row)}"
    if row["kind"] != "epoch":
        return str(row.get("stage") or row.get("text") or row.get("why"))
    parts = [f"epoch {row['number']}/{row['of']}", *figures_of(row), render.duration(row["seconds"])]
    return "  ".join(parts + ([row["note"]] if row.get("note") else []))


def candidate_in_words(told: dict[str, Any]) -> str:
    """Say what a candidate of an `auto` run came to."""
    if told["version"] is None:
        return f"left out: {told['why']}"
    figures = [f"{name} {render.number(told[name])}" for name in ("ndcg@10", "rmse") if told[name] is not None]
    return ", ".join([told["version"], *figures])
