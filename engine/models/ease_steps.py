"""The algebra of EASE, by blocks: P = (XᵀX + λI)⁻¹ column block by column block, through items or through users.

Blocks have a fixed size and each is computed by one thread, so the result does not depend on the number of threads.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.errors import TrainingFailed

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Matrix = NDArray[np.floating[Any]]
Work, Done = TypeVar("Work"), TypeVar("Done")

BLOCK = 256
"""Columns that are computed together."""

_DOUBLE_UPTO = 12_000  # items; a larger Gram matrix is kept in single precision
_RESIDUAL = 1e-3  # of the equations, above which single precision did not do


class Weights(NamedTuple):
    """The largest weights of each item, by the rated item: those of item j stand at starts[j]:starts[j + 1].

    Attributes:
        starts: int64 (n_items + 1,).
        items: int32 (n,), the items whose score they raise or lower, ascending in each row.
        values: float32 (n,).
    """

    starts: NDArray[np.int64]
    items: NDArray[np.int32]
    values: NDArray[np.float32]


class Columns(Protocol):
    """Gives B[:, first:stop] = -P_ij / P_jj, zero on the diagonal."""

    def __call__(self, first: int, stop: int) -> Matrix:
        """Return a block of columns (n_items, stop - first)."""
        ...


def largest_weights(columns: Columns, n_items: int, keep: int, threads: int) -> Weights:
    """Return the `keep` weights of each column that are largest in size, grouped by row."""
    from scipy.sparse import coo_array

    def picked(first: int) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]:
        block = columns(first, min(first + BLOCK, n_items)).astype(np.float32)  # (n_items, B)
        if keep < n_items:
            size = np.abs(block)
            threshold = np.partition(size, n_items - keep, axis=0)[n_items - keep]
            block[size < threshold] = 0.0
        rated, scored = np.nonzero(block)
        return rated.astype(np.int32), (scored + first).astype(np.int32), block[rated, scored]

    parts = list(_mapped(picked, range(0, n_items, BLOCK), threads))
    rated, scored, values = (np.concatenate([part[which] for part in parts]) for which in range(3))
    found = coo_array((values, (rated, scored)), shape=(n_items, n_items)).tocsr()
    found.sort_indices()
    return Weights(found.indptr.astype(np.int64), found.indices.astype(np.int32), found.data)


def through_users(ratings: "csr_array", penalty: float) -> Columns:
    """Return the columns by inverting a matrix of users, for data with fewer users than items.

    With K = (XXᵀ + λI)⁻¹ and C = XᵀKX the matrix inversion lemma gives λP = I - C, so B_ij = C_ij / (1 - C_jj).

    Args:
        ratings: X, weights (n_users, n_items).
        penalty: λ.
    """
    from scipy.linalg import cho_factor, cho_solve

    system = (ratings @ ratings.T).toarray().astype(np.float64)
    system.flat[:: len(system) + 1] += penalty
    across = ratings.T.tocsr().astype(np.float64)  # (n_items, n_users)
    factor = cho_factor(system, lower=True, overwrite_a=True, check_finite=False)

    def columns(first: int, stop: int) -> Matrix:
        block = across @ cho_solve(factor, across[first:stop].toarray().T, check_finite=False)
        diagonal = np.arange(stop - first)
        own = block[diagonal + first, diagonal]
        block[diagonal + first, diagonal] = 0.0
        weights: Matrix = block / (1.0 - own)
        return weights

    return columns


def through_items(gram: Matrix, ratings: "csr_array", penalty: float, threads: int) -> Columns:
    """Return the columns by factorizing XᵀX + λI in place.

    Args:
        gram: lower triangle of XᵀX (n_items, n_items); it is overwritten.
        ratings: X (n_users, n_items), to check the result with.
        penalty: λ.
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
        block /= -own
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
    from scipy.linalg import solve_triangular

    n = len(factor)
    columns = np.zeros((n, stop - first), factor.dtype)
    columns[np.arange(first, stop), np.arange(stop - first)] = 1.0
    begin = first // BLOCK * BLOCK
    spans = [(start, min(start + BLOCK, n)) for start in range(0, n, BLOCK)]
    for here, there in spans[begin // BLOCK :]:  # L y = e, whose first rows are zero
        columns[here:there] -= factor[here:there, begin:here] @ columns[begin:here]
        corner = factor[here:there, here:there]
        columns[here:there] = solve_triangular(corner, columns[here:there], lower=True, check_finite=False)
    for here, there in reversed(spans):  # Lᵀ x = y
        columns[here:there] -= factor[there:, here:there].T @ columns[there:]
        corner = factor[here:there, here:there]
        columns[here:there] = solve_triangular(corner, columns[here:there], lower=True, trans=1, check_finite=False)
    return columns


def gram_type(n_items: int) -> type[np.floating[Any]]:
    """Return the precision of the Gram matrix of so many items."""
    return np.float64 if n_items <= _DOUBLE_UPTO else np.float32


def memory_of(n_users: int, n_items: int, threads: int) -> int:
    """Return the bytes of the matrices: users squared or items squared, and the blocks in work."""
    if n_users < n_items:
        return 3 * 8 * n_users**2 + threads * 8 * BLOCK * (3 * n_items + 2 * n_users)
    size = np.dtype(gram_type(n_items)).itemsize
    return size * n_items**2 + threads * 3 * size * BLOCK * n_items


def _mapped(work: Callable[[Work], Done], parts: Iterable[Work], threads: int) -> Iterator[Done]:
    """Do the parts in threads, yielding the results in order."""
    if threads == 1:
        yield from map(work, parts)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(work, parts)
