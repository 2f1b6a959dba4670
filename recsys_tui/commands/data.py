"""Commands on the data: init, import, imports, stats, export, backup, restore."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from recsys_tui import render
from recsys_tui.commands.options import pairs
from recsys_tui.progress import Line
from recsys_tui.render import Column
from recsys_tui.session import Columns, Session, command

_MOST_BARS = 20
IMPORTS = typer.Typer(rich_markup_mode=None, help="What each import did.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    command(app, "init")(init)
    command(app, "import")(import_)
    command(IMPORTS, "list", lists=True)(list_imports)
    command(IMPORTS, "show")(show_import)
    app.add_typer(IMPORTS, name="imports")
    command(app, "stats")(stats)
    command(app, "export")(export)
    command(app, "backup")(backup)
    command(app, "restore")(restore)


def init(session: Session) -> None:
    """Create the database and the folder of its models.

    \b
    recsys-tui init
    recsys-tui init --db /srv/films.db --json
    """
    from store.migrations import SCHEMA_VERSION

    services = session.created
    services.registry.folder.mkdir(mode=0o700, exist_ok=True)
    facts = {
        "db": str(services.database.path),
        "models_dir": str(services.registry.folder),
        "schema_version": SCHEMA_VERSION,
    }
    session.document(facts, title="ready")


def import_(
    session: Session,
    source: Annotated[str, typer.Argument(help="A file, a folder of MovieLens files, or - for standard input.")],
    *,
    source_format: Annotated[
        Literal["auto", "csv", "movielens", "jsonl", "parquet"], typer.Option("--format", help="What the source is.")
    ] = "auto",
    mapping: Annotated[
        list[str], typer.Option("--map", help="Which column is what: user=…,item=…,rating=…,time=… (names or numbers).")
    ] = [],  # noqa: B006  typer copies it
    scale: Annotated[str, typer.Option("--scale", help="The rating scale as low:high:step, such as 0.5:5:0.5.")] = "",
    duplicates: Annotated[
        Literal["latest", "first", "mean", "error"], typer.Option(help="Which rating counts where a pair has several.")
    ] = "latest",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and check everything, store nothing.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse the whole source where one row is bad.")] = False,
) -> None:
    """Import a file or a folder of ratings.

    Rows that cannot be used are kept aside with line and reason; the rest is stored.

    \b
    recsys-tui import ml-latest-small/
    recsys-tui import ratings.csv.gz --map user=uid,item=isbn,rating=stars
    zcat log.gz | recsys-tui import - --format csv --dry-run
    See also: imports list, stats, train
    """
    from store.importers.pipeline import import_source

    line = Line(session)
    result = import_source(
        session.database,
        source,
        format=source_format,
        mapping=pairs(mapping, "--map"),
        scale=_scale(scale),
        duplicates=duplicates,
        dry_run=dry_run,
        strict=strict,
        progress=line.importing,
        stdin=sys.stdin.buffer,
    )
    line.end()
    session.document(
        _import_facts(result), title="would import" if dry_run else "imported", shown=_result_for_people(result)
    )
    if result.rejected and not dry_run:
        session.say(
            f"{result.rejected:,} rows were kept aside: `recsys-tui imports show {result.import_id}` lists them"
        )


def list_imports(session: Session) -> None:
    """List what was imported, newest first.

    \b
    recsys-tui imports list
    """
    from store.imports import list_imports as recent

    columns: Columns = [
        Column("import_id", "import"),
        Column("source", grows=True),
        "state",
        "read",
        "stored",
        "rejected",
        Column("updated", spare=True),
        Column("unchanged", spare=True),
        Column("format", spare=True),
        Column("started_at", "started (UTC)", show=render.minute, spare=True),
    ]
    rows = [_imported(row) for row in recent(session.services.database)]
    session.rows(rows, columns, empty="nothing imported yet: recsys-tui import FILE")


def show_import(
    session: Session,
    number: Annotated[int, typer.Argument(help="Number of the import.")],
    *,
    limit: Annotated[int, typer.Option("--limit", min=0, help="How many of the rejected rows to show.")] = 20,
) -> None:
    """Show one import, and the rows that it kept aside.

    \b
    recsys-tui imports show 3 --limit 100
    """
    from store.imports import get_import, quarantined

    database = session.services.database
    facts = _imported(get_import(database, number))
    rejected = [row._asdict() for row in quarantined(database, number, limit=limit)]
    if session.as_json:
        session.document(facts | {"quarantine_rows": rejected})
        return
    session.document(facts, title=f"import {number}", shown=_import_for_people(facts))
    if rejected:
        session.gap()
        columns: Columns = [Column("source", "file"), "line", "reason", Column("raw", "row", grows=True)]
        session.rows(rejected, columns)


def stats(session: Session) -> None:
    """Count what is stored: users, items, ratings, scale.

    \b
    recsys-tui stats --json
    """
    from store import ratings

    found = ratings.stats(session.services.database)
    facts = {
        "users": found.users,
        "items": found.items,
        "ratings": found.ratings,
        "density": found.density,
        "scale": {"min": found.scale.low, "max": found.scale.high, "step": found.scale.step},
        "first_at": render.iso(found.first_at),
        "last_at": render.iso(found.last_at),
        "distribution": [{"rating": value, "count": count} for value, count in found.histogram.items()],
    }
    session.document(facts, title=str(session.settings.db), shown=_stats_for_people(facts))


def export(
    session: Session,
    what: Annotated[Literal["ratings", "recommendations", "metrics"], typer.Argument(help="What to write.")],
    *,
    out: Annotated[Path, typer.Option("--out", help="Target file: .csv, .ndjson or .parquet.")],
    number: Annotated[int, typer.Option("-n", "--number", min=1, help="Items a user, for recommendations.")] = 10,
    version: Annotated[str, typer.Option("--version", help="Version, for recommendations.")] = "active",
) -> None:
    """Write ratings, recommendations or metrics to a file.

    \b
    recsys-tui export ratings --out ratings.csv
    recsys-tui export recommendations --out lists.parquet -n 20
    """
    from recsys_tui.exports import write_rows

    services = session.services
    if what == "ratings":
        from store.ratings import all_rows

        rows: Any = (row._asdict() for row in all_rows(services.database))
        columns = ["user", "item", "rating", "at"]
    elif what == "metrics":
        rows = (
            {"version": found.name, "model": found.model_type, "metric": name} | row._asdict()
            for found in services.registry.versions()
            for name, row in found.metrics.items()
        )
        columns = ["version", "model", "metric", "value", "low", "high", "users"]
    else:
        from engine.services.batch import recommend_all

        rows = recommend_all(services, number, version=version)
        columns = ["user", "rank", "item", "score"]
    count = write_rows(out, rows, columns)
    session.document({"rows": count, "out": str(out)}, title="written", shown={"rows": f"{count:,}", "file": str(out)})


def backup(session: Session, target: Annotated[Path, typer.Argument(help="Where the copy goes.")]) -> None:
    """Copy database and models into a folder, while in use.

    \b
    recsys-tui backup /backup/films-2026-11-23
    """
    from store.backup import make_backup

    session.document(make_backup(session.services.registry, target), title="backed up")


def restore(
    session: Session,
    source: Annotated[Path, typer.Argument(help="A folder made by `backup`.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Replace an existing database.")] = False,
) -> None:
    """Put a backup in the place of the database.

    Every file of the backup is checked first.

    \b
    recsys-tui restore /backup/films-2026-11-23 --db /srv/films.db
    """
    from store.backup import restore_backup

    session.document(restore_backup(source, session.settings.db, replace=yes), title="restored")


def _scale(text: str) -> tuple[float, float, float | None] | None:
    from store.errors import UsageRefused

    if not text:
        return None
    parts = text.split(":")
    try:
        low, high, *rest = map(float, parts)
        step = rest[0] if rest else None
        if low < high and len(rest) < 2 and (step is None or 0 < step <= high - low):
            return low, high, step
    except ValueError:
        pass
    raise UsageRefused(f"--scale {text} is no scale", hint="write low:high or low:high:step, such as --scale 0.5:5:0.5")


def _import_facts(result: Any) -> dict[str, Any]:
    from dataclasses import asdict

    scale = result.scale
    shown = None if scale is None else {"min": scale.low, "max": scale.high, "step": scale.step}
    return asdict(result) | {"scale": shown}


def _imported(row: Any) -> dict[str, Any]:
    facts: dict[str, Any] = row._asdict()
    return facts | {"started_at": render.iso(row.started_at), "finished_at": render.iso(row.finished_at)}


def _result_for_people(result: Any) -> dict[str, Any]:
    shown = {} if result.import_id is None else {"import": result.import_id}
    shown |= {"read": f"{result.read:,} rows, as {result.format}", "columns": _columns(result.mapping)}
    shown |= _counts(vars(result), ("stored", "updated", "unchanged", "duplicates", "rejected"))
    shown |= _reasons(result.reasons)
    shown |= _counts(vars(result), ("users", "items"))
    if result.scale is not None:
        shown["scale"] = str(result.scale)
    return shown | {"took": render.duration(result.seconds)}


def _import_for_people(facts: dict[str, Any]) -> dict[str, Any]:
    shown = {
        "source": facts["source"],
        "state": facts["state"],
        "started": f"{render.minute(facts['started_at'])} UTC",
        "read": f"{facts['read']:,} rows, as {facts['format']}",
        "columns": _columns(facts["options"].get("mapping") or {}),
    }
    shown |= _counts(facts, ("stored", "updated", "unchanged", "rejected"))
    shown |= _reasons(facts["reasons"])
    return shown | ({"error": facts["error"]} if facts["error"] else {})


def _counts(facts: Mapping[str, Any], names: Iterable[str]) -> dict[str, str]:
    return {name: f"{facts[name]:,}" for name in names}


def _reasons(reasons: Mapping[str, int]) -> dict[str, str]:
    """Return why rows were rejected, to stand indented under their number."""
    return {f"  {reason}": f"{count:,}" for reason, count in reasons.items()}


def _columns(mapping: Mapping[str, str]) -> str:
    return ", ".join(role if role == column else f"{role} = {column}" for role, column in mapping.items()) or "-"


def _stats_for_people(facts: dict[str, Any]) -> dict[str, Any]:
    scale = facts["scale"]
    step = f" in steps of {scale['step']:g}" if scale["step"] else ""
    shown = {
        "users": f"{facts['users']:,}",
        "items": f"{facts['items']:,}",
        "ratings": f"{facts['ratings']:,}",
        "density": f"{facts['density']:.4%}",
        "scale": f"{scale['min']:g} to {scale['max']:g}{step}",
        "from": render.minute(facts["first_at"]),
        "to": render.minute(facts["last_at"]),
    }
    bars = _bins(facts["distribution"], scale["min"], scale["max"])
    largest = max(bars.values(), default=0)
    narrow = render.Terminal.of(sys.stdout).ascii
    for name, count in bars.items():
        shown[name] = f"{count:>10,}  {render.bar(count, largest, 30, ascii=narrow)}"
    return shown


def _bins(distribution: list[dict[str, Any]], low: float, high: float) -> dict[str, int]:
    """Return counts by rating, by tenth of the scale where there are too many values for a screen."""
    if len(distribution) <= _MOST_BARS:
        return {f"{row['rating']:g}": row["count"] for row in distribution}
    edges = [low + (high - low) * k / 10 for k in range(11)]
    bins = {f"{edges[k]:g} to {edges[k + 1]:g}": 0 for k in range(10)}
    names = list(bins)
    for row in distribution:
        bins[names[min(int(10 * (row["rating"] - low) / (high - low)), 9)]] += row["count"]
    return bins
