"""Commands on figures: evaluate, metrics."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from recsys_tui import render
from recsys_tui.commands.options import VersionName
from recsys_tui.protocols import protocol_words
from recsys_tui.quantities import pairs
from recsys_tui.render import Column
from recsys_tui.session import Columns, Session, command, group

if TYPE_CHECKING:
    from engine.services import Services
    from engine.services.evaluation import OutsideRow

Metrics = Annotated[
    list[str] | None, typer.Option("--metric", metavar="NAME", help="A metric, such as ndcg@20; may be given again.")
]
FIGURES = ["version", "model", "trained_at", "split", "metric", "value", "low", "high", "users"]


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    command(app, "evaluate", lists=True)(evaluate)
    metrics = group(app, "metrics", "What the figures mean, and what they were.")
    command(metrics, "list", lists=True)(list_metrics)
    command(metrics, "explain")(explain_metric)
    command(metrics, "history", lists=True)(history)


def evaluate(
    session: Session,
    name: VersionName = "active",
    *,
    on: Annotated[
        Path | None, typer.Option("--on", help="A file of test ratings, none of them in the database.")
    ] = None,
    mapping: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="ROLE=COLUMN", help="Columns of the file: user=…,item=…,rating=…,time=…"),
    ] = None,
    how: Annotated[
        Literal["random", "per-user", "last", "temporal"] | None,
        typer.Option("--split", help="Hold rows out anew; refused where the version was trained on them."),
    ] = None,
    test: Annotated[float, typer.Option(min=0.01, max=0.9, help="Share held out, with --split.")] = 0.2,
    seed: Annotated[int, typer.Option(min=0, help="Seed, with --split.")] = 42,
    metrics: Metrics = None,
    by_segment: Annotated[bool, typer.Option("--segments", help="Show groups of users and items too.")] = False,
    sampled: Annotated[
        int, typer.Option("--sampled", min=0, help="Rank among so many drawn items only, as some papers do.")
    ] = 0,
    out: Annotated[
        Path | None, typer.Option("--report", help="Write a report with plots: .md, .html or .json.")
    ] = None,
) -> None:
    """Measure a version on held-out ratings.

    On its own held-out rows, on another split of today's ratings, or on a file; each figure with its 95% interval.
    Every item that a user has not rated is a candidate.

    \b
    recsys-tui evaluate active
    recsys-tui evaluate v7 --on test.csv --json
    recsys-tui evaluate v7 --report v7.html
    See also: metrics explain, compare
    """
    if out is not None:
        from recsys_tui.reports import check_report

        check_report(out)
    found = _measured(session, name, (on, mapping or []), (how, test, seed), metrics, sampled)
    if out is not None:
        from engine.services.report import report_document
        from recsys_tui.reports import write_report

        write_report(out, report_document(session.services, found))
        session.say(f"written: {out}")
    if session.as_json:
        session.document(found)
        return
    left_out = f", {found['excluded']:,} without held-out ratings left out" if found["excluded"] else ""
    session.say(f"{found['version']} on {found['users']:,} users{left_out}: {protocol_words(found['protocol'])}")
    if session.as_table or not by_segment:
        rows = [{"metric": metric} | figures for metric, figures in found["metrics"].items()]
        session.rows(rows, ["metric", "value", Column("low", "95% low"), Column("high", "95% high")])
    if by_segment:
        if session.as_table:
            session.gap()
        _show_segments(session, found["segments"])


def _show_segments(session: Session, segments: list[dict[str, Any]]) -> None:
    """Show a row a group, with the metrics that say most."""
    rows = [
        {name: part[name] for name in ("by", "segment", "users", "rows")}
        | {metric: figure["value"] for metric, figure in part["metrics"].items()}
        for part in segments
    ]
    columns: Columns = ["by", Column("segment", grows=True), "users", "rows", "ndcg@10", "recall@10"]
    session.rows(
        rows,
        [*columns, Column("hit_rate@10", spare=True), "rmse"],
        empty="no groups: only the figures of the first fit are kept of a version that was fitted on all rows",
    )


def _measured(
    session: Session,
    name: str,
    outside: tuple[Path | None, list[str]],
    anew: tuple[str | None, float, int],
    metrics: list[str] | None,
    sampled: int,
) -> dict[str, Any]:
    """Return the figures of a version in plain values, on the rows asked for.

    Raises:
        UsageRefused: a sampled protocol on other rows than the version's own.
    """
    from engine.metrics import DEFAULT, by_name
    from store.errors import UsageRefused

    service, how, (on, mapping) = session.services.evaluation, anew[0], outside
    chosen = tuple(by_name(metrics or DEFAULT))
    if sampled:
        if on is not None or how is not None:
            raise UsageRefused("--sampled is for a version's own held-out ratings", hint="leave --on and --split out")
        session.say("figures of drawn candidates are higher than those of the whole catalogue: they do not compare")
        return service.report(name, metrics=chosen, negatives=sampled).plain()
    if on is not None:
        rows, rejected = _test_rows(on, pairs(mapping, "--map"))
        found = service.report_on(name, rows, metrics=chosen).plain()
        if rejected:
            session.say(f"{rejected:,} rows of {on} cannot be used and were left out; `import --dry-run` says why")
        return found | {"protocol": found["protocol"] | {"rejected_rows": rejected}}
    if how is not None:
        return service.report_split(name, how, anew[1], anew[2], metrics=chosen).plain()
    return service.generate_report(name, metrics=chosen)


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


def history(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="[METRIC]", help="Of one metric; of all without it.")] = "",
) -> None:
    """Show the figures of all versions, oldest first.

    Figures of different splits are of different rows: they do not compare.

    \b
    recsys-tui metrics history ndcg@10
    recsys-tui metrics history rmse --format csv
    See also: compare, export metrics
    """
    from engine.metrics import metric

    key = metric(name).key if name else ""
    rows = [row for row in figures_of_versions(session.services) if key in ("", row["metric"])]
    columns: Columns = [
        "version",
        "model",
        Column("trained_at", "trained (UTC)", show=render.minute, spare=True),
        Column("split", spare=True),
        "metric",
        "value",
        Column("low", "95% low"),
        Column("high", "95% high"),
        Column("users", spare=True),
    ]
    session.rows(rows, columns, empty=f"no version has {key or 'figures'} yet: recsys-tui train mf")


def figures_of_versions(services: "Services") -> Iterator[dict[str, Any]]:
    """Yield the figures kept with all versions, oldest version first, with `FIGURES` as keys."""
    for version in reversed(services.registry.versions()):
        facts = {
            "version": version.name,
            "model": version.model_type,
            "trained_at": render.iso(version.trained_at),
            "split": version.protocol.get("split"),
        }
        for name, row in sorted(version.metrics.items()):
            yield facts | {"metric": name} | row._asdict()


def _definitions() -> list[dict[str, Any]]:
    from engine.metrics import METRICS, metric

    return [{"metric": name} | _definition(metric(name)) for name in METRICS]


def _definition(found: Any) -> dict[str, Any]:
    return {
        "better": found.aim,
        "sentence": found.sentence,
        "formula": found.formula,
        "source": found.source,
        "empty_case": found.empty_case,
    }


def _test_rows(path: Path, mapping: dict[str, str]) -> tuple[list["OutsideRow"], int]:
    """Return the ratings of a file and how many rows cannot be used; by way of a database that is thrown away."""
    import tempfile

    from engine.services.evaluation import OutsideRow
    from store import ratings
    from store.database import Database
    from store.importers.pipeline import import_source

    with tempfile.TemporaryDirectory() as folder:
        database = Database(Path(folder) / "test-rows.db")
        rejected = import_source(database, str(path), mapping=mapping or None).rejected
        stored = ratings.all_rows(database)
        rows = [OutsideRow(row.user, row.item, row.rating, row.at) for row in stored if row.rating is not None]
        return rows, rejected
