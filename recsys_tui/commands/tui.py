"""Commands on the terminal: tui, keys, tty-reset."""

import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from recsys_tui import render
from recsys_tui.render import Column
from recsys_tui.session import Session, command

if TYPE_CHECKING:
    from recsys_tui.app import Options

_RESET = "\x1b[?1000;1002;1003;1006;1015;2004;1004;2048l\x1b[<u\x1b[?1049l\x1b[?25h\x1b[0m\x1b(B\x1b]104\x1b\\\r\n"
"""Mouse, bracketed paste, focus and resize reports off, Kitty's keys back, main screen, cursor, colours, charset."""

_ESCAPE_MS = "25"
"""How long Esc waits for the rest of a sequence, which comes in one piece even over SSH; Textual waits for 100 ms."""

Screen = Literal["train", "models", "users", "rate", "data", "jobs"]


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    command(app, "tui")(tui)
    command(app, "keys", lists=True)(keys)
    command(app, "tty-reset")(tty_reset)


def usable() -> bool:
    """Tell whether there is a terminal that can show the UI: it draws by stderr, as Textual does."""
    return all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)) and os.environ.get(
        "TERM", "dumb"
    ) not in {"dumb", "unknown", ""}


def tui(
    session: Session,
    *,
    screen: Annotated[Screen | None, typer.Option(help="The place to open; the one shown last otherwise.")] = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Change nothing: for a look, or a demonstration.")
    ] = False,
    slow: Annotated[bool, typer.Option("--slow", help="Draw less, and every two seconds: for thin links.")] = False,
    plain: Annotated[bool, typer.Option("--ascii", help="Draw with ASCII only.")] = False,
    no_mouse: Annotated[bool, typer.Option("--no-mouse", help="Leave the mouse to the terminal.")] = False,
    paused: Annotated[bool, typer.Option("--paused", help="Hold still while the database changes.")] = False,
    theme: Annotated[str, typer.Option(help="Colours: a theme of Textual, or ansi-dark for the terminal's own.")] = "",
    screenshot: Annotated[
        Path | None, typer.Option(metavar="FILE.svg", help="Draw the place into a file, and as text beside it.")
    ] = None,
    size: Annotated[str, typer.Option(metavar="COLUMNSxROWS", help="Size of the screenshot.")] = "80x24",
) -> None:
    """Open the terminal UI: train, compare, activate, browse, rate.

    A training started in it goes on when it is left. `recsys-tui` alone opens it too.

    \b
    recsys-tui tui --screen models
    recsys-tui tui --slow --read-only
    recsys-tui tui --screen train --screenshot train.svg --size 140x40
    See also: keys, tty-reset
    """
    from store.errors import UsageRefused

    db, options = _options(session, ascii=plain, mouse=not no_mouse, theme=theme)
    options |= {"screen": screen or "", "read_only": read_only, "slow": slow, "paused": paused}
    if screenshot is not None:
        _draw(db, options, screenshot, size)
        session.document({"screenshot": str(screenshot)}, title="drawn")
        return
    if not usable():
        raise UsageRefused(
            "the terminal UI needs a terminal that can draw (TERM is not dumb, nothing is redirected)",
            hint="every action has a command: recsys-tui --help; `--screenshot FILE.svg` draws into a file",
        )
    if code := _open(db, options):
        raise typer.Exit(code)


def begin(session: Session) -> int:
    """Open the UI as `recsys-tui` alone does, and return the exit code."""
    return _open(*_options(session))


def keys(session: Session) -> None:
    """List the keys of the terminal UI, and their commands.

    Lines such as `models.activate = "A"` under `[keys]` in config.toml change them.

    \b
    recsys-tui keys
    """
    from recsys_tui.actions import EVERYWHERE, spelled
    from recsys_tui.screens import SCREENS, screen_class

    changed = session.settings.keys
    rows = [
        {
            "action": action.id,
            "key": " ".join(map(spelled, changed.get(action.id, action.key).split(","))),
            "sentence": action.sentence,
            "command": action.command_line({}),
        }
        for action in [*EVERYWHERE, *(action for name in SCREENS for action in screen_class(name).ACTIONS)]
    ]
    session.rows(rows, ["action", "key", Column("sentence", "what it does", wraps=True), Column("command", wraps=True)])


def tty_reset(session: Session) -> None:
    """Mend a terminal that a killed program left behind.

    \b
    recsys-tui tty-reset
    """
    if sys.stdout.isatty() and not session.as_json:
        sys.stdout.write(_RESET)
        sys.stdout.flush()
    session.document({"reset": sys.stdout.isatty()}, title="the terminal is as it was")


def _options(
    session: Session,
    *,
    ascii: bool = False,  # noqa: A002  the setting's name
    mouse: bool = True,
    theme: str = "",
) -> tuple[Path, dict[str, Any]]:
    """Return the database and how the UI is to look, by flags and settings."""
    settings, notice = _settings(session)
    return settings.db, {
        "ascii": ascii or settings.ascii or render.Terminal.of(sys.stdout).ascii,
        "mouse": settings.mouse and mouse,
        "theme": theme or settings.theme,
        "keys": dict(settings.keys),
        "notice": notice,
        "threads": settings.threads,
        "memory_gb": settings.memory_gb,
    }


def _settings(session: Session) -> tuple[Any, str]:
    """Return the settings and a notice: what is wrong in a file keeps nobody out."""
    from recsys_tui.settings import SettingsError, load

    complaints: list[SettingsError] = []
    settings = load(session.given, complaints=complaints)
    render.configure(color=settings.color, ascii=settings.ascii)
    return settings, "; ".join(f"{error}: {error.hint}" for error in complaints)


def _prepared(options: dict[str, Any]) -> "Options":
    """Set up what Textual reads when it is imported, then import it."""
    os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")
    os.environ.setdefault("ESCDELAY", _ESCAPE_MS)
    if not render.Terminal.of(sys.stdout).color and sys.stdout.isatty():
        os.environ["NO_COLOR"] = "1"
    if options.get("slow"):
        os.environ.setdefault("TEXTUAL_FPS", "10")
    from recsys_tui.app import Options

    return Options(**options)


def _open(db: Path, options: dict[str, Any]) -> int:
    """Run the UI to its end and return the exit code."""
    gc.disable()  # a tenth of the time to the first content, in which nothing becomes garbage; the UI turns it on again
    prepared = _prepared(options)
    from recsys_tui.app import RecsysApp

    app = RecsysApp(db, prepared)
    code = app.run(mouse=prepared.mouse)
    if app.failure is not None:
        raise app.failure
    if app.farewell:
        render.say(app.farewell)
    return int(code or 0)


def _draw(db: Path, options: dict[str, Any], out: Path, size: str) -> None:
    """Draw one place without a terminal.

    Raises:
        UsageRefused: a size that is none.
        NotFound: no such folder.
    """
    from store.errors import NotFound, UsageRefused, translate

    columns, cross, rows = size.partition("x")
    if not (cross and columns.isdecimal() and rows.isdecimal() and 0 < int(columns) < 1000 and 0 < int(rows) < 1000):
        raise UsageRefused(f"--size {size} is no size", hint="write --size 140x40")
    if not out.parent.is_dir():
        raise NotFound(f"no folder {out.parent}", hint="make it first, or write to another place")
    prepared = _prepared(options)
    from recsys_tui.app import picture

    svg, text = picture(db, prepared, (int(columns), int(rows)))
    try:
        out.write_text(svg, encoding="utf-8")
        out.with_suffix(".txt").write_text(text, encoding="utf-8")
    except OSError as error:
        raise translate(error, out) from error
