"""Ratings that are durable and folded in, a second: one client, sixteen threads, and sixteen processes at once.

Beside them stands how often the disk of the database flushes a page by itself, since that bounds all of it.
"""

import os
import subprocess
import sys
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
        services.realtime.flush()
        services.database.close()
        apart, slow = _processes(services, pairs, 16, 2.0 if quick else 6.0)
        flushes = _flushes(Path(folder), 100 if quick else 400)
    return {
        "durable rating and fold-in, 1 client": Figure(alone, "/s", higher=True),
        "durable rating and fold-in, 16 clients": Figure(together, "/s", higher=True, goal=3000),
        "one of them, 16 clients, 99th percentile": Figure(p99 * 1e3, "ms", goal=20),
        "durable rating and fold-in, 16 processes": Figure(apart, "/s", higher=True, note="each commits by itself"),
        "one of them, 16 processes, 99th percentile": Figure(slow * 1e3, "ms"),
        "flushes of one page by the same disk": Figure(flushes, "/s", higher=True, note="of a page written over"),
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


CLIENT = """
import sys, time
import numpy as np
from engine.services import Services
services, number, until = Services.open(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
pairs = [line.split("\\t") for line in open(sys.argv[4]).read().splitlines()]
rng = np.random.default_rng(number)
services.manager.snapshot()
print("ready", flush=True)
sys.stdin.readline()
until += time.perf_counter()
while time.perf_counter() < until:
    user, item = pairs[rng.integers(len(pairs))]
    began = time.perf_counter()
    services.realtime.record(user, item, float(rng.integers(1, 11)) / 2)
    print(time.perf_counter() - began)
"""


def _processes(services: Services, pairs: list[tuple[str, str]], n: int, seconds: float) -> tuple[float, float]:
    """Let processes do what `_clients` lets threads do."""
    listed = services.database.path.with_suffix(".pairs")
    listed.write_text("".join(f"{user}\t{item}\n" for user, item in pairs))
    started = [
        subprocess.Popen(
            [sys.executable, "-c", CLIENT, str(services.database.path), str(number), str(seconds), str(listed)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for number in range(n)
    ]  # fmt: skip
    for process in started:
        assert process.stdout is not None
        process.stdout.readline()
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    taken = [float(line) for process in started for line in process.communicate()[0].split()]
    return len(taken) / seconds, float(np.quantile(taken, 0.99))


def _flushes(folder: Path, n: int) -> float:
    """Return how many times a second a page can be written over and flushed, one after the other."""
    descriptor = os.open(folder / "page", os.O_CREAT | os.O_RDWR)
    page = os.urandom(4096)
    for _ in range(2):  # the first makes the file as long as it will be
        began = time.perf_counter()
        for _ in range(n):
            os.pwrite(descriptor, page, 0)
            os.fdatasync(descriptor)
    os.close(descriptor)
    return n / (time.perf_counter() - began)
