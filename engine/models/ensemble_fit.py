"""What an ensemble's weights are found on: rows held out of the training rows, and what the members say of them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.data import NO_TIME, Interactions
from engine.models.base import Model, TrainingFacts
from engine.models.ensemble_weights import Stacking, Table, Wanted, blended, standardized, support
from engine.splits import split, validation

_SHARE = 0.1
_MATRIX = 2**25  # numbers of a member's score matrix that are kept
_USERS = (200, 2000)  # at least and at most, whose rankings are looked at
_ITEMS = 50  # held-out items of a user that are looked at
_BEST = 100  # items of a member that can come near the top of a blend
_SEVERAL = 3  # of a user, on average: then ten places tell enough
_PLACES = (20, 50)  # of the list that are looked at with several held-out items a user, and with few
_RATINGS = 200_000  # held-out rows that ratings are stacked on


def inner_parts(train: Interactions, how: str, seed: int) -> tuple[Interactions, Interactions]:
    """Hold rows out of the training rows; where there are too few for that, both sides are all of them.

    Args:
        train: the rows to train on.
        how: a name of `SPLITS`.
        seed: of the draw, which is independent of that of the test rows.
    """
    if how in ("last", "temporal") and not (train.times != NO_TIME).any():
        how = "random"
    if how == "random" or len(train) < 20:
        parts = validation(train, seed, _SHARE)
    else:
        parts = split(train, how, test=_SHARE, seed=seed + 1)
    return (parts.train, parts.test) if len(parts.test) else (train, train)


class Validation:
    """The held-out rows, and what each member says of them."""

    def __init__(self, learned: Interactions, held_out: Interactions, facts: TrainingFacts) -> None:
        """Choose the users whose rankings are looked at.

        Args:
            learned: what the members are trained on.
            held_out: what they are not.
            facts: of both together: mean, scale and counts as they will be.
        """
        self._rows = held_out.rows(_some(len(held_out), _RATINGS))
        self._facts, self._counts = facts, (learned.user_counts, learned.item_counts)
        users = np.flatnonzero(held_out.user_counts)
        most = max(_USERS[0], min(_USERS[1], _MATRIX // max(1, learned.n_items)))
        self._users = np.sort(np.random.default_rng([0]).permutation(users)[:most])
        self._wanted = _wanted(learned, held_out, self._users)
        self._ratings: list[Table | None] = []
        self._scores: list[NDArray[np.float32]] = []
        self._best: list[NDArray[np.int64]] = []

    def add(self, model: Model) -> None:
        """Ask a member."""
        rows, known = self._rows, model.facts.user_counts > 0
        ratings = None
        if model.predicts_ratings:
            ratings = np.empty(len(rows))
            warm = known[rows.user_index]
            ratings[warm] = model.rate_pairs(rows.user_index[warm], rows.item_index[warm])
            if not warm.all():
                ratings[~warm] = model.ratings(model.cold_vector())[rows.item_index[~warm]]
            ratings -= self._facts.mean
        self._ratings.append(ratings)
        scores = np.empty((len(self._users), len(self._facts.items)), np.float32)
        warm = known[self._users]
        if warm.any():
            scores[warm] = model.score_users(self._users[warm])
        scores[~warm] = model.scores(model.cold_vector())
        self._scores.append(standardized(scores))
        self._best.append(_best_unseen(self._scores[-1], self._wanted.seen))

    def weights(self, *, use_support: bool) -> tuple[Table, Table]:
        """Return the weights of ratings (m, c), zero for who predicts none, and of rankings (m,)."""
        raters = [place for place, one in enumerate(self._ratings) if one is not None]
        rows = self._rows
        basis = support(self._counts[0][rows.user_index], self._counts[1][rows.item_index], use_support)
        stacked = np.zeros((len(self._ratings), 1))
        if raters:
            predictions = np.stack([one for one in self._ratings if one is not None], axis=1)
            targets = rows.ratings.astype(np.float64) - self._facts.mean
            fitted = Stacking.chosen(predictions, targets, basis).weights
            if not fitted.any():  # nobody is better than the mean: then all say so together
                fitted[:, 0] = 1 / len(raters)
            stacked = np.zeros((len(self._ratings), fitted.shape[1]))
            stacked[raters] = fitted
        items, wanted = _narrowed(self._wanted, np.concatenate(self._best, axis=1))
        return stacked, blended([np.take_along_axis(one, items, axis=1) for one in self._scores], wanted)

    def loss(self, stacked: Table, blend: Table) -> float:
        """Return the RMSE on these rows with these weights; where no member predicts ratings 1 - NDCG."""
        raters = [place for place, one in enumerate(self._ratings) if one is not None]
        if not raters:
            mixed = np.zeros_like(self._scores[0])
            for weight, scores in zip(blend, self._scores, strict=True):
                mixed += np.float32(weight) * scores
            return 1 - self._wanted.gain(mixed)
        rows, facts = self._rows, self._facts
        basis = support(self._counts[0][rows.user_index], self._counts[1][rows.item_index], stacked.shape[1] > 1)
        predictions = np.stack([one for one in self._ratings if one is not None], axis=1)
        predicted = facts.scale.clip(facts.mean + Stacking(stacked[raters]).blend(predictions, basis))
        return float(np.sqrt(np.mean((predicted.astype(np.float64) - rows.ratings) ** 2))) if len(rows) else 0.0


def _wanted(learned: Interactions, held_out: Interactions, users: NDArray[np.integer[Any]]) -> Wanted:
    """Return up to `_ITEMS` held-out items of each of these users, drawn, and what cannot be recommended to them.

    That is what they have rated otherwise: to rank high what else was held out of them is no mistake.
    """
    place = np.full(held_out.n_users, -1)
    place[users] = np.arange(len(users))
    order = np.lexsort((np.random.default_rng([1]).random(len(held_out)), held_out.user_index))
    within = np.empty(len(held_out), np.int64)
    within[order] = np.arange(len(held_out)) - held_out.indptr[held_out.user_index]
    seen = np.zeros((len(users), learned.n_items), np.bool_)
    for rows in (learned, held_out):
        mine = place[rows.user_index]
        seen[mine[mine >= 0], rows.item_index[mine >= 0]] = True
    chosen = (place[held_out.user_index] >= 0) & (within < _ITEMS)
    wanted_rows, items = place[held_out.user_index[chosen]], held_out.item_index[chosen]
    seen[wanted_rows, items] = False
    few = len(items) < _SEVERAL * len(users)
    return Wanted(wanted_rows, items, seen, _PLACES[few])


def _best_unseen(scores: NDArray[np.float32], seen: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the best items (U, up to `_BEST`) of each user, in no order; seen ones only where there are too few."""
    n_items = scores.shape[1]
    if n_items <= _BEST:
        return np.tile(np.arange(n_items), (len(scores), 1))
    return np.argpartition(np.where(seen, np.inf, -scores), _BEST, axis=1)[:, :_BEST]


