"""Lists that do not repeat themselves and are not all hits: the best candidates, ranked again by more than the score.

Two ways: maximal marginal relevance, which keeps likeness within the list down (Carbonell and Goldstein 1998, "The use
of MMR, diversity-based reranking"), and calibration, which keeps the genres of the list near those of the user's taste
(Steck 2018, "Calibrated recommendations"). Novelty raises what few have rated (Zhou et al. 2010, self-information).
"""

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.models.base import HasItemVectors, Model

Way = Literal["likeness", "genres"]
WAYS: tuple[Way, ...] = ("likeness", "genres")

CANDIDATES = 10
"""The best so many times k items are ranked again."""

_LEAST_CANDIDATES = 100
_SMOOTHING = 0.01  # of the taste in the list's genres, so that the divergence is finite (Steck 2018, section 3)


class Wish(NamedTuple):
    """What a list shall be besides good, each from 0 (not at all) to 1 (nothing else).

    Attributes:
        diversity: weight of difference from the rest of the list, or of the genres of the user's taste.
        novelty: weight of being rated by few, in place of relevance.
        way: "likeness" by the model's item vectors, "genres" by calibration.
    """

    diversity: float = 0.0
    novelty: float = 0.0
    way: Way = "likeness"

    @property
    def plain(self) -> bool:
        """True where the score alone decides."""
        return not self.diversity and not self.novelty

    def candidates(self, k: int) -> int:
        """Return how many of the best items take part in a list of k."""
        return k if self.plain else max(CANDIDATES * k, _LEAST_CANDIDATES)


def rerank(
    model: Model,
    scores: NDArray[np.floating[Any]],
    candidates: NDArray[np.integer[Any]],
    k: int,
    wish: Wish,
    history: tuple[NDArray[np.integer[Any]], NDArray[np.floating[Any]]],
) -> NDArray[np.integer[Any]]:
    """Choose min(k, m) of the candidates in the order of the list.

    Args:
        model: gives likeness, genres and numbers of ratings.
        scores: (n_items,).
        candidates: (m,), best first.
        k: how many to choose.
        wish: what counts besides the score.
        history: items and ratings of the user, for their taste.
    """
    if wish.plain or not len(candidates):
        return candidates if len(candidates) <= k else candidates[:k]
    worth = (1 - wish.novelty) * _scaled(scores[candidates]) + wish.novelty * _rarity(model, candidates)
    if not wish.diversity:
        return candidates[np.argsort(-worth, kind="stable")[:k]]
    taste = genre_shares(model, *history) if wish.way == "genres" else None
    if taste is None:
        return candidates[_unlike(_directions(model, candidates, wish.way), worth, k, wish.diversity)]
    return candidates[_calibrated(_genre_rows(model, candidates), worth, k, wish.diversity, taste)]


def genre_shares(
    model: Model, items: NDArray[np.integer[Any]], ratings: NDArray[np.floating[Any]]
) -> NDArray[np.float64] | None:
    """Return the shares of genres (n_genres,) in what a user likes, each liked item counted once; None without any.

    Liked is what is rated at or above the user's own mean. An item with three genres is a third of each.
    """
    if not len(items):
        return None
    liked = items[ratings >= ratings.mean() - 1e-6]
    sums = _genre_rows(model, liked).sum(axis=0)
    shares: NDArray[np.float64] = sums / max(sums.sum(), 1e-12)
    return shares if sums.any() else None


def divergence(taste: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return KL(p || (1 - α) q + α p) of genre shares q (…, n_genres) from a taste p (n_genres,), α = 0.01."""
    smoothed = (1 - _SMOOTHING) * shares + _SMOOTHING * taste
    known = taste > 0
    terms: NDArray[np.float64] = (taste[known] * np.log2(taste[known] / smoothed[..., known])).sum(axis=-1)
    return terms


def _unlike(rows: NDArray[np.float64], worth: NDArray[np.float64], k: int, diversity: float) -> NDArray[np.intp]:
    """Choose one after the other by (1 − diversity) · worth − diversity · largest cosine to an item chosen already."""
    likeness = np.zeros(len(rows))
    left = np.ones(len(rows), bool)
    chosen: list[int] = []
    while len(chosen) < min(k, len(rows)):
        best = int(np.where(left, (1 - diversity) * worth - diversity * likeness, -np.inf).argmax())
        chosen.append(best)
        left[best] = False
        likeness = np.maximum(likeness, rows @ rows[best])
    return np.array(chosen, np.intp)


def _calibrated(
    genres: NDArray[np.float64], worth: NDArray[np.float64], k: int, diversity: float, taste: NDArray[np.float64]
) -> NDArray[np.intp]:
    """Choose one after the other by (1 − diversity) · mean worth − diversity · KL(taste || genres of the list)."""
    left = np.ones(len(genres), bool)
    chosen: list[int] = []
    sums, total = np.zeros(genres.shape[1]), 0.0
    while len(chosen) < min(k, len(genres)):
        with_each = sums + genres  # (m, n_genres)
        shares = with_each / np.maximum(with_each.sum(axis=1, keepdims=True), 1e-12)
        value = (1 - diversity) * (total + worth) / (len(chosen) + 1) - diversity * divergence(taste, shares)
        best = int(np.where(left, value, -np.inf).argmax())
        chosen.append(best)
        left[best] = False
        sums, total = with_each[best], total + worth[best]
    return np.array(chosen, np.intp)


def _directions(model: Model, items: NDArray[np.integer[Any]], way: Way) -> NDArray[np.float64]:
    """Return unit vectors of items (m, d): the model's own, genres where it has none or they are asked for."""
    source: NDArray[Any] = model.facts.features.genres
    if way == "likeness" and isinstance(model, HasItemVectors):
        source = model.item_vectors()
    rows: NDArray[np.float64] = source[items].astype(np.float64)  # (m, d)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return rows


def _genre_rows(model: Model, items: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """Return the genres of items as shares (m, n_genres), zero for one without."""
    rows = model.facts.features.genres[items].astype(np.float64)
    shares: NDArray[np.float64] = rows / np.maximum(rows.sum(axis=1, keepdims=True), 1)
    return shares


def _rarity(model: Model, items: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """Return how surprising it is that somebody has rated each item, scaled to 0–1 among them (m,)."""
    counts = model.facts.item_counts[items].astype(np.float64)
    return _scaled(-np.log2((counts + 1) / (len(model.facts.users) + 1)))


def _scaled(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return values scaled to 0–1."""
    wide = values.astype(np.float64)
    scaled: NDArray[np.float64] = (wide - wide.min()) / max(float(np.ptp(wide)), 1e-12)
    return scaled
