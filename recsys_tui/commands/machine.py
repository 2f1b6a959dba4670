"""Commands on the machine: doctor, config."""

import os
from typing import TYPE_CHECKING, Any

import typer

from recsys_tui import render
from recsys_tui.render import Column
from recsys_tui.session import Session, command

if TYPE_CHECKING:
    from recsys_tui.health import Check

CONFIG = typer.Typer(rich_markup_mode=None, help="How the program is set up here.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    command(app, "doctor", lists=True)(doctor)
    command(CONFIG, "show", lists=True)(show)
    command(CONFIG, "path")(path)
    app.add_typer(CONFIG, name="config")


def doctor(session: Session) -> None:
    """Check machine, database, versions and terminal.

    Exit code 4 where something must be mended.

    \b
    recsys-tui doctor
    """
    from recsys_tui.health import checks
    from store.errors import DataRefused

    found: list[Check] = [c._replace(hint="" if c.ok else c.hint) for c in checks(session.settings)]
    rows: list[dict[str, Any]] = [check._asdict() for check in found]
    if session.as_json:
        session.document({"checks": rows})
    else:
        shown = [row | {"ok": "ok" if row["ok"] else "look"} for row in rows]
        session.rows(
            shown, [Column("ok", ""), "name", Column("detail", wraps=True), Column("hint", "what to do", wraps=True)]
        )
    failed = [check for check in found if not check.ok]
    if failed:
        raise DataRefused(f"{len(failed)} of {len(found)} checks need a look: {failed[0].name}", hint=failed[0].hint)


def show(session: Session) -> None:
    """Show every setting, its value and where that comes from.

    \b
    recsys-tui config show
    """
    from recsys_tui.settings import declared

    settings, origins = session.settings, session.settings.origins()
    rows = [
        {
            "setting": name,
            "value": render.plainly(getattr(settings, name)),
            "origin": origins[name],
            "sentence": about["sentence"],
        }
        for name, about in declared().items()
    ]
    session.rows(rows, ["setting", "value", "origin", Column("sentence", "what it is", wraps=True)])


def path(session: Session) -> None:
    """Print where settings are read and data is kept.

    \b
    recsys-tui config path
    """
    from pathlib import Path

    from recsys_tui.settings import user_file

    facts = {
        "user": str(user_file(os.environ)),
        "project": str(Path.cwd() / "recsys.toml"),
        "db": str(session.settings.db),
        "models_dir": f"{session.settings.db}.models",
    }
    session.document(facts, title="settings are read from")
