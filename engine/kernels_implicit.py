"""Compiled loops of implicit ALS: the least squares problem of one row, solved exactly, by gradients or by blocks.

Every row of a side, a user or an item, has the same problem with other numbers. With the other side's vectors q fixed,
weights c of the row's observed pairs, the weight α0 of all pairs and the row's ridge:

    A = α0 Σ_all q qᵀ + Σ_observed c q qᵀ + ridge · I,    b = Σ_observed c q,    solution A⁻¹ b.

A row never depends on another, so the result is the same bit for bit whatever the number of threads.
"""

from typing import NamedTuple

import llvmlite.binding
import numpy as np
import scipy.linalg.cython_lapack
from numba import types
from numba.extending import get_cython_function_address
from numpy.typing import NDArray

from engine.kernels import Rows, _compiled

llvmlite.binding.add_symbol("engine_spotrf", get_cython_function_address("scipy.linalg.cython_lapack", "spotrf"))
llvmlite.binding.add_symbol("engine_spotrs", get_cython_function_address("scipy.linalg.cython_lapack", "spotrs"))
_spotrf = types.ExternalFunction("engine_spotrf", types.void(*[types.uintp] * 5))
_spotrs = types.ExternalFunction("engine_spotrs", types.void(*[types.uintp] * 8))

CHUNK = 512


class Fixed(NamedTuple):
    vectors: NDArray[np.float32]
    gram: NDArray[np.float32]
    ridge: NDArray[np.float32]


@_compiled
def solve_exactly(span, rows: Rows, fixed: Fixed, solved, gains):
    d = fixed.vectors.shape[1]
    block = np.empty((CHUNK, d), np.float32)
    system = np.empty((d, d), np.float32)
    part = np.empty((d, d), np.float32)
    known = np.empty(d, np.float32)
    text = np.array([ord("U")], np.uint8)
    sizes = np.array([d, 1, 0], np.int32)
    for row in range(span[0], span[1]):
        start, stop = rows.starts[row], rows.starts[row + 1]
        if start == stop:
            solved[row] = 0.0
            gains[row] = 0.0
            continue
        system[:] = fixed.gram
        for a in range(d):
            system[a, a] += fixed.ridge[row]
        known[:] = 0.0
        for first in range(start, stop, CHUNK):
            n = min(CHUNK, stop - first)
            for j in range(n):
                c = rows.ratings[first + j]
                other = rows.others[first + j]
                root = np.sqrt(c)
                for a in range(d):
                    value = fixed.vectors[other, a]
                    known[a] += c * value
                    block[j, a] = root * value
            np.dot(block[:n].T, block[:n], part)
            for a in range(d):
                for b in range(d):
                    system[a, b] += part[a, b]
        for a in range(d):
            solved[row, a] = known[a]
        _spotrf(text.ctypes.data, sizes.ctypes.data, system.ctypes.data, sizes.ctypes.data, sizes.ctypes.data + 8)
        _spotrs(
            text.ctypes.data,
            sizes.ctypes.data,
            sizes.ctypes.data + 4,
            system.ctypes.data,
            sizes.ctypes.data,
            solved[row].ctypes.data,
            sizes.ctypes.data,
            sizes.ctypes.data + 8,
        )
        gain = 0.0
        for a in range(d):
            gain += np.float64(known[a]) * np.float64(solved[row, a])
        gains[row] = gain
