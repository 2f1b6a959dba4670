"""What each model says before training that it will need, against what it then needed."""

from typing import Any

from tests.benchmarks import trial
from tests.benchmarks.figures import Figure

CASES: list[tuple[str, dict[str, Any]]] = [  # a few epochs reach the peak
    ("popularity", {}),
    ("content", {}),
    ("mf", {"epochs": 4}),
    ("mf", {"epochs": 3, "updates": "whole"}),
    ("mf", {"epochs": 3, "solver": "sgd"}),
    ("mf", {"epochs": 4, "svd_plus_plus": True}),
    ("bayesian-mf", {"epochs": 12, "samples": 8}),
    ("ials", {"epochs": 3, "solver": "cholesky"}),
    ("ials", {"epochs": 4, "solver": "cg"}),
    ("ials", {"epochs": 4, "solver": "subspace"}),
    ("ease", {}),
    ("ncf", {"epochs": 1}),
]
LARGE = ("mf", "ials")


def run(*, quick: bool = False, large: bool = False) -> dict[str, Figure]:
    """Return measured peaks, with the forecast in the column of the rival: their ratio should be near one."""
    found: dict[str, Figure] = {}
    for size in ["0.1 M"] if quick else ["0.1 M", "1 M", *(["5 M", "10 M", "25 M"] if large else [])]:
        few = size in ("10 M", "25 M")
        with trial.skewed(*trial.SHAPES[size]) as path:
            for name, settings in CASES:
                if few and name not in LARGE:
                    continue
                one = trial.run(path, name, settings)
                label = " ".join([name, *(f"{key}={value}" for key, value in settings.items()), size])
                note = f"forecast {one['forecast'] / 2**20:,.0f} MiB, {one['forecast'] / one['peak'] - 1:+.0%}"
                found[label] = Figure(one["peak"] / 2**20, "MiB", one["forecast"] / 2**20, "forecast", note=note)
                print(f"  {label}: {one['peak'] / 2**20:,.0f} MiB; {note}", flush=True)
    return found
