"""From ratings to the two sides of the sampler: the rows grouped both ways, and the features of users and items."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.data import Interactions, ItemFeatures
from engine.kernels import Rows
from engine.models.factor_start import spectral_directions
from engine.models.factor_steps import remaining
from engine.models.gibbs import Block, Prior, Side, conditional, padded_width

if TYPE_CHECKING:
    from scipy.sparse import csc_array, csr_array

_PERIOD = 5  # years
_START = 0.5  # standard deviation of the first biases and factors, in those of the ratings
_NOISE_PRECISION = 1.5
_ROUNDS = 3
_MOST_BY_INT32 = 2**31  # ratings


class Standard(NamedTuple):
    """How ratings are brought to mean 0 and variance 1, and the least variance that noise can have then."""

    mean: float
    deviation: float
    least_noise: float

    @classmethod
    def of(cls, train: Interactions) -> "Standard":
        """Measure the training rows; no rating is known better than its rounding, step² / 12."""
        scale = train.scale
        least = float((scale.step or 0.01 * (scale.high - scale.low)) ** 2 / 12)
        variance = max(float(train.ratings.var(dtype=np.float64)), least) if len(train) else least
        mean = float(train.ratings.mean(dtype=np.float64)) if len(train) else (scale.low + scale.high) / 2
        return cls(mean, variance**0.5, least / variance)


def sides_of(train: Interactions, n_factors: int, implicit: str, side_features: bool) -> tuple[Side, Side]:
    """Return users and items with their ratings and features, and vectors that are zero.

    Args:
        train: the rows.
        n_factors: length of a factor.
        implicit: "both", "users", "items" or "none": whose vectors depend on which ratings there are.
        side_features: whether items have their genres and years as features.
    """
    from scipy.sparse import csr_array

    standard = Standard.of(train)
    ratings = ((train.ratings - np.float32(standard.mean)) / np.float32(standard.deviation)).astype(np.float32)
    # starts of 64 bits would make scipy copy all indices into as many
    starts = train.indptr.astype(np.int32 if len(train) < _MOST_BY_INT32 else np.int64)
    table = csr_array((ratings, train.item_index, starts), shape=(train.n_users, train.n_items))
    k = 1 + n_factors
    width = padded_width(k)
    sides: list[Side] = []
    for grouped, counts, wanted in (
        (table, train.user_counts, implicit in {"both", "users"}),
        (table.T.tocsr(), train.item_counts, implicit in {"both", "items"}),
    ):
        active = counts > 0
        blocks = [Block(_implicit(grouped, counts), active, k, width)] if wanted else []
        if side_features and sides and (known := _side_features(train.features)).shape[1]:
            blocks.append(Block(known, active, k, width))
        rows = Rows(grouped.indptr.astype(np.int64), grouped.indices.astype(np.int32, copy=False), grouped.data)
        sides.append(Side(rows, k, blocks, np.zeros((len(counts), width), np.float32), active))
    return sides[0], sides[1]


def start(users: Side, items: Side, rng: np.random.Generator) -> None:
    """Put the vectors where alternating least squares lead from the main directions of what biases leave.

    From small random factors the chain would come to what the ratings say the later the more of them there are: on a
    million planted ratings of rank 20 after two hundred iterations, where a tenth of them are enough from here on.
    """
    k = users.k
    prior = Prior(np.eye(k) / _START**2, np.ones(k))

    def improve(side: Side, other: Side) -> None:
        side.vectors, _drawn = conditional(side.rows, other.vectors, side.centre, prior, _NOISE_PRECISION)

    improve(items, users)
    improve(users, items)
    by_user, by_item = _less_biases(users, items), _less_biases(items, users)
    users.vectors[:, 1:k] = np.float32(_START) * spectral_directions(by_user, by_item, k - 1, rng)
    for _ in range(_ROUNDS):
        improve(items, users)
        improve(users, items)


def _less_biases(side: Side, other: Side) -> Rows:
    """Return the rows of a side with what the biases of both leave of the ratings."""
    own, others = ((each.vectors[:, 0], np.ones(len(each.vectors), np.float32)) for each in (side, other))
    left = remaining(side.rows, np.stack(own, axis=1), np.stack(others[::-1], axis=1))
    return side.rows._replace(ratings=left)


def _implicit(grouped: "csr_array", counts: NDArray[np.integer[Any]]) -> "csc_array":
    """Return 1/√n_r for each rating of row r by whom, or what, it is of; source: Koren 2008, equation 15."""
    from scipy.sparse import csr_array

    weights = np.repeat((1 / np.sqrt(np.maximum(counts, 1))).astype(np.float32), counts)
    return csr_array((weights, grouped.indices, grouped.indptr), shape=grouped.shape).tocsc()


def _side_features(known: ItemFeatures) -> "csc_array":
    """Return genres / √their number and the five years that an item is of, (n_items, n_features)."""
    from scipy.sparse import csc_array

    n_items = len(known.years)
    number = np.maximum(known.genres.sum(axis=1, dtype=np.float64), 1)
    columns = [known.genres / np.sqrt(number)[:, None]]
    periods = known.years // _PERIOD
    columns += [((periods == period) & (known.years > 0))[:, None] for period in np.unique(periods[known.years > 0])]
    dense = np.concatenate(columns, axis=1).reshape(n_items, -1)
    return csc_array(dense[:, dense.any(axis=0)].astype(np.float64))
