"""Commands on the data: init, stats, export, backup, restore."""

import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from recsys_tui import render
from recsys_tui.session import Session, command

_MOST_BARS = 20


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    command(app, "init")(init)
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


def stats(
    session: Session,
    *,
    retrain_gap: Annotated[
        bool, typer.Option("--retrain-gap", help="Train once, register nothing, and tell what fold-in loses.")
    ] = False,
) -> None:
    """Count what is stored, drawn by value and by time.

    And what came in since the active version was trained, and whether training again is worth it.

    \b
    recsys-tui stats --json
    recsys-tui stats --retrain-gap
    """
    from engine.services.freshness import freshness, measure_gap
    from recsys_tui.spans import by_time
    from store import ratings
    from store.activity import activity

    if retrain_gap:
        measure_gap(session.services)
    found = ratings.stats(session.services.database)
    fresh = freshness(session.services, found.users)
    given = activity(session.services.database)
    facts = {
        "users": found.users,
        "items": found.items,
        "ratings": found.ratings,
        "density": found.density,
        "scale": {"min": found.scale.low, "max": found.scale.high, "step": found.scale.step},
        "first_at": render.iso(found.first_at),
        "last_at": render.iso(found.last_at),
        "distribution": [{"rating": value, "count": count} for value, count in found.histogram.items()],
        "by_time": [{"span": span, "count": count} for span, count in by_time(given.days).items()],
        "by_time_is_a_sample": given.sampled,
        "since_training": None if fresh is None else asdict(fresh),
    }
    session.document(facts, title=str(session.settings.db), shown=_stats_for_people(facts))


def export(
    session: Session,
    what: Annotated[Literal["ratings", "items", "recommendations", "metrics"], typer.Argument(help="What to write.")],
    *,
    out: Annotated[Path, typer.Option("--out", help="Target file: .csv, .ndjson or .parquet.")],
    number: Annotated[int, typer.Option("-n", "--number", min=1, help="Items a user, for recommendations.")] = 10,
    version: Annotated[str, typer.Option("--version", help="Version, for recommendations.")] = "active",
    raw: Annotated[bool, typer.Option("--raw", help="No guard against cells that a spreadsheet would run.")] = False,
) -> None:
    """Write ratings, items, recommendations or metrics to a file.

    In CSV a quote goes before what a spreadsheet would take for a formula; importing takes it away again. A folder with
    ratings.csv and items.csv can be imported as it is.

    \b
    recsys-tui export ratings --out ratings.csv
    recsys-tui export items --out items.csv
    recsys-tui export recommendations --out lists.parquet -n 20
    """
    from recsys_tui.exports import write_rows

    services = session.services
    if what == "ratings":
        from store.ratings import all_rows

        rows: Any = (row._asdict() for row in all_rows(services.database))
        columns = ["user", "item", "rating", "at"]
    elif what == "items":
        from store.catalog import all_items

        rows = ({**vars(item), "genres": "|".join(item.genres)} for item in all_items(services.database))
        columns = ["item", "title", "year", "genres"]
    elif what == "metrics":
        from recsys_tui.commands.measuring import FIGURES, figures_of_versions

        rows, columns = figures_of_versions(services), FIGURES
    else:
        from engine.services.batch import recommend_all

        rows = recommend_all(services, number, version=version)
        columns = ["user", "rank", "item", "score"]
    count = write_rows(out, rows, columns, raw=raw)
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
    if fresh := facts["since_training"]:
        new = f"{fresh['ratings']:,} new ratings; ratings of {fresh['users']:,} users changed"
        shown[f"since {fresh['version']}"] = new
        shown["train again?"] = f"{'yes' if fresh['retrain'] else 'no'}: {fresh['why']}"
    shown |= _drawn("by value", _bins(facts["distribution"], scale["min"], scale["max"]))
    heading = "by time, of a sample" if facts["by_time_is_a_sample"] else "by time"
    return shown | _drawn(heading, {row["span"]: row["count"] for row in facts["by_time"]})


def _drawn(heading: str, counts: Mapping[str, int]) -> dict[str, str]:
    """Return counts as bars below a heading; nothing where there are none."""
    largest = max(counts.values(), default=0)
    narrow = render.Terminal.of(sys.stdout).ascii
    bars = {
        f"  {name}": f"{count:>10,}  {render.bar(count, largest, 30, ascii=narrow)}" for name, count in counts.items()
    }
    return {heading: ""} | bars if bars else {}


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
