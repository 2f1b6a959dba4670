"""The weights of an ensemble: non-negative stacking of predicted ratings, and a blend of standardized scores.

Both are found on rows that none of the members, as they are here, has learned from.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.float64]
_FOLDS = 5
_PRIOR_ROWS = 5  # rows that the wish for equal weights is worth
_KNOWN = 20.0  # ratings of a user or an item at which what is not known of them counts half
_DRAWS = 16  # of half the users, over which the weights of rankings are averaged
_ROUNDS = 20
_FIRST = 4  # times that the best member is picked to begin with, so that another can enter with a fifth of the weight
_DOUBT = 0.25  # standard errors by which a member must help to enter
_LEAST = 0.05  # of the weight: who has less is not worth loading
_EQUAL = 1e-12  # deviation of scores that do not differ
_AT_ONCE = 2**24  # numbers that are compared at once


def support(user_counts: NDArray[np.integer[Any]], item_counts: NDArray[np.integer[Any]], use: bool) -> Table:
    """Return what weights may depend on (n, 1 or 3): one, and how little is known of user and item, from 0 to 1."""
    ones = np.ones(len(user_counts))
    if not use:
        return ones[:, None]
    return np.stack([ones, *(_KNOWN / (_KNOWN + counts) for counts in (user_counts, item_counts))], axis=1)


@dataclass(frozen=True, eq=False)
class Stacking:
    """Predicted ratings as a non-negative combination: mean + Σ_k (weights_k · support) (r_k - mean).

    Attributes:
        weights: float64 (m, 1 or 3), each at least 0.
    """

    weights: Table

    @classmethod
    def fit(cls, predictions: Table, targets: Table, basis: Table) -> "Stacking":
        """Minimize the square error; where there are few rows, weights stay near equal ones.

        Args:
            predictions: (n, m), of the members, less the mean.
            targets: (n,), ratings less the mean.
            basis: (n, c), as `support` gives it.
        """
        return cls(_solved(*_moments(predictions, targets, basis), len(targets), predictions.shape[1]))

    @classmethod
    def chosen(cls, predictions: Table, targets: Table, basis: Table) -> "Stacking":
        """Fit with the whole basis or with its first column alone, as five-fold cross-validation finds better."""
        plain = basis[:, :1]
        if basis.shape[1] == 1 or len(targets) < _FOLDS * 20:
            return cls.fit(predictions, targets, plain)
        errors = [_cross_validated(predictions, targets, some) for some in (plain, basis)]
        return cls.fit(predictions, targets, basis if errors[1] < errors[0] else plain)

    def blend(self, predictions: Table, basis: Table) -> Table:
        """Return predicted ratings less the mean (n,) of predictions (n, m) less the mean."""
        blended: Table = np.einsum("nm,mc,nc->n", predictions, self.weights, basis[:, : self.weights.shape[1]])
        return blended


def _moments(predictions: Table, targets: Table, basis: Table) -> tuple[Table, Table]:
    """Return AᵀA and Aᵀy of the columns r_k φ_c, members first."""
    columns = (predictions[:, :, None] * basis[:, None, :]).reshape(len(targets), -1)
    return columns.T @ columns, columns.T @ targets


def _solved(gram: Table, right: Table, n: int, members: int) -> Table:
    """Return the weights (m, c) that minimize |A w - y|² + ridge · |w - equal|² over w ≥ 0, by AᵀA of n rows."""
    from scipy.optimize import nnls

    equal = np.zeros((members, len(gram) // members))
    equal[:, 0] = 1 / members
    size = np.trace(gram) / len(gram)
    if size <= 0:  # every member predicts the mean
        return equal
    ridge = size * _PRIOR_ROWS / n
    factor = np.linalg.cholesky(gram + ridge * np.eye(len(gram)))
    found: Table = nnls(factor.T, np.linalg.solve(factor, right + ridge * equal.ravel()))[0]
    return found.reshape(equal.shape)


def _cross_validated(predictions: Table, targets: Table, basis: Table) -> float:
    """Return the mean square error of rows predicted by weights that were fitted without them."""
    fold = np.arange(len(targets)) % _FOLDS
    parts = [_moments(predictions[fold == one], targets[fold == one], basis[fold == one]) for one in range(_FOLDS)]
    gram, right = sum(part[0] for part in parts), sum(part[1] for part in parts)
    total = 0.0
    for one, part in enumerate(parts):
        rows = fold == one
        others = len(targets) - int(rows.sum())
        fitted = Stacking(_solved(gram - part[0], right - part[1], others, predictions.shape[1]))
        total += float(np.sum((targets[rows] - fitted.blend(predictions[rows], basis[rows])) ** 2))
    return total / len(targets)


def standardized(scores: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Return scores (…, n_items) less their mean, in units of their deviation; zero where all are equal."""
    centred: NDArray[np.float32] = scores - scores.mean(axis=-1, keepdims=True, dtype=np.float64).astype(np.float32)
    deviation = np.sqrt(np.mean(np.square(centred), axis=-1, keepdims=True, dtype=np.float64))
    centred *= np.where(deviation > _EQUAL, 1 / np.maximum(deviation, _EQUAL), 0).astype(np.float32)
    return centred


