"""Commands that train: train, jobs."""

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from recsys_tui import render
from recsys_tui.commands.options import pairs, seconds
from recsys_tui.progress import Line
from recsys_tui.render import Column
from recsys_tui.session import Columns, Session, command

if TYPE_CHECKING:
    from engine.services import Services
    from store.journal import Job

JOBS = typer.Typer(rich_markup_mode=None, help="Training runs, whoever started them.", no_args_is_help=True)
_POLL_SECONDS = 0.1
Number = Annotated[int, typer.Argument(help="Number of the job.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    command(app, "train")(train)
    command(JOBS, "list", lists=True)(list_jobs)
    command(JOBS, "show")(show_job)
    command(JOBS, "tail")(tail)
    command(JOBS, "attach")(attach)
    command(JOBS, "cancel")(cancel)
    app.add_typer(JOBS, name="jobs")


def train(
    session: Session,
    model: Annotated[str, typer.Argument(help="popularity, content or mf.")] = "",
    *,
    settings: Annotated[
        list[str], typer.Option("--set", help="A hyper-parameter: KEY=VALUE. `train MODEL --set help` lists them.")
    ] = [],  # noqa: B006  typer copies it
    split: Annotated[
        Literal["random", "per-user", "last", "temporal"], typer.Option(help="How test rows are chosen.")
    ] = "random",
    test: Annotated[float, typer.Option(min=0.0, max=0.9, help="Share of rows held out; 0 fits on everything.")] = 0.2,
    seed: Annotated[int, typer.Option(min=0, help="Seed of split and training.")] = 42,
    full: Annotated[bool, typer.Option("--full", help="After measuring, fit once more on all rows.")] = False,
    activate: Annotated[bool, typer.Option("--activate", help="Serve the new version.")] = False,
    better: Annotated[
        str, typer.Option("--activate-if-better", metavar="METRIC", help="Serve it only if this metric is better.")
    ] = "",
    if_changed: Annotated[bool, typer.Option("--if-changed", help="Do nothing where no rating changed since.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Return at once; `jobs attach N` follows the run.")] = False,
    resume: Annotated[
        int | None, typer.Option("--resume", metavar="JOB", help="Go on from a job's checkpoint.")
    ] = None,
    time_limit: Annotated[str, typer.Option(help="Stop after this long and keep what is trained: 90, 10m, 1h.")] = "",
    threads: Annotated[int, typer.Option(min=0, help="Threads; 0 for all that this process may use.")] = 0,
    wait: Annotated[str, typer.Option(help="Wait this long for another training to end: 90, 10m, 1h.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="Train every model that suits the data.")] = False,
) -> None:
    """Train a model, measure it, register it as a version.

    The run has a process of its own, which survives this terminal. Held-out ratings measure it.

    \b
    recsys-tui train mf --activate
    recsys-tui train mf --set n_factors=64 --split temporal --full
    recsys-tui train mf --detach && recsys-tui jobs list
    See also: jobs, models, evaluate
    """
    from engine.models import MODELS
    from engine.services.training import TrainingRequest
    from store.errors import UsageRefused

    if not everything and resume is None and not model:
        raise UsageRefused("which model?", hint=f"recsys-tui train MODEL, one of: {', '.join(MODELS)}")
    if settings == ["help"]:
        _list_settings(session, model)
        return
    options = TrainingRequest(
        model=model,
        settings=dict(pairs(settings, "--set")),
        split=split,
        test=test,
        seed=seed,
        full=full,
        activate=activate,
        better_by=better,
        time_limit=seconds(time_limit, "--time-limit") if time_limit else 0.0,
        threads=threads or session.settings.threads,
        memory_limit=int(session.settings.memory_gb * 2**30),
    )
    waiting = seconds(wait, "--wait") if wait else 0.0
    if everything:
        _train_all(session, options, waiting)
        return
    if if_changed and (same := session.services.training.unchanged_version(options)):
        session.document(
            {"state": "skipped", "version": same, "model": model, "active": False}, title="nothing changed"
        )
        return
    job = _submit(session, options, resume, waiting)
    if detach:
        facts = {"job": job, "model": options.model, "state": "queued", "version": None}
        session.document(facts, title=f"job {job} runs in the background; `recsys-tui jobs attach {job}` follows it")
        return
    _answer(session, finished(session, session.services, job))


def list_jobs(session: Session, *, limit: Annotated[int, typer.Option("--limit", min=1)] = 20) -> None:
    """List the newest runs.

    \b
    recsys-tui jobs list
    """
    columns: Columns = [
        "job",
        "model",
        "state",
        "origin",
        "version",
        Column("started_at", "started"),
        Column("seconds", show=render.duration),
        Column("error", grows=True),
    ]
    rows = [job_facts(job) for job in session.services.journal.recent(limit)]
    session.rows(rows, columns, empty="no runs yet: recsys-tui train mf")


def show_job(session: Session, number: Number) -> None:
    """Show one run: what was asked for, and how it ended.

    \b
    recsys-tui jobs show 3 --json
    """
    services = session.services
    job = services.journal.get(number)
    facts = job_facts(job) | {"request": job.request, "epochs": _epochs(services, number)}
    shown = {key: value for key, value in facts.items() if key not in {"epochs", "request"} and value is not None}
    shown |= {key: value for key, value in job.request.items() if value not in ("", None, {}, 0)}
    session.document(facts, title=f"job {number}", shown=shown)


def tail(
    session: Session,
    number: Number,
    *,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Wait for more until the run ends.")] = False,
) -> None:
    """Print the events of a run, one a line.

    \b
    recsys-tui jobs tail 3 -f
    """
    services, seen = session.services, 0
    while True:
        job = services.journal.get(number)
        for event in services.journal.events(number, seen):
            seen = event.seq
            row = {"seq": event.seq, "at": render.iso(event.at), "kind": event.kind} | event.data
            if session.as_json:
                render.emit([row], list(row), "ndjson")
            else:
                render.say(_event_line(row), stream=sys.stdout)
        if job.ended or not follow:
            return
        time.sleep(_POLL_SECONDS)


def attach(session: Session, number: Number) -> None:
    """Follow a run to its end; Ctrl-C leaves it alone.

    \b
    recsys-tui jobs attach 3
    """
    _watch(session, session.services, number)
    _answer(session, finished(session, session.services, number))


def cancel(session: Session, number: Number) -> None:
    """Stop a run after its epoch; `train --resume` goes on.

    \b
    recsys-tui jobs cancel 3
    """
    services = session.services
    services.journal.request_cancel(number)
    deadline = time.monotonic() + 30.0
    while not (job := services.journal.get(number)).ended and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    session.document(job_facts(job), title=f"job {number} is {job.state}")


# --- shared -------------------------------------------------------------------------------------------------------


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


def _submit(session: Session, options: Any, resume: int | None, wait: float) -> int:
    from dataclasses import replace

    from engine.models import model_class
    from engine.services.training import TrainingRequest
    from engine.services.worker import submit

    services = session.services
    if resume is not None:
        recorded = dict(services.journal.get(resume).request)
        recorded.pop("resume")
        recorded.pop("wait")
        options = replace(TrainingRequest(**recorded), activate=options.activate or recorded["activate"])
    model_class(options.model)(**options.settings)  # a wrong setting is refused here, before a job is made of it
    return submit(services, options, resume=resume, wait=wait)


def _follow(session: Session, services: "Services", job: int) -> None:
    """Watch a run that this command started: Ctrl-C cancels it."""
    try:
        _watch(session, services, job)
    except KeyboardInterrupt:
        services.journal.request_cancel(job)
        session.say(f"job {job} stops after this epoch; `recsys-tui train --resume {job}` goes on from there")
        raise


def _watch(session: Session, services: "Services", job: int) -> None:
    line, seen = Line(session), 0
    while True:
        state = services.journal.get(job)
        for event in services.journal.events(job, seen):
            seen = event.seq
            if event.kind == "epoch":
                line.epoch(event.data)
            elif event.kind in {"stage", "note"}:
                line.end()
                session.say(f"  {event.data.get('stage') or event.data.get('text')}")
        if state.ended:
            line.end()
            return
        time.sleep(_POLL_SECONDS)


def finished(session: Session, services: "Services", number: int) -> dict[str, Any]:
    """Follow a run to its end and return what it came to.

    Raises:
        RunFailed: what the run ended with.
        KeyboardInterrupt: it was cancelled.
    """
    from engine.errors import RunFailed

    _follow(session, services, number)
    job = services.journal.get(number)
    if job.state == "done" and not job.code:
        return _outcome(services, job)
    if job.state == "cancelled":
        raise KeyboardInterrupt
    message, hint = job.error or f"job {number} is {job.state}", job.hint or f"`recsys-tui jobs show {number}` has more"
    raise RunFailed(message, hint=hint, code=job.code or "training_failed")


def _answer(session: Session, facts: dict[str, Any]) -> None:
    session.document(facts, title=f"trained {facts['version']}", shown=_outcome_for_people(facts))


def _outcome(services: "Services", job: "Job") -> dict[str, Any]:
    version = services.registry.get(job.version or 0)
    return {
        "job": job.id,
        "version": version.name,
        "model": version.model_type,
        "state": job.state,
        "metrics": {name: row.value for name, row in version.metrics.items()},
        "epochs": _epochs(services, job.id),
        "training_data": {key: version.training_data[key] for key in ("n_users", "n_movies", "n_ratings")},
        "protocol": version.protocol,
        "active": version.active,
        "seconds": job_facts(job)["seconds"],
    }


def _outcome_for_people(facts: dict[str, Any]) -> dict[str, Any]:
    data = facts["training_data"]
    shown: dict[str, Any] = {
        "model": facts["model"],
        "trained on": f"{data['n_ratings']:,} ratings of {data['n_users']:,} users on {data['n_movies']:,} items",
        "took": render.duration(facts["seconds"]),
    }
    shown |= {name: render.number(value) for name, value in facts["metrics"].items()}
    version = facts["version"]
    shown["active"] = "yes" if facts["active"] else f"no: `recsys-tui models activate {version}` serves it"
    return shown


def _epochs(services: "Services", job: int) -> list[dict[str, Any]]:
    return [event.data for event in services.journal.events(job) if event.kind == "epoch"]


def _train_all(session: Session, options: Any, wait: float) -> None:
    """Train every model, one job each; a failure of one leaves the others."""
    from dataclasses import replace

    from engine.errors import EngineError
    from engine.models import MODELS
    from store.errors import StoreError

    runs = []
    for name in MODELS:
        job = None
        try:
            job = _submit(session, replace(options, model=name, settings={}), None, wait or 60.0)
            runs.append(finished(session, session.services, job))
        except (EngineError, StoreError) as error:
            runs.append({"job": job, "model": name, "state": "failed", "error": str(error)})
    shown = {run["model"]: f"{run['state']} {run.get('version') or run.get('error') or ''}" for run in runs}
    session.document({"runs": runs}, title="trained", shown=shown)


def _list_settings(session: Session, model: str) -> None:
    from dataclasses import fields

    from engine.models import model_class
    from engine.models.config import allowed

    rows = [
        {"setting": f.name, "default": f.default, "allowed": allowed(f.metadata), "sentence": f.metadata["sentence"]}
        for f in fields(model_class(model).Config)
    ]
    session.rows(rows, ["setting", "default", "allowed", Column("sentence", "what it does", grows=True)])


def _event_line(row: dict[str, Any]) -> str:
    if row["kind"] == "version":
        return f"{row['at']}  {row['version']} is registered" + (" and active" if row["active"] else "")
    if row["kind"] != "epoch":
        return f"{row['at']}  {row.get('stage') or row.get('text')}"
    losses = "  ".join(f"{name} {value:.4f}" for name, value in row["losses"].items())
    return f"{row['at']}  epoch {row['number']}/{row['of']}  {losses}  {row['seconds']:.2f} s"
