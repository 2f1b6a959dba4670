"""The fast path of the CSV importer: a clean block in one go through Arrow's CSV parser.

It takes a block only where splitting at every delimiter and line break is all there is to it, so that row i is line i.
Bad ids, ratings and times are no obstacle: they are judged by the rules of the exact path, on the distinct texts.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv

from store import arrow
from store.importers.base import MAX_FIELD_BYTES, NO_TIME, Batch, Texts
from store.importers.dialect import Dialect
from store.importers.values import epochs_of, ratings_of, times_of

_SEPARATOR = b"\x1f"  # stands in for "::", since Arrow knows delimiters of one character only
_TEXT = pa.dictionary(pa.int32(), pa.string())


def clean_batch(block: bytes, dialect: Dialect, line: int) -> Batch | None:
    """Return the rows of a block, or None where it needs the exact path.

    Args:
        block: whole lines of UTF-8, each ending with a line break.
        dialect: how the text is written.
        line: the number of the first line.
    """
    plain = _plain(block, dialect.delimiter)
    if plain is None:
        return None
    try:
        table = _parsed(plain, dialect, time_type=pa.int64())
    except pa.ArrowInvalid:
        try:
            table = _parsed(plain, dialect, time_type=_TEXT)
        except pa.ArrowInvalid:
            return None  # ragged rows or undecodable text
    ratings, faults = ratings_of(_texts(table["rating"]))
    times, time_faults = _times(table.get("time"), len(ratings))
    return Batch(
        users=_texts(table["user"]),
        items=_texts(table["item"]),
        ratings=ratings,
        times=times,
        faults=np.where(faults > 0, faults, time_faults),
        lines=range(line, line + len(ratings)),
        raw=_line_reader(block),
    )


def _plain(block: bytes, delimiter: bytes) -> bytes | None:
    """Return a block without quotes and with a delimiter of one byte, or None where that cannot be had safely."""
    if b"\0" in block or b"\n\n" in block or block.startswith(b"\n") or _has_long_line(block):
        return None
    quotes = block.count(b'"')
    if quotes:
        # quotes around whole fields without delimiters, quotes and line breaks inside can simply be taken away
        block, pairs = _simple_quotes(delimiter).subn(rb"\1", block)
        if 2 * pairs != quotes or b"\n\n" in block or block.startswith(b"\n"):
            return None
    if len(delimiter) > 1:
        if _SEPARATOR in block:
            return None
        block = block.replace(delimiter, _SEPARATOR)
    return block


@lru_cache(maxsize=8)
def _simple_quotes(delimiter: bytes) -> re.Pattern[bytes]:
    mark = re.escape(delimiter)
    inside = rb'[^"\n' + re.escape(delimiter[:1]) + rb"]*"
    return re.compile(rb"(?:(?<=" + mark + rb')|(?<=\n)|\A)"(' + inside + rb')"(?=' + mark + rb"|\n)")


def _has_long_line(block: bytes) -> bool:
    start = 0
    while len(block) - start > MAX_FIELD_BYTES:
        end = block.rfind(b"\n", start, start + MAX_FIELD_BYTES)
        if end < 0:
            return True
        start = end + 1
    return False


def _parsed(block: bytes, dialect: Dialect, *, time_type: pa.DataType) -> dict[str, Any]:
    """Return role to array; ids and ratings dictionary-encoded text."""
    if time_type == pa.int64() and "time" in dialect.columns and (b"0x" in block or b"0X" in block):
        raise pa.ArrowInvalid("Arrow reads 0x1F as a number; the exact path does not")
    names = [str(position) for position in range(dialect.width)]
    types = {names[position]: time_type if role == "time" else _TEXT for role, position in dialect.columns.items()}
    delimiter = _SEPARATOR if len(dialect.delimiter) > 1 else dialect.delimiter
    table = csv.read_csv(
        pa.BufferReader(block),
        csv.ReadOptions(column_names=names, block_size=len(block) + 1),
        csv.ParseOptions(delimiter=delimiter.decode(), quote_char=False, newlines_in_values=False),
        csv.ConvertOptions(
            column_types=types, include_columns=list(types), null_values=[""], strings_can_be_null=False
        ),
    )
    return {role: table[names[position]].combine_chunks() for role, position in dialect.columns.items()}


def _times(column: Any, n_rows: int) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    if column is None:
        return np.full(n_rows, NO_TIME), np.zeros(n_rows, np.uint8)
    return times_of(_texts(column)) if isinstance(column, pa.DictionaryArray) else epochs_of(arrow.times(column))


def _texts(column: pa.DictionaryArray) -> Texts:
    return Texts(*arrow.texts(column))


def _line_reader(block: bytes) -> Callable[[int], str]:
    """Return a function from row to its text; the block is cut into lines when the first row is refused."""
    lines: list[bytes] = []

    def read(row: int) -> str:
        if not lines:
            lines.extend(block.split(b"\n"))
        return lines[row].decode("utf-8", "backslashreplace")

    return read
