"""Bayesian matrix factorization on latest-small, beside myFM, and the cost of a sample by size."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.data import Interactions, Scale
from engine.models.bayesian_mf import BayesianMFModel
from engine.resources import thread_limit
from tests.benchmarks import rivals
from tests.benchmarks.bench_mf import latest_small
from tests.benchmarks.figures import Figure
from tests.data import planted, rmse

SEEDS = (0, 1, 2)
VARIANTS: list[dict[str, Any]] = [{}, {"side_features": False}, {"implicit": "none", "side_features": False}]
SIZES = [(600, 3000, 100_000), (6040, 3706, 1_000_000)]


def trained(train: Interactions, *, threads: int = 0, **settings: object) -> tuple[BayesianMFModel, float, float]:
    """A model, the seconds its training took, and those that the processors spent on it."""
    model = BayesianMFModel(**settings)
    with thread_limit(threads):
        began, spent = time.perf_counter(), time.process_time()
        for _ in model.fit_epochs(train):
            pass
        return model, time.perf_counter() - began, time.process_time() - spent


def coverage(model: BayesianMFModel, train: Interactions, test: Interactions, level: float) -> float:
    """The share of held-out ratings within their interval."""
    inside = 0
    for user in np.unique(test.user_index):
        items, ratings = test.history(int(user))
        scores = model.scores(model.user_vector(int(user)), items)
        low, high = model.interval(scores, int(train.user_counts[user]), items, level)
        inside += int(np.sum((low <= ratings) & (ratings <= high)))
    return inside / len(test)


def run(*, quick: bool = False) -> dict[str, Figure]:
    """Return all figures; compiled code is warmed up first."""
    root = Path(__file__).parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("RECSYS_DATA", root)) / "ml-latest-small"
    trained(planted()[0], epochs=2)
    found = _beside_myfm(*latest_small(folder, 0))
    for settings in VARIANTS[: 1 if quick else None]:
        label = ", ".join(f"{name} {value}" for name, value in settings.items()) or "defaults"
        found |= _on_latest_small(folder, label, SEEDS[: 1 if quick or settings else None], settings)
    for n_users, n_items, n_ratings in [] if quick else SIZES:
        train, _ = planted(n_users, n_items, n_ratings, rank=20, noise=0.75, scale=Scale(1, 5, 1))
        for threads in (1, 0):
            _, seconds, _ = trained(train, threads=threads, epochs=10)
            found[f"a sample of {len(train)} ratings, {threads or 'all'} threads"] = Figure(seconds / 10, "s")
    return found


def _on_latest_small(folder: Path, label: str, seeds: Sequence[int], settings: dict[str, Any]) -> dict[str, Figure]:
    """Return means over seeds: RMSE, processor time, the shares of held-out ratings within their intervals."""
    rows = []
    for seed in seeds:
        train, test = latest_small(folder, seed)
        model, _, spent = trained(train, threads=1, **settings)
        rows.append([rmse(model, test), spent, *(100 * coverage(model, train, test, level) for level in (0.8, 0.95))])
    error, spent, most, nearly_all = np.mean(rows, axis=0).tolist()
    of = f"{label}, latest-small, mean of {len(seeds)}" if len(seeds) > 1 else f"{label}, latest-small, seed {seeds[0]}"
    return {
        f"RMSE, {of}": Figure(error, "", goal=None if settings else 0.842, note=", ".join(f"{r[0]:.4f}" for r in rows)),
        f"one thread, {of}": Figure(spent, "s"),
        f"within 80 % intervals, {of}": Figure(most, "%"),
        f"within 95 % intervals, {of}": Figure(nearly_all, "%"),
    }


def _beside_myfm(train: Interactions, test: Interactions) -> dict[str, Figure]:
    """Return the seconds until our average is as good as that of myFM with the same features, a thread each."""
    theirs = rivals.run(
        "myfm_both_sides.py",
        {
            "users": train.user_index,
            "items": train.item_index,
            "ratings": train.ratings.astype(np.float64),
            "test_users": test.user_index,
            "test_items": test.item_index,
            "test_ratings": test.ratings,
            "shape": np.array([train.n_users, train.n_items]),
            "rank": np.array(10),
            "iterations": np.array(300),
        },
    )
    model, seconds = BayesianMFModel(side_features=False), 0.0
    with thread_limit(1):
        began = time.perf_counter()
        for _ in model.fit_epochs(train):
            seconds += time.perf_counter() - began
            error = rmse(model, test)
            if error <= theirs["rmse"]:
                break
            began = time.perf_counter()
    told = f"after {model.epochs_done} samples; theirs is {theirs['rmse']:.4f} after 300, rank 10"
    of = "who rated what on both sides, latest-small, seed 0"
    return {
        f"until as good, {of}": Figure(seconds, "s", theirs["train"], "myFM", times=5.0, note=told),
        f"RMSE then, {of}": Figure(error, "", theirs["rmse"], "myFM", times=1.0),
    }
