"""The terminal UI on a pseudo-terminal: first content, key to paint, bytes to the terminal, idle CPU and memory.

First content is measured on a database of a million users and 25 million ratings, and beside it for a program of
Textual that shows one line: what no program on it can be quicker than on this machine. Key to paint is measured while a
neural model trains on all processors; bytes while curves are drawn.

RECSYS_BENCH_MANY names a database of that size that is there already; making one takes some minutes.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.benchmarks import bench_import
from tests.benchmarks.figures import Figure
from tests.cli import run as command
from tests.recsys_tui.tui.pty import Terminal

ROOT = Path(__file__).parents[2]
USERS, RATINGS = 1_000_000, 25_000_095
QUICK_EPOCHS = ["train", "mf", "--set", "epochs=5000", "--set", "n_factors=64", "--detach"]
BUSY = ["train", "ncf", "--set", "epochs=2000", "--set", "early_stopping=false", "--detach"]
OPENED = (
    ("the help opens", "?", "help: Train", "\x1b"),
    ("the palette opens", ":", "type to narrow", "\x1b"),
    ("the filter opens", "/", "enter takes it", "\x1b"),
    ("another place opens", "6", "asked for", "1"),
)
"""What is measured, its key, what stands there then, and the key that goes back."""
BARE = """
from textual.app import App
from textual.widgets import Static
class Bare(App):
    def compose(self):
        yield Static("active v1")
Bare().run()
"""


def run(*, quick: bool = False) -> dict[str, Figure]:
    """Return the figures of the UI at 80x24."""
    with tempfile.TemporaryDirectory() as folder:
        db = Path(folder) / "films.db"
        command(db, "import", ROOT / "sample_data")
        command(db, "train", "mf", "--activate")
        many = db if quick else many_ratings(Path(folder))
        figures = _beginning(db, many, 3 if quick else 9) | _idle(db, 5.0 if quick else 20.0)
        return figures | _live(db, 10 if quick else 60, 5.0 if quick else 20.0)


def many_ratings(folder: Path) -> Path:
    """Return a database of a million users and 25 million ratings with an active version."""
    if "RECSYS_BENCH_MANY" in os.environ:
        return Path(os.environ["RECSYS_BENCH_MANY"])
    source, db = folder / "many.csv", folder / "many.db"
    bench_import.write_ratings(source, RATINGS, n_users=USERS)
    command(db, "import", source, timeout=1800.0)
    source.unlink()
    command(db, "train", "popularity", "--activate", timeout=1800.0)
    return db


def _beginning(db: Path, many: Path, rounds: int) -> dict[str, Figure]:
    """Measure the start of each in turn, so that a slow moment of the machine hits all of them."""
    starts: dict[str, Callable[[], Terminal]] = {
        "a line shown by Textual alone": lambda: Terminal(db, code=BARE),
        "process start to the versions": lambda: Terminal(db, "tui", "--screen", "models"),
        "process start to the versions, 25 M ratings": lambda: Terminal(many, "tui", "--screen", "models"),
        "process start to the list of 1 M users": lambda: Terminal(many, "tui", "--screen", "users"),
    }
    taken: dict[str, list[float]] = {name: [] for name in starts}
    for _ in range(rounds + 1):
        for name, start in starts.items():
            began = time.monotonic()
            terminal = start()
            terminal.wait_for("users · [0-9]" if "users" in name else "active v1")
            taken[name].append(time.monotonic() - began)
            terminal.close()
    floor = statistics.median(taken["a line shown by Textual alone"][1:])
    return {
        f"tui: {name}": Figure(
            statistics.median(each[1:]),
            goal=None if "alone" in name else 0.7,
            note=f"{min(each):.2f} s at best, {statistics.median(each[1:]) / floor:.2f} x Textual alone",
        )
        for name, each in taken.items()
    }


def _idle(db: Path, seconds: float) -> dict[str, Figure]:
    terminal = Terminal(db, "tui", "--screen", "models")
    terminal.wait_for("active v1")
    terminal.read(10.0)  # places, help and palette are made ahead of the first key
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
    """Measure while a training runs: bytes where epochs are short, keys where both processors are busy."""
    command(db, *QUICK_EPOCHS)
    try:
        live, thin = _flow(db, seconds), _flow(db, seconds, "--slow")
    finally:
        command(db, "jobs", "cancel", "2")
    _ended(db, 2)
    command(db, *BUSY)
    try:
        paints = _opened(db, presses) | {"the cursor moves": _moves(db, presses)}
    finally:
        command(db, "jobs", "cancel", "3")
    _ended(db, 3)
    figures = {
        "tui: bytes a second while curves are drawn": Figure(live, unit="B/s", goal=15_000),
        "tui: bytes a second with --slow": Figure(thin, unit="B/s", goal=2_000),
    }
    for name, taken in paints.items():
        late = f"p99 {taken[int(0.99 * (len(taken) - 1))] * 1000:.0f} ms of {len(taken)}"
        figures[f"tui: key to paint while ncf trains, {name}"] = Figure(statistics.median(taken), goal=0.05, note=late)
    return figures


def _ended(db: Path, job: int) -> None:
    """Wait until a cancelled run has ended: another may not begin before."""
    while command(db, "jobs", "show", str(job), "--json").json["state"] not in {"cancelled", "done", "failed"}:
        time.sleep(0.5)


def _flow(db: Path, seconds: float, *options: str) -> float:
    """Return the bytes a second of Train while it follows a run."""
    terminal = Terminal(db, "tui", "--screen", "train", *options)
    terminal.wait_for("epoch ")
    terminal.read(2.0)  # the first picture is no part of what flows
    sent = len(terminal.raw)
    terminal.read(seconds)
    flow = (len(terminal.raw) - sent) / seconds
    terminal.close()
    return flow


def _opened(db: Path, presses: int) -> dict[str, list[float]]:
    """Return how long dialogs and another place took to stand there after their key, sorted."""
    terminal = Terminal(db, "tui", "--screen", "train")
    terminal.wait_for("epoch ")
    terminal.read(7.0)  # until what is made ahead is made
    taken: dict[str, list[float]] = {name: [] for name, *_ in OPENED}
    for _ in range(presses):
        for name, key, shown, back in OPENED:
            terminal.read(0.2)
            taken[name].append(_seconds(terminal, key, lambda shown=shown: shown in terminal.text))
            terminal.press(back)
            terminal.wait_gone(shown)
    terminal.close()
    return {name: sorted(each) for name, each in taken.items()}


def _moves(db: Path, presses: int) -> list[float]:
    """Return how long the cursor of the list of users took to stand on the next row, sorted."""
    terminal = Terminal(db, "tui", "--screen", "users")
    terminal.wait_for("top 10")
    terminal.read(2.0)
    taken = []
    for number in range(presses):
        terminal.read(0.4)  # the list of the person under it is there
        before = _cursor(terminal)
        taken.append(_seconds(terminal, "k" if number % 2 else "j", lambda before=before: _cursor(terminal) != before))
    terminal.close()
    return sorted(taken)


def _cursor(terminal: Terminal) -> str:
    return next((line for line in terminal.lines if line.startswith("│ >")), "")


def _seconds(terminal: Terminal, key: str, done: Callable[[], bool]) -> float:
    """Press a key and return how long it took until what is sent makes something stand on the screen."""
    began = time.monotonic()
    terminal.press(key)
    while not done():
        terminal.read(0.002)
        if time.monotonic() - began > 5:
            raise AssertionError(terminal.text)
    return terminal.sent_at - began
