"""The two hot loops of least squares, with the vector registers spelled out: Gram matrices, and products with rows.

A compiler left to itself takes short registers here and keeps sums in memory; a library call for a Gram matrix pays for
both triangles. Sums have one fixed order, so results are the same bit for bit on one machine.
"""

from collections.abc import Callable, Sequence
from typing import Any

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from engine.jit import compiled

LANES = 16
"""Matrices here are a multiple of this many float32 numbers wide; narrower registers take two or four for it."""

GROUP = 8
"""Rows that are multiplied at a time."""

_HEIGHT = 8 if llvmlite.binding.get_host_cpu_features().get("avx512f") else 2  # what fits in the registers
_FUSED = ("contract",)
_INDEX, _LANE = ir.IntType(64), ir.FloatType()
_VECTOR = ir.VectorType(_LANE, LANES)


class _Memory:
    """Loads and stores of float32 numbers and vectors at addresses."""

    def __init__(self, builder: Any) -> None:
        self._builder = builder

    def at(self, address: Any, offset: Any, kind: Any = _LANE) -> Any:
        """Return a pointer to a number behind an address."""
        builder = self._builder
        return builder.gep(builder.inttoptr(address, kind.as_pointer()), [offset])

    def number(self, address: Any, offset: int) -> Any:
        """Load one number and repeat it in all lanes."""
        builder = self._builder
        loaded = builder.load(self.at(address, _INDEX(offset)))
        first = builder.insert_element(_VECTOR(ir.Undefined), loaded, ir.IntType(32)(0))
        return builder.shuffle_vector(first, _VECTOR(ir.Undefined), ir.VectorType(ir.IntType(32), LANES)(None))

    def vector(self, address: Any, offset: Any) -> Any:
        """Load a vector."""
        builder = self._builder
        return builder.load(builder.bitcast(self.at(address, offset), _VECTOR.as_pointer()), align=4)

    def keep(self, value: Any, address: Any, offset: Any) -> None:
        """Store a vector."""
        builder = self._builder
        builder.store(value, builder.bitcast(self.at(address, offset), value.type.as_pointer()), align=4)

    def rows(self, numbers: Any, stride: Any) -> list[Any]:
        """Return the offsets of GROUP rows of a table whose numbers (int32) stand one after the other."""
        builder = self._builder
        loaded = [builder.load(self.at(numbers, _INDEX(row), ir.IntType(32))) for row in range(GROUP)]
        return [builder.mul(builder.zext(number, _INDEX), stride) for number in loaded]


def _add_product(builder: Any, first: Any, second: Any, total: Any) -> Any:
    return builder.fadd(builder.fmul(first, second, flags=_FUSED), total, flags=_FUSED)


def _instructions(generate: Callable[..., None]) -> Any:
    """Make a function of five addresses and sizes, callable from compiled code, from what writes its instructions."""

    def code(context: Any, builder: Any, _signature: Any, arguments: Sequence[Any]) -> Any:
        generate(builder, _Memory(builder), *arguments)
        return context.get_dummy_value()

    def typed(_typing: Any, _0: Any, _1: Any, _2: Any, _3: Any, _4: Any) -> Any:
        return types.void(*(types.uintp,) * 5), code

    return intrinsic(typed)


def _tile(width: int) -> Any:
    """Add Σ_k left[k, :_HEIGHT]ᵀ right[k, :width·LANES] to a tile of a matrix that stays in registers meanwhile."""

    def generate(builder: Any, memory: _Memory, matrix: Any, left: Any, right: Any, n: Any, stride: Any) -> None:
        places = [(row, column) for row in range(_HEIGHT) for column in range(width)]
        sums = {place: cgutils.alloca_once_value(builder, _VECTOR(None)) for place in places}
        with cgutils.for_range(builder, n) as loop:
            behind = builder.mul(loop.index, stride)
            parts = [memory.vector(right, builder.add(behind, _INDEX(LANES * column))) for column in range(width)]
            for row in range(_HEIGHT):
                here = builder.add(left, builder.mul(behind, _INDEX(4)))
                repeated = memory.number(here, row)
                for column in range(width):
                    total = sums[row, column]
                    builder.store(_add_product(builder, repeated, parts[column], builder.load(total)), total)
        for row, column in places:
            cell = builder.add(builder.mul(_INDEX(row), stride), _INDEX(LANES * column))
            memory.keep(builder.fadd(memory.vector(matrix, cell), builder.load(sums[row, column])), matrix, cell)

    return _instructions(generate)


