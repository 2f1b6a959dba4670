"""Steps of matrix factorization that need no state: solves and sweeps, its main axes, how large its factors are."""

from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from engine.data import Interactions, ItemFeatures
from engine.models.base import TrainingFacts
from engine.models.features import decades_of, expected_effects, feature_columns
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
        columns: float32 (n_items, f), genres and decades of the items, where they are used.
        expected: float32 (n_items,), what the common taste in them makes one expect of an item.
        biases: damped effects of users and items beside that.
    """

    train: Interactions
    facts: TrainingFacts
    by_user: "Rows"
    by_item: "Rows"
    columns: NDArray[np.float32]
    expected: NDArray[np.float32]
    biases: Biases

    @classmethod
    def of(cls, train: Interactions, features: bool) -> Self:
        """Group the rows both ways and estimate the biases; linear in the rows."""
        from engine.kernels import Rows

        facts = TrainingFacts.of(train)
        columns = train.csr().tocsc()
        by_item = Rows(columns.indptr.astype(np.int64), columns.indices.astype(np.int32), columns.data)
        by_user = Rows(train.indptr, train.item_index, train.ratings)
        known = facts.features if features else ItemFeatures.empty(train.n_items)
        columns = feature_columns(known.genres, known.years, decades_of(known.years))
        expected = expected_effects(facts, columns)
        return cls(train, facts, by_user, by_item, columns, expected, damped_biases(train, facts, expected))


def damped_biases(train: Interactions, facts: TrainingFacts, expected: NDArray[np.float32]) -> Biases:
    """Estimate the items' effects first, then the users' effects on the remainder, damped as the data call for.

    Before anything is learned, all of the ratings' variance counts as noise.

    Args:
        train: the rows.
        facts: their counts and sums.
        expected: float32 (n_items,), what items are shrunk towards.
    """
    beside_expected = facts.item_sums - facts.item_counts * expected.astype(np.float64)
    of_items = spread(facts.item_counts, beside_expected, facts.mean, facts.variance)._replace(within=facts.variance)
    items = shrunk_effects(facts.item_counts, beside_expected, facts.mean, of_items)
    left = train.ratings - np.float32(facts.mean) - (expected + items)[train.item_index]
    sums = np.bincount(train.user_index, left, train.n_users)
    level, variance = (float(f(left, dtype=np.float64)) if len(left) else 0.0 for f in (np.mean, np.var))
    return Biases(items, of_items.between, spread(facts.user_counts, sums, level, variance).between)


def principal_axes(data: Prepared, users: NDArray[np.float32], items: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the rotation (k, k) to the eigenvectors of Σ_u n_u p_u p_uᵀ + Σ_i n_i q_i q_iᵀ.

    Along these axes the factors are nearly independent, so that a variance for each of them, in place of a covariance
    matrix for each user and item, loses the least.

    Args:
        data: for the counts n.
        users: p, float32 (n_users, k).
        items: q, float32 (n_items, k).
    """
    counts = data.facts.user_counts, data.facts.item_counts
    p, q = (side * np.sqrt(n).astype(np.float32)[:, None] for side, n in zip((users, items), counts, strict=True))
    _, axes = np.linalg.eigh((p.T @ p + q.T @ q).astype(np.float64))
    rotation: NDArray[np.float32] = axes.astype(np.float32)
    return rotation


def second_moments(
    means: NDArray[np.float32], variances: NDArray[np.float32], counts: NDArray[np.integer[Any]]
) -> NDArray[np.float64]:
    """Return E[x²] of each column over the rows that have ratings, (k,): the prior variance that fits them best."""
    moments: NDArray[np.float64] = np.mean((means**2 + variances)[counts > 0], axis=0, dtype=np.float64)
    return moments


def taste_variances(
    means: NDArray[np.float32], variances: NDArray[np.float32], prior: NDArray[np.float64], counts: NDArray[Any]
) -> NDArray[np.float64]:
    """Return the prior variance of each column (f,), estimated anew: Σ w² / Σ (1 - variance / prior) over the users.

    The denominator counts the users whose data, not the prior, say what they like. So few steps are enough, where
    E[w²] alone would creep: most users have rated little of most genres. A step is at most fivefold.

    Source: MacKay 1992, "Bayesian Interpolation", section 4.
    """
    rated = counts > 0
    squares = np.mean(means[rated] ** 2, axis=0, dtype=np.float64)
    determined = np.mean(1 - variances[rated] / prior, axis=0)
    estimated: NDArray[np.float64] = np.clip(squares / np.maximum(determined, 1e-3), prior / 5, prior * 5)
    return estimated


