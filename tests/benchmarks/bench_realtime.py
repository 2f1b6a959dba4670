"""Ratings that are durable and folded in, a second: one client, and sixteen at once, over one database."""

import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from engine.services import Services
from engine.services.training import TrainingRequest
from store import ratings
from store.importers.pipeline import import_source
from tests.benchmarks.figures import Figure

ROOT = Path(__file__).parents[2]


def run(*, quick: bool = False) -> dict[str, Figure]:
    """Return updates a second, each on the disk and folded in when it counts, and their 99th percentile."""
    with tempfile.TemporaryDirectory(prefix="bench-realtime-") as folder:
        services = Services.open(Path(folder) / "films.db", create=True)
        import_source(services.database, str(ROOT / "sample_data"))
        for _ in services.training.run(TrainingRequest("mf", activate=True)):
            pass
        pairs = [(row.user, row.item) for row in ratings.all_rows(services.database)]
        alone, _ = _clients(services, pairs, 1, 1.0 if quick else 4.0)
        together, p99 = _clients(services, pairs, 16, 1.0 if quick else 4.0)
    return {
        "durable rating and fold-in, 1 client": Figure(alone, "/s", higher=True),
        "durable rating and fold-in, 16 clients": Figure(together, "/s", higher=True, goal=3000),
        "one of them, 16 clients, 99th percentile": Figure(p99 * 1e3, "ms", goal=20),
    }


def _clients(services: Services, pairs: list[tuple[str, str]], n_clients: int, seconds: float) -> tuple[float, float]:
    """Let threads rate what has been rated before, each for itself; return updates a second and the 99th percentile."""
    taken: list[float] = []
    until = time.perf_counter() + seconds

    def client(number: int) -> None:
        rng = np.random.default_rng(number)
        while time.perf_counter() < until:
            user, item = pairs[rng.integers(len(pairs))]
            began = time.perf_counter()
            services.realtime.record(user, item, float(rng.integers(1, 11)) / 2)
            taken.append(time.perf_counter() - began)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(n_clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(taken) / (time.perf_counter() - began), float(np.quantile(taken, 0.99))
