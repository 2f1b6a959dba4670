"""The algebra of EASE: P = (XᵀX + λI)⁻¹, column block by column block, or through the users where they are fewer.

Blocks have a fixed size and each is computed by one thread, so the result does not depend on the number of threads.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.errors import TrainingFailed

if TYPE_CHECKING:
    from scipy.sparse import coo_array, csr_array

    from engine.data import Interactions

Matrix = NDArray[np.floating[Any]]
Work = TypeVar("Work")
Done = TypeVar("Done")

BLOCK = 256
"""Columns that are computed together."""

_DOUBLE_UPTO = 12_000  # items; a larger Gram matrix is kept in single precision
_SAMPLE = 8  # blocks that the threshold is taken from
_FACTORS_UPTO = 2**28  # bytes of the factors, above which weights are kept instead
_RESIDUAL = 1e-3  # of the equations, above which single precision did not do


class Columns(Protocol):
    """Gives B[:, first:stop], zero on the diagonal."""

    def __call__(self, first: int, stop: int) -> Matrix:
        """Return a block of columns (n_items, stop - first)."""
        ...


def largest_weights(columns: Columns, n_items: int, keep: int, threads: int) -> "coo_array":
    """Return the weights that are largest in size, about `keep` for each item, as a sparse B (n_items, n_items).

    One threshold for all of B errs less than as many weights for each item would. It is the quantile over blocks that
    are spread evenly.
    """
    from scipy.sparse import coo_array

    threshold = np.float32(0.0)
    blocks = range(0, n_items, BLOCK)
    if keep < n_items:
        some = blocks[:: max(1, len(blocks) // _SAMPLE)]
        sizes = [np.abs(columns(first, min(first + BLOCK, n_items))).astype(np.float32).ravel() for first in some]
        threshold = np.quantile(np.concatenate(sizes), 1 - keep / n_items)

    def picked(first: int) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]:
        block = columns(first, min(first + BLOCK, n_items)).astype(np.float32)  # (n_items, B)
        rated, scored = np.nonzero((np.abs(block) >= threshold) & (block != 0))
        return rated.astype(np.int32), (scored + first).astype(np.int32), block[rated, scored]

    parts = list(_mapped(picked, blocks, threads))
    rated, scored, values = (np.concatenate([part[which] for part in parts]) for which in range(3))
    return coo_array((values, (rated, scored)), shape=(n_items, n_items))


def user_factors(ratings: "csr_array", penalty: float, numbers: NDArray[np.intp], n_items: int) -> NDArray[np.float32]:
    """Return F = L⁻¹X transposed, float32 (n_items, n_users), with XXᵀ + λI = L Lᵀ; zero for items not in X.

    By the matrix inversion lemma λP = I - FᵀF, so -λP_ij = f_i·f_j and λP_jj = 1 - |f_j|²: exact, and small where X is.

    Args:
        ratings: X, weights (n_users, n_rated).
        penalty: λ.
        numbers: (n_rated,), those of the items of X among all.
        n_items: how many there are in all.
    """
    from scipy.linalg import cholesky, solve_triangular

    system = (ratings @ ratings.T).toarray().astype(np.float64)
    system.flat[:: len(system) + 1] += penalty
    factor = cholesky(system, lower=True, overwrite_a=True, check_finite=False)
    across = ratings.tocsc()
    found = np.zeros((n_items, ratings.shape[0]), np.float32)
    for first in range(0, len(numbers), BLOCK):
        block = across[:, first : first + BLOCK].toarray().astype(np.float64)
        solved = solve_triangular(factor, block, lower=True, check_finite=False)
        found[numbers[first : first + BLOCK]] = solved.T
    return found


def item_gram(ratings: "csr_array") -> Matrix:
    """Return the lower triangle of XᵀX (n_items, n_items), counted pair by pair; above it zeros."""
    from engine.jit import over_rows
    from engine.kernels import Rows
    from engine.kernels_ease import count_together

    n_items = ratings.shape[1]
    by_item, by_user = (
        Rows(side.indptr.astype(np.int64), side.indices.astype(np.int32), side.data.astype(np.float32))
        for side in (ratings.tocsc(), ratings)
    )
    gram = np.zeros((n_items, n_items), np.float64 if n_items <= _DOUBLE_UPTO else np.float32)
    over_rows(count_together, by_item.starts, by_item, by_user, gram)
    return gram


def through_items(gram: Matrix, ratings: "csr_array", penalty: float, exponent: float, threads: int) -> Columns:
    """Return the columns -λP_ij / (λP_jj)^γ by factorizing XᵀX + λI in place.

    Args:
        gram: lower triangle of XᵀX (n_items, n_items); it is overwritten.
        ratings: X (n_users, n_items), to check the result with.
        penalty: λ.
        exponent: γ.
        threads: how many work at once.

    Raises:
        TrainingFailed: single precision is too coarse for these data.
    """
    gram.flat[:: len(gram) + 1] += penalty
    factorize(gram, threads)
    middle = len(gram) // 2
    column = inverse_columns(gram, middle, middle + 1)[:, 0].astype(np.float64)
    left = ratings.T @ (ratings @ column) + penalty * column
    left[middle] -= 1.0
    if not np.abs(left).max() < _RESIDUAL:
        raise TrainingFailed(
            f"the item matrix is ill-conditioned: the equations are off by {np.abs(left).max():.1g}",
            hint="raise the regularization (--set regularization=…), or train ials",
        )

    def columns(first: int, stop: int) -> Matrix:
        block = inverse_columns(gram, first, stop)
        diagonal = np.arange(stop - first)
        own = block[diagonal + first, diagonal].copy()
        block[diagonal + first, diagonal] = 0.0
        block *= -penalty * (penalty * own) ** -exponent
        return block

    return columns


def factorize(matrix: Matrix, threads: int) -> None:
    """Replace the lower triangle of a positive definite matrix by its Cholesky factor L, panel by panel."""
    from scipy.linalg import cholesky, solve_triangular

    n = len(matrix)
    for first in range(0, n, BLOCK):
        stop = min(first + BLOCK, n)
        known = matrix[first:stop, :first]

        def subtract(row: int, first: int = first, stop: int = stop, known: Matrix = known) -> None:
            rows = slice(row, min(row + BLOCK, n))
            matrix[rows, first:stop] -= matrix[rows, :first] @ known.T

        list(_mapped(subtract, range(first, n, BLOCK), threads))
        corner = cholesky(matrix[first:stop, first:stop], lower=True, check_finite=False)
        matrix[first:stop, first:stop] = corner

        def divide(row: int, first: int = first, stop: int = stop, corner: Matrix = corner) -> None:
            rows = slice(row, min(row + BLOCK, n))
            matrix[rows, first:stop] = solve_triangular(
                corner, matrix[rows, first:stop].T, lower=True, check_finite=False
            ).T

        list(_mapped(divide, range(stop, n, BLOCK), threads))


def inverse_columns(factor: Matrix, first: int, stop: int) -> Matrix:
    """Return the columns first:stop of (L Lᵀ)⁻¹, (n, stop - first), from the lower triangle of `factor`."""
    columns = np.zeros((len(factor), stop - first), factor.dtype)
    columns[np.arange(first, stop), np.arange(stop - first)] = 1.0
    solve_columns(factor, columns, first // BLOCK * BLOCK)
    return columns


def solve_columns(factor: Matrix, columns: Matrix, begin: int = 0) -> None:
    """Replace columns (n, m), of which the rows before `begin` are zero, by (L Lᵀ)⁻¹ times them."""
    from scipy.linalg import solve_triangular

    n = len(factor)
    spans = [(start, min(start + BLOCK, n)) for start in range(0, n, BLOCK)]
    for here, there in spans[begin // BLOCK :]:  # L y = columns
        columns[here:there] -= factor[here:there, begin:here] @ columns[begin:here]
        corner = factor[here:there, here:there]
        columns[here:there] = solve_triangular(corner, columns[here:there], lower=True, check_finite=False)
    for here, there in reversed(spans):  # Lᵀ x = y
        columns[here:there] -= factor[there:, here:there].T @ columns[there:]
        corner = factor[here:there, here:there]
        columns[here:there] = solve_triangular(corner, columns[here:there], lower=True, trans=1, check_finite=False)


def ordered_grams(
    train: "Interactions", chosen: NDArray[np.integer[Any]], decay: NDArray[np.float32], backward: float
) -> tuple[Matrix, Matrix]:
    """Return K and C + βCᵀ (m, m) of the chosen items (m,), as `kernels_ease.count_in_order` counts them."""
    from engine.jit import over_rows
    from engine.kernels_ease import count_in_order

    number = np.full(train.n_items, -1, np.int32)
    number[chosen] = np.arange(len(chosen), dtype=np.int32)
    items = number[train.item_index[train.oldest_first]]
    places = np.argsort(items, kind="stable")
    places = places[np.count_nonzero(items < 0) :]
    starts = np.concatenate([[0], np.cumsum(np.bincount(items[places], minlength=len(chosen)))]).astype(np.int64)
    users = train.user_index[places]  # histories stand where the rows of their users do
    gram, towards = (np.zeros((len(chosen), len(chosen)), np.float32) for _ in range(2))
    spans = train.indptr[users], train.indptr[users + 1]
    over_rows(count_in_order, starts, starts, places, *spans, items, decay, backward, gram, towards)
    return gram, towards


def regression(gram: Matrix, towards: Matrix, penalty: float, threads: int) -> Columns:
    """Return the columns of (gram + λI)⁻¹ towards, by factorizing `gram` in place."""
    gram.flat[:: len(gram) + 1] += penalty
    factorize(gram, threads)

    def columns(first: int, stop: int) -> Matrix:
        block = towards[:, first:stop].copy()
        solve_columns(gram, block)
        block[np.arange(first, stop), np.arange(stop - first)] = 0.0
        return block

    return columns


def has_factors(n_users: int, n_items: int) -> bool:
    """Return whether B is kept exactly, by a factor for each user: where there are fewer users than items."""
    return n_users < n_items and 4 * n_users * n_items <= _FACTORS_UPTO


def memory_of(n_users: int, n_rated: int, n_items: int, keep: int, threads: int) -> tuple[int, int]:
    """Return the bytes of the matrix, users or items squared, and those of the blocks in work and what is kept of them.

    Args:
        n_users: with ratings.
        n_rated: items that have weights.
        n_items: how many there are in all.
        keep: weights kept for each item, where there are no factors.
        threads: how many work at once.
    """
    if has_factors(n_users, n_rated):
        return 4 * n_users * n_items, max(20 * n_users**2, 8 * n_users**2 + 40 * BLOCK * n_users)
    size = 8 if n_rated <= _DOUBLE_UPTO else 4
    blocks = -(-n_rated // BLOCK)
    in_work = (min(threads, blocks) * 4 * size + 8 * min(_SAMPLE, blocks)) * BLOCK * n_rated
    kept = n_rated * min(n_rated, keep)
    return size * n_rated**2, max(in_work + 12 * kept, 40 * kept)


def _mapped(work: Callable[[Work], Done], parts: Iterable[Work], threads: int) -> Iterator[Done]:
    """Do the parts in threads, yielding the results in order."""
    if threads == 1:
        yield from map(work, parts)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(work, parts)
