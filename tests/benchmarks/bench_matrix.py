"""From the database to the training matrix, ids mapped and rows in order, against `fetchall` of the same columns."""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from store.database import Database
from store.importers.pipeline import import_source
from tests.benchmarks import bench_import
from tests.benchmarks.figures import Figure

_REPORT = """
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))  # of this program alone
print(json.dumps([seconds, rows, int(peak) / 1024]))
"""
_OURS = """
import json, sys, time
from engine.services import Services
services = Services.open(sys.argv[1])
services.training.load_data()  # loads libraries, as a process that trains has done
began = time.perf_counter()
rows = len(services.training.load_data())
seconds = time.perf_counter() - began
"""
_FETCHALL = """
import json, sqlite3, sys, time
db = sqlite3.connect(sys.argv[1])
began = time.perf_counter()
rows = len(db.execute("SELECT user, item, rating, at FROM ratings").fetchall())
seconds = time.perf_counter() - began
"""


def run(*, quick: bool = False, large: bool = False) -> dict[str, Figure]:
    """Return million rows a second and peak memory, each side in processes of its own, in turn."""
    sizes = {"1 M": 1_000_000} | ({"25 M": bench_import.FULL} if large else {})
    return {work: figure for name, rows in sizes.items() for work, figure in _measured(name, rows, quick).items()}


def _measured(name: str, rows: int, quick: bool) -> dict[str, Figure]:
    with tempfile.TemporaryDirectory(prefix="bench-matrix-") as folder:
        path, source = Path(folder) / "films.db", Path(folder) / "ratings.csv"
        bench_import.write_ratings(source, rows)
        database = Database(path)
        import_source(database, str(source))
        database.close()
        source.unlink()
        rounds = [[_process(code, path) for code in (_OURS, _FETCHALL)] for _ in range(1 if quick or rows > 5e6 else 5)]
    (mine, my_peak), (theirs, their_peak) = (
        (
            statistics.median(one[side][1] / one[side][0] / 1e6 for one in rounds),
            statistics.median(one[side][2] for one in rounds),
        )
        for side in (0, 1)
    )
    by = "fetchall"
    return {
        f"database to training matrix, {name} rows": Figure(mine, "M rows/s", theirs, by, higher=True, goal=2.5),
        f"peak memory of the process, {name} rows": Figure(my_peak, "MB", their_peak, by),
    }


def _process(code: str, path: Path) -> list[float]:
    command = [sys.executable, "-c", code + _REPORT, str(path)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
