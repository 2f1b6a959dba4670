"""How the defaults were chosen: on rows that are in no test part of the figures we report, of more than one kind.

Ratings: of MovieLens latest-small the rows that seeds 0, 1 and 2 of the 90/10 protocol all train on (73 %), parted
90/10 three times anew; MovieLens-100K, which is denser and which RecBole brings along, parted likewise. Ranking: of
latest-small every user's last rating, which is the test row, is thrown away; the last but one is predicted from those
before it, then the last but two. Of MovieLens-100K the last and the last but one; of planted ratings a random one.
"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from engine.data import Interactions, ItemFeatures, Scale
from engine.models import model_class
from engine.services import Services
from engine.splits import split
from store.importers.pipeline import import_source
from tests.benchmarks import rivals
from tests.benchmarks.bench_ials import chosen
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
    "bayesian-mf": [{}, {"likelihood": "probit"}, {"n_factors": 31}],
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
    """Return the mean over the parts of each set, of each model with its defaults and with one setting changed."""
    found = {}
    for name, choices in CHOICES.items():
        rates = model_class(name)().predicts_ratings
        for kind, parts in (RATED if rates else RANKED).items():
            held = list(parts())
            for options in choices:
                scores = [_score(model_class(name)(**options), train, valid) for train, valid in held]
                changed = ", ".join(f"{key} {value}" for key, value in options.items()) or "defaults"
                what = "RMSE" if rates else "NDCG@10"
                label = f"{what} of {name}, {changed}, {kind}"
                found[label] = Figure(float(np.mean(scores)), "", higher=not rates)
                print(f"  {label}: {found[label].ours:.4f}", flush=True)
    return found


def _rated() -> Iterator[tuple[Interactions, Interactions]]:
    """Yield parts of the rows that every reported split trains on."""
    trains = [latest_small(_folder(), seed)[0] for seed in REPORTED]
    keys = [rows.user_index.astype(np.int64) << 32 | rows.item_index for rows in trains]
    common = trains[0].rows(np.isin(keys[0], keys[1]) & np.isin(keys[0], keys[2]))
    yield from (_parted(common, seed) for seed in FRESH)


def _parted(rows: Interactions, seed: int) -> tuple[Interactions, Interactions]:
    held_out = np.random.default_rng(seed).random(len(rows)) < 0.1
    return rows.rows(~held_out), rows.rows(held_out)


def _ranked() -> Iterator[tuple[Interactions, Interactions]]:
    """Yield everything before the last ratings but one, but two, with those ratings."""
    return _last_two(split(_all(_folder()), "last").train)


def _last_two(rows: Interactions) -> Iterator[tuple[Interactions, Interactions]]:
    for _ in range(2):
        parts = split(rows, "last")
        yield parts.train, parts.test
        rows = parts.train


def _planted() -> Iterator[tuple[Interactions, Interactions]]:
    """Yield who rated what by a planted taste, with one more item of each user."""
    for seed in FRESH[:2]:
        drawn = chosen(3_000, 1_500, 100, seed)
        ids = [[f"{number:07}" for number in range(n)] for n in drawn["shape"]]
        pairs = ((drawn["users"], drawn["items"]), (drawn["test_users"], drawn["test_items"]))
        train, test = (
            Interactions.build(*ids, users, items, np.ones(len(users), np.float32)) for users, items in pairs
        )
        yield train, test


def _hundred() -> Interactions:
    """Return MovieLens-100K as RecBole brings it along."""
    import pandas as pd

    [folder] = rivals.ENVIRONMENT.glob("lib/python*/site-packages/recbole/dataset_example/ml-100k")
    rows = pd.read_csv(folder / "ml-100k.inter", sep="\t", names=["user", "item", "rating", "at"], header=0)
    films = pd.read_csv(folder / "ml-100k.item", sep="\t", names=["item", "title", "year", "genres"], header=0)
    users, user_ids = pd.factorize(rows["user"])
    items, item_ids = pd.factorize(rows["item"])
    films = films.set_index("item").loc[item_ids]
    marks = films["genres"].fillna("").str.get_dummies(" ")
    years = pd.to_numeric(films["year"], errors="coerce").fillna(0).astype(np.int16)
    features = ItemFeatures(marks.to_numpy(np.uint8), tuple(marks.columns), years.to_numpy())
    ids = [[str(number) for number in numbers] for numbers in (user_ids, item_ids)]
    values, times = rows["rating"].to_numpy(), rows["at"].to_numpy()
    return Interactions.build(*ids, users, items, values, times, scale=Scale(1, 5, 1), features=features)


def _folder() -> Path:
    return Path(os.environ.get("RECSYS_DATA", Path(__file__).parents[3] / "shared" / "data")) / "ml-latest-small"


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


RATED = {"latest-small": _rated, "MovieLens-100K": lambda: (_parted(_hundred(), seed) for seed in FRESH)}
RANKED = {"latest-small": _ranked, "MovieLens-100K": lambda: _last_two(_hundred()), "planted": _planted}
