"""Compiled loops of Bayesian matrix factorization: a Gibbs step for every row, and one for every feature of the rows.

Both work in whitened coordinates, in which the prior of a row's vector is N(0, I): the caller multiplies by the factors
of the covariances once a sweep, and here there is no prior matrix left. Normal draws come in as arrays, so that the
result depends neither on the number of threads nor on numba's own generators.
"""

import numpy as np
from numpy.typing import NDArray

from engine.kernels import Rows, _compiled  # noqa: PLC2701

LANES = 16  # float32 numbers in the widest vector register; widths are multiples of it, so that no loop has a remainder
_BLOCK = 8  # ratings added to a Gram matrix at a time: each of its cells is then loaded and stored once for eight


@_compiled
def _add_block(gram: NDArray[np.float32], block: NDArray[np.float32]) -> None:
    """Add block^T block to the upper triangle of gram, for a block of 8 ratings."""
    width = gram.shape[0]
    for a in range(width):
        w0, w1, w2, w3 = block[0, a], block[1, a], block[2, a], block[3, a]
        w4, w5, w6, w7 = block[4, a], block[5, a], block[6, a], block[7, a]
        for first in range(a // LANES * LANES, width, LANES):
            for b in range(first, first + LANES):
                front = w0 * block[0, b] + w1 * block[1, b] + w2 * block[2, b] + w3 * block[3, b]
                back = w4 * block[4, b] + w5 * block[5, b] + w6 * block[6, b] + w7 * block[7, b]
                gram[a, b] += front + back


@_compiled
def _factorize(system: NDArray[np.float64], n: int) -> None:
    """Turn the upper triangle of the leading (n, n) of a positive definite matrix into U, A = U^T U."""
    for j in range(n):
        root = np.sqrt(system[j, j])
        for b in range(j, n):
            system[j, b] /= root
        for i in range(j + 1, n):
            weight = system[j, i]
            for b in range(i, n):
                system[i, b] -= weight * system[j, b]


@_compiled
def _forward(factor: NDArray[np.float64], right: NDArray[np.float64], n: int) -> None:
    """Replace right (n,) by U^-T right."""
    for k in range(n):
        right[k] /= factor[k, k]
        weight = right[k]
        for b in range(k + 1, n):
            right[b] -= weight * factor[k, b]


@_compiled
def _backward(factor: NDArray[np.float64], right: NDArray[np.float64], n: int) -> None:
    """Replace right (n,) by U^-1 right."""
    for k in range(n - 1, -1, -1):
        left = right[k]
        for b in range(k + 1, n):
            left -= factor[k, b] * right[b]
        right[k] = left / factor[k, k]


@_compiled
def sample_rows(
    span: tuple[int, int],
    rows: Rows,
    offsets: NDArray[np.float32],
    design: NDArray[np.float32],
    scale: float,
    prior: NDArray[np.float32],
    normals: NDArray[np.float32],
    means: NDArray[np.float32],
    samples: NDArray[np.float32],
) -> None:
    """Draw the vector of every row of a span given the other side.

    prior x ~ N(m, I), observed t_j = scale · (r_j - offset_j) = z_j · x + N(0, 1); with A = I + Z^T Z
    mean = m + A^-1 Z^T (t - Z m), sample = mean + N(0, A^-1)
    """
    width = design.shape[1]
    cap = normals.shape[1] - width
    gram = np.empty((width, width), np.float32)
    block = np.zeros((_BLOCK, width), np.float32)
    system = np.empty((max(width, cap), max(width, cap)))
    known, drawn = np.empty(max(width, cap)), np.empty(max(width, cap))
    left32 = np.empty(width, np.float32)
    for row in range(span[0], span[1]):
        first, n = rows.starts[row], rows.starts[row + 1] - rows.starts[row]
        if n <= cap:
            for i in range(n):
                other = rows.others[first + i]
                left = np.float32(scale) * (rows.ratings[first + i] - offsets[other])
                noise = normals[row, width + i]
                for a in range(width):
                    left -= design[other, a] * prior[row, a]
                    noise += design[other, a] * normals[row, a]
                known[i] = left
                drawn[i] = left - noise
                for j in range(i + 1):
                    before = rows.others[first + j]
                    product = np.float32(0.0)
                    for a in range(width):
                        product += design[other, a] * design[before, a]
                    system[j, i] = product
                system[i, i] += 1.0
            _factorize(system, n)
            _forward(system, known, n)
            _backward(system, known, n)
            _forward(system, drawn, n)
            _backward(system, drawn, n)
            for a in range(width):
                means[row, a] = prior[row, a]
                samples[row, a] = prior[row, a] + normals[row, a]
            for i in range(n):
                other = rows.others[first + i]
                of_mean, of_sample = np.float32(known[i]), np.float32(drawn[i])
                for a in range(width):
                    means[row, a] += of_mean * design[other, a]
                    samples[row, a] += of_sample * design[other, a]
            continue
        gram[:] = 0.0
        left32[:] = 0.0
        known[:] = 0.0
        filled = 0
        for i in range(n):
            other = rows.others[first + i]
            left = np.float32(scale) * (rows.ratings[first + i] - offsets[other])
            for a in range(width):
                block[filled, a] = design[other, a]
                left -= design[other, a] * prior[row, a]
            for a in range(width):
                left32[a] += left * design[other, a]
            filled += 1
            if filled == _BLOCK:
                _add_block(gram, block)
                filled = 0
        block[filled:] = 0.0
        _add_block(gram, block)
        for a in range(width):
            known[a] = left32[a]
            for b in range(a, width):
                system[a, b] = gram[a, b]
            system[a, a] += 1.0
        _factorize(system, width)
        _forward(system, known, width)
        for a in range(width):
            drawn[a] = known[a] + normals[row, a]
        _backward(system, known, width)
        _backward(system, drawn, width)
        for a in range(width):
            means[row, a] = prior[row, a] + np.float32(known[a])
            samples[row, a] = prior[row, a] + np.float32(drawn[a])


@_compiled
def sample_features(
    lanes: tuple[int, int],
    starts: NDArray[np.int64],
    members: NDArray[np.int32],
    weights: NDArray[np.float32],
    precisions: NDArray[np.float32],
    normals: NDArray[np.float32],
    left: NDArray[np.float32],
    effects: NDArray[np.float32],
) -> None:
    """Draw the effect of every feature in turn, in the columns `lanes`, and keep `left` (n_rows, width) up to date.

    left_r = x_r - m - Σ_f w_rf y_f ~ N(0, I), prior y_f ~ N(0, 1 / D): with c = Σ_r w_rf²
    y_f ~ N(Σ_r w_rf (left_r + w_rf y_f) / (c + D), 1 / (c + D))
    """
    n_lanes = lanes[1] - lanes[0]
    total, change = np.empty(n_lanes, np.float32), np.empty(n_lanes, np.float32)
    for feature in range(len(starts) - 1):
        total[:] = 0.0
        squares = np.float32(0.0)
        for k in range(starts[feature], starts[feature + 1]):
            weight = weights[k]
            squares += weight * weight
            row = left[members[k]]
            for a in range(n_lanes):
                total[a] += weight * row[lanes[0] + a]
        for a in range(n_lanes):
            column = lanes[0] + a
            old = effects[feature, column]
            precision = squares + precisions[column]
            new = (total[a] + squares * old) / precision + normals[feature, column] / np.sqrt(precision)
            effects[feature, column] = new
            change[a] = new - old
        for k in range(starts[feature], starts[feature + 1]):
            weight = weights[k]
            row = left[members[k]]
            for a in range(n_lanes):
                row[lanes[0] + a] -= weight * change[a]


@_compiled
def residual_squares(
    span: tuple[int, int],
    rows: Rows,
    offsets: NDArray[np.float32],
    design: NDArray[np.float32],
    vectors: NDArray[np.float32],
    squares: NDArray[np.float64],
) -> None:
    """Fill squares (n_rows,) with Σ_j (r_j - offset_j - z_j · x)² of each row of a span."""
    for row in range(span[0], span[1]):
        total = 0.0
        for rating in range(rows.starts[row], rows.starts[row + 1]):
            other = rows.others[rating]
            product = np.float32(0.0)
            for a in range(design.shape[1]):
                product += design[other, a] * vectors[row, a]
            error = np.float64(rows.ratings[rating] - offsets[other] - product)
            total += error * error
        squares[row] = total
