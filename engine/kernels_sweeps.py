"""The compiled loop of coordinate descent: each number of a row's vector in turn, the rest of it held fixed."""

import numpy as np
from numpy.typing import NDArray

from engine.jit import compiled
from engine.kernels import Rows, Side

_WIDTH = 32  # ratings that the vector registers in use take at once; rows are filled up with zeros to whole ones
_GROUP = 8  # ratings whose regressors are turned into columns at a time: columns are then written in whole registers


@compiled
def _turn(rows: Rows, side: Side, row: int, columns: NDArray[np.float32], doubt: NDArray[np.float32]) -> None:
    """Fill columns (d, width) with the regressors of a row's ratings, zeros behind them, and doubt (d,) with Σ_j s_j.

    Arrays of two axes that are cut to size, here and below, let the compiler prove that no index is negative.
    """
    first, n, d = rows.starts[row], rows.starts[row + 1] - rows.starts[row], len(doubt)
    whole = n // _GROUP * _GROUP
    for j in range(0, whole, _GROUP):
        o = rows.others[first + j : first + j + _GROUP]
        z0, z1, z2, z3 = side.design[o[0]], side.design[o[1]], side.design[o[2]], side.design[o[3]]
        z4, z5, z6, z7 = side.design[o[4]], side.design[o[5]], side.design[o[6]], side.design[o[7]]
        for a in range(d):
            columns[a, j], columns[a, j + 1], columns[a, j + 2], columns[a, j + 3] = z0[a], z1[a], z2[a], z3[a]
            columns[a, j + 4], columns[a, j + 5], columns[a, j + 6], columns[a, j + 7] = z4[a], z5[a], z6[a], z7[a]
    for j in range(whole, n):
        for a in range(d):
            columns[a, j] = side.design[rows.others[first + j], a]
    doubt[:] = 0.0
    for j in range(n):
        uncertain = side.uncertainty[rows.others[first + j]]
        for a in range(d):
            doubt[a] += uncertain[a]
    for a in range(d):
        for j in range(n, columns.shape[1]):
            columns[a, j] = 0.0


@compiled
def sweep_rows(  # noqa: C901  one kernel: a call inside its loops would cost more than the reader
    span: tuple[int, int],
    rows: Rows,
    side: Side,
    ridge: NDArray[np.float32],
    noise: float,
    prior: NDArray[np.float32],
    vectors: NDArray[np.float32],
    variances: NDArray[np.float32],
    sums: NDArray[np.float64],
) -> None:
    """Improve vectors (n_rows, d) by one sweep from what they hold; fill the variances and sums of the rows of a span.

    With left_j = r_j - offset_j - z_j·v, number a of v moves to (Σ_j z_ja (left_j + z_ja v_a) + ridge_a m_a) / c_a with
    c_a = Σ_j (z_ja² + s_ja) + ridge_a, and its variance is noise / c_a. That is the factorized posterior of one number
    after the other. Number 0 is the bias; nothing is multiplied by it, and its variance is given as 0.

    Args:
        span: first row, and the one behind the last.
        rows: the ratings.
        side: what is held fixed.
        ridge: (d,).
        noise: variance of a rating around its prediction.
        prior: m (n_rows, d), or (0, d) where it is zero.
        vectors: v.
        variances: (n_rows, d), t.
        sums: (n_rows, 2), squared residuals after the sweep, and Σ_j (t·z_j² + s_j·v² + s_j·t), the variance of the
            predictions.

    Source: Pilászy, Zibriczky, Tikk 2010, "Fast ALS-based matrix factorization" (the sweep); Raiko, Ilin, Karhunen 2007
    (the factorized posterior).
    """
    d, longest = len(ridge), 0
    for row in range(span[0], span[1]):
        longest = max(longest, rows.starts[row + 1] - rows.starts[row])
    room = (longest + _WIDTH - 1) // _WIDTH * _WIDTH
    table, line, doubt = np.empty(d * room, np.float32), np.empty(room, np.float32), np.empty(d, np.float32)
    for row in range(span[0], span[1]):
        first, n = rows.starts[row], rows.starts[row + 1] - rows.starts[row]
        width = (n + _WIDTH - 1) // _WIDTH * _WIDTH
        columns, left, vector = table[: d * width].reshape((d, width)), line[:width], vectors[row]
        _turn(rows, side, row, columns, doubt)
        left[:] = 0.0
        for j in range(n):
            left[j] = rows.ratings[first + j] - side.offsets[rows.others[first + j]]
        for a in range(d):
            value = vector[a]
            for j in range(width):
                left[j] -= value * columns[a, j]
        spread = 0.0
        for a in range(d):
            square, pull = np.float32(0.0), np.float32(0.0)
            for j in range(width):
                square += columns[a, j] * columns[a, j]
                pull += columns[a, j] * left[j]
            if len(prior):
                pull += ridge[a] * prior[row, a]
            curvature = square + doubt[a] + ridge[a]
            value = (pull + square * vector[a]) / curvature
            change = value - vector[a]
            for j in range(width):
                left[j] -= change * columns[a, j]
            vector[a] = value
            variances[row, a] = noise / curvature if a else 0.0
            spread += variances[row, a] * (square + doubt[a]) + doubt[a] * value * value
        errors = np.float32(0.0)
        for j in range(width):
            errors += left[j] * left[j]
        sums[row, 0] = errors
        sums[row, 1] = spread
