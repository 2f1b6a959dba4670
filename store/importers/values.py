"""Text to numbers: one rule for a rating and one for a time, applied to the distinct texts of a column.

Both paths of the CSV importer end here, and so do JSON lines and text columns of Parquet files.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.importers.base import NO_TIME, Batch, Fault, Texts

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"[+-]?[0-9]{1,30}")
_MISSING = frozenset({"", "na", "n/a", "null", "none", "\\n"})
_FIRST_SECOND = -62_135_596_800  # 0001-01-01
_LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59
_UNITS = (1, 1_000, 1_000_000, 1_000_000_000)  # seconds, milliseconds, microseconds, nanoseconds


def parse_rating(text: str) -> tuple[float, Fault]:
    """Return a rating, or NaN and its fault; NaN, infinities and numbers beyond float64 are no numbers."""
    text = text.strip()
    if _NUMBER.fullmatch(text):
        value = float(text) + 0.0  # makes -0.0 plain 0.0
        return (value, Fault.NONE) if np.isfinite(value) else (np.nan, Fault.NOT_A_NUMBER)
    return np.nan, Fault.MISSING_RATING if text.lower() in _MISSING else Fault.NOT_A_NUMBER


def parse_time(text: str) -> tuple[int, Fault]:
    """Return seconds since 1970 UTC, `NO_TIME` for an empty text, or `NO_TIME` and a fault.

    Numbers are seconds as long as they fall before the year 10000, else milli-, micro- or nanoseconds; anything else is
    read as ISO 8601, in UTC where it names no zone.
    """
    text = text.strip()
    try:
        if _INTEGER.fullmatch(text):
            number = int(text)
            return (_seconds(number), Fault.NONE) if number != NO_TIME else (NO_TIME, Fault.NONE)
        if text.lower() in _MISSING:
            return NO_TIME, Fault.NONE
        if _NUMBER.fullmatch(text):
            return _seconds(int(float(text) // 1)), Fault.NONE
        moment = datetime.fromisoformat(text)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return int(aware.timestamp() // 1), Fault.NONE
    except (ValueError, OverflowError):
        return NO_TIME, Fault.BAD_TIME


def _seconds(number: int) -> int:
    for unit in _UNITS:
        if abs(number) <= _LAST_SECOND * unit + (unit - 1):
            if number // unit < _FIRST_SECOND:
                break
            return number // unit
    raise ValueError("outside the years 1 to 9999")


def ratings_of(column: Texts) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Return ratings float64 (n,) and faults uint8 (n,) of a text column (n,)."""
    parsed = [parse_rating(text) for text in column.texts]
    return _spread(column, parsed, np.float64)


def times_of(column: Texts) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return times int64 (n,) and faults uint8 (n,) of a text column (n,)."""
    parsed = [parse_time(text) for text in column.texts]
    return _spread(column, parsed, np.int64)


def epochs_of(numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return times int64 (n,) and faults uint8 (n,) of epochs (n,), by the rule of `parse_time`."""
    missing = numbers == NO_TIME
    seconds = numbers
    for unit in _UNITS[1:]:
        limit = _LAST_SECOND * (unit // 1000) + (unit // 1000 - 1)
        beyond = (numbers > limit) | (numbers < -limit)
        if not (beyond & ~missing).any():
            break
        seconds = np.where(beyond, numbers // unit, seconds)
    bad = (seconds < _FIRST_SECOND) & ~missing
    return np.where(missing | bad, NO_TIME, seconds), np.where(bad, np.uint8(Fault.BAD_TIME), np.uint8(0))


def seconds_of(numbers: NDArray[np.int64], unit: int = 1) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return times int64 (n,) and faults uint8 (n,) of moments (n,), each so many parts of a second."""
    missing = numbers == NO_TIME
    seconds = numbers // unit
    bad = ((seconds < _FIRST_SECOND) | (seconds > _LAST_SECOND)) & ~missing
    return np.where(missing | bad, NO_TIME, seconds), np.where(bad, np.uint8(Fault.BAD_TIME), np.uint8(0))


def _spread(column: Texts, parsed: list[tuple[Any, Fault]], dtype: type) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """Carry what was parsed of the distinct texts to the rows."""
    values: NDArray[Any] = np.fromiter((value for value, _ in parsed), dtype, len(parsed))
    faults = np.fromiter((fault for _, fault in parsed), np.uint8, len(parsed))
    return values[column.codes], faults[column.codes]


def text_batch(
    columns: Mapping[str, Sequence[str]], faults: NDArray[np.uint8], lines: Sequence[int], raw: Callable[[int], str]
) -> Batch:
    """Build a batch of columns of text.

    Args:
        columns: role to texts (n,); time may be missing.
        faults: uint8 (n,), what is known already; the other arguments are those of `Batch`.
        lines: where each row begins.
        raw: the text of a row.
    """
    ratings, rating_faults = ratings_of(Texts.of(columns["rating"]))
    times, time_faults = times_of(Texts.of(columns.get("time", [""] * len(ratings))))
    later = np.where(rating_faults > 0, rating_faults, time_faults)
    return Batch(
        users=Texts.of(columns["user"]),
        items=Texts.of(columns["item"]),
        ratings=ratings,
        times=times,
        faults=np.where(faults > 0, faults, later),
        lines=lines,
        raw=raw,
    )
