"""The metrics against LensKit's and RecTools' on MovieLens latest-small: the largest difference of any user is nought.

Both packages measure the lists and the predicted ratings of our models. Where they know another definition than ours,
the scripts beside the rivals say which one they are brought to.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np

from engine.evaluation import Report, evaluate
from engine.models import model_class
from engine.models.base import Model
from tests.benchmarks import rivals
from tests.benchmarks.bench_mf import latest_small
from tests.benchmarks.figures import Figure

EXACT = 1e-9
_CURVES = 60  # users whose whole ranking is looked at


def run(*, quick: bool = False) -> dict[str, Figure]:
    """Return the largest absolute difference over all users, by package and metric, of two models' lists."""
    root = Path(__file__).parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("RECSYS_DATA", root)) / "ml-latest-small"
    train, test = latest_small(folder, 0)
    worst: dict[str, float] = {}
    for name in ("popularity",) if quick else ("popularity", "mf"):
        model = model_class(name)()
        for _ in model.fit_epochs(train, seed=1):
            pass
        report = evaluate(model, train, test)
        for package, theirs in (
            ("LensKit", rivals.run("lenskit_metrics.py", _lists(report))),
            ("RecTools", rivals.run("rectools_metrics.py", _lists(report) | _catalogue(report, model))),
        ):
            for metric, values in theirs.items():
                work = f"{metric}: largest difference from {package}'s"
                worst[work] = max(worst.get(work, 0.0), _apart(_ours(report, metric, model), values))
    return {work: Figure(value / EXACT, "× 1e-9", goal=1.0) for work, value in sorted(worst.items())}


def _lists(report: Report) -> dict[str, Any]:
    """Return what was recommended and predicted, and what was held out."""
    evidence = report.evidence
    assert evidence.predicted is not None
    return {
        "n_items": np.int64(evidence.train.n_items),
        "users": evidence.users,
        "lists": evidence.lists,
        "test_users": evidence.test.user_index,
        "test_items": evidence.test.item_index,
        "test_ratings": evidence.test.ratings.astype(np.float64),
        "predicted": evidence.predicted.astype(np.float64),
    }


def _catalogue(report: Report, model: Model) -> dict[str, Any]:
    """Return the training rows, the genres, and the whole ranking of unseen items of some users, padded with -1."""
    train = report.evidence.train
    users, scores = _curves(report, model)
    ranked = np.full(scores.shape, -1)
    for row, user in enumerate(users):
        order = np.argsort(-scores[row], kind="stable")
        order = order[~np.isin(order, train.history(int(user))[0])]
        ranked[row, : len(order)] = order
    return {
        "train_users": train.user_index,
        "train_items": train.item_index,
        "genres": train.features.genres,
        "ranked_users": users,
        "ranked": ranked,
    }


def _curves(report: Report, model: Model) -> tuple[np.ndarray, np.ndarray]:
    """Return users (B,) without equal scores between a relevant and another item, and their scores (B, n_items).

    A ranking hides that two scores are equal, which the area under the curve counts half.
    """
    train, test = report.evidence.train, report.evidence.test
    users, kept = report.users, []
    scores = model.score_users(users)  # (U, n_items)
    for row, user in enumerate(users):
        relevant = test.history(int(user))[0]
        others = np.delete(scores[row], np.concatenate([relevant, train.history(int(user))[0]]))
        if not np.isin(scores[row][relevant], others).any():
            kept.append(row)
    return users[kept[:_CURVES]], scores[kept[:_CURVES]]


def _ours(report: Report, metric: str, model: Model) -> np.ndarray:
    """Return our values of what the other package measured."""
    if metric == "auc":
        return report.per_user["auc"][np.isin(report.users, _curves(report, model)[0])]
    for name in (metric, f"{metric}@10"):
        if name in report.per_user:
            return report.per_user[name]
    return np.array([report.metrics[metric].value])


def _apart(ours: np.ndarray, theirs: list[float | None]) -> float:
    """Return the largest difference; one that has a value where the other has none is infinitely far off."""
    values = np.array([np.nan if one is None else one for one in theirs], np.float64)
    if not np.array_equal(np.isnan(ours), np.isnan(values)):
        return np.inf
    return float(np.nanmax(np.abs(ours - values), initial=0.0))
