"""The ensemble beside its members: RMSE of the random 90/10 split and NDCG@10 of the last rating, on latest-small.

Members and ensemble are trained on the training rows alone; the weights come from rows held out of those. The table of
docs/models.md has these figures.
"""

import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from engine.data import NO_TIME, Interactions
from engine.evaluation import evaluate
from engine.models import model_class
from engine.models.base import Model
from engine.models.ensemble import Ensemble, Recipe
from engine.splits import split
from tests.benchmarks.bench_mf import latest_small
from tests.benchmarks.figures import Figure

SEEDS = (0, 1, 2)
RATERS = {"popularity": {}, "content": {}, "mf": {}, "bayesian-mf": {}, "ncf": {"head": "ratings"}}
RANKERS = {"popularity": {}, "ials": {}, "ease": {}, "next": {}, "ncf": {"head": "ranking"}}


def everything(folder: Path) -> Interactions:
    """All ratings of latest-small with their times."""
    parts = latest_small(folder, 0)
    frame = pd.read_csv(folder / "ratings.csv", dtype={"userId": str, "movieId": str})
    when = {(row.userId, row.movieId): row.timestamp for row in frame.itertuples()}
    users, items = (np.concatenate([getattr(rows, name) for rows in parts]) for name in ("user_index", "item_index"))
    order = np.lexsort((items, users))
    first = parts[0]
    texts = first.users.texts(), first.items.texts()
    ordered = [(texts[0][user], texts[1][item]) for user, item in zip(users[order], items[order], strict=True)]
    ratings = np.concatenate([rows.ratings for rows in parts])[order]
    times = np.array([when.get(pair, NO_TIME) for pair in ordered], np.int64)
    return replace(first, user_index=users[order], item_index=items[order], ratings=ratings, times=times)


def trained(model: Model, train: Interactions) -> float:
    """Train to the end and return the seconds."""
    began = time.perf_counter()
    for _ in model.fit_epochs(train):
        pass
    return time.perf_counter() - began


def table(wanted: dict[str, dict[str, str]], train: Interactions, test: Interactions, metric: str) -> dict[str, float]:
    """Return a figure of each member and of their ensemble, all trained on `train`, and print the weights."""
    found: dict[str, Model] = {name: model_class(name)(**settings) for name, settings in wanted.items()}
    for model in found.values():
        trained(model, train)
    ensemble = Ensemble(validation="last" if metric != "rmse" else "random")
    ensemble.recipes = tuple(Recipe(name, name, wanted[name], one, name) for name, one in found.items())
    trained(ensemble, train)
    models = found | {"ensemble": ensemble}
    values = {name: evaluate(one, train, test, metrics=(metric,)).metrics[metric].value for name, one in models.items()}
    print({name: round(value, 4) for name, value in values.items()}, ensemble.weights(), flush=True)
    return values


def run(*, quick: bool = False) -> dict[str, Figure]:
    """All figures by name."""
    root = Path(__file__).parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("RECSYS_DATA", root)) / "ml-latest-small"
    parts = split(everything(folder), "last")
    figures = {
        f"{name}, NDCG@10, last rating": Figure(value, "", higher=True, goal=0.045 if name == "ensemble" else None)
        for name, value in table(RANKERS, parts.train, parts.test, "ndcg@10").items()
    }
    tables = [table(RATERS, *latest_small(folder, seed), "rmse") for seed in SEEDS[: 1 if quick else None]]
    means = {name: float(np.mean([one[name] for one in tables])) for name in tables[0]}
    goals = {"ncf": 0.880, "ensemble": min(value for name, value in means.items() if name != "ensemble") - 0.002}
    return figures | {f"{name}, RMSE, 90/10": Figure(value, "", goal=goals.get(name)) for name, value in means.items()}
