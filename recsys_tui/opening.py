"""Opens the terminal UI: what it is to look like by flags and settings, what Textual must know, its end.

Nothing here needs the command line's libraries: `recsys-tui` alone opens the UI without loading them.
"""

import gc
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsys_tui import render
from recsys_tui.actions import PLACES

if TYPE_CHECKING:
    from recsys_tui.app import Options

_FLAGS = {"--read-only", "--slow", "--ascii", "--no-mouse", "--paused"}
_VALUES = {"--screen", "--theme", "--db"}
_ESCAPE_MS = "25"
"""How long Esc waits for the rest of a sequence, which comes in one piece even over SSH; Textual waits for 100 ms."""


def usable() -> bool:
    """Tell whether there is a terminal that can show the UI: it draws by stderr, as Textual does."""
    return all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)) and os.environ.get(
        "TERM", "dumb"
    ) not in {"dumb", "unknown", ""}


def plainly_asked(arguments: Sequence[str]) -> dict[str, Any] | None:
    """Return what `recsys-tui` alone or `recsys-tui tui …` asks for, as the parameters of `wished`.

    None where the parser of the command line has to look at it: another command, help, a mistake.
    """
    words = iter(arguments)
    if next(words, "tui") != "tui":
        return None
    asked: dict[str, Any] = {}
    for word in words:
        name = word.removeprefix("--").replace("-", "_")
        if word not in _FLAGS | _VALUES:
            return None
        asked[name] = next(words, None) if word in _VALUES else True
    known = asked.get("screen", PLACES[0]) in PLACES and None not in asked.values()
    return asked if known else None


def begin(given: Mapping[str, Any], **asked: Any) -> int:
    """Open the UI with the settings that were `given` and what is `asked` of `wished`; return the exit code."""
    return run(*wished(given, **asked))


def wished(
    given: Mapping[str, Any],
    *,
    screen: str | None = None,
    read_only: bool = False,
    slow: bool = False,
    ascii: bool = False,  # noqa: A002  the setting's name
    no_mouse: bool = False,
    paused: bool = False,
    theme: str = "",
) -> tuple[Path, dict[str, Any]]:
    """Return the database and how the UI is to look, by flags and settings."""
    settings, notice = _settings(given)
    return settings.db, {
        "screen": screen or "",
        "read_only": read_only,
        "slow": slow,
        "paused": paused,
        "ascii": ascii or settings.ascii or render.Terminal.of(sys.stdout).ascii,
        "mouse": settings.mouse and not no_mouse,
        "theme": theme or settings.theme,
        "keys": dict(settings.keys),
        "notice": notice,
        "threads": settings.threads,
        "memory_gb": settings.memory_gb,
    }


def _settings(given: Mapping[str, Any]) -> tuple[Any, str]:
    """Return the settings and a notice: what is wrong in a file keeps nobody out."""
    from recsys_tui.settings import SettingsError, load

    complaints: list[SettingsError] = []
    settings = load(given, complaints=complaints)
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


def run(db: Path, options: dict[str, Any]) -> int:
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


def draw(db: Path, options: dict[str, Any], out: Path, size: str) -> None:
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
    from recsys_tui.picture import picture

    svg, text = picture(db, prepared, (int(columns), int(rows)))
    try:
        out.write_text(svg, encoding="utf-8")
        out.with_suffix(".txt").write_text(text, encoding="utf-8")
    except OSError as error:
        raise translate(error, out) from error
