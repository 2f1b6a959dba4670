"""Ranking among few drawn items instead of the whole catalogue, for figures that others have published so.

Such figures are higher, and can rank models otherwise than the whole catalogue does (Krichene, Rendle 2020, On sampled
metrics for item recommendation): they are never the default, and the protocol names them.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.data import Interactions


def among_drawn(
    scores: NDArray[np.floating[Any]],
    users: NDArray[np.integer[Any]],
    train: Interactions,
    test: Interactions,
    negatives: int,
    seed: int,
) -> NDArray[np.floating[Any]]:
    """Return scores (B, n_items) in which only a user's held-out items and some drawn ones can be recommended.

    Args:
        scores: (B, n_items), a row for each of `users`; left as they are.
        users: (B,), dense indices.
        train: its items are not drawn.
        test: its items stay, and are not drawn.
        negatives: items to draw for each user, fewer where fewer are unseen.
        seed: a user's items depend on it and on the user alone.
    """
    kept = np.full_like(scores, -np.inf)
    for row, user in enumerate(users.tolist()):
        held_out = test.history(user)[0]
        unseen = np.ones(scores.shape[1], np.bool_)
        unseen[train.history(user)[0]] = unseen[held_out] = False
        others = np.flatnonzero(unseen)
        rng = np.random.default_rng([seed, 4, user])
        drawn = rng.choice(others, min(negatives, len(others)), replace=False)
        candidates = np.concatenate([held_out, drawn])
        kept[row, candidates] = scores[row, candidates]
    return kept
