"""How long the program takes to say anything, as whole processes: `--version`, `--help`, `recommend` on a warm disk."""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.figures import Figure
from tests.cli import environment
from tests.cli import run as command

ROOT = Path(__file__).parents[2]
NOTHING = "python -c pass"
GOALS = {"--version": 0.12, "--help": 0.25, "recommend": 0.8}


def run(*, quick: bool = False) -> dict[str, Figure]:
    """Return the median seconds of each command, beside those of an interpreter that does nothing."""
    program = str(Path(sys.executable).with_name("recsys-tui"))
    with tempfile.TemporaryDirectory() as folder:
        db = Path(folder) / "films.db"
        command(db, "import", ROOT / "sample_data")
        command(db, "train", "mf", "--activate")
        cases = {
            NOTHING: [sys.executable, "-c", "pass"],
            "--version": [program, "--version"],
            "--help": [program, "--help"],
            "recommend": [program, "recommend", "42", "-n", "10"],
            "recommend --explain": [program, "recommend", "42", "-n", "10", "--explain"],
        }
        taken: dict[str, list[float]] = {name: [] for name in cases}
        for _ in range(3 if quick else 15):  # in turn, so that a slow moment of the machine hits all of them
            for name, arguments in cases.items():
                began = time.perf_counter()
                subprocess.run(arguments, env=environment(db), check=True, capture_output=True)
                taken[name].append(time.perf_counter() - began)
    return {
        name if name == NOTHING else f"recsys-tui {name}, whole process": Figure(
            statistics.median(each), goal=GOALS.get(name), note=f"{min(each):.3f} s at best"
        )
        for name, each in taken.items()
    }
