"""How much implicit ALS shrinks its vectors, where the settings leave it open.

What is best differs by the kind of data, and held-out ratings tell: below half a million ratings some ridges are tried
on them, in less time than an operator notices. From there on the size decides.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.data import Interactions
from engine.models.facts import TrainingFacts

if TYPE_CHECKING:
    from engine.models.implicit_als import ImplicitALSConfig

_TRIED = (4.0, 5.7, 8.0, 11.3, 16.0)  # geometric means of the ridges of an average user and an average item
_USUAL = 8.0
MANY = 500_000  # ratings from which on their number decides what held-out ratings decide below
# published settings, found on held-out rows, are 16.8, 11.4 and 6.6 on MovieLens-20M, MovieLens-1M and the Million Song
# Dataset (Rendle, Krichene, Zhang, Koren 2021)
_OF_MANY = 11.3
_SHARE, _FEW_USERS = 0.1, 100  # held out of each user's ratings; below so many users chance would choose
_LESS = {"n_factors": 96, "epochs": 12}  # at most, while ridges are tried
_QUICK = "cg"  # twelve epochs choose as six exact ones do (docs/models.md), in a quarter of the time
_PLACES = 100  # of the lists that are compared: ten would leave more to chance
_SCORES_AT_ONCE = 2**18


@dataclass(frozen=True)
class Ridge:
    """How much vectors are shrunk: λ (C + α0 n)^ν."""

    strength: float
    unobserved_weight: float
    exponent: float

    @classmethod
    def of_settings(cls, config: "ImplicitALSConfig", facts: TrainingFacts, average: float | None = None) -> "Ridge":
        """Return the ridge of the settings, or where they leave λ open that with the average given.

        Args:
            config: hyper-parameters.
            facts: the numbers of ratings.
            average: geometric mean of the ridges of an average user and an average item; by the size where not given.
        """
        counts = facts.user_counts, facts.item_counts
        n_users, n_items = (max(1, int(np.count_nonzero(side))) for side in counts)
        n_ratings, rest = int(facts.user_counts.sum()), config.unobserved_weight
        wanted = average or (_USUAL if n_ratings < MANY else _OF_MANY)
        squared = (n_ratings / n_users + rest * n_items) * (n_ratings / n_items + rest * n_users)
        strength = config.regularization or float(wanted / squared ** (config.frequency_exponent / 2))
        return cls(strength, rest, config.frequency_exponent)

    def of(self, sums: NDArray[np.floating[Any]] | float, n_across: int) -> NDArray[np.float32]:
        """Return the ridge for weights that sum to C and n vectors on the other side."""
        frequency = np.asarray(sums, np.float64) + self.unobserved_weight * n_across
        ridge: NDArray[np.float32] = (self.strength * frequency**self.exponent).astype(np.float32)
        return ridge


def tried(train: Interactions, config: "ImplicitALSConfig", seed: int) -> float | None:
    """Return the average ridge by which the latest ratings of the training rows are ranked best, of several.

    None where nothing is tried: λ is given, the ratings are many, or the users too few.
    """
    if config.regularization or len(train) >= MANY:
        return None
    held_out = latest(train, seed)
    if np.count_nonzero(np.bincount(train.user_index[held_out], minlength=1)) < _FEW_USERS:
        return None
    parts = train.rows(~held_out), train.rows(held_out)
    return climbed(lambda average: gain(*parts, config, average, seed))


def climbed(gain_of: Callable[[float], float]) -> float:
    """Return the best of `_TRIED`, going from the usual one to the better side for as long as it gets better."""
    gain_of, at = cache(gain_of), _TRIED.index(_USUAL)
    while True:
        near = range(max(0, at - 1), min(len(_TRIED), at + 2))
        best = max(near, key=lambda one: (gain_of(_TRIED[one]), one == at))
        if best == at:
            return _TRIED[at]
        at = best


def latest(train: Interactions, seed: int) -> NDArray[np.bool_]:
    """Mark (n,) the latest tenth of each user's ratings, rounded; chance parts equally late ones."""
    counts = train.user_counts
    order = np.lexsort((np.random.default_rng([seed, 2]).random(len(train)), train.times, train.user_index))
    to_the_end = np.empty(len(train), np.int64)
    to_the_end[order] = np.repeat(train.indptr[1:], counts) - np.arange(len(train))  # 1 for the latest
    wanted = np.floor(counts * _SHARE + 0.5)
    held_out: NDArray[np.bool_] = to_the_end <= wanted[train.user_index]
    return held_out


def gain(train: Interactions, valid: Interactions, config: "ImplicitALSConfig", average: float, seed: int) -> float:
    """Return NDCG@100 of the held-out rows, mean over users, of a model with this ridge."""
    from engine.models.ensemble_weights import Wanted
    from engine.models.implicit_als import ImplicitALS

    strength = Ridge.of_settings(config, TrainingFacts.of(train), average).strength
    sized = config.sized(len(train))
    less = {name: min(most, getattr(sized, name)) for name, most in _LESS.items()}
    model = ImplicitALS(replace(sized, regularization=strength, solver=_QUICK, **less))
    for _ in model.fit_epochs(train, seed=seed):
        pass
    users = np.flatnonzero(valid.user_counts)
    step, gains = max(1, _SCORES_AT_ONCE // train.n_items), []
    for some in (users[start : start + step] for start in range(0, len(users), step)):
        seen = np.zeros((len(some), train.n_items), np.bool_)
        for row, user in enumerate(some.tolist()):
            seen[row, train.history(user)[0]] = True
        rows = np.repeat(np.arange(len(some)), valid.user_counts[some])
        wanted = np.concatenate([valid.history(user)[0] for user in some.tolist()])
        gains.append(Wanted(rows, wanted, seen, _PLACES).gains(model.score_users(some)))
    return float(np.concatenate(gains).mean())
