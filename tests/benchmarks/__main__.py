"""Measures everything beside its rivals: `python -m tests.benchmarks [NAMES…] [--quick] [--large] [--out FILE]`.

A name is a module `bench_NAME.py` beside this file. Each has `run()`, which returns figures by the work they are of,
our side and the rival's taken in turn. Both sides get two threads.
"""

import argparse
import importlib
import inspect
import os
import sys
import time
from pathlib import Path
from types import ModuleType

THREADS = "2"
for _name in ("OMP", "OPENBLAS", "MKL", "NUMBA", "LK"):  # before anything loads BLAS; the rivals inherit it
    os.environ.setdefault(f"{_name}_NUM_THREADS", THREADS)
os.environ.setdefault("LK_NUM_BACKEND_THREADS", THREADS)

from tests.benchmarks import figures, rivals  # noqa: E402

FOLDER = Path(__file__).parent
NAMES = sorted(path.stem.removeprefix("bench_") for path in FOLDER.glob("bench_*.py"))


def measured(name: str, **options: bool) -> dict[str, figures.Figure]:
    """Run one module with those of the options that it takes."""
    taken = {key: value for key, value in options.items() if key in _options(name)}
    return {work: figures.as_figure(value) for work, value in _module(name).run(**taken).items()}


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"tests.benchmarks.bench_{name}")


def _options(name: str) -> set[str]:
    """Return which of `quick` and `large` a module knows of; a quick round leaves out those without a quick way."""
    return {"quick", "large"} & set(inspect.signature(_module(name).run).parameters)


def main() -> int:
    """Measure, print, and write results.json and the page; 1 where a module failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; default: all")
    parser.add_argument("--quick", action="store_true", help="one round of less, and nothing is written down")
    parser.add_argument("--large", action="store_true", help="25 million rows as well: half an hour and 15 GB of disk")
    parser.add_argument("--out", type=Path, default=FOLDER.parents[1] / "docs" / "benchmarks.md", metavar="FILE")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(NAMES):
        parser.error(f"no such measurement: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    facts, failed = figures.machine(rivals.versions()), []
    for name in asked.names or [name for name in NAMES if not asked.quick or "quick" in _options(name)]:
        began, busy = time.monotonic(), os.getloadavg()[0]
        print(f"\n{name}", flush=True)
        try:
            found = measured(name, quick=asked.quick, large=asked.large)
        except Exception as error:  # noqa: BLE001  the other measurements are worth having
            failed.append(name)
            print(f"failed: {error!r}", file=sys.stderr, flush=True)
            continue
        print(figures.table(found), f"({time.monotonic() - began:.0f} s)", sep="\n", flush=True)
        if not asked.quick:
            command = f"python -m tests.benchmarks {name}" + (" --large" if asked.large else "")
            figures.write_into(asked.out, figures.markdown(figures.keep(name, found, command, facts, busy)))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
