"""The metrics against LensKit's on MovieLens latest-small: the largest difference of any user, to be nought."""

import os
from pathlib import Path

import numpy as np

from engine.evaluation import evaluate
from engine.models import model_class
from tests.benchmarks import rivals
from tests.benchmarks.bench_mf import latest_small
from tests.benchmarks.figures import Figure

RANKED = ("precision", "recall", "ndcg", "map", "mrr", "hit_rate")
EXACT = 1e-9


def run(*, quick: bool = False) -> dict[str, Figure]:
    """Return the largest absolute difference over all users, by metric, of two models' lists and predictions."""
    root = Path(__file__).parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("RECSYS_DATA", root)) / "ml-latest-small"
    train, test = latest_small(folder, 0)
    worst = dict.fromkeys((*RANKED, "rmse", "mae"), 0.0)
    for name in ("popularity",) if quick else ("popularity", "mf"):
        model = model_class(name)()
        for _ in model.fit_epochs(train, seed=1):
            pass
        report = evaluate(model, train, test, metrics=worst)
        evidence = report.evidence
        theirs = rivals.run(
            "lenskit_metrics.py",
            {
                "users": evidence.users,
                "lists": evidence.lists,
                "test_users": test.user_index,
                "test_items": test.item_index,
                "test_ratings": test.ratings.astype(np.float64),
                "predicted": evidence.predicted.astype(np.float64),
            },
        )
        for metric in worst:
            mine = report.per_user[metric if metric in {"rmse", "mae"} else f"{metric}@10"]
            worst[metric] = max(worst[metric], float(np.abs(mine - theirs[metric]).max()))
    return {
        f"{metric}: largest difference from LensKit's": Figure(value / EXACT, "× 1e-9", goal=1.0)
        for metric, value in worst.items()
    }
