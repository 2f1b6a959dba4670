"""The best ten for one user in a warm process, and for all users, beside implicit on the same data in the same run."""

import itertools
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from engine.ranking import top_k_all
from engine.services import Services
from engine.services.batch import recommend_all
from engine.services.training import TrainingRequest
from store.importers.pipeline import import_source
from tests.benchmarks import rivals
from tests.benchmarks.figures import Figure

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


def write_ratings(folder: Path, users: np.ndarray, items: np.ndarray, values: np.ndarray) -> Path:
    """Write a CSV of the columns user, item and rating."""
    source = folder / "ratings.csv"
    with source.open("w") as file:
        file.write("user,item,rating\n")
        np.savetxt(file, np.column_stack([users, items, values]), fmt="%d,%d,%g")
    return source


def run(*, quick: bool = False) -> dict[str, Figure]:
    """Return medians over rounds in which the two sides take turns."""
    users, items, values = ratings()
    asked = np.random.default_rng(1).integers(0, users.max(), 500 if quick else 2_000)
    arrays = {
        "users": users,
        "items": items,
        "ratings": values,
        "shape": np.array([users.max() + 1, N_ITEMS]),
        "asked": asked,
        "iterations": np.array(3),
    }
    with tempfile.TemporaryDirectory(prefix="bench-serving-") as name:
        services = Services.open(Path(name) / "bench.db", create=True)
        import_source(services.database, str(write_ratings(Path(name), users, items, values)))
        settings = {"n_factors": 64, "epochs": 4}
        for _ in services.training.run(TrainingRequest("mf", settings, full=True, activate=True)):
            pass
        waits, unchanged = _swaps(services, [str(user) for user in asked], 2 if quick else 6)
        rounds = [_round(services, [str(user) for user in asked], arrays) for _ in range(1 if quick else 3)]
    mine, theirs = (
        {key: statistics.median(one[side][key] for one in rounds) for key in rounds[0][side]} for side in (0, 1)
    )
    by = "implicit"
    return {
        "top 10 for one user, median": Figure(mine["median"] * 1e3, "ms", theirs["median"] * 1e3, by, goal=0.2),
        "top 10 for one user, 99th percentile": Figure(mine["p99"] * 1e3, "ms", theirs["p99"] * 1e3, by, goal=1.0),
        "top 10 for one user, kept from before, median": Figure(mine["again"] * 1e3, "ms"),
        "top 10 for one user, explained, median": Figure(mine["explained"] * 1e3, "ms", goal=2.0),
        "longest wait of a reader while versions take over": Figure(
            max(waits) * 1e3, "ms", goal=50.0, note=f"4 readers; {max(unchanged) * 1e3:.1f} ms where nothing changes"
        ),
        "top 10 for all users, arrays to arrays": Figure(mine["arrays"], "s", theirs["all"], by, times=2.0),
        "top 10 for all users, database to rows": Figure(
            mine["all"], "s", theirs["all"], by, note="ours reads every history from the database and gives text ids"
        ),
    }


def _round(services: Services, people: list[str], arrays: dict[str, Any]) -> tuple[dict[str, float], dict[str, float]]:
    """Measure ours, then implicit's."""
    recommend = services.recommender.recommend
    for person in people:
        recommend(person)
    again = [_timed(lambda person=person: recommend(person)) for person in people]
    singles = []
    for person in people:
        services.recommender.lists.clear()  # a list that is worked out, not one that was kept
        singles.append(_timed(lambda person=person: recommend(person)))
    explained = [_timed(lambda p=p: services.explainer.reasons_for(recommend(p))) for p in people[:30]]
    data, model = services.training.load_data(), services.manager.snapshot().model
    everybody = np.arange(data.n_users)
    in_arrays = min(_timed(lambda: list(top_k_all(model, everybody, 10, data))) for _ in range(3))
    mine = {
        "median": statistics.median(singles),
        "again": statistics.median(again),
        "p99": float(np.quantile(singles, 0.99)),
        "explained": statistics.median(explained),
        "arrays": in_arrays,
        "all": _timed(lambda: sum(1 for _ in recommend_all(services, 10))),
    }
    return mine, rivals.run("implicit_top.py", arrays)


def _swaps(services: Services, people: list[str], times: int) -> tuple[list[float], list[float]]:
    """Return how long each answer took while two versions take turns, and while one stays, asked by four threads."""
    for _ in services.training.run(TrainingRequest("mf", {"n_factors": 64, "epochs": 2}, full=True)):
        pass
    services.recommender.recommend(people[0])  # the first answer of a process loads a version: no other waits for it
    taken = _asked(services, people, times, swap=True)
    services.registry.activate(1, who="bench")
    return taken, _asked(services, people, times, swap=False)


def _asked(services: Services, people: list[str], times: int, *, swap: bool) -> list[float]:
    """Ask for lists from four threads, a pause after each as a person makes one, for half a second a version."""
    taken: list[float] = []
    stop = threading.Event()

    def reader(number: int) -> None:
        for person in itertools.cycle(people[number::4]):
            if stop.is_set():
                return
            taken.append(_timed(lambda person=person: services.recommender.recommend(person)))
            time.sleep(0.002)

    threads = [threading.Thread(target=reader, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for turn in range(times):
        if swap:
            services.registry.activate(1 + turn % 2, who="bench")
        time.sleep(0.5)
    stop.set()
    for thread in threads:
        thread.join()
    return taken


def _timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
