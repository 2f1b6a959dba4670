"""How ratings enter models that rank by who rated what: the weight of each, and an order for equal scores."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.data import Interactions, Scale
from engine.models.base import TrainingFacts

CONFIDENCES = ("equal", "rating", "liked")
_LEAST = 0.2  # weight of the lowest rating under "rating": even that was worth an evening


def confidences(
    rule: str, ratings: NDArray[np.floating[Any]], means: NDArray[np.floating[Any]] | float, scale: Scale
) -> NDArray[np.float32]:
    """Return the weights (n,) of ratings as interactions.

    equal: 1. rating: from 0.2 at the low end of the scale to 1 at the high end. liked: 1 from the user's mean on,
    else 0.

    Args:
        rule: one of `CONFIDENCES`.
        ratings: (n,).
        means: (n,), or one for all: the mean rating of the user who gave each.
        scale: the rating scale.
    """
    if rule == "equal":
        return np.ones(len(ratings), np.float32)
    if rule == "liked":
        return (ratings >= np.float32(means)).astype(np.float32)
    place = (np.asarray(ratings, np.float64) - scale.low) / max(scale.high - scale.low, 1e-12)
    return (_LEAST + (1 - _LEAST) * np.clip(place, 0, 1)).astype(np.float32)


def training_confidences(rule: str, train: Interactions) -> NDArray[np.float32]:
    """Return the weights (n,) of the training rows."""
    if rule == "equal":
        return np.ones(len(train), np.float32)
    sums = np.bincount(train.user_index, train.ratings, train.n_users)
    means = (sums / np.maximum(train.user_counts, 1)).astype(np.float32)
    return confidences(rule, train.ratings, means[train.user_index], train.scale)


def history_confidences(rule: str, ratings: NDArray[np.floating[Any]], scale: Scale) -> NDArray[np.float32]:
    """Return the weights (k,) of one user's ratings."""
    mean = np.float32(np.mean(ratings, dtype=np.float64)) if len(ratings) else 0.0
    return confidences(rule, np.asarray(ratings, np.float32), float(mean), scale)


def popularity_offsets(facts: TrainingFacts) -> NDArray[np.float32]:
    """Return (n_items,) from 0 to 1e-6 by the number of ratings: too little to matter, but it orders equal scores.

    So a user of whom nothing is known gets the most popular items, not the first of the catalogue.
    """
    counts = facts.item_counts.astype(np.float64)
    offsets: NDArray[np.float32] = (1e-6 * counts / max(counts.max(initial=0.0), 1.0)).astype(np.float32)
    return offsets