def _halved(builder: Any, first: Any, second: Any) -> Any:
    """Return the sums of neighbouring lanes of two vectors, those of the first in the lower half."""
    lanes = ir.VectorType(ir.IntType(32), LANES)
    even, odd = (builder.shuffle_vector(first, second, lanes(list(range(side, 2 * LANES, 2)))) for side in (0, 1))
    return builder.fadd(even, odd)


def _multiply(builder: Any, memory: _Memory, table: Any, numbers: Any, vector: Any, products: Any, stride: Any) -> None:
    """Store the products of GROUP rows of a table with a vector."""
    rows = memory.rows(numbers, stride)
    sums = [cgutils.alloca_once_value(builder, _VECTOR(None)) for _ in rows]
    with cgutils.for_range(builder, builder.udiv(stride, _INDEX(LANES))) as loop:
        column = builder.mul(loop.index, _INDEX(LANES))
        part = memory.vector(vector, column)
        for row, total in zip(rows, sums, strict=True):
            loaded = memory.vector(table, builder.add(row, column))
            builder.store(_add_product(builder, loaded, part, builder.load(total)), total)
    level = [builder.load(total) for total in sums]
    while len(level) > 1:
        level = [_halved(builder, *level[pair : pair + 2]) for pair in range(0, len(level), 2)]
    whole = _halved(builder, level[0], level[0])
    lanes = ir.VectorType(ir.IntType(32), GROUP)
    memory.keep(builder.shuffle_vector(whole, whole, lanes(list(range(GROUP)))), products, _INDEX(0))


def _combine(builder: Any, memory: _Memory, table: Any, numbers: Any, amounts: Any, result: Any, stride: Any) -> None:
    """Add the sum of GROUP rows of a table, each times an amount, to a vector."""
    rows = memory.rows(numbers, stride)
    times = [memory.number(amounts, row) for row in range(GROUP)]
    with cgutils.for_range(builder, builder.udiv(stride, _INDEX(LANES))) as loop:
        column = builder.mul(loop.index, _INDEX(LANES))
        halves = [memory.vector(result, column), _VECTOR(None)]
        for number, (row, amount) in enumerate(zip(rows, times, strict=True)):
            loaded = memory.vector(table, builder.add(row, column))
            halves[number % 2] = _add_product(builder, loaded, amount, halves[number % 2])
        memory.keep(builder.fadd(*halves), result, column)


_one_vector, _two_vectors = _tile(1), _tile(2)

multiply_rows = _instructions(_multiply)
"""multiply_rows(table, numbers, vector, products, stride): products (GROUP,) become table[numbers] · vector.

These two take addresses, since passing an array counts references at each call, which would cost as much as the work.
Numbers are int32 (GROUP,), `stride` the width of the table, a multiple of LANES.
"""

add_rows = _instructions(_combine)
"""add_rows(table, numbers, amounts, result, stride): adds amounts (GROUP,) · table[numbers] to result (stride,)."""


@compiled
def add_gram(matrix: NDArray[np.float32], block: NDArray[np.float32], n: int) -> None:
    """Add blockᵀ block of its first n rows to the lower triangle of matrix; some cells above it change too."""
    stride = block.shape[1]
    sums, rows = matrix.ctypes.data, block.ctypes.data
    for a in range(0, stride, _HEIGHT):
        for b in range(0, a + _HEIGHT, 2 * LANES):
            if b + LANES < a + _HEIGHT:
                _two_vectors(sums + 4 * (a * stride + b), rows + 4 * a, rows + 4 * b, n, stride)
            else:
                _one_vector(sums + 4 * (a * stride + b), rows + 4 * a, rows + 4 * b, n, stride)
