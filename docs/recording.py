"""Records the main job on a real terminal as an animated SVG: `make screenshots`.

Every picture in it is what a pseudo-terminal showed; only the waiting between two of them is shortened.
"""

import html
import os
import shutil
import tempfile
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from tests.cli import SAMPLE, run
from tests.recsys_tui.tui.pty import Terminal

OUT = Path(__file__).parent / "recording.svg"
COLUMNS, ROWS = 96, 28
CELL, LINE, MARGIN = 8.4, 17, 10
RATED = ("Velvet Trapdoor", "Hollow Widow", "Quillota")
INK, PAPER = "e0e0e0", "121212"


class Shot(NamedTuple):
    """What the terminal showed, and for how long the recording shows it."""

    rows: tuple[str, ...]
    seconds: float


class Recorder:
    """Drives the program and keeps what its terminal shows, rows that are alike only once."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self.shots: list[Shot] = []
        self.colors: dict[str, str] = {}

    def see(self, text: str, seconds: float = 1.0) -> None:
        """Wait until a text stands there, and keep the picture for so long."""
        self.terminal.wait_for(text, 120.0)
        self.terminal.read(0.8)
        self.keep(seconds)

    def keep(self, seconds: float) -> None:
        """Keep the picture there is now."""
        screen = self.terminal.screen
        rows = tuple(self._row([screen.buffer[y][x] for x in range(COLUMNS)]) for y in range(ROWS))
        if self.shots and self.shots[-1].rows == rows:
            rows, before = self.shots.pop()
            seconds += before
        self.shots.append(Shot(rows, seconds))

    def press(self, keys: str, seconds: float = 0.0) -> None:
        """Press keys one after the other; with `seconds` each is a picture of its own."""
        for key in [keys] if keys.startswith("\x1b") else keys:
            self.terminal.press(key)
            self.terminal.read(0.35)
            if seconds:
                self.keep(seconds)

    def _row(self, cells: list[Any]) -> str:
        """Return a row as SVG: the grounds of its runs, then their texts, each exactly as wide as its cells."""
        grounds, texts, x = [], [], 0
        for (ink, paper, bold), alike in groupby(cells, _style):
            part = list(alike)
            text = "".join(cell.data for cell in part)
            if paper != PAPER:
                fill = self._class(paper)
                grounds.append(
                    f'<rect x="{x * CELL:.1f}" width="{len(part) * CELL + 0.3:.1f}" height="{LINE}" {fill}/>'
                )
            if bare := text.strip():
                start = x + len(text) - len(text.lstrip())
                weight = ' font-weight="bold"' if bold else ""
                wide = sum(1 for cell in part if not cell.data)  # the second half of a broad character
                length = f'x="{start * CELL:.1f}" textLength="{(len(bare) + wide) * CELL:.1f}"'
                texts.append(f'<text y="13" {length}{weight} {self._class(ink)}>{_kept(bare)}</text>')
            x += len(part)
        return "".join([*grounds, *texts])

    def _class(self, color: str) -> str:
        return f'class="{self.colors.setdefault(color, f"c{len(self.colors)}")}"'

    def svg(self) -> str:
        """Return the recording: a strip of pictures that is pushed on by one after its time, over and over."""
        width, height = COLUMNS * CELL + 2 * MARGIN, ROWS * LINE + 2 * MARGIN
        names: dict[str, str] = {}
        frames = []
        for number, shot in enumerate(self.shots):
            used = "".join(
                f'<use href="#{names.setdefault(row, f"r{len(names)}")}" y="{y * LINE}"/>'
                for y, row in enumerate(shot.rows)
                if row
            )
            frames.append(f'<g transform="translate({number * width:.0f})">{used}</g>')
        whole, at, steps = sum(shot.seconds for shot in self.shots), 0.0, []
        for number, shot in enumerate(self.shots):
            steps.append(f"{100 * at / whole:.3f}%{{transform:translateX(-{number * width:.0f}px)}}")
            at += shot.seconds
        colors = "".join(f".{name}{{fill:#{color}}}" for color, name in self.colors.items())
        rows = "".join(f'<g id="{name}">{row}</g>' for row, name in names.items())
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}">'
            f"<style>text{{font:14px Menlo,Consolas,'DejaVu Sans Mono',monospace;white-space:pre}}{colors}"
            f"@keyframes on{{{''.join(steps)}}}"
            f"#strip{{animation:on {whole:.1f}s steps(1,end) infinite}}</style><defs>{rows}</defs>"
            f'<rect width="100%" height="100%" rx="8" fill="#{PAPER}"/>'
            f'<svg x="{MARGIN}" y="{MARGIN}" width="{COLUMNS * CELL + MARGIN:.1f}" height="{ROWS * LINE}">'
            f'<g id="strip">{"".join(frames)}</g></svg></svg>\n'
        )


def _style(cell: Any) -> tuple[str, str, bool]:
    """Return the colours of a cell and whether it is bold."""
    ink = INK if cell.fg == "default" else cell.fg
    paper = PAPER if cell.bg == "default" else cell.bg
    return (paper, ink, cell.bold) if cell.reverse else (ink, paper, cell.bold)


def _kept(text: str) -> str:
    return html.escape(text, quote=False).replace("  ", " \u00a0")


def play(show: Recorder) -> None:
    """Import, train, activate, read reasons, rate: from an empty database to a list that has changed."""
    show.see("No ratings yet", 2.0)
    show.press("i", 0.5)
    show.press("sample_data", 0.08)
    show.press("\r")
    show.see("26,027|25,9", 3.0)
    show.press("\r")
    show.see("a cell is", 2.5)
    show.press("1", 1.0)
    show.press("t")
    show.see("recsys-tui train mf --detach", 2.0)
    show.press("\r")
    for _ in range(1200):
        show.terminal.read(0.1)  # ten epochs take less than a second
        if "epoch" in show.terminal.text:
            show.keep(0.3)
        if "is done" in show.terminal.text:
            break
    show.see("is done", 2.0)
    show.press("2")
    show.see("versions 1", 1.5)
    show.press("a")
    show.see("activate", 2.0)
    show.press("v1", 0.4)
    show.press("\r")
    show.see("active v1", 1.5)
    show.press("3")
    show.see("top 10", 2.0)
    show.press("\r", 1.0)
    show.press("w")
    show.see("adds", 3.0)
    show.press("4")
    show.see("their rating", 1.5)
    for number, title in enumerate(RATED):
        show.press("/")
        show.press(title, 0.0 if number else 0.15)
        show.see(f"> .*{title}", 0.8)
        show.press("\r", 0.5)
        show.press("\r")
        show.see("esc leaves", 0.8)
        show.press("5")
        show.see(r"\[5\]", 2.5)
        show.press("\x1b")
    show.press("u")
    show.see("taken back|was", 3.0)


def main() -> None:
    """Record."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder) / "films"
        shutil.copytree(SAMPLE, here / SAMPLE.name)
        os.chdir(here)  # the name of the folder is on the screen
        db = here / "films.db"
        run(db, "init")
        terminal = Terminal(db, "tui", "--screen", "data", "--theme", "textual-dark", size=(COLUMNS, ROWS))
        show = Recorder(terminal)
        try:
            play(show)
        finally:
            terminal.close()
        OUT.write_text(show.svg(), encoding="utf-8")


if __name__ == "__main__":
    main()
