"""Compiled sums over the ratings of a row: its squared residuals, what another part of a model leaves, its members."""

import numpy as np
from numpy.typing import NDArray

from engine.jit import compiled
from engine.kernels import Rows, Side


@compiled
def squared_errors(
    span: tuple[int, int],
    rows: Rows,
    side: Side,
    vectors: NDArray[np.float32],
    variances: NDArray[np.float32],
    sums: NDArray[np.float64],
) -> None:
    """Fill sums (n_rows, 2): squared residuals of each row, and the variance of its predictions.

    With z, s of the fixed side and v, t of the row: Σ_j (r_j - offset_j - z_j·v)² and Σ_j (t·z_j² + s_j·v² + s_j·t).
    """
    for row in range(span[0], span[1]):
        errors, doubts = 0.0, 0.0
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
            doubts += float(doubt)
        sums[row, 0] = errors
        sums[row, 1] = doubts


@compiled
def remainders(
    span: tuple[int, int],
    rows: Rows,
    row_vectors: NDArray[np.float32],
    other_vectors: NDArray[np.float32],
    left: NDArray[np.float32],
) -> None:
    """Fill left (n,), in the order of the ratings, with r - x_row · y_other of the rows of a span."""
    for row in range(span[0], span[1]):
        for rating in range(rows.starts[row], rows.starts[row + 1]):
            other = rows.others[rating]
            product = np.float32(0.0)
            for a in range(row_vectors.shape[1]):
                product += row_vectors[row, a] * other_vectors[other, a]
            left[rating] = rows.ratings[rating] - product


@compiled
def sum_members(span: tuple[int, int], rows: Rows, vectors: NDArray[np.float32], sums: NDArray[np.float32]) -> None:
    """Fill sums (n_rows, d) with Σ_j x_j over the others of each row of a span; vectors is (m, d)."""
    for row in range(span[0], span[1]):
        sums[row] = 0.0
        for rating in range(rows.starts[row], rows.starts[row + 1]):
            other = rows.others[rating]
            for a in range(vectors.shape[1]):
                sums[row, a] += vectors[other, a]


@compiled
def weigh_members(span: tuple[int, int], rows: Rows, vectors: NDArray[np.float32], sums: NDArray[np.float32]) -> None:
    """Fill sums (n_rows, d) with Σ_j r_j x_j over the others of each row of a span; vectors is (m, d)."""
    for row in range(span[0], span[1]):
        sums[row] = 0.0
        for rating in range(rows.starts[row], rows.starts[row + 1]):
            other, weight = rows.others[rating], rows.ratings[rating]
            for a in range(vectors.shape[1]):
                sums[row, a] += weight * vectors[other, a]
