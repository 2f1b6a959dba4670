"""What lists are like apart from being right: how much of the catalogue they show, how novel and varied they are."""

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.data import Interactions
from engine.metrics.base import Evidence, Metric, Values

BLOCK_BYTES = 32 * 2**20
"""Memory for the presence of users at the recommended items, one bit each after packing."""


def coverage(evidence: Evidence, k: int) -> Values:
    """Return the share of the catalogue that stands in at least one list, (1,)."""
    return np.array([np.count_nonzero(_exposure(evidence, k)) / max(1, evidence.train.n_items)])


def coverage_influence(evidence: Evidence, k: int) -> Values:
    """Return what the coverage loses without each user, (U,), centred: the items that nobody else is shown."""
    shown, lists = _exposure(evidence, k), evidence.lists[:, :k]
    alone = ((shown[np.maximum(lists, 0)] == 1) & (lists >= 0)).sum(axis=1) / max(1, evidence.train.n_items)
    influence: Values = (len(lists) - 1) * (alone - alone.mean()) if len(lists) else np.empty(0)
    return influence


def gini_influence(evidence: Evidence, k: int) -> Values:
    """Return the derivative of the Gini coefficient by the weight of each user's list, (U,); NaN without lists.

    With G = Σ w(i) shown(i) / (n Σ shown) it is (Σ over the list of w - G n |list|) / (n Σ shown), where w is the mean
    weight of items that are shown equally often.
    """
    shown, lists = _exposure(evidence, k), evidence.lists[:, :k]
    n, total = len(shown), float(shown.sum())
    if not total:
        return np.full(len(lists), np.nan)
    _, back, counts = np.unique(shown, return_inverse=True, return_counts=True)
    below = np.cumsum(counts) - counts
    weights = (2 * below + counts - n).astype(np.float64)[back]  # (n_items,), the mean of 2 i - n - 1 over equals
    value = float(weights @ shown) / (n * total)
    in_list = lists >= 0
    sums = np.where(in_list, weights[np.maximum(lists, 0)], 0.0).sum(axis=1)
    influence: Values = len(lists) * (sums - value * n * in_list.sum(axis=1)) / (n * total)
    return influence


def gini(evidence: Evidence, k: int) -> Values:
    """Return the Gini coefficient of how often the items of the catalogue are shown, (1,); NaN without lists."""
    shown = np.sort(_exposure(evidence, k))  # (n_items,)
    if not shown.any():
        return np.array([np.nan])
    n = len(shown)
    weights = 2 * np.arange(1, n + 1) - n - 1
    return np.array([float(weights @ shown) / (n * float(shown.sum()))])


def novelty(evidence: Evidence, k: int) -> Values:
    """Return the mean self-information of each list in bits, (U,); NaN for an empty list."""
    train, lists = evidence.train, evidence.lists[:, :k]
    raters = max(1, np.count_nonzero(train.user_counts))
    bits = -np.log2(np.maximum(train.item_counts, 1) / raters)  # (n_items,)
    return _mean_where(bits[np.maximum(lists, 0)], lists >= 0)


def popularity_lift(evidence: Evidence, k: int) -> Values:
    """Return mean popularity of each list / that of the user's training items - 1, (U,); NaN without either."""
    train, lists = evidence.train, evidence.lists[:, :k]
    counts = train.item_counts.astype(np.float64)  # (n_items,)
    own = np.bincount(train.user_index, counts[train.item_index], train.n_users) / np.maximum(train.user_counts, 1)
    base = own[evidence.users]  # (U,), nought for a user without training rows
    shown = _mean_where(counts[np.maximum(lists, 0)], lists >= 0)
    return np.where(base > 0, shown / np.where(base > 0, base, 1.0) - 1, np.nan)


def diversity(evidence: Evidence, k: int) -> Values:
    """Return the mean of 1 - cosine over the pairs of each list, (U,); NaN where no pair has both vectors."""
    lists, genres = evidence.lists[:, :k], evidence.train.features.genres
    return _genre_diversity(lists, genres) if genres.any() else _co_rating_diversity(lists, evidence.train)


def _exposure(evidence: Evidence, k: int) -> NDArray[np.int64]:
    """Return how many lists show each item (n_items,)."""
    shown = evidence.lists[:, :k]
    return np.bincount(shown[shown >= 0], minlength=evidence.train.n_items)


def _mean_where(values: Values, counted: NDArray[np.bool_]) -> Values:
    """Return the row means (U,) of values (U, m) where `counted`; NaN for a row without any."""
    counts = counted.sum(axis=1)
    totals = np.where(counted, values, 0.0).sum(axis=1)
    return np.where(counts > 0, totals / np.maximum(counts, 1), np.nan)


def _genre_diversity(lists: NDArray[np.int32], genres: NDArray[np.uint8]) -> Values:
    """Return the diversities (U,) by genre vectors, without forming the pairs."""
    norms = np.sqrt(genres.sum(axis=1, dtype=np.float64))  # (n_items,), of 0/1 vectors
    unit = genres / np.maximum(norms, 1.0)[:, None]  # (n_items, n_genres), zero where an item has no genre
    total = np.zeros((len(lists), genres.shape[1]))  # (U, n_genres)
    counts = np.zeros(len(lists))
    for place in lists.T:  # (U,), so that no (U, k, n_genres) array is made
        has_genres = (place >= 0) & (norms[place] > 0)
        total += np.where(has_genres[:, None], unit[place], 0.0)
        counts += has_genres
    # |sum of unit vectors|^2 = m + 2 * (sum of cosines over pairs)
    cosines = ((total**2).sum(axis=1) - counts) / 2
    pairs = counts * (counts - 1) / 2
    return np.where(pairs > 0, np.clip(1 - cosines / np.maximum(pairs, 1), 0.0, 1.0), np.nan)


