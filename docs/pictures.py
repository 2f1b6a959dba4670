"""Draws the pictures of the README from real output: `make screenshots`."""

import io
import os
import re
import sys
import tempfile
from pathlib import Path

import pexpect
from rich.console import Console
from rich.text import Text

from recsys_tui.screens import SCREENS

FOLDER = Path(__file__).parent
COLUMNS = 100
SIZE, THEME = "128x34", "textual-dark"
TRAINED = ("popularity", "ials")


def shown(command: list[str], environment: dict[str, str]) -> str:
    """Run a command on a terminal of `COLUMNS` columns and return what it shows, without what it wrote over."""
    program = str(Path(sys.executable).with_name("recsys-tui"))
    output = pexpect.run(
        " ".join([program, *command]), env=environment, dimensions=(60, COLUMNS), timeout=300, encoding="utf-8"
    )
    lines = (line.rsplit("\r", 1)[-1] for line in output.replace("\r\n", "\n").split("\n"))
    return "\n".join(lines)


def draw(name: str, title: str, text: str) -> None:
    """Write an SVG of terminal output."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi(text.strip("\n")))
    picture = console.export_svg(title=title, unique_id=name)
    (FOLDER / f"{name}.svg").write_text(picture, encoding="utf-8")


def places(environment: dict[str, str]) -> None:
    """Draw each place of the terminal UI, on what the demo left."""
    for model in TRAINED:
        shown(["train", model, "--seed", "42"], environment)
    for name in SCREENS:
        out = str(FOLDER / f"tui-{name}.svg")
        said = shown(["tui", "--screen", name, "--screenshot", out, "--size", SIZE, "--theme", THEME], environment)
        if not Path(out).is_file():
            sys.exit(f"{name} was not drawn: {said}")
        Path(out).with_suffix(".txt").unlink()


def main() -> None:
    """Draw every picture."""
    with tempfile.TemporaryDirectory() as folder:
        db = Path(folder) / "demo.db"
        environment = dict(os.environ) | {"RECSYS_DB": str(db), "TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
        demo = shown(["demo"], environment).replace(str(db), "demo.db")
        ending = re.split(r"^3  ", demo, flags=re.MULTILINE)[-1].split("\n", 1)[-1]
        draw("demo", "recsys-tui demo", ending)
        places(environment)


if __name__ == "__main__":
    main()
