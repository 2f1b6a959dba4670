"""`mf` with its defaults against Surprise's SVD and LensKit's biased factorization: quality and speed."""

import os
import statistics
from pathlib import Path
from typing import Any

import numpy as np

from engine.data import Interactions, Scale
from tests.benchmarks import rivals
from tests.benchmarks.bench_mf import latest_small, measured
from tests.benchmarks.figures import Figure
from tests.data import planted

RIVALS = {"Surprise SVD": "surprise_svd.py", "LensKit biased MF": "lenskit_mf.py"}


def run(*, quick: bool = False) -> dict[str, Figure]:
    """Return RMSE as the mean over the splits, and seconds of training as medians of rounds in turn."""
    root = Path(__file__).parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("RECSYS_DATA", root)) / "ml-latest-small"
    measured("mf", {}, *planted())  # compiles
    splits = [latest_small(folder, seed) for seed in ((0,) if quick else (0, 1, 2))]
    small = [_both(*parts) for parts in splits]
    scale = Scale(1, 5, 1)
    train, test = planted(6040, 3706, 1_000_209, rank=20, strength=0.5, noise=0.75, scale=scale)
    large = [_both(train, test) for _ in range(1 if quick else 3)]
    found: dict[str, Figure] = {}
    for name in RIVALS:
        where = "ml-latest-small, 90/10" + ("" if quick else ", seeds 0–2")
        mine, theirs = (float(np.mean([one[side]["rmse"] for one in small])) for side in ("mf", name))
        found[f"RMSE on {where}, against {name}"] = Figure(mine, "", theirs, name, goal=0.875)
        mine, theirs = (statistics.median(one[side]["train"] for one in large) for side in ("mf", name))
        times = 3.0 if name.startswith("LensKit") else None
        found[f"training on 0.9 M ratings, against {name}"] = Figure(mine, "s", theirs, name, times=times)
        mine, theirs = (large[0][side]["rmse"] for side in ("mf", name))
        found[f"RMSE of that, against {name}"] = Figure(mine, "", theirs, name, times=1.0)
    return found


def _both(train: Interactions, test: Interactions) -> dict[str, dict[str, float]]:
    """Train ours, then each rival, on the same rows."""
    error, seconds = measured("mf", {}, train, test)
    found: dict[str, Any] = {"mf": {"rmse": error, "train": seconds}}
    arrays = {"users": train.user_index, "items": train.item_index, "ratings": train.ratings}
    arrays |= {"test_users": test.user_index, "test_items": test.item_index, "test_ratings": test.ratings}
    arrays["scale"] = np.array([train.scale.low, train.scale.high])
    return found | {name: rivals.run(script, arrays) for name, script in RIVALS.items()}
