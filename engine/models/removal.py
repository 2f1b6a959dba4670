"""What a rating adds to a score where the model cannot be taken apart: the score as it is, less the score without it.

The parts need not sum to the score: two ratings that say the same are worth little each, since the other remains.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.models.abilities import Contributions, FoldsIn, HasItemVectors
from engine.models.base import Model

MOST = 50
"""Ratings of a history that are left out for an item, one at a time: those of the items most alike to it."""


def contributions_by_removal(
    model: Model,
    items: NDArray[np.integer[Any]],
    ratings: NDArray[np.floating[Any]],
    targets: NDArray[np.integer[Any]],
    most: int = MOST,
) -> list[Contributions]:
    """Return, for each of the items `targets`, what its score loses without each of up to `most` ratings.

    A rating that is left out for several items is left out once.

    Args:
        model: folds in (`FoldsIn`).
        items: (k,), the history, dense indices.
        ratings: (k,), its ratings.
        targets: (m,), dense indices.
        most: ratings that are left out for an item.
    """
    from threadpoolctl import threadpool_limits

    assert isinstance(model, FoldsIn)  # noqa: S101
    baselines = model.scores(model.cold_vector(), targets)
    scores = model.scores(model.fold_in(items, ratings), targets).astype(np.float64) if len(items) else baselines
    tried = np.argsort(-cosines(model, items, targets), axis=0, kind="stable")[:most]  # (≤ most, m), places
    without = np.empty((len(items), len(targets)))
    with threadpool_limits(1, user_api="blas"):  # for matrices as small as these a second thread only waits
        for place in np.unique(tried):
            rest = np.arange(len(items)) != place
            without[place] = model.scores(model.fold_in(items[rest], ratings[rest]), targets)
    return [
        Contributions(float(baselines[at]), items[rows], scores[at] - without[rows, at], float(scores[at]), "removal")
        for at, rows in enumerate(tried.T)
    ]


def cosines(
    model: Model, items: NDArray[np.integer[Any]], targets: NDArray[np.integer[Any]]
) -> NDArray[np.floating[Any]]:
    """Return the likeness (k, m) of items, by the model's item vectors or, where it has none, by genres."""
    source = model.item_vectors() if isinstance(model, HasItemVectors) else model.facts.features.genres
    rows, columns = (_directions(source[some]) for some in (items, targets))
    found: NDArray[np.floating[Any]] = rows @ columns.T
    return found


def _directions(vectors: NDArray[Any]) -> NDArray[np.float64]:
    """Return rows of length one."""
    rows = vectors.astype(np.float64)
    directions: NDArray[np.float64] = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return directions
