"""Cholesky factors and solutions within compiled loops, by the LAPACK that SciPy brings along.

Addresses, not arrays, are passed: a positive definite matrix of one number is factorized thousands of times a second.
"""

from typing import Any

import llvmlite.binding
import numpy as np
import scipy.linalg.cython_lapack  # noqa: F401  its symbols are looked up below
from numba import types
from numba.extending import get_cython_function_address
from numpy.typing import NDArray

from engine.jit import compiled

for _name in ("spotrf", "spotrs", "dpotrf"):
    llvmlite.binding.add_symbol(f"engine_{_name}", get_cython_function_address("scipy.linalg.cython_lapack", _name))
_spotrf: Any = types.ExternalFunction("engine_spotrf", types.void(*[types.uintp] * 5))
_spotrs: Any = types.ExternalFunction("engine_spotrs", types.void(*[types.uintp] * 8))
_dpotrf: Any = types.ExternalFunction("engine_dpotrf", types.void(*[types.uintp] * 5))


@compiled
def solve(system: NDArray[np.float32], known: NDArray[np.float32]) -> bool:
    """Replace known (d,) by system⁻¹ known, and system (d, d), of which the lower triangle is read, by its factor.

    False where the system is not positive definite.
    """
    lower = np.array([ord("U")], np.uint8)  # the lower triangle in C order is the upper one in Fortran's
    sizes = np.array([len(known), 1, 0], np.int32)
    n, one, outcome = sizes.ctypes.data, sizes.ctypes.data + 4, sizes.ctypes.data + 8
    _spotrf(lower.ctypes.data, n, system.ctypes.data, n, outcome)
    if sizes[2] != 0:
        return False
    _spotrs(lower.ctypes.data, n, one, system.ctypes.data, n, known.ctypes.data, n, outcome)
    return True


@compiled
def factorize(system: NDArray[np.float64]) -> None:
    """Turn the lower triangle of a positive definite matrix into its Cholesky factor L, A = L L^T; else into NaN."""
    if not len(system):
        return
    lower = np.array([ord("U")], np.uint8)
    sizes = np.array([len(system), 0], np.int32)
    n, outcome = sizes.ctypes.data, sizes.ctypes.data + 4
    _dpotrf(lower.ctypes.data, n, system.ctypes.data, n, outcome)
    if sizes[1] != 0:
        system[:] = np.nan
