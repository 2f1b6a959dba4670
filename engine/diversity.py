"""Lists that do not repeat themselves: maximal marginal relevance (Carbonell and Goldstein 1998)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.models.base import HasItemVectors, Model


def diversify(
    model: Model,
    scores: NDArray[np.floating[Any]],
    candidates: NDArray[np.integer[Any]],
    k: int,
    diversity: float,
) -> NDArray[np.integer[Any]]:
    """Choose k of the candidates, one after the other, by (1 − diversity) · relevance − diversity · likeness.

    Relevance is the score scaled to 0–1 among the candidates; likeness is the largest cosine to an item already
    chosen, by the model's item vectors or, where it has none, by genres.

    Args:
        model: gives likeness.
        scores: (n_items,).
        candidates: (m,), best first.
        k: how many to choose.
        diversity: 0 to 1.
    """
    if not len(candidates):
        return candidates
    source = model.item_vectors() if isinstance(model, HasItemVectors) else model.facts.features.genres
    rows = source[candidates].astype(np.float64)  # (m, d)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    relevance = scores[candidates].astype(np.float64)
    relevance = (relevance - relevance.min()) / max(float(np.ptp(relevance)), 1e-12)
    likeness = np.zeros(len(candidates))
    left = np.ones(len(candidates), bool)
    chosen: list[int] = []
    while len(chosen) < min(k, len(candidates)):
        value = np.where(left, (1 - diversity) * relevance - diversity * likeness, -np.inf)
        best = int(value.argmax())
        chosen.append(best)
        left[best] = False
        likeness = np.maximum(likeness, rows @ rows[best])
    return candidates[chosen]