def _narrowed(wanted: Wanted, items: NDArray[np.int64]) -> tuple[NDArray[np.int64], Wanted]:
    """Leave out what no member has among its best: return items (U, C), ascending, and what is wanted among them.

    A ranking is judged by its first places, which go to items that some member ranks high; to compare with all of a
    catalogue over and over takes longer than to train. A held-out item that no member has among its best counts as not
    found: with a place of its own it would be compared with few of the items that stand about it, and what brings up
    the middle of the catalogue would seem better than it is.
    """
    users, n_items = wanted.seen.shape
    first = np.searchsorted(wanted.rows, np.arange(users))
    place = np.arange(len(wanted.rows)) - first[wanted.rows]
    held_out = np.tile(items[:, :1], (1, _ITEMS))
    held_out[wanted.rows, place] = wanted.items
    every = np.sort(np.concatenate([items, held_out], axis=1), axis=1)
    again = np.zeros(every.shape, np.bool_)
    again[:, 1:] = every[:, 1:] == every[:, :-1]
    keys = (np.arange(users)[:, None] * n_items + every).ravel()
    found = np.searchsorted(keys, wanted.rows * n_items + wanted.items) - wanted.rows * every.shape[1]
    left_out = again | np.take_along_axis(wanted.seen, every, axis=1)
    among_best = (items[wanted.rows] == wanted.items[:, None]).any(axis=1)
    left_out[wanted.rows[~among_best], found[~among_best]] = True
    return every, Wanted(wanted.rows, found, left_out, wanted.places)


def _some(n: int, most: int) -> NDArray[np.bool_]:
    """Mark at most so many of n rows, evenly spread."""
    mask = np.zeros(n, np.bool_)
    mask[:: max(1, -(-n // most))] = True
    return mask
