"""The main job on sample data, end to end: demo."""

import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from recsys_tui import render
from recsys_tui.commands import serving
from recsys_tui.commands.runs import finished
from recsys_tui.session import Columns, Session, command
from store.errors import NotFound, UsageRefused

if TYPE_CHECKING:
    from engine.services import Services

_BEST = 5


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    command(app, "demo")(demo)


def demo(session: Session) -> None:
    """Do all of it on sample data, in under a minute.

    Import, train, evaluate, recommend and explain.

    Works in a database of its own in a temporary folder, unless --db or RECSYS_DB names one.

    \b
    recsys-tui demo
    """
    began = time.monotonic()
    path = _place(session)
    services = _opened(path)
    session.say(f"1  import {_sample().name}")
    imported = _import(services)
    session.say(f"   {imported['stored']:,} ratings stored, {imported['users']:,} users, {imported['items']:,} items")
    session.say("2  train popularity, then mf, each measured on ratings it has not seen")
    runs = [_train(session, services, name, activate=name == "mf") for name in ("popularity", "mf")]
    session.say("3  recommend and explain")
    user = _somebody(services)
    made = services.recommender.recommend(user, _BEST)
    reasons = services.explainer.reasons_for(made)
    items = tuple(item._replace(reasons=why) for item, why in zip(made.items, reasons, strict=True))
    explained = services.explainer.explain_recommendation(user, items[0].item)
    facts = {
        "db": str(path),
        "import": imported,
        "runs": runs,
        "recommend": replace(made, items=items).plain(),
        "explain": asdict(explained),
        "seconds": round(time.monotonic() - began, 3),
    }
    if session.as_json:
        session.document(facts)
    else:
        _screen(session, facts, replace(made, items=items))


def _place(session: Session) -> Path:
    """Return the database to use; one that holds other ratings is refused."""
    settings = session.settings
    if settings.origins()["db"] == "default":
        return Path(tempfile.mkdtemp(prefix="recsys-tui-demo-")) / "demo.db"
    if settings.db.exists():
        from store.imports import list_imports

        sources = {row.source for row in list_imports(session.created.database)}
        if sources - {str(_sample())}:
            raise UsageRefused(
                f"{settings.db} holds other ratings", hint="pass --db PATH of a database that does not exist"
            )
    return settings.db


def _opened(path: Path) -> "Services":
    from engine.services import Services

    return Services.open(path, create=True)


def _sample() -> Path:
    """Return the folder of the sample data, which is installed with the program."""
    from importlib.resources import files

    folder = Path(str(files("sample_data")))
    if not (folder / "ratings.csv").is_file():
        raise NotFound(f"no sample data at {folder}", hint="install the program again")
    return folder


def _import(services: "Services") -> dict[str, Any]:
    from store.importers.pipeline import import_source

    return asdict(import_source(services.database, str(_sample())))


def _train(session: Session, services: "Services", model: str, *, activate: bool) -> dict[str, Any]:
    from engine.services.request import TrainingRequest
    from engine.services.worker import submit

    job = submit(services, TrainingRequest(model, activate=activate), wait=60.0)
    return finished(session, services, job)


def _somebody(services: "Services") -> str:
    """Return a user with a middling number of ratings, so that the list and its reasons are typical."""
    from store import catalog

    return min(catalog.list_users(services.database, limit=200), key=lambda user: abs(user.n_ratings - 60)).user


def _screen(session: Session, facts: dict[str, Any], made: Any) -> None:
    """End with one screen that a person understands."""
    rows = [
        {"model": run["model"], "version": run["version"], "took": run["seconds"]} | run["metrics"]
        for run in facts["runs"]
    ]
    columns: Columns = [
        "model",
        "version",
        render.Column("rmse"),
        render.Column("ndcg@10"),
        render.Column("coverage", digits=2),
        render.Column("took", show=render.duration),
    ]
    render.say("")
    session.rows(rows, columns)
    render.say("")
    serving.show_list(session, made, explain=True)
    path = facts["db"]
    render.say("")
    render.say(f"done in {render.duration(facts['seconds'])}. Go on with:")
    render.say(f"  recsys-tui --db {path} explain {made.user} {made.items[0].item}")
    render.say(f"  recsys-tui --db {path} rate {made.user} {made.items[0].item} 1")
    render.say("  recsys-tui import YOUR-RATINGS.csv && recsys-tui train mf --activate")
