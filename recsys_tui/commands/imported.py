"""Commands on what was imported: imports list, show, mend, undo."""

from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from recsys_tui import render
from recsys_tui.commands.imports import counts, import_facts, mapped, reasons, result_for_people
from recsys_tui.render import Column
from recsys_tui.session import Columns, Session, command, group

_REJECTED: Columns = [
    "line",
    "reason",
    "user",
    "item",
    "rating",
    Column("time", spare=True),
    Column("source", "file", spare=True),
    Column("raw", "row", grows=True),
]


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    imports = group(app, "imports", "What each import did.")
    command(imports, "list", lists=True)(list_imports)
    command(imports, "show")(show_import)
    command(imports, "mend")(mend_import)
    command(imports, "undo")(undo)


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
    rejected: Annotated[bool, typer.Option("--rejected", help="Only the rejected rows, field by field.")] = False,
    out: Annotated[Path | None, typer.Option("--out", help="Write all of them to .csv, .ndjson or .parquet.")] = None,
    raw: Annotated[bool, typer.Option("--raw", help="No guard against cells that a spreadsheet would run.")] = False,
) -> None:
    """Show one import, and the rows that it kept aside.

    \b
    recsys-tui imports show 3 --limit 100
    recsys-tui imports show 3 --rejected --out rejected.csv
    See also: imports mend
    """
    from store.imports import get_import, quarantined
    from store.mend import COLUMNS, rejected_rows

    database = session.services.database
    facts = _imported(get_import(database, number))
    if out is not None:
        from recsys_tui.exports import write_rows

        count = write_rows(out, rejected_rows(database, number), list(COLUMNS), raw=raw)
        session.document({"rows": count, "out": str(out)}, title="written")
        return
    if rejected:
        rows = list(islice(rejected_rows(database, number), limit))
        if session.as_json:
            session.document({"import_id": number, "rejected": facts["rejected"], "rows": rows})
        else:
            session.rows(rows, _REJECTED, empty=f"import {number} kept no row aside")
        return
    kept = [row._asdict() for row in quarantined(database, number, limit=limit)]
    if session.as_json:
        session.document(facts | {"quarantine_rows": kept})
        return
    session.document(facts, title=f"import {number}", shown=_import_for_people(facts))
    if kept:
        session.gap()
        columns: Columns = [Column("source", "file"), "line", "reason", Column("raw", "row", grows=True)]
        session.rows(kept, columns)


def mend_import(
    session: Session,
    number: Annotated[int, typer.Argument(help="The import that refused the rows.")],
    file: Annotated[Path, typer.Argument(help="Its rejected rows as CSV, with the fields mended.")],
) -> None:
    """Import rows that were kept aside, once they are mended.

    Those that can be used now leave the quarantine; the others stay there.

    \b
    recsys-tui imports show 3 --rejected --out rejected.csv
    recsys-tui imports mend 3 rejected.csv
    """
    from store.mend import mend

    found = mend(session.services.database, number, file)
    shown = {"mended": f"{found.mended:,} rows", **result_for_people(found.result)}
    session.document({"mended": found.mended, **import_facts(found.result)}, title="mended", shown=shown)


def undo(
    session: Session,
    number: Annotated[int, typer.Argument(help="Number of the import.")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would do, change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Take an import back: its ratings go, what they replaced returns.

    Also after later imports, which keep theirs. Versions trained on it are marked.

    \b
    recsys-tui imports undo 3 --dry-run
    recsys-tui imports undo 3
    """
    from store.undo import foresee_undo, undo_import

    database = session.services.database
    if dry_run or (session.on_terminal and not yes):
        found = foresee_undo(database, number)
        session.document({"dry_run": True, **found._asdict()}, title="would undo", shown=_undone_for_people(found))
        if dry_run or not typer.confirm(f"Undo import {number}?", err=True):
            return
    found = undo_import(database, number)
    session.document({"dry_run": False, **found._asdict()}, title="undone", shown=_undone_for_people(found))
    if found.versions:
        session.say(f"trained on it: {', '.join(found.versions)}; `recsys-tui train` makes one without it")


def _undone_for_people(found: Any) -> dict[str, Any]:
    names = {"removed": "removed", "restored": "back to before", "kept": "changed since, kept"}
    shown: dict[str, Any] = {name: f"{getattr(found, key):,} ratings" for key, name in names.items()}
    if found.left:
        shown["of these, later imports'"] = f"{found.left:,} ratings that they had too, and keep"
    shown |= counts(found._asdict(), ("users", "items", "titles"))
    shown["versions trained on it"] = ", ".join(found.versions) or "none"
    return shown


def _imported(row: Any) -> dict[str, Any]:
    facts: dict[str, Any] = row._asdict()
    return facts | {"started_at": render.iso(row.started_at), "finished_at": render.iso(row.finished_at)}


def _import_for_people(facts: dict[str, Any]) -> dict[str, Any]:
    shown = {
        "source": facts["source"],
        "state": facts["state"],
        "started": f"{render.minute(facts['started_at'])} UTC",
        "read": f"{facts['read']:,} rows, as {facts['format']}",
        "columns": mapped(facts["options"].get("mapping") or {}),
    }
    shown |= counts(facts, ("stored", "updated", "unchanged", "rejected"))
    shown |= reasons(facts["reasons"])
    return shown | ({"error": facts["error"]} if facts["error"] else {})
