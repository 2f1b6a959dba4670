"""How much two lists of the same user have in common."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

PERSISTENCE = 0.9
"""Chance that a reader goes on from one place of a list to the next: the first ten places carry 86 % of the weight."""


def overlaps(first: NDArray[np.integer[Any]], second: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """Return the share of the longer list of each user that both have, (B,); 1 where both are empty.

    Args:
        first: (B, n), distinct items best first, padded with -1.
        second: (B, n), likewise, over the same items.
    """
    lengths = _lengths(first, second)
    common = _met_at(first, second).sum(axis=1)
    return np.where(lengths > 0, common / np.maximum(lengths, 1), 1.0)


def rank_biased(
    first: NDArray[np.integer[Any]], second: NDArray[np.integer[Any]], p: float = PERSISTENCE
) -> NDArray[np.float64]:
    """Return the rank-biased overlap of each user's lists, (B,), from 0 to 1; 1 where both are empty.

    Agreement at depth d is the share that the first d places of both have in common; it is weighted with p^(d-1), and
    beyond the end of the lists it is taken to stay as it is there: (1 - p) Σ_d p^(d-1) X_d / d + p^k X_k / k.

    Args:
        first: (B, n), distinct items best first, padded with -1.
        second: (B, n), likewise, over the same items.
        p: chance of going on to the next place.

    Source: Webber, Moffat, Zobel 2010, A similarity measure for indefinite rankings: the extrapolated RBO.
    """
    n = first.shape[1]
    if not n:
        return np.ones(len(first))
    lengths = _lengths(first, second)
    depth = np.arange(1, n + 1)
    agreement = np.cumsum(_met_at(first, second), axis=1) / depth  # (B, n), X_d / d
    weights = np.where(depth <= lengths[:, None], (1 - p) * p ** (depth - 1.0), 0.0)
    last = agreement[np.arange(len(first)), np.maximum(lengths - 1, 0)]
    shared = (weights * agreement).sum(axis=1) + p**lengths * last
    return np.where(lengths > 0, np.clip(shared, 0.0, 1.0), 1.0)


def _lengths(first: NDArray[np.integer[Any]], second: NDArray[np.integer[Any]]) -> NDArray[np.intp]:
    """Return the length of the longer list of each user (B,)."""
    lengths: NDArray[np.intp] = np.maximum((first >= 0).sum(axis=1), (second >= 0).sum(axis=1))
    return lengths


def _met_at(first: NDArray[np.integer[Any]], second: NDArray[np.integer[Any]]) -> NDArray[np.intp]:
    """Return how many items come to be in both lists at each depth, (B, n): at the lower of their two places."""
    n_items = 1 + max(int(first.max(initial=0)), int(second.max(initial=0)))
    (rows, places), (other_rows, other_places) = np.nonzero(first >= 0), np.nonzero(second >= 0)
    keys = rows * n_items + first[rows, places], other_rows * n_items + second[other_rows, other_places]
    _, here, there = np.intersect1d(*keys, assume_unique=True, return_indices=True)
    depth = np.maximum(places[here], other_places[there])
    return np.bincount(rows[here] * first.shape[1] + depth, minlength=first.size).reshape(first.shape)
