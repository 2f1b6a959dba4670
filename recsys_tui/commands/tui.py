"""Commands on the terminal: tui, keys, tty-reset."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from recsys_tui.opening import draw, run, usable, wished
from recsys_tui.render import Column
from recsys_tui.session import Session, command

_RESET = "\x1b[?1000;1002;1003;1006;1015;2004;1004;2048l\x1b[<u\x1b[?1049l\x1b[?25h\x1b[0m\x1b(B\x1b]104\x1b\\\r\n"
"""Mouse, bracketed paste, focus and resize reports off, Kitty's keys back, main screen, cursor, colours, charset."""

Screen = Literal["train", "models", "users", "rate", "data", "jobs"]


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    command(app, "tui")(tui)
    command(app, "keys", lists=True)(keys)
    command(app, "tty-reset")(tty_reset)


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

    db, options = wished(
        session.given,
        screen=screen,
        read_only=read_only,
        slow=slow,
        ascii=plain,
        no_mouse=no_mouse,
        paused=paused,
        theme=theme,
    )
    if screenshot is not None:
        draw(db, options, screenshot, size)
        session.document({"screenshot": str(screenshot)}, title="drawn")
        return
    if not usable():
        raise UsageRefused(
            "the terminal UI needs a terminal that can draw (TERM is not dumb, nothing is redirected)",
            hint="every action has a command: recsys-tui --help; `--screenshot FILE.svg` draws into a file",
        )
    if code := run(db, options):
        raise typer.Exit(code)


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
