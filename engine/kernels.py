"""Compiled loops of matrix factorization: a ridge regression a row, the residuals of a row, and a pass of SGD.

The kernels release the interpreter lock, and `over_rows` deals spans of rows out to plain threads. That needs none of
numba's threading layers, which forbid `fork` and concurrent callers. A row never depends on another, so the result is
the same bit for bit whatever the number of threads.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar, cast

import numba
import numpy as np
from numba import njit
from numpy.typing import NDArray

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

_BLOCK = 8  # ratings added to a Gram matrix at a time: each of its cells is then loaded and stored once for eight
_SPANS_A_THREAD = 8  # so that one user with very many ratings leaves no thread idle


class Rows(NamedTuple):
    """Ratings grouped by user, or by item: those of row r stand at starts[r]:starts[r + 1].

    Attributes:
        starts: int64 (n_rows + 1,).
        others: int32 (n,), the item of each rating where rows are users, and the other way round.
        ratings: float32 (n,).
    """

    starts: NDArray[np.int64]
    others: NDArray[np.int32]
    ratings: NDArray[np.float32]


class Side(NamedTuple):
    """What is held fixed while the other side is solved.

    Attributes:
        offsets: float32 (m,), taken off the ratings first.
        design: float32 (m, d), the regressors.
        uncertainty: float32 (m, d), their variances.
    """

    offsets: NDArray[np.float32]
    design: NDArray[np.float32]
    uncertainty: NDArray[np.float32]


def over_rows(kernel: Callable[..., Any], starts: NDArray[np.int64], *arguments: Any) -> None:
    """Call `kernel((start, stop), …)` so that the spans cover all rows, each span with about as many ratings."""
    n_threads = numba.get_num_threads()
    n_spans = 1 if n_threads == 1 else n_threads * _SPANS_A_THREAD
    cuts = np.searchsorted(starts, np.linspace(0, starts[-1], n_spans + 1)[1:-1])
    bounds = [0, *cuts.tolist(), len(starts) - 1]
    if n_threads == 1:
        kernel((0, len(starts) - 1), *arguments)
        return
    with ThreadPoolExecutor(n_threads) as pool:
        for done in [pool.submit(kernel, span, *arguments) for span in pairwise(bounds)]:
            done.result()


def _compiled(function: Kernel) -> Kernel:
    """Compile once a machine; sums may be reordered, so that they use vector instructions."""
    return cast("Kernel", njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz"})(function))


@_compiled
def _add_block(gram: NDArray[np.float32], block: NDArray[np.float32]) -> None:
    """Add block^T block to the lower triangle of gram (d, d), for a block (8, d)."""
    for a in range(gram.shape[0]):
        w0, w1, w2, w3 = block[0, a], block[1, a], block[2, a], block[3, a]
        w4, w5, w6, w7 = block[4, a], block[5, a], block[6, a], block[7, a]
        for b in range(a + 1):
            first = w0 * block[0, b] + w1 * block[1, b] + w2 * block[2, b] + w3 * block[3, b]
            second = w4 * block[4, b] + w5 * block[5, b] + w6 * block[6, b] + w7 * block[7, b]
            gram[a, b] += first + second


@_compiled
def _factorize(system: NDArray[np.float64]) -> None:
    """Turn the lower triangle of a positive definite matrix (d, d) into its Cholesky factor L, A = L L^T."""
    d = system.shape[0]
    for j in range(d):
        pivot = system[j, j]
        for k in range(j):
            pivot -= system[j, k] * system[j, k]
        root = np.sqrt(pivot)
        system[j, j] = root
        for i in range(j + 1, d):
            left = system[i, j]
            for k in range(j):
                left -= system[i, k] * system[j, k]
            system[i, j] = left / root


@_compiled
def _invert(factor: NDArray[np.float64], inverse: NDArray[np.float64]) -> None:
    """Fill the lower triangle of inverse (d, d) with L^-1."""
    for i in range(factor.shape[0]):
        root = factor[i, i]
        inverse[i, : i + 1] = 0.0
        for k in range(i):
            weight = factor[i, k] / root
            for a in range(k + 1):
                inverse[i, a] -= weight * inverse[k, a]
        inverse[i, i] = 1.0 / root


@_compiled
def solve_rows(
    span: tuple[int, int],
    rows: Rows,
    side: Side,
    ridge: NDArray[np.float64],
    noise: float,
    vectors: NDArray[np.float32],
    variances: NDArray[np.float32],
) -> None:
    """Fill the vectors and variances (n_rows, d) of the rows of a span with the ridge regression of each.

    vector = A^-1 Σ_j z_j (r_j - offset_j),  A = Σ_j z_j z_j^T + diag(ridge + Σ_j s_j),  variance = noise · diag(A^-1).
    """
    d = ridge.shape[0]
    block = np.zeros((_BLOCK, d), np.float32)
    gram = np.empty((d, d), np.float32)
    system = np.empty((d, d))
    inverse = np.empty((d, d))
    for row in range(span[0], span[1]):
        gram[:] = 0.0
        diagonal = ridge.copy()
        known = np.zeros(d)
        filled = 0
        for rating in range(rows.starts[row], rows.starts[row + 1]):
            other = rows.others[rating]
            left = rows.ratings[rating] - side.offsets[other]
            for a in range(d):
                block[filled, a] = side.design[other, a]
                known[a] += left * side.design[other, a]
                diagonal[a] += side.uncertainty[other, a]
            filled += 1
            if filled == _BLOCK:
                _add_block(gram, block)
                filled = 0
        block[filled:] = 0.0
        _add_block(gram, block)
        for a in range(d):
            for b in range(a + 1):
                system[a, b] = gram[a, b]
            system[a, a] += diagonal[a]
        _factorize(system)
        _invert(system, inverse)
        # A^-1 = L^-T L^-1
        half = np.zeros(d)
        solution = np.zeros(d)
        variance = np.zeros(d)
        for a in range(d):
            for b in range(a + 1):
                half[a] += inverse[a, b] * known[b]
        for a in range(d):
            for b in range(a + 1):
                solution[b] += inverse[a, b] * half[a]
                variance[b] += inverse[a, b] * inverse[a, b]
        for a in range(d):
            vectors[row, a] = solution[a]
            variances[row, a] = noise * variance[a]


@_compiled
def squared_errors(
    span: tuple[int, int],
    rows: Rows,
    side: Side,
    vectors: NDArray[np.float32],
    variances: NDArray[np.float32],
    sums: NDArray[np.float64],
) -> None:
    """Fill sums (n_rows, 2): squared residuals of each row, and the variance of its predictions.

    With z_j, s_j of the fixed side and v, t of the row: Σ_j (r_j - offset_j - z_j·v)² and Σ_j (t·z_j² + s_j·v² + s_j·t).
    """
    for row in range(span[0], span[1]):
        errors, spread = 0.0, 0.0
        for rating in range(rows.starts[row], rows.starts[row + 1]):
            other = rows.others[rating]
            product = np.float32(0.0)
            doubt = np.float32(0.0)
            for a in range(vectors.shape[1]):
                z, v = side.design[other, a], vectors[row, a]
                product += z * v
                doubt += variances[row, a] * (z * z + side.uncertainty[other, a]) + side.uncertainty[other, a] * v * v
            left = np.float64(rows.ratings[rating] - side.offsets[other] - product)
            errors += left * left
            spread += doubt
        sums[row, 0] = errors
        sums[row, 1] = spread


@_compiled
def descend(
    order: NDArray[np.int64],
    triples: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]],
    mean: float,
    users: NDArray[np.float32],
    items: NDArray[np.float32],
    learning_rate: float,
    penalty: float,
) -> None:
    """Make one pass of stochastic gradient descent over ratings in an order, changing users and items (·, 1 + k).

    Column 0 is the bias. With e = r - mean - b_u - b_i - p·q each parameter x moves by rate·(-∂(e² + penalty·x²)/2).
    One thread: two that meet at a row would make the result depend on which came first.

    Source: Funk 2006; Koren, Bell, Volinsky 2009, equations 5 and 6.
    """
    rate, keep = np.float32(learning_rate), np.float32(1.0 - learning_rate * penalty)
    for position in range(len(order)):
        rating = order[position]
        user, item = triples[0][rating], triples[1][rating]
        product = np.float32(0.0)
        for a in range(1, users.shape[1]):
            product += users[user, a] * items[item, a]
        error = triples[2][rating] - np.float32(mean) - users[user, 0] - items[item, 0] - product
        step = rate * error
        users[user, 0] = keep * users[user, 0] + step
        items[item, 0] = keep * items[item, 0] + step
        for a in range(1, users.shape[1]):
            p, q = users[user, a], items[item, a]
            users[user, a] = keep * p + step * q
            items[item, a] = keep * q + step * p
