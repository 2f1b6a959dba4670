"""Quality and speed of the rating models: RMSE on MovieLens latest-small, seconds at the size of MovieLens-1M."""

import os
import time
from pathlib import Path

import numpy as np

from engine.data import Interactions, ItemFeatures, Scale
from engine.models import model_class
from tests.data import planted, rmse

SEEDS = (0, 1, 2)
MODELS = [("popularity", {}), ("content", {}), ("mf", {}), ("mf", {"solver": "sgd"}), ("mf", {"svd_plus_plus": "true"})]


def latest_small(folder: Path, seed: int) -> tuple[Interactions, Interactions]:
    """The random 90/10 split that the anchors were measured on: (train, test)."""
    import pandas as pd

    ratings = pd.read_csv(folder / "ratings.csv")
    users, user_ids = pd.factorize(ratings["userId"])
    items, item_ids = pd.factorize(ratings["movieId"])
    films = pd.read_csv(folder / "movies.csv", index_col="movieId").loc[item_ids]
    marks = films["genres"].where(films["genres"] != "(no genres listed)", "").str.get_dummies()
    years = films["title"].str.extract(r"\((\d{4})\)\s*$")[0].fillna("0").astype(np.int16)
    features = ItemFeatures(marks.to_numpy(np.uint8), tuple(marks.columns), years.to_numpy())
    kept = np.random.default_rng(seed).random(len(ratings)) < 0.9
    ids = [[str(number) for number in numbers] for numbers in (user_ids, item_ids)]
    values = ratings["rating"].to_numpy()
    train, test = (
        Interactions.build(*ids, users[rows], items[rows], values[rows], features=features) for rows in (kept, ~kept)
    )
    return train, test


def measured(name: str, settings: dict[str, str], train: Interactions, test: Interactions) -> tuple[float, float]:
    """RMSE on the test rows and seconds of training."""
    model = model_class(name)(**settings)
    started = time.perf_counter()
    for _ in model.fit_epochs(train):
        pass
    seconds = time.perf_counter() - started
    return rmse(model, test), seconds


def run() -> dict[str, float]:
    """All figures by name; compiled code is warmed up first."""
    root = Path(__file__).parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("RECSYS_DATA", root)) / "ml-latest-small"
    figures: dict[str, float] = {}
    small = {seed: latest_small(folder, seed) for seed in SEEDS}
    large = planted(6040, 3706, 1_000_209, rank=20, strength=0.5, noise=0.75, scale=Scale(1, 5, 1))
    for name, settings in MODELS:
        label = " ".join([name, *(f"{setting}={value}" for setting, value in settings.items())])
        measured(name, settings, *planted())
        outcomes = [measured(name, settings, *small[seed]) for seed in SEEDS]
        for seed, (error, _) in zip(SEEDS, outcomes, strict=True):
            figures[f"{label}, latest-small, seed {seed}, RMSE"] = error
        figures[f"{label}, latest-small, RMSE"] = float(np.mean([error for error, _ in outcomes]))
        figures[f"{label}, latest-small, seconds"] = float(np.mean([seconds for _, seconds in outcomes]))
        error, seconds = measured(name, settings, *large)
        figures[f"{label}, 1 M planted ratings, RMSE"], figures[f"{label}, 1 M planted ratings, seconds"] = (
            error,
            seconds,
        )
    return figures


if __name__ == "__main__":
    for figure, value in run().items():
        print(f"{figure:48} {value:.4f}")
