"""The area under the ROC curve of each user, exact, from the scores of the whole catalogue."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.data import Interactions
from engine.metrics.base import Values


def areas(
    scores: NDArray[np.floating[Any]], users: NDArray[np.integer[Any]], train: Interactions, test: Interactions
) -> Values:
    """Return the area under each user's ROC curve (B,); NaN for a user without relevant or without other items.

    It is U / (m · others) with the rank sum R of the m relevant items among the unseen ones: U = R - m (m + 1) / 2
    (Mann, Whitney 1947). Equal scores share the mean of their ranks, which counts their pairs half; NaN ranks last.

    Args:
        scores: (B, n_items), a row for each of `users`.
        users: (B,), dense indices.
        train: its items are left out.
        test: its items are the relevant ones; no pair of it is in `train`.
    """
    from engine.jit import in_threads
    from engine.kernels_ranking import average_ranks

    ranked = np.where(scores > -np.inf, scores, -np.inf)  # (B, n_items)
    owners, relevant = _items_of(users, test)  # (m of all users,) each
    values = ranked[owners, relevant]
    ranked[_items_of(users, train)] = -np.inf  # seen items go below all others
    in_threads(_sort_rows, len(ranked), ranked)
    ranks = np.empty(len(values))
    in_threads(average_ranks, len(values), ranked, owners, values, ranks)
    seen, m = train.user_counts[users], test.user_counts[users]  # (B,)
    # the ranks that the seen items take up: all are below, except that -inf is tied with them and shares the mean
    ranks -= np.where(values > -np.inf, 1.0, 0.5) * seen[owners]
    wins = np.bincount(owners, ranks, len(users)) - m * (m + 1) / 2
    pairs = m * (scores.shape[1] - seen - m)
    return np.where(pairs > 0, wins / np.maximum(pairs, 1), np.nan)


def _sort_rows(span: tuple[int, int], matrix: NDArray[np.floating[Any]]) -> None:
    """Sort some rows in place; NumPy lets other threads run meanwhile."""
    matrix[span[0] : span[1]].sort(axis=1)


def _items_of(users: NDArray[np.integer[Any]], data: Interactions) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
    """Return the items of all rows of some users, each with its user's position in `users`: (m,) and (m,)."""
    counts = data.user_counts[users]
    owners = np.repeat(np.arange(len(users)), counts)
    shifts = data.indptr[users] - (np.cumsum(counts) - counts)  # from a place here to the row in `data`
    return owners, data.item_index[np.arange(len(owners)) + shifts[owners]]
