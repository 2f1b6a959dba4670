"""The command that trains: train."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from recsys_tui import render
from recsys_tui.commands.options import Guards
from recsys_tui.commands.runs import ending, finished
from recsys_tui.quantities import pairs, seconds
from recsys_tui.render import Column
from recsys_tui.runs import candidate_in_words, submit_run
from recsys_tui.session import Columns, Session, command

if TYPE_CHECKING:
    from engine.services import Services


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    command(app, "train")(train)


def train(
    session: Session,
    model: Annotated[
        str, typer.Argument(help="Its name, such as mf; auto trains what suits the data and takes the best.")
    ] = "",
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
    guards: Guards = [],  # noqa: B006  typer copies it
    like: Annotated[
        str, typer.Option("--like", metavar="VERSION", help="Make this version again, and compare the artifacts.")
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
    recsys-tui train auto --time-limit 120 --activate
    recsys-tui train mf --activate
    recsys-tui train mf --set n_factors=64 --split temporal --full
    recsys-tui train mf --activate-if-better ndcg@10 --guard coverage:-5%
    recsys-tui train --like v7
    recsys-tui train mf --detach && recsys-tui jobs list
    See also: jobs, models, evaluate
    """
    from engine.models import MODELS
    from engine.services.request import TrainingRequest
    from store.errors import UsageRefused

    if everything and (model or settings or resume is not None or detach):
        raise UsageRefused(
            "--all takes no model, --set, --resume or --detach", hint="recsys-tui train --all, or train MODEL --set …"
        )
    if not everything and resume is None and not model and not like:
        raise UsageRefused("which model?", hint=f"recsys-tui train auto, or one of: {', '.join(MODELS)}")
    if settings == ["help"]:
        _list_settings(session, model)
        return
    _check_gate(better, guards, test, activate=activate)
    options = TrainingRequest(
        model=model,
        settings=dict(pairs(settings, "--set")),
        split=split,
        test=test,
        seed=seed,
        full=full,
        activate=activate,
        better_by=better,
        guards=guards,
        time_limit=seconds(time_limit, "--time-limit") if time_limit else 0.0,
        threads=threads or session.settings.threads,
        memory_limit=int(session.settings.memory_gb * 2**30),
    )
    waiting = seconds(wait, "--wait") if wait else 0.0
    if like:
        options = _made_again(session, like, options, alone=not (everything or if_changed or resume is not None))
    if everything:
        _train_all(session, options, waiting)
        return
    if if_changed and (same := session.services.training.unchanged_version(options)):
        active = session.services.registry.resolve(same).active
        session.document(
            {"state": "skipped", "version": same, "model": model, "active": active}, title="no rating changed since"
        )
        return
    job = submit_run(session.services, options, resume, waiting)
    if detach:
        facts = {"job": job, "model": options.model, "state": "queued", "version": None}
        session.document(facts, title=f"job {job} runs in the background")
        session.say(f"`recsys-tui jobs attach {job}` follows it, `recsys-tui jobs cancel {job}` stops it")
        return
    answer(session, finished(session, session.services, job))


def _made_again(session: Session, name: str, options: Any, *, alone: bool) -> Any:
    """Return the request that a version was made by.

    Raises:
        NotFound: no such version.
        UsageRefused: something is asked for that it decides by itself, or it does not say how it was made.
    """
    from dataclasses import replace

    from engine.services.reproduce import request_like
    from engine.services.request import TrainingRequest
    from store.errors import UsageRefused

    plain = TrainingRequest("", threads=options.threads, memory_limit=options.memory_limit)
    version = session.services.registry.resolve(name)
    if not alone or replace(options, model="") != plain or options.model not in ("", version.model_type):
        raise UsageRefused(
            f"--like {name} takes model, settings, split and seed from {version.name}",
            hint=f"recsys-tui train --like {version.name}, with --threads, --wait or --detach at most",
        )
    return request_like(version, threads=options.threads, memory_limit=options.memory_limit)


def answer(session: Session, facts: dict[str, Any]) -> None:
    """Say what a run came to."""
    registry = session.services.registry
    made = registry.resolve(facts["version"])
    if like := made.lineage.get("request", {}).get("like"):
        from engine.services.reproduce import likeness

        facts |= likeness(registry.resolve(like), made)
    told = facts if session.as_json else {name: value for name, value in facts.items() if name != "epochs"}
    session.document(told, title=f"{facts['version']} is trained", shown=_outcome_for_people(facts))