@dataclass(frozen=True, eq=False)
class Wanted:
    """Held-out items of some users, by which a ranking is judged.

    Attributes:
        rows: int (p,), which row of the score matrices, ascending.
        items: int (p,), the held-out items.
        seen: bool (U, n_items), items that cannot be recommended.
        places: of the list that are looked at; what comes later is worth nothing.
    """

    rows: NDArray[np.integer[Any]]
    items: NDArray[np.integer[Any]]
    seen: NDArray[np.bool_]
    places: int = 10

    def gain(self, scores: NDArray[np.float32]) -> float:
        """Return the mean over users of NDCG."""
        return float(self.gains(scores).mean())

    def gains(self, scores: NDArray[np.float32]) -> Table:
        """Return the NDCG of each user with held-out items; of equal scores half come before."""
        above = self._above(np.where(self.seen, np.float32(-np.inf), scores))
        users = len(self.seen)
        found = np.bincount(self.rows, (above < self.places) / np.log2(above + 2.0), users)
        counts = np.bincount(self.rows, minlength=users)
        most = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(self.places) + 2.0))])
        best = most[np.minimum(counts, self.places)]
        gains: Table = found[counts > 0] / best[counts > 0]
        return gains

    def _above(self, ranked: NDArray[np.float32]) -> Table:
        """Return how many items come before each held-out one (p,); inf where as many as there are places.

        The first places alone are put in order; only where equals stand at their end all of the row is looked at.
        """
        places = min(self.places, ranked.shape[1])
        first = np.partition(ranked, ranked.shape[1] - places, axis=1)[:, ranked.shape[1] - places :]  # (U, places)
        mine = ranked[self.rows, self.items][:, None]  # (p, 1)
        others = first[self.rows]
        before, upto = (np.count_nonzero(one, axis=1) for one in (others > mine, others >= mine))
        edge = np.flatnonzero((before < places) & (upto == places))  # more of the row may be equal to these
        step = max(1, _AT_ONCE // ranked.shape[1])
        for some in (edge[start : start + step] for start in range(0, len(edge), step)):
            upto[some] = np.count_nonzero(ranked[self.rows[some]] >= mine[some], axis=1)
        above: Table = np.where(before < places, (before + upto - 1) / 2, np.inf)
        return above


def blended(scores: list[NDArray[np.float32]], wanted: Wanted) -> Table:
    """Return the weights (m,) of standardized scores, summing to one, that rank the held-out items best.

    The mean over draws of half the users of what greedy selection finds best for them: what one of two that are near
    each other gets from all users at once is decided by chance. A part below a twentieth is none. All count the same
    where nobody finds anything.

    Args:
        scores: (U, n_items) of each member.
        wanted: what is to be ranked high.

    Source: Caruana, Niculescu-Mizil, Crew, Ksikes 2004, "Ensemble Selection from Libraries of Models" (selection with
    replacement from bags).
    """
    tried = _Tried(scores, wanted)
    rng = np.random.default_rng([2])
    users = len(tried.gains((1,) * len(scores)))
    found = np.zeros(len(scores))
    for _ in range(_DRAWS):
        picked = np.array(_selected(tried, rng.permutation(users)[: max(1, users // 2)]))
        found += picked / max(picked.sum(), 1)
    if not found.any():
        return np.full(len(scores), 1 / len(scores))
    found[found < _LEAST * found.sum()] = 0
    weights: Table = found / found.sum()
    return weights


class _Tried:
    """What combinations of members gain, each looked at once: one draw of users tries much that another has tried."""

    def __init__(self, scores: list[NDArray[np.float32]], wanted: Wanted) -> None:
        """Take the scores (U, n_items) of each member, and what is to be ranked high."""
        self.members = len(scores)
        self._scores, self._wanted = scores, wanted
        self._known: dict[tuple[int, ...], Table] = {}

    def gains(self, picked: tuple[int, ...]) -> Table:
        """Return the NDCG of each user with held-out items where members count as often as they are picked (m,)."""
        if picked not in self._known:
            mixed = np.zeros_like(self._scores[0])
            for times, scores in zip(picked, self._scores, strict=True):
                if times:
                    mixed += np.float32(times) * scores
            self._known[picked] = self._wanted.gains(mixed)
        return self._known[picked]


def _selected(tried: _Tried, users: NDArray[np.integer[Any]]) -> tuple[int, ...]:
    """Return how often each member is picked (m,) for some users: the best, then who helps most, as long as one does.

    A member that has no part yet must help by more than a quarter of the standard error, users being drawn by chance.
    """
    picked, now = (0,) * tried.members, np.zeros(len(users))
    for _ in range(_ROUNDS):
        times = 1 if any(picked) else _FIRST
        then = [(*picked[:one], picked[one] + times, *picked[one + 1 :]) for one in range(tried.members)]
        more = [tried.gains(combination)[users] - now for combination in then]
        better = [
            float(gain.mean()) - (0 if part else _DOUBT * float(gain.std()) / len(users) ** 0.5)
            for gain, part in zip(more, picked, strict=True)
        ]
        choice = int(np.argmax(better))
        if better[choice] <= 0:
            break
        picked, now = then[choice], now + more[choice]
    return picked
