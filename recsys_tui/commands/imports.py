"""The command that brings ratings in: import."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from recsys_tui import render
from recsys_tui.addresses import full_address, is_address
from recsys_tui.progress import Line
from recsys_tui.quantities import pairs, scale_of, seconds
from recsys_tui.render import Column
from recsys_tui.session import Columns, Session, command

_PREVIEW: Columns = [
    "line",
    "user",
    "item",
    Column("rating", show=lambda rating: "" if rating is None else f"{rating:g}"),
    Column("time", "time (UTC)", show=lambda at: render.minute(render.iso(at))),
    Column("reason", "refused because", grows=True),
]


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    command(app, "import")(import_)


def import_(
    session: Session,
    source: Annotated[str, typer.Argument(help="A file, a folder, mongodb://HOST/DATABASE, or -.")] = "",
    *,
    source_format: Annotated[
        Literal["auto", "csv", "movielens", "jsonl", "parquet", "sqlite", "mongodb"],
        typer.Option("--format", help="What the source is."),
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
    table: Annotated[str, typer.Option("--table", help="Table of an SQLite file.")] = "",
    items_table: Annotated[str, typer.Option("--items-table", help="Its table of titles.")] = "",
    collection: Annotated[str, typer.Option("--collection", help="MongoDB: the collection of ratings.")] = "",
    items_collection: Annotated[str, typer.Option("--items-collection", help="MongoDB: the one of titles.")] = "",
    items_map: Annotated[list[str], typer.Option("--items-map", help="item=…,title=…,genres=…,year=…")] = [],  # noqa: B006
    query: Annotated[str, typer.Option("--query", help="MongoDB: only documents that match, as JSON.")] = "",
    since_last: Annotated[bool, typer.Option("--since-last", help="MongoDB: only what is new.")] = False,
    uri_file: Annotated[Path | None, typer.Option("--uri-file", help="MongoDB: a file with the address.")] = None,
    read_preference: Annotated[
        str, typer.Option("--read-preference", help="MongoDB: which member to read. Default: mongo_read_preference.")
    ] = "",
    timeout: Annotated[
        str, typer.Option("--timeout", help="MongoDB: how long to wait for it. Default: mongo_timeout, 10s.")
    ] = "",
) -> None:
    """Import a file, a folder or a MongoDB collection of ratings.

    Rows that cannot be used are kept aside with line and reason; the rest is stored.

    \b
    recsys-tui import ml-latest-small/
    recsys-tui import ratings.csv.gz --map user=uid,item=isbn,rating=stars
    zcat log.gz | recsys-tui import - --format csv --dry-run
    recsys-tui import shop.sqlite --table reviews --items-table products
    recsys-tui import mongodb://db1/films --collection ratings --dry-run
    See also: imports list, imports undo, stats, train
    """
    from store.importers.pipeline import import_source
    from store.importers.source import ReadOptions

    reading = ReadOptions(
        table=table,
        collection=collection,
        items_collection=items_table or items_collection,
        items_mapping=pairs(items_map, "--items-map"),
        query=query,
        read_preference=read_preference or session.settings.mongo_read_preference,
        timeout=seconds(timeout, "--timeout") if timeout else session.settings.mongo_timeout,
        since_last=since_last,
    )
    of_mongodb = {"--collection": collection, "--items-collection": items_collection, "--query": query}
    _check_flags(source, of_mongodb, {"--items-map": items_map, "--items-table": items_table})
    line = Line(session)
    result = import_source(
        session.database,
        full_address(source, uri_file, say=render.say) if is_address(source) else source,
        format=source_format,
        mapping=pairs(mapping, "--map"),
        scale=scale_of(scale, "--scale") if scale else None,
        duplicates=duplicates,
        dry_run=dry_run,
        strict=strict,
        progress=line.importing,
        stdin=sys.stdin.buffer,
        reading=reading,
        opened=lambda importer: _opened(session, importer),
    )
    line.end()
    facts, shown = import_facts(result), result_for_people(result)
    if not dry_run:
        facts.pop("estimated_seconds")
    if not session.as_json:
        facts.pop("preview")
    session.document(facts, title="would import" if dry_run else "imported", shown=shown)
    if result.preview and not session.as_json:
        session.gap()
        session.rows(result.preview, _PREVIEW)
    if result.rejected and not dry_run:
        session.say(
            f"{result.rejected:,} rows were kept aside: `recsys-tui imports show {result.import_id}` lists them"
        )


def _check_flags(source: str, of_mongodb: Mapping[str, str], of_titles: Mapping[str, Any]) -> None:
    """Refuse flags that would be passed over.

    Raises:
        UsageRefused: one that the source knows nothing of.
    """
    from store.errors import UsageRefused

    mongodb = is_address(source)
    stray = next((flag for flag, value in of_mongodb.items() if value and not mongodb), "")
    if stray:
        raise UsageRefused(f"{stray} is for MongoDB, not for {source}", hint="mongodb://HOST/DATABASE")
    if of_titles["--items-table"] and mongodb:
        raise UsageRefused("--items-table is for SQLite files", hint="--items-collection NAME")
    if of_titles["--items-map"] and not (of_mongodb["--items-collection"] or of_titles["--items-table"]):
        raise UsageRefused("--items-map needs to know where titles are", hint="--items-collection or --items-table")


def _opened(session: Session, importer: Any) -> None:
    """Show which fields were guessed from samples, before anything is read."""
    if guessed := getattr(importer, "guessed", ()):
        names = mapped({role: importer.mapping[role] for role in guessed})
        session.say(f"fields by their names in the first documents: {names}; --map states others")
    for note in getattr(importer, "notes", ()):
        session.say(note)


def import_facts(result: Any) -> dict[str, Any]:
    """Return what an import did, as --json shows it."""
    from dataclasses import asdict

    scale = result.scale
    shown = None if scale is None else {"min": scale.low, "max": scale.high, "step": scale.step}
    return asdict(result) | {"scale": shown}


def result_for_people(result: Any) -> dict[str, Any]:
    """Return what an import did, as a terminal shows it."""
    shown = {} if result.import_id is None else {"import": result.import_id}
    shown |= {"read": f"{result.read:,} rows, as {result.format}", "columns": mapped(result.mapping)}
    shown |= counts(vars(result), ("stored", "updated", "unchanged", "duplicates", "rejected"))
    shown |= reasons(result.reasons)
    shown |= counts(vars(result), ("users", "items"))
    if result.scale is not None:
        shown["scale"] = str(result.scale)
    if result.estimated_seconds is not None:
        shown["would take about"] = render.duration(result.estimated_seconds)
    return shown | {"took": render.duration(result.seconds)}


def counts(facts: Mapping[str, Any], names: Iterable[str]) -> dict[str, str]:
    """Return some counts, to be read."""
    return {name: f"{facts[name]:,}" for name in names}


def reasons(reasons: Mapping[str, int]) -> dict[str, str]:
    """Return why rows were rejected, to stand indented under their number."""
    return {f"  {reason}": f"{count:,}" for reason, count in reasons.items()}


def mapped(mapping: Mapping[str, str]) -> str:
    """Return which column is what, in one line."""
    return ", ".join(role if role == column else f"{role} = {column}" for role, column in mapping.items()) or "-"
