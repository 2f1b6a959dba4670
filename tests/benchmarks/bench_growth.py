"""Cost against size: seconds an epoch, nanoseconds a rating and peak memory from 0.1 to 25 million skewed ratings."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks import trial
from tests.benchmarks.figures import Figure

CASES: dict[str, dict[str, Any]] = {
    "mf": {"updates": "sweep", "epochs": 5},
    "ials": {"solver": "cg", "sample": 1.0, "epochs": 4, "n_factors": 64},
    "bayesian-mf": {"n_factors": 16, "epochs": 5, "samples": 2},
}
_FIRST = """
import json, sys, time
from engine.models import model_class
from tests.data import planted
rows, _ = planted()
began = time.perf_counter()
for _ in model_class(sys.argv[1])(epochs=4).fit_epochs(rows):
    pass
print(json.dumps(time.perf_counter() - began))
"""


def run(*, quick: bool = False, large: bool = False) -> dict[str, Figure]:
    """Return the figures of each size; all ratings are looked at in every epoch, whatever a default would leave out."""
    found: dict[str, Figure] = {}
    for name in CASES:
        first, second = compiling(name)
        found[f"{name}, small data, first run on a machine"] = Figure(first, "s", note="compiles its loops")
        found[f"{name}, small data, second process"] = Figure(second, "s", note="takes them from the disk")
    for size in ["0.1 M"] if quick else ["0.1 M", "1 M", *(["10 M", "25 M"] if large else [])]:
        with trial.skewed(*trial.SHAPES[size]) as path:
            for name, settings in CASES.items():
                one = trial.run(path, name, settings)
                found[f"{name}, {size}, an epoch"] = Figure(one["epoch"], "s")
                found[f"{name}, {size}, a rating of it"] = Figure(one["epoch"] / one["n"] * 1e9, "ns")
                found[f"{name}, {size}, peak memory"] = Figure(one["peak"] / 2**20, "MiB")
                print(f"  {name} {size}: {one}", flush=True)
    return found


def compiling(name: str) -> tuple[float, float]:
    """Return the seconds of a small training with an empty cache of compiled code, and of the next process with it."""
    with tempfile.TemporaryDirectory() as cache:
        seconds = []
        for _ in range(2):
            done = subprocess.run(
                [sys.executable, "-c", _FIRST, name],
                check=True,
                capture_output=True,
                text=True,
                cwd=Path(__file__).parents[2],
                env=_environment(cache),
            )
            seconds.append(float(json.loads(done.stdout.strip().splitlines()[-1])))
    return seconds[0], seconds[1]


def _environment(cache: str) -> dict[str, str]:
    import os

    return os.environ | {"NUMBA_CACHE_DIR": cache}
