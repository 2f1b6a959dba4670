"""One training in a process of its own, on ratings whose popularity is as skewed as that of real data.

The measured peak is that of training, the rows included: the largest resident size from the moment that the rows are
there, less the size before them, when Python, the libraries and the compiled code have been loaded. That is what
`memory_bytes` forecasts; `train` adds `PROCESS_BYTES` for the rest. A library that one model alone loads counts to it.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from engine.data import NO_TIME, Interactions, ItemFeatures, Scale
from engine.ids import IdMap
from engine.models import model_class
from tests.data import planted

SHAPES = {  # users, items and ratings of MovieLens latest-small, 1M, 10M and 25M, and one between
    "0.1 M": (610, 9_700, 100_000),
    "1 M": (6_040, 3_706, 1_000_000),
    "5 M": (35_000, 8_000, 5_000_000),
    "10 M": (69_900, 10_700, 10_000_000),
    "25 M": (162_000, 59_000, 25_000_000),
}

OF_ITS_OWN = ("ncf",)
"""Models with a library that no other loads: what it takes counts, for `PROCESS_BYTES` knows nothing of it."""


@contextmanager
def skewed(n_users: int, n_items: int, n_ratings: int) -> Iterator[str]:
    """Write planted ratings, whose counts are skewed by user and by item, to a file and yield its path."""
    rows, _ = planted(n_users, n_items, n_ratings, rank=20, noise=0.75, scale=Scale(1, 5, 1))
    arrays = {"users": rows.user_index, "items": rows.item_index, "ratings": rows.ratings}
    with tempfile.NamedTemporaryFile(suffix=".npz") as file:
        np.savez(file.name, shape=np.array([n_users, n_items]), **arrays)
        del rows, arrays
        yield file.name


def run(path: str, name: str, settings: dict[str, Any]) -> dict[str, float]:
    """Train in a process of its own; return n ratings, seconds an epoch (median), peak and forecast in bytes."""
    command = [sys.executable, "-m", "tests.benchmarks.trial", path, name, json.dumps(settings)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    if done.returncode:
        raise RuntimeError(f"{name} ended with {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def _load(path: str) -> Interactions:
    with np.load(path) as data:
        ids = [IdMap.from_sorted(f"{number:08}" for number in range(n)) for n in data["shape"]]
        users, items, ratings = data["users"], data["items"], data["ratings"]
    features = ItemFeatures.empty(len(ids[1]))
    return Interactions(*ids, users, items, ratings, np.full(len(users), NO_TIME), Scale(1, 5, 1), features)


def _resident(which: str) -> int:
    return int(Path("/proc/self/status").read_text().split(which + ":")[1].split()[0]) * 1024


def _child(path: str, name: str, settings: dict[str, Any]) -> dict[str, float]:
    """Train on little for the compiled code, then on the rows of a file."""
    model = model_class(name)(**settings)
    little = [] if name in OF_ITS_OWN else model_class(name)(**settings).fit_epochs(planted(60, 50, 1_500)[0])
    for _ in little:
        pass
    before = _resident("VmRSS")
    train, times = _load(path), []
    Path("/proc/self/clear_refs").write_text("5")  # the peak is measured from here
    began = time.perf_counter()
    for _ in model.fit_epochs(train):
        times.append(time.perf_counter() - began)
        began = time.perf_counter()
    model.score_users(train.user_index[:1])  # what is made of the parameters once, before the first list
    peak = _resident("VmHWM") - before
    forecast = model.memory_bytes(train.n_users, train.n_items, len(train))
    return {"n": len(train), "epoch": float(np.median(times)), "all": sum(times), "peak": peak, "forecast": forecast}


if __name__ == "__main__":
    print(json.dumps(_child(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))))
