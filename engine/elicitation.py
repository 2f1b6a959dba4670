"""Which items to ask a newcomer about: the ones whose ratings tell most of a taste, and that are likely to be known.

A taste is a point in the space of the item vectors, with a normal prior of unit covariance, and a rating is its product
with the item's vector plus noise of unit variance. Asking about item i then tells

    gain(i) = P(known) · ½ log(1 + x_i · S x_i)

nats on average, with S the covariance after the answers so far. Vectors are scaled so that the square of their length
is one on average. Items of a cluster that was asked about already wait until no other cluster is left.

Source: Chaloner & Verdinelli 1995, "Bayesian Experimental Design: A Review" (the gain of a linear model); Rashid et al.
2002, "Getting to Know You: Learning New User Preferences in Recommender Systems" (that an item must be known, too).
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

CANDIDATES = 200
"""How many items, those known best, are candidates."""

_CLUSTERS, _ROUNDS = 10, 10


class Elicitation:
    """A conversation: what to ask next, given what was asked and answered."""

    def __init__(self, vectors: NDArray[np.floating[Any]], known: NDArray[np.floating[Any]]) -> None:
        """Begin without answers.

        Args:
            vectors: (n_items, d), in which likeness of items has a meaning.
            known: (n_items,), the probability that somebody has rated the item; 0 takes it out.
        """
        self.known = np.asarray(known, np.float64)
        order = np.argsort(-self.known, kind="stable")[:CANDIDATES]
        self._items = order[self.known[order] > 0]
        self._place = {int(item): place for place, item in enumerate(self._items)}
        chosen = vectors[self._items].astype(np.float64)
        self._scale = max(float(np.sqrt(np.mean(np.einsum("nd,nd->n", chosen, chosen)))) if len(chosen) else 1.0, 1e-12)
        self._vectors = vectors
        self._own = chosen / self._scale  # (n, d)
        self._covariance = np.eye(chosen.shape[1])
        self._clusters = _clusters(self._own)
        self._open = np.ones(len(self._items), bool)
        self._asked_of = np.zeros(_CLUSTERS, np.int64)

    def next(self) -> tuple[int, float] | None:
        """Return the item to ask about and its gain in nats, or None where nothing is left to ask."""
        if not self._open.any():
            return None
        spread = np.einsum("nd,de,ne->n", self._own, self._covariance, self._own)
        gain = self.known[self._items] * 0.5 * np.log1p(np.maximum(spread, 0.0))
        asked = self._asked_of[self._clusters]
        fresh = self._open & (asked == asked[self._open].min())
        best = int(np.argmax(np.where(fresh, gain, -1.0)))
        return int(self._items[best]), float(gain[best])

    def leave(self, item: int) -> None:
        """Take an item out: it was asked about, or is rated already."""
        place = self._place.get(item)
        if place is not None and self._open[place]:
            self._open[place] = False
            self._asked_of[self._clusters[place]] += 1

    def learn(self, items: Iterable[int]) -> None:
        """Take in that items are rated: S ← S - S x xᵀ S / (1 + x · S x)."""
        for item in items:
            x = self._vectors[item].astype(np.float64) / self._scale
            along = self._covariance @ x
            self._covariance = self._covariance - np.outer(along, along) / (1 + x @ along)


def _clusters(vectors: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the cluster of each vector (n,), by Lloyd's method from points that lie far apart."""
    if not len(vectors):
        return np.zeros(0, np.intp)
    centres = vectors[:1]
    while len(centres) < min(_CLUSTERS, len(vectors)):
        centres = np.concatenate([centres, vectors[[int(np.argmax(_squares(vectors, centres).min(axis=1)))]]])
    nearest = np.zeros(len(vectors), np.intp)
    for _ in range(_ROUNDS):
        nearest = np.argmin(_squares(vectors, centres), axis=1)
        present = np.unique(nearest)
        centres = np.stack([vectors[nearest == cluster].mean(axis=0) for cluster in present])
    return np.asarray(_squares(vectors, centres).argmin(axis=1), np.intp)


def _squares(vectors: NDArray[np.float64], centres: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the squared distances (n, m)."""
    gaps: NDArray[np.float64] = (
        np.einsum("nd,nd->n", vectors, vectors)[:, None]
        - 2 * vectors @ centres.T
        + np.einsum("md,md->m", centres, centres)
    )
    return gaps
