"""The terminal UI on a pseudo-terminal: first content, key to paint, bytes to the terminal, idle CPU and memory.

Key to paint is measured while a training runs; bytes while its curves are drawn.
"""

import statistics
import tempfile
import time
from pathlib import Path

import psutil

from tests.benchmarks.figures import Figure
from tests.cli import run as command
from tests.recsys_tui.tui.pty import Terminal

ROOT = Path(__file__).parents[2]
TRAINING = ["train", "mf", "--set", "epochs=5000", "--set", "n_factors=64", "--detach"]


def run(*, quick: bool = False) -> dict[str, Figure]:
    """Return the figures of the UI at 80x24."""
    with tempfile.TemporaryDirectory() as folder:
        db = Path(folder) / "films.db"
        command(db, "import", ROOT / "sample_data")
        command(db, "train", "mf", "--activate")
        figures = _beginning(db, 3 if quick else 9) | _idle(db, 5.0 if quick else 20.0)
        return figures | _live(db, 10 if quick else 60, 5.0 if quick else 20.0)


def _beginning(db: Path, rounds: int) -> dict[str, Figure]:
    taken = []
    for _ in range(rounds):
        began = time.monotonic()
        terminal = Terminal(db, "tui", "--screen", "models")
        terminal.wait_for("active v1")
        taken.append(time.monotonic() - began)
        terminal.press("q")
        terminal.end()
    note = f"{min(taken):.2f} s at best"
    return {"tui: process start to the versions on the screen": Figure(statistics.median(taken), goal=0.7, note=note)}


def _idle(db: Path, seconds: float) -> dict[str, Figure]:
    terminal = Terminal(db, "tui", "--screen", "models")
    terminal.wait_for("active v1")
    terminal.read(2.0)
    process = psutil.Process(terminal.child.pid)
    before, sent = sum(process.cpu_times()[:2]), len(terminal.raw)
    terminal.read(seconds)
    share = (sum(process.cpu_times()[:2]) - before) / seconds
    figures = {
        "tui: CPU while nothing happens, share of a core": Figure(share, unit="", goal=0.005),
        "tui: bytes a second while nothing happens": Figure((len(terminal.raw) - sent) / seconds, unit="B/s"),
        "tui: resident memory": Figure(process.memory_info().rss / 2**20, unit="MiB", goal=90),
    }
    terminal.close()
    return figures


def _live(db: Path, presses: int, seconds: float) -> dict[str, Figure]:
    """Measure while a training runs."""
    command(db, *TRAINING)
    try:
        terminal = Terminal(db, "tui", "--screen", "train")
        terminal.wait_for("epoch ")
        terminal.read(2.0)  # the first picture is no part of what flows
        sent = len(terminal.raw)
        terminal.read(seconds)
        live = (len(terminal.raw) - sent) / seconds
        paints = sorted(_paint(terminal) for _ in range(presses))
        terminal.close()
        slow = Terminal(db, "tui", "--screen", "train", "--slow")
        slow.wait_for("epoch ")
        slow.read(2.0)
        sent = len(slow.raw)
        slow.read(seconds)
        thin = (len(slow.raw) - sent) / seconds
        slow.close()
    finally:
        command(db, "jobs", "cancel", "2")
    return {
        "tui: key to paint while a training runs": Figure(
            statistics.median(paints), goal=0.05, note=f"p99 {paints[int(0.99 * (presses - 1))] * 1000:.0f} ms"
        ),
        "tui: bytes a second while curves are drawn": Figure(live, unit="B/s", goal=15_000),
        "tui: bytes a second with --slow": Figure(thin, unit="B/s", goal=2_000),
    }


def _paint(terminal: Terminal) -> float:
    """Open and close the help; return how long it took to stand there."""
    terminal.read(0.2)
    began = time.monotonic()
    terminal.press("?")
    while "help: Train" not in terminal.text:
        terminal.read(0.002)
        if time.monotonic() - began > 5:
            raise AssertionError(terminal.text)
    taken = time.monotonic() - began
    terminal.press("\x1b")
    terminal.wait_gone("help: Train")
    return taken
