"""Bayesian matrix factorization: RMSE, coverage and processor time on latest-small; the cost of a sample by size."""

import os
import time
from pathlib import Path

import numpy as np

from engine.data import Interactions, Scale
from engine.models.bayesian_mf import BayesianMFModel
from engine.resources import thread_limit
from tests.benchmarks.bench_mf import latest_small
from tests.data import planted, rmse

SEEDS = (0, 1, 2)
VARIANTS = [{}, {"side_features": False}, {"implicit": "none", "side_features": False}]
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


def run() -> dict[str, float]:
    """All figures by name; compiled code is warmed up first."""
    root = Path(__file__).parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("RECSYS_DATA", root)) / "ml-latest-small"
    trained(planted()[0], epochs=2)
    figures: dict[str, float] = {}
    for settings in VARIANTS:
        label = " ".join(f"{name}={value}" for name, value in settings.items()) or "default"
        errors = []
        for seed in SEEDS:
            train, test = latest_small(folder, seed)
            model, _, spent = trained(train, threads=1, **settings)
            errors.append(rmse(model, test))
            figures[f"{label}, seed {seed}, RMSE"] = errors[-1]
            figures[f"{label}, seed {seed}, seconds of one thread"] = spent
            for level in (0.8, 0.95):
                figures[f"{label}, seed {seed}, covered by {level:.0%} intervals"] = coverage(model, train, test, level)
        figures[f"{label}, RMSE"] = float(np.mean(errors))
    for n_users, n_items, n_ratings in SIZES:
        train, _ = planted(n_users, n_items, n_ratings, rank=20, noise=0.75, scale=Scale(1, 5, 1))
        for threads in (1, 0):
            _, seconds, _ = trained(train, threads=threads, epochs=10)
            figures[f"{len(train)} ratings, {threads or 'all'} threads, seconds a sample"] = seconds / 10
    return figures


if __name__ == "__main__":
    for figure, value in run().items():
        print(f"{figure:70} {value:.4f}")
