"""Compiled loops of implicit ALS: the least squares problem of one row, solved exactly, by gradients or by blocks.

Every row of a side, a user or an item, has the same problem with other numbers. With the other side's vectors q fixed,
the weights c of the row's observed pairs and the row's ridge,

    A = base + Σ_observed c q qᵀ + ridge · I,    b = Σ_observed c q,    solution A⁻¹ b,

where base = α0 Σ_all q qᵀ. A row never depends on another, so the result is the same bit for bit whatever the number of
threads. Vectors are padded with zeros to whole vector registers (`padded`).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.jit import compiled
from engine.kernels import Rows
from engine.kernels_gram import GROUP, LANES, add_gram, add_rows, multiply_rows
from engine.kernels_lapack import solve

_CHUNK = 128  # observed pairs whose vectors are gathered at a time; at 64 factors they fill a first-level cache


class Fixed(NamedTuple):
    """What is held fixed while the rows of the other side are solved; d is a multiple of LANES.

    Attributes:
        vectors: float32 (m, d), q.
        base: float32 (d, d), α0 Σ_all q qᵀ.
        ridge: float32 (n_rows,), of each row that is solved.
    """

    vectors: NDArray[np.float32]
    base: NDArray[np.float32]
    ridge: NDArray[np.float32]


def padded(width: int) -> int:
    """Return the next multiple of the length of a vector register."""
    return -(-width // LANES) * LANES


@compiled
def solve_exactly(
    span: tuple[int, int],
    rows: Rows,
    fixed: Fixed,
    solved: NDArray[np.float32],
    gains: NDArray[np.float64],
) -> None:
    """Fill solved (n_rows, d) with A⁻¹ b by Cholesky, and gains (n_rows,) with bᵀ A⁻¹ b; zeros for an empty row.

    The gain is what the row's vector takes off its part of the loss: min_x Σ c (1 - q·x)² + … = Σ c - bᵀ A⁻¹ b.
    """
    d = fixed.vectors.shape[1]
    block, system, known = np.empty((_CHUNK, d), np.float32), np.empty((d, d), np.float32), np.empty(d, np.float32)
    for row in range(span[0], span[1]):
        solved[row] = 0.0
        gains[row] = 0.0
        if rows.starts[row] == rows.starts[row + 1]:
            continue
        system[:] = fixed.base
        for a in range(d):
            system[a, a] += fixed.ridge[row]
            known[a] = 0.0
        for first in range(rows.starts[row], rows.starts[row + 1], _CHUNK):
            n = min(_CHUNK, rows.starts[row + 1] - first)
            for j in range(n):
                other, weight = rows.others[first + j], rows.ratings[first + j]
                root = np.sqrt(weight)
                for a in range(d):
                    block[j, a] = root * fixed.vectors[other, a]
                    known[a] += weight * fixed.vectors[other, a]
            add_gram(system, block, n)
        for a in range(d):
            solved[row, a] = known[a]
        if not solve(system, solved[row]):
            solved[row] = np.nan
        for a in range(d):
            gains[row] += np.float64(known[a]) * np.float64(solved[row, a])


@compiled
def _apply(
    rows: Rows, fixed: Fixed, row: int, vector: NDArray[np.float32], constant: float, result: NDArray[np.float32]
) -> float:
    """Fill result (d,) with A·vector - constant · b, without forming A; return bᵀ·vector."""
    d, numbers, amounts = len(vector), np.arange(GROUP).astype(np.int32), np.empty(GROUP, np.float32)
    table, vector_at, result_at = fixed.vectors.ctypes.data, vector.ctypes.data, result.ctypes.data
    base, numbers_at, amounts_at = fixed.base.ctypes.data, numbers.ctypes.data, amounts.ctypes.data
    for a in range(d):
        result[a] = fixed.ridge[row] * vector[a]
    for first in range(0, d, GROUP):  # base is symmetric: its rows serve as its columns
        add_rows(base + 4 * first * d, numbers_at, vector_at + 4 * first, result_at, d)
    start, stop, along = rows.starts[row], rows.starts[row + 1], np.float32(0.0)
    others_at = rows.others.ctypes.data
    whole = stop - (stop - start) % GROUP
    for first in range(start, whole, GROUP):
        multiply_rows(table, others_at + 4 * first, vector_at, amounts_at, d)
        for place in range(GROUP):
            weight = rows.ratings[first + place]
            along += weight * amounts[place]
            amounts[place] = weight * (amounts[place] - np.float32(constant))
        add_rows(table, others_at + 4 * first, amounts_at, result_at, d)
    if whole < stop:  # the last group is short: others stand in that count for nothing
        for place in range(stop - whole):
            numbers[place] = rows.others[whole + place]
        multiply_rows(table, numbers_at, vector_at, amounts_at, d)
        for place in range(GROUP):
            weight = rows.ratings[whole + place] if whole + place < stop else np.float32(0.0)
            along += weight * amounts[place]
            amounts[place] = weight * (amounts[place] - np.float32(constant))
        add_rows(table, numbers_at, amounts_at, result_at, d)
    return np.float64(along)


@compiled
def solve_by_gradients(
    span: tuple[int, int],
    rows: Rows,
    fixed: Fixed,
    solved: NDArray[np.float32],
    gains: NDArray[np.float64],
    steps: int,
) -> None:
    """Improve solved (n_rows, d) by steps of conjugate gradients from what it holds; zeros for an empty row.

    Each step takes step · |r|² off the loss, which makes the gains as in `solve_exactly`.

    Source: Takács, Pilászy, Tikk 2011, "Applications of the conjugate gradient method for implicit feedback".
    """
    d = fixed.vectors.shape[1]
    left, direction, image = np.empty(d, np.float32), np.empty(d, np.float32), np.empty(d, np.float32)
    for row in range(span[0], span[1]):
        gains[row] = 0.0
        if rows.starts[row] == rows.starts[row + 1]:
            solved[row] = 0.0
            continue
        gain = _apply(rows, fixed, row, solved[row], 1.0, left)  # left = A x - b
        size = np.float32(0.0)
        for a in range(d):
            direction[a] = -left[a]
            size += left[a] * left[a]
            gain -= np.float64(solved[row, a] * left[a])
        for _ in range(steps):
            _apply(rows, fixed, row, direction, 0.0, image)
            curvature = np.float32(0.0)
            for a in range(d):
                curvature += direction[a] * image[a]
            if not curvature > 0.0:
                break
            step, before = size / curvature, size
            gain += np.float64(step * size)
            size = np.float32(0.0)
            for a in range(d):
                solved[row, a] += step * direction[a]
                left[a] += step * image[a]
                size += left[a] * left[a]
            for a in range(d):
                direction[a] = size / before * direction[a] - left[a]
        gains[row] = gain


@compiled
def solve_by_blocks(  # noqa: C901  one kernel: a call inside its loops would cost more than the reader
    span: tuple[int, int],
    rows: Rows,
    fixed: Fixed,
    solved: NDArray[np.float32],
    gains: NDArray[np.float64],
    width: int,
) -> None:
    """Improve solved (n_rows, d): each block of `width` factors exactly, the others held; zeros for an empty row.

    x_π ← x_π - A_ππ⁻¹ (A x - b)_π for one block π after the other. `width` divides d and is a multiple of LANES.

    Source: Rendle, Krichene, Zhang, Koren 2021, "iALS++: Speeding up Matrix Factorization with Subspace Optimization".
    """
    d = fixed.vectors.shape[1]
    block, system = np.empty((_CHUNK, width), np.float32), np.empty((width, width), np.float32)
    slope, change, longest = np.empty(width, np.float32), np.empty(width, np.float32), 0
    for row in range(span[0], span[1]):
        longest = max(longest, rows.starts[row + 1] - rows.starts[row])
    misses = np.empty(longest, np.float32)  # q·x - 1 of the row's observed pairs
    for row in range(span[0], span[1]):
        gains[row] = 0.0
        if rows.starts[row] == rows.starts[row + 1]:
            solved[row] = 0.0
            continue
        gains[row] = _miss(rows, fixed, row, solved[row], misses)
        for begin in range(0, d, width):
            _open_block(fixed, row, solved[row], begin, system, slope)
            for first in range(rows.starts[row], rows.starts[row + 1], _CHUNK):
                n = min(_CHUNK, rows.starts[row + 1] - first)
                for j in range(n):
                    other, weight = rows.others[first + j], rows.ratings[first + j]
                    root, pull = np.sqrt(weight), weight * misses[first + j - rows.starts[row]]
                    for a in range(width):
                        block[j, a] = root * fixed.vectors[other, begin + a]
                        slope[a] += pull * fixed.vectors[other, begin + a]
                add_gram(system, block, n)
            change[:] = slope
            if not solve(system, change):
                change[:] = np.nan
            for a in range(width):
                solved[row, begin + a] -= change[a]
                gains[row] += np.float64(slope[a] * change[a])
            for j in range(rows.starts[row], rows.starts[row + 1]):
                score = np.float32(0.0)
                for a in range(width):
                    score += fixed.vectors[rows.others[j], begin + a] * change[a]
                misses[j - rows.starts[row]] -= score


@compiled
def _miss(rows: Rows, fixed: Fixed, row: int, vector: NDArray[np.float32], misses: NDArray[np.float32]) -> float:
    """Fill misses with q·x - 1 of the row's observed pairs; return by how much x lowers the loss from that of zero."""
    gain = 0.0
    for j in range(rows.starts[row], rows.starts[row + 1]):
        score = np.float32(0.0)
        for a in range(len(vector)):
            score += fixed.vectors[rows.others[j], a] * vector[a]
        misses[j - rows.starts[row]] = score - np.float32(1.0)
        gain += np.float64(rows.ratings[j] * score * (np.float32(2.0) - score))
    for a in range(len(vector)):
        image = fixed.ridge[row] * vector[a]
        for b in range(len(vector)):
            image += fixed.base[a, b] * vector[b]
        gain -= np.float64(image * vector[a])
    return gain


@compiled
def _open_block(
    fixed: Fixed,
    row: int,
    vector: NDArray[np.float32],
    begin: int,
    system: NDArray[np.float32],
    slope: NDArray[np.float32],
) -> None:
    """Fill system and slope of one block of factors with what does not depend on the observed pairs."""
    for a in range(len(slope)):
        total = fixed.ridge[row] * vector[begin + a]
        for b in range(len(vector)):
            total += fixed.base[begin + a, b] * vector[b]
        slope[a] = total
        for b in range(len(slope)):
            system[a, b] = fixed.base[begin + a, begin + b]
        system[a, a] += fixed.ridge[row]
