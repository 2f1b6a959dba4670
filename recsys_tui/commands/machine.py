"""Commands on the machine: doctor, config."""

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from recsys_tui import render
from recsys_tui.render import Column
from recsys_tui.session import Session, command, group

if TYPE_CHECKING:
    from recsys_tui.health import Check


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    command(app, "doctor", lists=True)(doctor)
    config = group(app, "config", "How the program is set up here.")
    command(config, "show", lists=True)(show)
    command(config, "path")(path)
    command(config, "edit")(edit)
    command(config, "check")(check)


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
    from recsys_tui.settings import user_file

    facts = {
        "user": str(user_file(os.environ)),
        "project": str(Path.cwd() / "recsys.toml"),
        "db": str(session.settings.db),
        "models_dir": f"{session.settings.db}.models",
    }
    session.document(facts, title="settings are read from")


def edit(session: Session) -> None:
    """Open your settings file in $EDITOR, then check it.

    $VISUAL comes first. A file that is not there yet begins with every setting in a comment.

    \b
    recsys-tui config edit
    """
    from recsys_tui.settings import template, user_file
    from store.errors import UsageRefused, translate

    file = user_file(os.environ)
    words = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    if session.as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageRefused("an editor needs a terminal", hint=f"change {file}, then `recsys-tui config check`")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            file.write_text(template(), encoding="utf-8")
    except OSError as error:
        raise translate(error, file) from error
    try:
        subprocess.run([*words, str(file)], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise UsageRefused(
            f"the editor {shlex.join(words)} did not end well: {error}", hint="name another one in EDITOR"
        ) from error
    check(session)


def check(session: Session) -> None:
    """Tell what is wrong with the settings, of all places.

    \b
    recsys-tui config check
    """
    from recsys_tui.settings import SettingsError, files, load

    complaints: list[SettingsError] = []
    load(session.given, complaints=complaints)
    for complaint in complaints[1:]:
        session.say(f"{complaint}: {complaint.hint}")
    if complaints:
        raise complaints[0]
    found = [str(file) for file in files(os.environ, Path.cwd()) if file.is_file()]
    session.document({"ok": True, "files": found}, title="settings are in order")
