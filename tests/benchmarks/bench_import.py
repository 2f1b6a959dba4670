"""CSV into the database and back out, against the sqlite3 shell and `fetchall`, in the same run.

    .venv/bin/python -m tests.benchmarks.bench_import --rows 1000000 --order random

The data have the shape of MovieLens-25M: 162,541 users with 20 ratings or more, 59,047 items by popularity,
half stars.
Every figure is rows a second; what counts is the ratio, since both sides run on the same machine in the same minute.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import numpy as np

from tests.benchmarks.figures import Figure

FULL = 25_000_095
USERS, ITEMS = 162_541, 59_047


def write_ratings(path: Path, rows: int, *, order: str = "grouped", seed: int = 7, n_users: int = 0) -> int:
    """Write a CSV of about `rows` distinct ratings, grouped by user or in random order; return their number."""
    rng = np.random.default_rng(seed)
    n_users = n_users or max(20, round(USERS * rows / FULL))
    n_items = max(200, min(ITEMS, 4 * round(ITEMS * rows / FULL)))
    activity = rng.lognormal(0, 1.2, n_users)
    counts = np.minimum(20 + (activity / activity.sum() * max(0, rows - 20 * n_users)).astype(int), n_items // 2)
    popularity = 1 / np.arange(1, n_items + 1) ** 0.8
    cumulative = np.cumsum(popularity / popularity.sum())
    users = np.repeat(np.arange(n_users, dtype=np.int64), (counts * 1.25).astype(int))
    items = np.minimum(np.searchsorted(cumulative, rng.random(len(users))), n_items - 1)
    keys = np.unique(users * n_items + items)
    keys = keys[np.sort(rng.permutation(len(keys))[:rows])]
    if order == "random":
        rng.shuffle(keys)
    names = rng.permutation(4 * n_items)[:n_items] + 1
    _write_csv(path, keys // n_items + 1, names[keys % n_items], rng)
    return len(keys)


def _write_csv(path: Path, users: np.ndarray, items: np.ndarray, rng: np.random.Generator) -> None:
    import pyarrow as pa
    from pyarrow import csv

    schema = pa.schema({"userId": pa.int64(), "movieId": pa.int64(), "rating": pa.float64(), "timestamp": pa.int64()})
    with (
        path.open("wb") as file,
        csv.CSVWriter(file, schema, write_options=csv.WriteOptions(quoting_style="none")) as out,
    ):
        for start in range(0, len(users), 1_000_000):
            part = slice(start, start + 1_000_000)
            n = len(users[part])
            columns = [
                users[part],
                items[part],
                rng.integers(1, 11, n) / 2,
                rng.integers(789_652_009, 1_574_327_703, n),
            ]
            out.write_table(pa.table(columns, schema=schema))


def ours(path: Path, folder: Path) -> dict[str, float]:
    """Import in a process of its own, so that its peak memory can be told."""
    code = (
        "import json, sys\n"
        "from store.database import Database\n"
        "from store.importers.pipeline import import_source\n"
        "result = import_source(Database(sys.argv[2]), sys.argv[1])\n"
        "status = open('/proc/self/status').read()  # getrusage would count what this process had before it started\n"
        "peak = int(status.partition('VmHWM:')[2].split()[0]) / 1024\n"
        "print(json.dumps({'stored': result.stored, 'seconds': result.seconds, 'peak_mb': peak}))"
    )
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), str(folder / "ours.db")], check=True, capture_output=True, text=True
    )
    return {**json.loads(done.stdout), "wall": time.perf_counter() - began}


def shell(path: Path, folder: Path, *, keyed: bool) -> float:
    """Import with the sqlite3 shell into a typed table, plain or with a clustered key like ours; return seconds."""
    key = ", PRIMARY KEY (userId, movieId)) WITHOUT ROWID" if keyed else ")"
    table = f"CREATE TABLE ratings (userId INTEGER, movieId INTEGER, rating REAL, timestamp INTEGER{key}"
    target = folder / f"shell-{keyed}.db"
    began = time.perf_counter()
    subprocess.run(
        ["sqlite3", str(target), table, ".mode csv", f".import --skip 1 {path} ratings"],
        check=True,
        capture_output=True,
    )
    seconds = time.perf_counter() - began
    target.unlink()
    return seconds


def reads(path: Path) -> tuple[float, float]:
    """Return seconds of `read_all` (once warm) and of `fetchall` of the same columns."""
    import sqlite3

    from store.database import Database
    from store.ratings import read_all

    database = Database(path)
    read_all(database)
    began = time.perf_counter()
    rows = read_all(database)
    mine = time.perf_counter() - began
    database.close()
    del rows
    with closing(sqlite3.connect(path)) as db:
        began = time.perf_counter()
        for _ in db.execute("SELECT user, item, rating, at FROM ratings"):  # a list of 25 M tuples takes 5 GB
            pass
        return mine, time.perf_counter() - began


def once(rows: int, order: str = "grouped", *, keyed: bool = True) -> dict[str, float]:
    """Measure once; rates in million rows a second, `…_ratio` is ours against theirs."""
    with tempfile.TemporaryDirectory(prefix="bench-import-") as name:
        folder = Path(name)
        path = folder / "ratings.csv"
        n = write_ratings(path, rows, order=order)
        plain = shell(path, folder, keyed=False)
        found = ours(path, folder)
        assert found["stored"] == n
        result = {
            "rows": n,
            "import": n / found["seconds"] / 1e6,
            "import_peak_mb": found["peak_mb"],
            "shell": n / plain / 1e6,
            "import_ratio": plain / found["seconds"],
        }
        if keyed:
            with_key = shell(path, folder, keyed=True)
            result |= {"shell_keyed": n / with_key / 1e6, "import_keyed_ratio": with_key / found["seconds"]}
        mine, fetched = reads(folder / "ours.db")
        return result | {"read_all": n / mine / 1e6, "fetch": n / fetched / 1e6, "read_ratio": fetched / mine}


def run(*, quick: bool = False, large: bool = False) -> dict[str, Figure]:
    """Return medians over rounds in which both sides take turns, in million rows a second."""
    sizes = [("1 M rows", 1_000_000, order, 1 if quick else 3) for order in ("grouped", "random")]
    sizes += [("25 M rows", FULL, "grouped", 1)] if large else []
    found: dict[str, Figure] = {}
    for size, rows, order, times in sizes:
        rounds = [once(rows, order, keyed=rows < FULL) for _ in range(times)]
        middle = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
        where, fast = f"{size}, {order}", {"unit": "M rows/s", "higher": True}
        found[f"import of clean CSV, {where}"] = Figure(
            middle["import"], rival=middle["shell"], by="sqlite3 .import, no key", goal=1.0, times=2.0, **fast
        )
        if "shell_keyed" in middle:
            found[f"import of clean CSV, {where}, same key"] = Figure(
                middle["import"], rival=middle["shell_keyed"], by="sqlite3 .import, same key", **fast
            )
        found[f"its peak memory, {where}"] = Figure(middle["import_peak_mb"], "MB", goal=500)
        found[f"ratings as arrays, {where}"] = Figure(middle["read_all"], rival=middle["fetch"], by="cursor", **fast)
    return found


def main() -> None:
    """Print one run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--order", choices=["grouped", "random"], default="grouped")
    parser.add_argument("--no-keyed", action="store_true", help="leave out the shell with a clustered key")
    arguments = parser.parse_args()
    for name, value in once(arguments.rows, arguments.order, keyed=not arguments.no_keyed).items():
        print(f"{name:20} {value:,.2f}")
    print(f"{'own peak MB':20} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f}")


if __name__ == "__main__":
    main()
