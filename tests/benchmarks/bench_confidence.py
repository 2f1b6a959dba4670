"""How true bounds and confidence are: on rows that neither the model nor its calibration has seen, for each model.

The same protocol for all: a fifth of MovieLens latest-small, drawn at random, is kept outside of the database; the
version is trained with its defaults on the rest, and asked through the recommender.
"""

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from engine.models import MODELS
from engine.services import Services
from engine.services.training import TrainingRequest
from store.importers.pipeline import import_source
from tests.benchmarks.figures import Figure

NAMES = ("popularity", "content", "mf", "bayesian-mf", "ncf", "ensemble")
MEMBERS = ("mf", "bayesian-mf")  # of the ensemble, which learns its weights on rows that none of them learned from
QUICK = ("popularity", "content", "mf")
SEED, BINS = 7, 10


def run(*, quick: bool = False) -> dict[str, Figure]:
    """Return the expected calibration error of the confidence, and how many ratings the bounds hold, by model."""
    figures = {}
    for name in QUICK if quick else NAMES:
        assert name in MODELS
        error, inside, inside_95 = _measured(name)
        figures |= {
            f"{name}: expected calibration error of the confidence": Figure(error, "", goal=0.03),
            f"{name}: ratings within the 80 % bounds": Figure(100 * inside, "%", note="80 ± 2"),
            f"{name}: ratings within the 95 % bounds": Figure(100 * inside_95, "%", note="95 ± 1"),
        }
    return figures


def calibration_error(likely: np.ndarray, happened: np.ndarray) -> float:
    """Return the mean over equal bins of |mean probability - share that happened|, weighed by their rows."""
    place = np.minimum((likely * BINS).astype(int), BINS - 1)
    bins = [place == k for k in range(BINS)]
    return float(sum(k.mean() * abs(likely[k].mean() - happened[k].mean()) for k in bins if k.any()))


def _measured(name: str) -> tuple[float, float, float]:
    """Train a model on four fifths, and ask it for the others."""
    data = Path(os.environ.get("RECSYS_DATA", Path(__file__).parents[3] / "shared" / "data")) / "ml-latest-small"
    rows = pd.read_csv(data / "ratings.csv", dtype={"userId": str, "movieId": str})
    held_out = np.random.default_rng(SEED).random(len(rows)) < 0.2
    with tempfile.TemporaryDirectory(prefix="bench-confidence-") as folder:
        shutil.copy(data / "movies.csv", folder)
        rows[~held_out].to_csv(Path(folder) / "ratings.csv", index=False)
        services = Services.open(Path(folder) / "films.db", create=True)
        import_source(services.database, folder)
        members = MEMBERS if name == "ensemble" else ()
        for one in (*members, name):
            for _ in services.training.run(TrainingRequest(one, full=not members, activate=one == name)):
                pass
        return _asked(services, rows[held_out])


def _asked(services: Services, rows: pd.DataFrame) -> tuple[float, float, float]:
    """Return the calibration error, and the shares of the ratings within the bounds of 80 and of 95 %."""
    snapshot, found = services.manager.snapshot(), []
    for user, theirs in rows.groupby("userId"):
        view = services.recommender.ladder.view(snapshot, str(user), remember=False)
        index = [snapshot.model.facts.items.index(item) for item in theirs["movieId"]]
        known = np.array([position is not None for position in index])
        positions = np.array([position for position in index if position is not None], np.int64)
        given = theirs["rating"].to_numpy()[known]
        for one, rating in zip(services.recommender.predictions(snapshot, view, positions), given, strict=True):
            found.append(
                (
                    one.confidence,
                    rating >= view.mean - 1e-6,
                    one.lower <= rating <= one.upper,
                    one.lower_95 <= rating <= one.upper_95,
                )
            )
    likely, happened, inside, inside_95 = np.array(found, np.float64).T
    return calibration_error(likely, happened), float(inside.mean()), float(inside_95.mean())
