"""Arrow columns as NumPy arrays and lists, without a detour.

`np.asarray` of an Arrow array imports pandas, a quarter of a second and 40 MB; DLPack does not, but knows neither nulls
nor bits.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

NO_TIME: int = int(np.iinfo(np.int64).min)  # stands for an unknown time in arrays of int64


def times(column: pa.Array) -> NDArray[np.int64]:
    """Return an int64 column (n,) with `NO_TIME` for null."""
    values = np.frombuffer(column.buffers()[1], np.int64, len(column), 8 * column.offset)
    if not column.null_count:
        return values
    missing = numbers(column.is_null().cast(pa.uint8())).view(np.bool_)
    return np.where(missing, NO_TIME, values)


def numbers(column: pa.Array) -> NDArray[Any]:
    """Return a column (n,) of numbers without nulls."""
    return np.from_dlpack(column)


def texts(column: pa.DictionaryArray) -> tuple[NDArray[np.int32], list[str]]:
    """Return codes (n,) and the distinct texts of a dictionary-encoded column without nulls."""
    return numbers(column.indices), column.dictionary.to_pylist()
