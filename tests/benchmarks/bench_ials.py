"""`ials` against implicit's ALS: seconds and NDCG@10 of 15 iterations at 64 factors, each side in processes of its own.

Who rated what is planted: a taste of 32 factors on top of a skewed popularity, and how much a user rates is skewed too.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.benchmarks import rivals
from tests.benchmarks.figures import Figure

FACTORS, ITERATIONS = 64, 15
SIZES = {"1 M": (6_040, 3_706, 165), "20 M": (138_000, 27_000, 145)}  # users, items, mean ratings of a user
ASKED = 5_000  # users who are ranked for


def chosen(n_users: int, n_items: int, mean: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Return pairs to train on, sorted by user, and one held-out item of some users."""
    rng = np.random.default_rng(seed)
    taste = rng.standard_normal((32, n_items), np.float32)
    popularity = rng.normal(0, 1.5, n_items).astype(np.float32)
    wanted = np.clip(rng.lognormal(np.log(mean) - 0.5, 1.0, n_users).astype(int), 20, n_items // 4)
    parts, held_out = [], np.zeros(n_users, np.int64)
    for first in range(0, n_users, 1000):
        counts = wanted[first : first + 1000]
        scores = rng.standard_normal((len(counts), 32), np.float32) @ taste
        scores *= np.float32(1.5 / 32**0.5)
        drawn = np.maximum(rng.standard_exponential(scores.shape, np.float32), np.float32(1e-30))
        scores += popularity - np.log(drawn)  # Gumbel noise: items are drawn by their weight
        for row, count in enumerate(counts):
            items = rng.permutation(np.argpartition(-scores[row], count)[: count + 1])
            held_out[first + row] = items[0]
            parts.append(np.sort(items[1:]))
    users = np.repeat(np.arange(n_users), [len(part) for part in parts])
    asked = np.sort(rng.permutation(n_users)[:ASKED])
    return {
        "users": users,
        "items": np.concatenate(parts),
        "shape": np.array([n_users, n_items]),
        "test_users": asked,
        "test_items": held_out[asked],
        "factors": np.array(FACTORS),
        "iterations": np.array(ITERATIONS),
    }


def run(*, quick: bool = False, large: bool = False) -> dict[str, Figure]:
    """Return medians of rounds in which the two sides take turns."""
    found: dict[str, Figure] = {}
    for name in ["1 M", *(["20 M"] if large else [])]:
        arrays = chosen(*SIZES[name])
        rounds = [(_ours(arrays), rivals.run("implicit_als.py", arrays)) for _ in range(1 if quick or large else 3)]
        mine, theirs = (
            {key: statistics.median(one[side][key] for one in rounds) for key in ("train", "ndcg")} for side in (0, 1)
        )
        of = f"{len(arrays['users']) / 1e6:.1f} M ratings, {FACTORS} factors, {ITERATIONS} iterations"
        found[f"ials, {of}"] = Figure(mine["train"], "s", theirs["train"], "implicit", times=3.0)
        found[f"NDCG@10 of ials, {of}"] = Figure(mine["ndcg"], "", theirs["ndcg"], "implicit", True, times=1.0)
        peak, forecast = rounds[0][0]["peak"], rounds[0][0]["forecast"]
        note = f"forecast before training {forecast / 2**30:.2f} GiB"
        found[f"peak memory of ials, {of}"] = Figure(peak / 2**30, "GiB", note=note)
    return found


def _ours(arrays: dict[str, np.ndarray]) -> dict[str, float]:
    """Train in a process of its own."""
    with tempfile.NamedTemporaryFile(suffix=".npz") as file:
        np.savez(file.name, **arrays)
        command = [sys.executable, "-m", "tests.benchmarks.bench_ials", file.name]
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    return json.loads(done.stdout.strip().splitlines()[-1])


def _child(path: str) -> dict[str, float]:
    """Train twice, the first time to compile, and rank the catalogue for the users with held-out items."""
    from engine import resources
    from engine.data import Interactions
    from engine.models.implicit_als import ImplicitALS
    from engine.ranking import top_k_all

    data = dict(np.load(path))
    ids = [[f"{number:07}" for number in range(n)] for n in data["shape"]]
    ones = np.ones(len(data["users"]), np.float32)
    train = Interactions.build(*ids, data["users"], data["items"], ones)
    del ones
    for _ in ImplicitALS(n_factors=FACTORS, epochs=2, solver="cg").fit_epochs(train.rows(train.user_index < 1000)):
        pass
    model = ImplicitALS(n_factors=FACTORS, epochs=ITERATIONS)
    began = time.perf_counter()
    for _ in model.fit_epochs(train):
        pass
    seconds = time.perf_counter() - began
    peak = resources.peak_memory()
    wanted = data["test_items"]
    lists = np.concatenate([items for _, items, _ in top_k_all(model, data["test_users"], 10, train)])
    hits = lists == wanted[:, None]
    ndcg = np.where(hits.any(axis=1), 1 / np.log2(np.argmax(hits, axis=1) + 2), 0).mean()
    forecast = model.memory_bytes(*map(int, data["shape"]), len(train))
    return {"train": seconds, "ndcg": float(ndcg), "peak": float(peak), "forecast": float(forecast)}


if __name__ == "__main__":
    print(json.dumps(_child(sys.argv[1])))
