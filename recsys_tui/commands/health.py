"""The command that looks at the data before a model does: data health."""

from dataclasses import asdict
from typing import Any

import typer

from recsys_tui.render import Column
from recsys_tui.session import Columns, Session, command, group


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    data = group(app, "data", "How the data are.")
    command(data, "health")(health)


def health(session: Session) -> None:
    """Look for what spoils models, and say what to do.

    Thin or suspicious data, odd times, gaps in the catalogue.

    \b
    recsys-tui data health
    recsys-tui data health --json
    See also: stats, imports show
    """
    from store.health import health as findings

    found = findings(session.services.database)
    if session.as_json:
        session.document({"ok": all(finding.ok for finding in found), "checks": [asdict(finding) for finding in found]})
        return
    rows = [_shown(finding) for finding in found]
    columns: Columns = [
        Column("ok", "", show=lambda ok: "ok" if ok else "look"),
        Column("name", "check"),
        Column("detail", "found", wraps=True),
    ]
    session.rows(rows, columns if session.as_table else [*columns, "hint"])
    for row in rows:
        if row["hint"] and session.as_table:
            session.say(f"{row['name']}: {row['hint']}")
    if all(finding.ok for finding in found):
        session.say("nothing to look at")


def _shown(finding: Any) -> dict[str, Any]:
    """Return a finding as a row of the table: what to do names the first of whom it is about."""
    examples = f"such as {', '.join(finding.examples[:3])}: " if finding.hint and finding.examples else ""
    return asdict(finding) | {"hint": examples + finding.hint}