def _co_rating_diversity(lists: NDArray[np.int32], train: Interactions) -> Values:
    """Return the diversities (U,) by who rated the items in training."""
    places = list(combinations(range(lists.shape[1]), 2))
    if not places:
        return np.full(len(lists), np.nan)
    first, second = (lists[:, list(side)] for side in zip(*places, strict=True))  # (U, pairs) each
    counts = train.item_counts
    usable = (first >= 0) & (second >= 0) & (counts[first] > 0) & (counts[second] > 0)
    a, b = np.minimum(first[usable], second[usable]), np.maximum(first[usable], second[usable])
    keys, back = np.unique(a.astype(np.int64) * train.n_items + b, return_inverse=True)
    left, right = keys // train.n_items, keys % train.n_items
    norms = np.sqrt(counts.astype(np.float64))
    distances = np.zeros(usable.shape)
    distances[usable] = np.clip(1 - _common_raters(train, left, right) / (norms[left] * norms[right]), 0.0, 1.0)[back]
    return _mean_where(distances, usable)


def _common_raters(
    train: Interactions, left: NDArray[np.integer[Any]], right: NDArray[np.integer[Any]]
) -> NDArray[np.int64]:
    """Return how many users rated both items of each pair (P,): bits of users, block by block of users."""
    shown, ends = np.unique(np.concatenate([left, right]), return_inverse=True)
    column = np.full(train.n_items, -1)
    column[shown] = np.arange(len(shown))
    block = min(BLOCK_BYTES // max(1, len(shown)), train.n_users) // 64 * 64 + 64  # users, in whole words
    common = np.zeros(len(left), np.int64)
    for begin in range(0, train.n_users, block):
        end = min(begin + block, train.n_users)
        rows = slice(train.indptr[begin], train.indptr[end])
        columns = column[train.item_index[rows]]
        rated = np.zeros((len(shown), block), np.bool_)  # (shown items, block)
        rated[columns[columns >= 0], train.user_index[rows][columns >= 0] - begin] = True
        words = np.packbits(rated, axis=1).view(np.uint64)  # (shown items, block / 64)
        for pairs in np.array_split(np.arange(len(left)), 1 + len(left) * words.shape[1] * 8 // BLOCK_BYTES):
            both = words[ends[pairs]] & words[ends[len(left) + pairs]]
            common[pairs] += np.bitwise_count(both).sum(axis=1, dtype=np.int64)
    return common


COVERAGE = Metric(
    name="coverage",
    sentence="Share of the items of the catalogue that stand in at least one user's list of k.",
    formula="|union of the lists| / items of the catalogue",
    source="Ge, Delgado-Battenfeld, Jannach 2010, Beyond accuracy: evaluating recommender systems by coverage",
    empty_case="0 where no list has an item.",
    better="higher",
    compute=coverage,
    influence=coverage_influence,
    per_user=False,
    named_with_k=False,
)

GINI = Metric(
    name="gini",
    sentence="How unequally the lists of k show the items of the catalogue: 0 all equally often, towards 1 a few only.",
    formula="sum over items i in ascending order of shown(i) of (2 i - n - 1) shown(i) / (n * sum of shown)",
    source="Shani, Gunawardana 2011, Evaluating recommendation systems, 8.3.2",
    empty_case="Undefined where no list has an item.",
    better="lower",
    compute=gini,
    influence=gini_influence,
    per_user=False,
    named_with_k=False,
)

NOVELTY = Metric(
    name="novelty",
    sentence="Mean information of the recommended items in bits: one more for each halving of an item's popularity.",
    formula="mean over the list of -log2(users who rated the item in training / users with training ratings)",
    source="Zhou, Kuscsik, Liu, Medo, Wakeling, Zhang 2010, Solving the apparent diversity-accuracy dilemma",
    empty_case="Undefined for an empty list; an item nobody rated counts as if one user had.",
    better="higher",
    compute=novelty,
    bounds=(0.0, np.inf),
    named_with_k=False,
)

DIVERSITY = Metric(
    name="diversity",
    sentence="How unlike each other the items of a list are: by genres, or by who rated them where none are known.",
    formula="mean over the pairs of the list of 1 - cosine(vector of one, vector of the other)",
    source="Ziegler, McNee, Konstan, Lausen 2005, Improving recommendation lists through topic diversification",
    empty_case="Pairs with an item without genres (or ratings) are left out; undefined for a list without a pair.",
    better="higher",
    compute=diversity,
    named_with_k=False,
)

POPULARITY_LIFT = Metric(
    name="popularity_lift",
    sentence="How much more popular the listed items are than those that the user rated: 0 as popular, 1 twice that.",
    formula="mean over the list of raters(item) / mean over the user's training items of raters(item) - 1",
    source="Abdollahpouri, Mansoury, Burke, Mobasher 2020, The connection between popularity bias, calibration, and "
    "fairness in recommendation",
    empty_case="Undefined for an empty list and for a user without training ratings.",
    better="nearer",
    compute=popularity_lift,
    bounds=(-1.0, np.inf),
    named_with_k=False,
)
