"""The best ten for one user in a warm process, and for all users, beside implicit on the same data in the same run."""

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from engine.services import Services
from engine.services.batch import recommend_all
from engine.services.training import TrainingRequest
from store.importers.pipeline import import_source
from tests.benchmarks import rivals

N_USERS, N_ITEMS, N_RATINGS = 6_040, 3_706, 1_000_000


def ratings(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return users, items and ratings of the size of MovieLens-1M, with its skew of users and items."""
    rng = np.random.default_rng(seed)
    activity = rng.lognormal(0.0, 1.0, N_USERS)
    popularity = 1.0 / (10 + np.arange(N_ITEMS))
    users = rng.choice(N_USERS, 2 * N_RATINGS, p=activity / activity.sum())
    items = rng.choice(N_ITEMS, 2 * N_RATINGS, p=popularity / popularity.sum())
    keys = np.unique(users * N_ITEMS + items)
    keys = np.sort(rng.permutation(keys)[:N_RATINGS])
    return keys // N_ITEMS, keys % N_ITEMS, rng.integers(1, 6, len(keys)).astype(np.float32)


def run(asked: int = 2_000) -> dict[str, Any]:
    """Return seconds: median and 99th percentile of single lists, and all lists, ours and implicit's."""
    users, items, values = ratings()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "ratings.csv"
        with source.open("w") as file:
            file.write("user,item,rating\n")
            np.savetxt(file, np.column_stack([users, items, values]), fmt="%d,%d,%g")
        services = Services.open(Path(folder) / "bench.db", create=True)
        import_source(services.database, str(source))
        for _ in services.training.run(TrainingRequest("mf", {"n_factors": 64}, full=True, activate=True)):
            pass
        people = [str(user) for user in np.random.default_rng(1).integers(0, users.max(), asked)]
        for person in people:
            services.recommender.recommend(person)
        singles = [_timed(lambda person=person: services.recommender.recommend(person)) for person in people]
        explained = [_timed(lambda person=person: _explained(services, person)) for person in people[:200]]
        began = time.perf_counter()
        rows = sum(1 for _ in recommend_all(services, 10))
        everybody = time.perf_counter() - began
    arrays = {
        "users": users,
        "items": items,
        "ratings": values,
        "shape": np.array([users.max() + 1, N_ITEMS]),
        "asked": np.array([int(person) for person in people]),
        "iterations": np.array(3),
    }
    other = rivals.run("implicit_top.py", arrays)
    return {
        "one user, median": {"ours": statistics.median(singles), "implicit": other["median"], "goal": 0.0002},
        "one user, p99": {"ours": float(np.quantile(singles, 0.99)), "goal": 0.001},
        "one user, explained": {"ours": statistics.median(explained), "goal": 0.002},
        "all users, with text ids": {"ours": everybody, "implicit": other["all"], "rows": rows},
    }


def _explained(services: Services, person: str) -> None:
    services.explainer.reasons_for(services.recommender.recommend(person))


def _timed(work: Any) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    for name, row in run().items():
        sys.stdout.write(f"{name:28} {row}\n")
