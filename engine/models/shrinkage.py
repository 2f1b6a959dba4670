"""Shrinking the means of groups towards the mean of all, by as much as the data themselves call for."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Spread(NamedTuple):
    """The two variances of ratings in groups: x = mean + effect of the group + noise.

    Attributes:
        between: variance of the effects, at least a hundredth of all variance: people and films do differ.
        within: variance of the noise.
    """

    between: float
    within: float


def spread(counts: NDArray[np.integer[Any]], sums: NDArray[Any], mean: float, variance: float) -> Spread:
    """Split the variance of ratings into between and within groups, by moments (one-way random effects).

    With SSB = Σ n_g (x̄_g − x̄)², SSW = n·variance − SSB, k groups and n₀ = (n − Σ n_g² / n) / (k − 1):
    within = SSW / (n − k), between = (SSB / (k − 1) − within) / n₀. Where every group has one member, or there is one
    group, nothing tells the two apart and all of it counts as noise.

    Args:
        counts: (n_groups,), members of each group; empty groups are left out.
        sums: (n_groups,), sum of the ratings of each group.
        mean: of all ratings.
        variance: of all ratings.

    Source: Searle, Casella, McCulloch, *Variance Components* (1992), section 3.6.
    """
    sizes = counts[counts > 0].astype(np.float64)
    total, n_groups = sizes.sum(), len(sizes)
    if n_groups < 2 or total <= n_groups:
        return Spread(_LEAST_BETWEEN * variance, variance)
    between_squares = float(np.sum((sums[counts > 0] - sizes * mean) ** 2 / sizes))
    within = max(0.0, (total * variance - between_squares) / (total - n_groups))
    typical_size = (total - np.sum(sizes**2) / total) / (n_groups - 1)
    between = (between_squares / (n_groups - 1) - within) / typical_size
    return Spread(float(max(between, _LEAST_BETWEEN * variance)), float(within))


def shrunk_effects(
    counts: NDArray[np.integer[Any]], sums: NDArray[Any], mean: float, parts: Spread
) -> NDArray[np.float32]:
    """Return the expected effect of each group given its members (n_groups,): the Bayesian average less the mean.

    effect = (sum − n·mean) / (n + within / between); 0 for an empty group.
    """
    if parts.between <= 0:  # all ratings are equal
        return np.zeros(len(counts), np.float32)
    damping = parts.within / parts.between
    effects: NDArray[np.float32] = ((sums - counts * mean) / np.maximum(counts + damping, 1e-12)).astype(np.float32)
    return effects


_LEAST_BETWEEN = 0.01