def _outcome_for_people(facts: dict[str, Any]) -> dict[str, Any]:
    data = facts["training_data"]
    shown: dict[str, Any] = {
        "model": facts["model"],
        "trained on": f"{data['n_ratings']:,} ratings of {data['n_users']:,} users on {data['n_movies']:,} items",
        "took": render.duration(facts["seconds"]),
    }
    shown |= {name: render.number(value) for name, value in facts["metrics"].items()}
    for told in facts.get("candidates", ()):
        shown[f"tried {told['model']}"] = candidate_in_words(told)
    if facts.get("why"):
        shown["taken"] = facts["why"]
    version = facts["version"]
    if "like" in facts:
        changed = "".join(f"; {name} is another" for name in facts["changed"])
        same = "byte for byte the same artifact" if facts["equal"] else f"not the same: {', '.join(facts['differs'])}"
        shown[f"like {facts['like']}"] = same + changed
    shown["active"] = "yes" if facts["active"] else f"no: `recsys-tui models activate {version}` serves it"
    return shown


def _check_gate(better: str, guards: list[str], test: float, *, activate: bool) -> None:
    """Refuse a gate that could not be passed before the training, not after it.

    Raises:
        SettingRefused: no such metric, or a guard that is none.
        UsageRefused: nothing is held out to measure it on, or nothing is to be activated.
    """
    from engine.services.gate import read_gate
    from store.errors import UsageRefused

    if not read_gate(better, guards):
        return
    if not (better or activate):
        raise UsageRefused("--guard stands beside an activation", hint="add --activate-if-better METRIC or --activate")
    if not test:
        flag = "--activate-if-better" if better else "--guard"
        raise UsageRefused(f"{flag} needs held-out ratings", hint="leave --test 0 out")


def _train_all(session: Session, options: Any, wait: float) -> None:
    """Train every model, a job each, side by side; a failure of one leaves the others. With --activate the best serves.

    Raises:
        RunFailed: a run failed; where some did not, the answer is given first.
    """
    from engine.errors import EngineError, RunFailed
    from engine.services.retrain import retrain_all
    from store.errors import StoreError

    session.services.training.check_enough()
    runs: list[dict[str, Any]] = []
    failed: dict[str, Any] = {}
    for run in retrain_all(session.services, options, wait=wait, told=session.say):
        try:
            if run.error:
                raise run.error
            runs.append(ending(session.services, run.job or 0))
        except (EngineError, StoreError) as error:
            runs.append({"job": run.job, "model": run.model, "version": None, "state": "failed", "error": str(error)})
            failed[run.model] = error
    if len(failed) < len(runs):
        if options.activate:
            _activate_best(session.services, [run for run in runs if run["version"]])
        session.document({"runs": runs}, title="trained", shown={run["model"]: _run_in_words(run) for run in runs})
    if failed:
        first = next(iter(failed.values()))
        code = first.code if len(failed) == len(runs) else "training_failed"
        raise RunFailed(f"{', '.join(failed)}: {first}", hint=first.hint, code=code)


def _activate_best(services: "Services", runs: list[dict[str, Any]]) -> None:
    """Serve the run with the highest NDCG@10, as `best` means it; without figures the last one."""
    from engine.services.lineage import whoami

    chosen = max(reversed(runs), key=lambda run: run["metrics"].get("ndcg@10", 0.0))
    services.registry.activate(services.registry.resolve(chosen["version"]).id, who=whoami(), why="best of all models")
    for run in runs:
        run["active"] = run is chosen


def _run_in_words(run: dict[str, Any]) -> str:
    if run["state"] != "done":
        return f"{run['state']}: {run['error']}"
    figures = [
        f"{name} {render.number(run['metrics'][name])}" for name in ("rmse", "ndcg@10") if name in run["metrics"]
    ]
    return ", ".join([run["version"], *figures, render.duration(run["seconds"])]) + (
        ", active" if run["active"] else ""
    )


def _list_settings(session: Session, model: str) -> None:
    from dataclasses import fields

    from engine.models import model_class
    from engine.models.config import allowed

    rows = [
        {
            "setting": f.name,
            "default": f.default,
            "allowed": "true or false" if isinstance(f.default, bool) else allowed(f.metadata),
            "sentence": f.metadata["sentence"],
        }
        for f in fields(model_class(model).Config)
    ]
    columns: Columns = ["setting", Column("default", show=render.plainly), "allowed"]
    session.rows(rows, [*columns, Column("sentence", "what it does", wraps=True)], empty=f"{model} has nothing to set")
