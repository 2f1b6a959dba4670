"""Genres and decades as columns of a design, and what all users together think of them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.models.base import TrainingFacts
from engine.models.shrinkage import spread

LEVEL_DAMPING = 5.0  # ratings at the mean that a level is weighed against
TASTE_DAMPING = 10.0  # the same for the taste in a genre or a decade


def decades_of(years: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
    """Return the decades that occur, ascending: 199 for 1990 to 1999. Year 0 is unknown and has none."""
    return np.bincount(years[years > 0] // 10).nonzero()[0]  # `unique` would load masked arrays: 40 ms


def feature_columns(
    genres: NDArray[np.uint8], years: NDArray[np.integer[Any]], decades: NDArray[np.integer[Any]]
) -> NDArray[np.float32]:
    """Return (n, n_genres + n_decades): genres of total length one, a mark for the decade."""
    marks = genres / np.sqrt(np.maximum(genres.sum(axis=1, keepdims=True), 1))
    return np.concatenate([marks, years[:, None] // 10 == decades], axis=1).astype(np.float32)


def expected_effects(facts: TrainingFacts, columns: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what the common taste makes one expect of each item, less the mean of all (n_items,).

    Without a column nothing is known of an item before it is rated: zero.
    """
    if not columns.shape[1]:
        return np.zeros(len(columns), np.float32)
    parts = spread(facts.item_counts, facts.item_sums, facts.mean, facts.variance)
    design = np.concatenate([np.ones((len(columns), 1), np.float32), columns], axis=1)
    ridge = np.array([LEVEL_DAMPING] + [TASTE_DAMPING] * columns.shape[1])
    effects: NDArray[np.float32] = design @ common_taste(facts, design, ridge, parts.within / max(parts.between, 1e-9))
    return effects


def common_taste(
    facts: TrainingFacts, design: NDArray[np.float32], ridge: NDArray[np.float64], damping: float
) -> NDArray[np.float32]:
    """Return the ridge regression of item means, less the mean of all, on features (d,).

    Args:
        facts: counts and sums of the items.
        design: float32 (n_items, d).
        ridge: float64 (d,).
        damping: a mean of n ratings weighs n / (n + damping).
    """
    weights = facts.item_counts / np.maximum(facts.item_counts + damping, 1e-12)
    means = facts.item_sums / np.maximum(facts.item_counts, 1) - facts.mean
    known = design.astype(np.float64)
    # g = (Zᵀ W Z + ridge)⁻¹ Zᵀ W (x̄ − μ)
    system = (known.T * weights) @ known + np.diag(ridge)
    taste: NDArray[np.float32] = np.linalg.solve(system, known.T @ (weights * means)).astype(np.float32)
    return taste
