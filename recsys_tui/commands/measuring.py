"""Commands on figures: evaluate, metrics."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from recsys_tui.commands.options import VersionName
from recsys_tui.render import Column
from recsys_tui.session import Session, command

METRICS = typer.Typer(rich_markup_mode=None, help="What the figures mean.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    command(app, "evaluate", lists=True)(evaluate)
    command(METRICS, "list", lists=True)(list_metrics)
    command(METRICS, "explain")(explain_metric)
    app.add_typer(METRICS, name="metrics")


def evaluate(
    session: Session,
    name: VersionName = "active",
    *,
    on: Annotated[
        Path | None, typer.Option("--on", help="A file of test ratings, none of them in the database.")
    ] = None,
    how: Annotated[
        Literal["random", "per-user", "last", "temporal"] | None,
        typer.Option("--split", help="Hold rows out anew; refused where the version was trained on them."),
    ] = None,
    test: Annotated[float, typer.Option(min=0.01, max=0.9, help="Share held out, with --split.")] = 0.2,
    seed: Annotated[int, typer.Option(min=0, help="Seed, with --split.")] = 42,
) -> None:
    """Measure a version on held-out ratings.

    On its own held-out rows, on another split of today's ratings, or on a file; each figure with its 95% interval.

    \b
    recsys-tui evaluate active
    recsys-tui evaluate v7 --on test.csv --json
    See also: metrics explain
    """
    service = session.services.evaluation
    if on is not None:
        report = service.report_on(name, _test_rows(on))
    elif how is not None:
        report = service.report_split(name, how, test, seed)
    else:
        report = service.generate_report(name)
    if session.as_json:
        session.document(report)
        return
    rows = [{"metric": metric} | figures for metric, figures in report["metrics"].items()]
    session.say(f"{report['version']} on {report['users']:,} users: {protocol_words(report['protocol'])}")
    session.rows(rows, ["metric", "value", Column("low", "95% low"), Column("high", "95% high")])


def list_metrics(session: Session) -> None:
    """List the metrics.

    \b
    recsys-tui metrics list
    """
    session.rows(_definitions(), ["metric", "better", Column("sentence", "what it says", wraps=True)])


def explain_metric(session: Session, name: Annotated[str, typer.Argument(metavar="METRIC")]) -> None:
    """Say what a metric measures: in words and as a formula.

    \b
    recsys-tui metrics explain ndcg@10
    """
    from engine.metrics import metric

    found = _definition(metric(name))
    shown = {key.replace("_", " "): value for key, value in found.items() if value}
    session.document({"metric": name} | found, title=name, shown=shown)


def _definitions() -> list[dict[str, Any]]:
    from engine.metrics import METRICS, metric

    return [{"metric": name} | _definition(metric(name)) for name in METRICS]


def _definition(found: Any) -> dict[str, Any]:
    return {
        "sentence": found.sentence,
        "better": found.better,
        "formula": found.formula,
        "source": found.source,
        "empty_case": found.empty_case,
    }


def _test_rows(path: Path) -> list[tuple[str, str, float]]:
    """Read ratings with the importers, by way of a database that is thrown away."""
    import tempfile

    from store import ratings
    from store.database import Database
    from store.importers.pipeline import import_source

    with tempfile.TemporaryDirectory() as folder:
        database = Database(Path(folder) / "test-rows.db")
        import_source(database, str(path))
        return [(row.user, row.item, row.rating) for row in ratings.all_rows(database)]


def protocol_words(protocol: dict[str, Any]) -> str:
    """Say in words which rows a version was measured on."""
    if protocol["split"] == "outside":
        return (
            f"{protocol['test_rows']:,} ratings of a file, {protocol['unknown_rows']:,} more of unknown users or items"
        )
    if not protocol.get("test_rows"):
        return "not measured: no rows were held out"
    share = f"{protocol['split']}, {protocol['test']:.0%}, seed {protocol['seed']}"
    words = f"{protocol['test_rows']:,} rows held out ({share})"
    return words + (", then fitted on all" if protocol.get("full") else "")
