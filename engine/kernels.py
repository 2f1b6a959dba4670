"""Compiled loops of matrix factorization: a ridge regression a row.

A row never depends on another, so the result is the same bit for bit whatever the number of threads.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.jit import compiled, over_rows
from engine.kernels_gram import LANES, add_gram
from engine.kernels_lapack import factorize

__all__ = ["Rows", "Side", "over_rows", "solve_rows"]

_BLOCK = 64  # ratings whose regressors are gathered at a time; with 50 factors they fill half a first-level cache


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
def _substitute_back(factor: NDArray[np.float64], right: NDArray[np.float64]) -> None:
    """Replace right (m, 1) by L^-T right."""
    for i in range(len(factor) - 1, -1, -1):
        right[i, 0] /= factor[i, i]
        for k in range(i):
            right[k, 0] -= factor[i, k] * right[i, 0]


@compiled
def _by_factors(
    rows: Rows, side: Side, row: int, ridge: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return L (d, d) and h = L^-1 Z^T t (d, 1) with A = Z^T Z + D = L L^T."""
    d = len(ridge)
    width = (d + LANES - 1) // LANES * LANES
    gram, block = np.zeros((width, width), np.float32), np.zeros((_BLOCK, width), np.float32)
    weighted, doubt = np.empty(d, np.float32), np.empty(d, np.float32)
    known, diagonal, system = np.zeros((d, 1)), ridge.copy(), np.empty((d, d))
    start, stop = rows.starts[row], rows.starts[row + 1]
    for first in range(start, stop, _BLOCK):
        filled = min(_BLOCK, stop - first)
        weighted[:] = 0.0
        doubt[:] = 0.0
        for slot in range(filled):
            other = rows.others[first + slot]
            left = rows.ratings[first + slot] - side.offsets[other]
            regressors, uncertain = side.design[other], side.uncertainty[other]
            for a in range(d):
                block[slot, a] = regressors[a]
                weighted[a] += left * regressors[a]
                doubt[a] += uncertain[a]
        add_gram(gram, block, filled)
        for a in range(d):  # many small sums in float32 lose less than one long one
            known[a, 0] += weighted[a]
            diagonal[a] += doubt[a]
    for a in range(d):
        for b in range(a + 1):
            system[a, b] = gram[a, b]
        system[a, a] += diagonal[a]
    factorize(system)
    _substitute(system, known, False)
    return system, known


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
    factorize(system)
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
    """Fill the vectors (n_rows, d) of the rows of a span with the ridge regression of each, and their variances.

    vector = A^-1 Σ_j z_j (r_j - offset_j),  A = Σ_j z_j z_j^T + diag(ridge + Σ_j s_j),  variance = noise · diag(A^-1).
    Without variances (0, d) to fill, the inverse is left out.
    """
    d = len(ridge)
    for row in range(span[0], span[1]):
        solution, variance, sign = np.zeros(d), np.zeros(d), 1.0
        if 2 * (rows.starts[row + 1] - rows.starts[row]) <= d:
            half, known, variance = _by_ratings(rows, side, row, ridge)
            sign = -1.0
        else:
            factor, known = _by_factors(rows, side, row, ridge)
            if not len(variances):
                _substitute_back(factor, known)
                vectors[row] = known[:, 0]
                continue
            half = np.eye(d)  # then L^-1: A^-1 = H^T H, and the solution is H^T h
            _substitute(factor, half, True)
        for k in range(len(half)):
            for a in range(d):
                solution[a] += half[k, a] * known[k, 0]
                variance[a] += sign * half[k, a] * half[k, a]
        vectors[row] = solution
        if len(variances):
            variances[row] = noise * variance
