"""How the defaults were chosen: on rows that are in no test part of the figures we report.

Ratings: of MovieLens latest-small the rows that seeds 0, 1 and 2 of the 90/10 protocol all train on (73 %), parted
90/10 three times anew. Ranking: every user's last rating, which is the test row, is thrown away; the last but one is
predicted from those before it, then the last but two.
"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from engine.data import Interactions
from engine.models import model_class
from engine.services import Services
from engine.splits import split
from store.importers.pipeline import import_source
from tests.benchmarks.bench_mf import latest_small
from tests.benchmarks.figures import Figure
from tests.data import rmse

REPORTED, FRESH = (0, 1, 2), (70, 71, 72)  # seeds
CHOICES: dict[str, list[dict[str, Any]]] = {
    "mf": [
        {},
        {"n_factors": 32},
        {"n_factors": 64},
        {"epochs": 15},
        {"regularization": 0.8},
        {"regularization": 1.2},
        {"svd_plus_plus": True},
        {"solver": "sgd"},
    ],
    "bayesian-mf": [{}, {"likelihood": "probit"}],
    "ials": [
        {},
        {"epochs": 20},
        {"n_factors": 64},
        {"n_factors": 128},
        {"regularization": 0.004},
        {"regularization": 0.016},
        {"unobserved_weight": 0.15},
        {"unobserved_weight": 0.6},
        {"frequency_exponent": 0.5},
        {"frequency_exponent": 0.0},
    ],
    "ease": [
        {},
        {"diagonal": 0.0},
        {"diagonal": 0.25},
        {"diagonal": 0.75},
        {"diagonal": 1.0},
        {"regularization": 150.0},
        {"regularization": 600.0},
    ],
}


def run() -> dict[str, Figure]:
    """Return the mean over the parts, of each model with its defaults and with one setting changed."""
    folder = Path(os.environ.get("RECSYS_DATA", Path(__file__).parents[3] / "shared" / "data")) / "ml-latest-small"
    found = {}
    for name, choices in CHOICES.items():
        for options in choices:
            model = model_class(name)(**options)
            parts = _rated(folder) if model.predicts_ratings else _ranked(folder)
            scores = [_score(model_class(name)(**options), train, valid) for train, valid in parts]
            changed = ", ".join(f"{key} {value}" for key, value in options.items()) or "defaults"
            what = "RMSE" if model.predicts_ratings else "NDCG@10"
            found[f"{what} of {name}, {changed}"] = Figure(float(np.mean(scores)), "", higher=what != "RMSE")
    return found


def _rated(folder: Path) -> Iterator[tuple[Interactions, Interactions]]:
    """Yield parts of the rows that every reported split trains on."""
    trains = [latest_small(folder, seed)[0] for seed in REPORTED]
    keys = [rows.user_index.astype(np.int64) << 32 | rows.item_index for rows in trains]
    common = trains[0].rows(np.isin(keys[0], keys[1]) & np.isin(keys[0], keys[2]))
    for seed in FRESH:
        held_out = np.random.default_rng(seed).random(len(common)) < 0.1
        yield common.rows(~held_out), common.rows(held_out)


def _ranked(folder: Path) -> Iterator[tuple[Interactions, Interactions]]:
    """Yield everything before the last ratings but one, but two, with those ratings."""
    rows = split(_all(folder), "last").train
    for _ in range(2):
        parts = split(rows, "last")
        yield parts.train, parts.test
        rows = parts.train


def _all(folder: Path) -> Interactions:
    with tempfile.TemporaryDirectory() as name:
        services = Services.open(Path(name) / "all.db", create=True)
        import_source(services.database, str(folder))
        data = services.training.load_data()
        services.database.close()
    return data


def _score(model: Any, train: Interactions, valid: Interactions) -> float:
    for _ in model.fit_epochs(train):
        pass
    if model.predicts_ratings:
        return float(rmse(model, valid))
    scores = model.score_users(valid.user_index)
    wanted = scores[np.arange(len(valid)), valid.item_index]
    for row, user in enumerate(valid.user_index.tolist()):
        scores[row, train.history(user)[0]] = -np.inf
    ranks = (scores > wanted[:, None]).sum(axis=1)
    return float(np.where(ranks < 10, 1 / np.log2(ranks + 2), 0).mean())
