"""Compiled loops of matrix factorization: a ridge regression a row.

A row never depends on another, so the result is the same bit for bit whatever the number of threads.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.jit import compiled, over_rows

__all__ = ["Rows", "Side", "over_rows", "solve_rows"]

_LANES = 16  # float32 numbers in the widest vector register; loops of this length need no remainder
_BLOCK = 8  # ratings added to a Gram matrix at a time: each of its cells is then loaded and stored once for eight


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


@compiled
def _add_block(gram: NDArray[np.float32], block: NDArray[np.float32]) -> None:
    """Add block^T block to the lower triangle of gram, for a block of 8 ratings; both are padded to whole vectors."""
    for a in range(gram.shape[0]):
        w0, w1, w2, w3 = block[0, a], block[1, a], block[2, a], block[3, a]
        w4, w5, w6, w7 = block[4, a], block[5, a], block[6, a], block[7, a]
        for first in range(0, a + 1, _LANES):
            for b in range(first, first + _LANES):
                front = w0 * block[0, b] + w1 * block[1, b] + w2 * block[2, b] + w3 * block[3, b]
                back = w4 * block[4, b] + w5 * block[5, b] + w6 * block[6, b] + w7 * block[7, b]
                gram[a, b] += front + back


@compiled
def _factorize(system: NDArray[np.float64]) -> None:
    """Turn the lower triangle of a positive definite matrix into its Cholesky factor L, A = L L^T."""
    for j in range(len(system)):
        pivot = system[j, j]
        for k in range(j):
            pivot -= system[j, k] * system[j, k]
        root = np.sqrt(pivot)
        system[j, j] = root
        for i in range(j + 1, len(system)):
            left = system[i, j]
            for k in range(j):
                left -= system[i, k] * system[j, k]
            system[i, j] = left / root


@compiled
def _substitute(factor: NDArray[np.float64], right: NDArray[np.float64], triangular: bool) -> None:
    """Replace right (m, width) by L^-1 right; one that is lower triangular stays so, for a third of the work."""
    width = right.shape[1]
    for i in range(len(factor)):
        k = 0
        while k + 4 <= i:  # four rows at a time, so that a cell is loaded and stored once for four
            w0, w1, w2, w3 = factor[i, k], factor[i, k + 1], factor[i, k + 2], factor[i, k + 3]
            for a in range(k + 4 if triangular else width):
                right[i, a] -= w0 * right[k, a] + w1 * right[k + 1, a] + w2 * right[k + 2, a] + w3 * right[k + 3, a]
            k += 4
        for last in range(k, i):
            for a in range(last + 1 if triangular else width):
                right[i, a] -= factor[i, last] * right[last, a]
        scale = 1.0 / factor[i, i]
        for a in range(width):
            right[i, a] *= scale


@compiled
def _by_factors(
    rows: Rows, side: Side, row: int, ridge: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return H = L^-1 (d, d), h = L^-1 Z^T t (d, 1) with A = Z^T Z + D = L L^T, and 0: A^-1 = H^T H, solution H^T h."""
    d = len(ridge)
    padded = (d + _LANES - 1) // _LANES * _LANES
    gram = np.zeros((d, padded), np.float32)
    block = np.zeros((_BLOCK, padded), np.float32)
    weighted, doubt = np.zeros(d, np.float32), np.zeros(d, np.float32)
    half, known, diagonal = np.eye(d), np.zeros((d, 1)), ridge.copy()
    start, stop = rows.starts[row], rows.starts[row + 1]
    for first in range(start, stop, _BLOCK):
        filled = min(_BLOCK, stop - first)
        for slot in range(filled):
            other = rows.others[first + slot]
            left = rows.ratings[first + slot] - side.offsets[other]
            for a in range(d):
                block[slot, a] = side.design[other, a]
            for a in range(d):
                weighted[a] += left * block[slot, a]
            for a in range(d):
                doubt[a] += side.uncertainty[other, a]
        block[filled:] = 0.0
        _add_block(gram, block)
        for a in range(d):  # many small sums in float32 lose less than one long one
            known[a, 0] += weighted[a]
            diagonal[a] += doubt[a]
            weighted[a] = doubt[a] = 0.0
    system = np.empty((d, d))
    for a in range(d):
        for b in range(a + 1):
            system[a, b] = gram[a, b]
        system[a, a] += diagonal[a]
    _factorize(system)
    _substitute(system, half, True)
    _substitute(system, known, False)
    return half, known, np.zeros(d)


@compiled
def _by_ratings(
    rows: Rows, side: Side, row: int, ridge: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return H = L^-1 Z D^-1 (n, d), h = L^-1 t (n, 1) with I + Z D^-1 Z^T = L L^T, and D^-1, for a row of few ratings.

    By the matrix inversion lemma A^-1 = D^-1 - H^T H, and the solution is again H^T h.
    """
    first, n, d = rows.starts[row], rows.starts[row + 1] - rows.starts[row], len(ridge)
    half, known, system, diagonal = np.empty((n, d)), np.empty((n, 1)), np.eye(n), ridge.copy()
    for i in range(n):
        for a in range(d):
            diagonal[a] += side.uncertainty[rows.others[first + i], a]
    for i in range(n):
        other = rows.others[first + i]
        known[i, 0] = rows.ratings[first + i] - side.offsets[other]
        for a in range(d):
            half[i, a] = side.design[other, a] / diagonal[a]
        for j in range(i + 1):
            before = rows.others[first + j]
            for a in range(d):
                system[i, j] += half[i, a] * side.design[before, a]
    _factorize(system)
    _substitute(system, half, False)
    _substitute(system, known, False)
    return half, known, 1.0 / diagonal


@compiled
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
    d = len(ridge)
    for row in range(span[0], span[1]):
        few = 2 * (rows.starts[row + 1] - rows.starts[row]) <= d
        if few:
            half, known, variance = _by_ratings(rows, side, row, ridge)
        else:
            half, known, variance = _by_factors(rows, side, row, ridge)
        sign = -1.0 if few else 1.0
        solution = np.zeros(d)
        for k in range(len(half)):
            for a in range(d):
                solution[a] += half[k, a] * known[k, 0]
                variance[a] += sign * half[k, a] * half[k, a]
        for a in range(d):
            vectors[row, a] = solution[a]
            variances[row, a] = noise * variance[a]