def solve_side(
    rows: "Rows",
    fixed: "Side",
    ridge: NDArray[np.float64],
    noise: float,
    prior: NDArray[np.float32] | None = None,
    *,
    uncertain: bool = True,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the vectors (n_rows, d) of users or items with the other side fixed, and their variances.

    Not `uncertain`, there are no variances, (0, d).

    Column 0 is the bias. Its variance is given as 0, since nothing on the other side is multiplied by it. Where the
    prior means m (n_rows, d) are not zero, v = (ZᵀZ + S + R)⁻¹ (Zᵀ t + R m) with S = diag(Σ_j s_j) and R = diag(ridge)
    is found as u + (ZᵀZ + S + R)⁻¹ Zᵀ (t - Z u) with u = (S + R)⁻¹ R m.
    """
    from engine.jit import over_rows
    from engine.kernels import solve_rows

    shape = (len(rows.starts) - 1, len(ridge))
    vectors, variances = np.empty(shape, np.float32), np.empty((shape[0] if uncertain else 0, shape[1]), np.float32)
    start = None
    if prior is not None:
        start = (prior * (ridge / (ridge + sums_over(rows, fixed.uncertainty)))).astype(np.float32)
        rows = rows._replace(ratings=remaining(rows, start, fixed.design))
    over_rows(solve_rows, rows.starts, rows, fixed, ridge, noise, vectors, variances)
    if start is not None:
        vectors += start
    variances[:, 0] = 0.0
    return vectors, variances


class Swept(NamedTuple):
    """What a sweep found: vectors (n_rows, d) and their variances, and the errors they leave.

    Attributes:
        squares: mean square of the residuals over all ratings.
        doubt: mean variance of the predictions.
    """

    vectors: NDArray[np.float32]
    variances: NDArray[np.float32]
    squares: float
    doubt: float


def sweep_side(
    rows: "Rows",
    fixed: "Side",
    ridge: NDArray[np.float64],
    noise: float,
    vectors: NDArray[np.float32],
    prior: NDArray[np.float32] | None = None,
) -> Swept:
    """Return the vectors (n_rows, d) of one side after one sweep of coordinate descent from those given.

    Arguments as of `solve_side`, whose solution sweeps come to; the variances are those of a factorized posterior.
    """
    from engine.jit import over_rows
    from engine.kernels_sweeps import sweep_rows

    found, sums = np.array(vectors, np.float32, order="C"), np.empty((len(vectors), 2))
    variances, around = np.empty_like(found), np.zeros((0, len(ridge)), np.float32) if prior is None else prior
    over_rows(sweep_rows, rows.starts, rows, fixed, ridge.astype(np.float32), noise, around, found, variances, sums)
    squares, doubt = sums.sum(axis=0) / max(len(rows.ratings), 1)
    return Swept(found, variances, float(squares), float(doubt))


def remaining(
    rows: "Rows", row_vectors: NDArray[np.float32], other_vectors: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the ratings less x_row · y_other, (n,), in their order."""
    from engine.jit import over_rows
    from engine.kernels_sums import remainders

    left = np.empty_like(rows.ratings)
    sides = (np.ascontiguousarray(vectors) for vectors in (row_vectors, other_vectors))
    over_rows(remainders, rows.starts, rows, *sides, left)
    return left


def beside_tastes(data: Prepared, tastes: NDArray[np.float32], *, by_item: bool = False) -> NDArray[np.float32]:
    """Return the ratings less what the item's features make one expect and make the user like, (n,), by user or item.

    Args:
        data: the ratings, and the items' features.
        tastes: float32 (n_users, f).
        by_item: the order of the result.
    """
    rows = data.by_item if by_item else data.by_user
    if not data.columns.shape[1]:
        return rows.ratings
    of_items = np.concatenate([data.expected[:, None], data.columns], axis=1)
    of_users = np.concatenate([np.ones((len(tastes), 1), np.float32), tastes], axis=1)
    return remaining(rows, of_items, of_users) if by_item else remaining(rows, of_users, of_items)


def sums_over(rows: "Rows", vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return Σ_j x_j over the others of each row, (n_rows, d)."""
    from engine.jit import over_rows
    from engine.kernels_sums import sum_members

    sums = np.empty((len(rows.starts) - 1, vectors.shape[1]), np.float32)
    over_rows(sum_members, rows.starts, rows, np.ascontiguousarray(vectors), sums)
    return sums


def weighted_sums_over(rows: "Rows", vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return Σ_j r_j x_j over the others of each row, (n_rows, d): the sparse matrix of the ratings times x (m, d)."""
    from engine.jit import over_rows
    from engine.kernels_sums import weigh_members

    sums = np.empty((len(rows.starts) - 1, vectors.shape[1]), np.float32)
    over_rows(weigh_members, rows.starts, rows, np.ascontiguousarray(vectors), sums)
    return sums


def errors_of(
    rows: "Rows", fixed: "Side", vectors: NDArray[np.float32], variances: NDArray[np.float32]
) -> tuple[float, float]:
    """Return the mean square of the residuals, and the mean variance of the predictions, over all ratings."""
    from engine.jit import over_rows
    from engine.kernels_sums import squared_errors

    sums = np.empty((len(vectors), 2))
    over_rows(squared_errors, rows.starts, rows, fixed, vectors, variances, sums)
    squares, spread_ = sums.sum(axis=0) / max(len(rows.ratings), 1)
    return float(squares), float(spread_)


def beside(whole: NDArray[np.float32], factors: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Return a copy of `whole` (n, 1 + k + f) with other factors (n, k) between its first and its last columns."""
    last = whole[:, 1 + factors.shape[1] :]
    return np.concatenate([whole[:, :1], factors.astype(np.float32), last], axis=1)
