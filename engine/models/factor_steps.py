"""Steps of matrix factorization that need no state: where it starts, its main axes, how large its factors are."""

from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from engine.data import Interactions
from engine.models.base import TrainingFacts
from engine.models.shrinkage import shrunk_effects, spread

if TYPE_CHECKING:
    from engine.kernels import Rows, Side


class Biases(NamedTuple):
    """Where the biases start, and how much they vary.

    Attributes:
        items: float32 (n_items,), damped effects.
        between_items: prior variance of the items' biases.
        between_users: the same of the users'.
    """

    items: NDArray[np.float32]
    between_items: float
    between_users: float


class Prepared(NamedTuple):
    """What training derives from the rows before its first epoch.

    Attributes:
        train: the rows.
        facts: their counts and sums.
        by_user, by_item: the rows, grouped for the kernels.
        biases: damped effects of users and items.
    """

    train: Interactions
    facts: TrainingFacts
    by_user: "Rows"
    by_item: "Rows"
    biases: Biases

    @classmethod
    def of(cls, train: Interactions) -> Self:
        """Group the rows both ways and estimate the biases; linear in the rows."""
        from engine.kernels import Rows

        facts = TrainingFacts.of(train)
        columns = train.csr().tocsc()
        by_item = Rows(columns.indptr.astype(np.int64), columns.indices.astype(np.int32), columns.data)
        by_user = Rows(train.indptr, train.item_index, train.ratings)
        return cls(train, facts, by_user, by_item, damped_biases(train, facts))


def damped_biases(train: Interactions, facts: TrainingFacts) -> Biases:
    """Estimate the items' effects first, then the users' effects on the remainder, damped as the data call for.

    Before anything is learned, all of the ratings' variance counts as noise.
    """
    of_items = spread(facts.item_counts, facts.item_sums, facts.mean, facts.variance)._replace(within=facts.variance)
    items = shrunk_effects(facts.item_counts, facts.item_sums, facts.mean, of_items)
    left = train.ratings - np.float32(facts.mean) - items[train.item_index]
    sums = np.bincount(train.user_index, left, train.n_users)
    level, variance = (float(f(left, dtype=np.float64)) if len(left) else 0.0 for f in (np.mean, np.var))
    return Biases(items, of_items.between, spread(facts.user_counts, sums, level, variance).between)


def spectral_directions(
    train: Interactions, left: NDArray[np.float32], n_factors: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return users' coordinates (n_users, n_factors) along the main directions of the residuals, each of unit size.

    The residuals `left` (n,) are scaled by 1/√(count + 5) of user and item, so that rare ones, which are mostly noise,
    do not make directions of their own. Two steps of subspace iteration find their leading left singular vectors.
    A direction that the data do not have is zero, and stays so: the rank never exceeds what there is to learn.

    Source: Halko, Martinsson, Tropp 2011, algorithm 4.4.
    """
    from scipy.sparse import csr_array

    of_user = 1 / np.sqrt(_RARE + train.user_counts).astype(np.float32)
    of_item = 1 / np.sqrt(_RARE + train.item_counts).astype(np.float32)
    scaled = left * of_user[train.user_index] * of_item[train.item_index]
    residuals = csr_array((scaled, train.item_index, train.indptr), shape=(train.n_users, train.n_items))
    across = residuals.T.tocsr()  # (n_items, n_users)
    width = min(n_factors + _SPARE, train.n_users, train.n_items)
    basis = rng.standard_normal((train.n_users, width), np.float32)
    for _ in range(_STEPS):
        basis, _ = np.linalg.qr(residuals @ (across @ basis))
    _, _, rotation = np.linalg.svd(across @ basis, full_matrices=False)
    found = (basis @ rotation.T)[:, :n_factors] * of_user[:, None]
    size = np.sqrt(np.mean(found**2, axis=0))
    directions = np.zeros((train.n_users, n_factors), np.float32)
    directions[:, : found.shape[1]] = found / np.where(size > 0, size, 1)
    return directions


def principal_axes(data: Prepared, users: NDArray[np.float32], items: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the rotation (k, k) to the eigenvectors of Σ_u n_u p_u p_uᵀ + Σ_i n_i q_i q_iᵀ.

    Along these axes the factors are nearly independent, so that a variance for each of them, in place of a covariance
    matrix for each user and item, loses the least.

    Args:
        data: for the counts n.
        users: p, float32 (n_users, k).
        items: q, float32 (n_items, k).
    """
    p, q = users.astype(np.float64), items.astype(np.float64)
    _, axes = np.linalg.eigh((p.T * data.facts.user_counts) @ p + (q.T * data.facts.item_counts) @ q)
    rotation: NDArray[np.float32] = axes.astype(np.float32)
    return rotation


def second_moments(
    means: NDArray[np.float32], variances: NDArray[np.float32], counts: NDArray[np.integer[Any]]
) -> NDArray[np.float64]:
    """Return E[x²] of each column over the rows that have ratings, (k,): the prior variance that fits them best."""
    moments: NDArray[np.float64] = np.mean((means**2 + variances)[counts > 0], axis=0, dtype=np.float64)
    return moments


def solve_side(
    rows: "Rows", fixed: "Side", ridge: NDArray[np.float64], noise: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the vectors (n_rows, 1 + k) of users or items with the other side fixed, and their variances.

    Column 0 is the bias. Its variance is given as 0, since nothing on the other side is multiplied by it.
    """
    from engine.kernels import over_rows, solve_rows

    shape = (len(rows.starts) - 1, len(ridge))
    vectors, variances = np.empty(shape, np.float32), np.empty(shape, np.float32)
    over_rows(solve_rows, rows.starts, rows, fixed, ridge, noise, vectors, variances)
    variances[:, 0] = 0.0
    return vectors, variances


def errors_of(
    rows: "Rows", fixed: "Side", vectors: NDArray[np.float32], variances: NDArray[np.float32]
) -> tuple[float, float]:
    """Return the mean square of the residuals, and the mean variance of the predictions, over all ratings."""
    from engine.kernels import over_rows, squared_errors

    sums = np.empty((len(vectors), 2))
    over_rows(squared_errors, rows.starts, rows, fixed, vectors, variances, sums)
    squares, spread_ = sums.sum(axis=0) / max(len(rows.ratings), 1)
    return float(squares), float(spread_)


def beside(whole: NDArray[np.float32], factors: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Return a copy of `whole` (n, 1 + k) with other factors (n, k) beside its first column."""
    return np.concatenate([whole[:, :1], factors.astype(np.float32)], axis=1)


_RARE = 5.0
_SPARE = 10  # extra columns of the subspace, which make its leading part accurate
_STEPS = 2
