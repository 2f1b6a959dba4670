"""The hot loop of exact least squares: Gram matrices of short blocks of rows, with the vector registers spelled out.

A compiler left to itself vectorizes this with short registers and keeps the sums in memory; a library call pays for
both triangles. Here a tile of the result stays in registers while the rows of the block stream by.
"""

from collections.abc import Callable
from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray
import numpy as np

from engine.kernels import _compiled

LANES = 16  # float32 numbers that a tile is wide; shorter registers make two or four of it
HEIGHT = 8 if "avx512f" in {name for name, there in llvmlite.binding.get_host_cpu_features().items() if there} else 2


def _tile(width: int) -> Any:
    """Return the instructions that add Σ_k left[k, :HEIGHT]ᵀ right[k, :width·LANES] to a tile of a matrix."""
    vector = ir.VectorType(ir.FloatType(), LANES)

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        matrix, left, right, n, stride = arguments
        lane, fused = ir.FloatType().as_pointer(), ("contract",)

        def at(base: Any, row: Any, column: int) -> Any:
            cell = builder.gep(builder.inttoptr(base, lane), [builder.mul(row, stride)])
            return builder.gep(cell, [ir.Constant(ir.IntType(64), column)])

        def wide(cell: Any) -> Any:
            return builder.bitcast(cell, vector.as_pointer())

        places = [(row, column) for row in range(HEIGHT) for column in range(width)]
        sums = {place: cgutils.alloca_once_value(builder, ir.Constant(vector, None)) for place in places}
        with cgutils.for_range(builder, n) as loop:
            parts = [builder.load(wide(at(right, loop.index, LANES * column)), align=4) for column in range(width)]
            for row in range(HEIGHT):
                number = builder.load(at(left, loop.index, row))
                first = builder.insert_element(ir.Constant(vector, ir.Undefined), number, ir.IntType(32)(0))
                zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), None)
                repeated = builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), zeros)
                for column in range(width):
                    total = sums[row, column]
                    product = builder.fmul(repeated, parts[column], flags=fused)
                    builder.store(builder.fadd(product, builder.load(total), flags=fused), total)
        for row, column in places:
            cell = wide(at(matrix, ir.Constant(ir.IntType(64), row), LANES * column))
            found = builder.fadd(builder.load(cell, align=4), builder.load(sums[row, column]))
            builder.store(found, cell, align=4)
        return _context.get_dummy_value()

    def typed(_typing: Any, _matrix: Any, _left: Any, _right: Any, _n: Any, _stride: Any) -> Any:
        return types.void(types.uintp, types.uintp, types.uintp, types.intp, types.intp), generate

    return intrinsic(typed)


_one_vector = _tile(1)
_two_vectors = _tile(2)


@_compiled
def add_gram(matrix: NDArray[np.float32], block: NDArray[np.float32], n: int) -> None:
    """Add blockᵀ block of its first n rows to the lower triangle of matrix; some cells above it change too."""
    stride = block.shape[1]
    sums, rows = matrix.ctypes.data, block.ctypes.data
    for a in range(0, stride, HEIGHT):
        for b in range(0, a + HEIGHT, 2 * LANES):
            if b + LANES < a + HEIGHT:
                _two_vectors(sums + 4 * (a * stride + b), rows + 4 * a, rows + 4 * b, n, stride)
            else:
                _one_vector(sums + 4 * (a * stride + b), rows + 4 * a, rows + 4 * b, n, stride)
