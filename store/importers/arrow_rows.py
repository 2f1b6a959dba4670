"""The fast path of the CSV importer: a clean block in one go through Arrow's CSV parser.

It takes a block only where splitting at every delimiter and line break is all there is to it, so that row i is line i.
Bad ids, ratings and times are no obstacle: they are judged by the rules of the exact path, on the distinct texts.
"""

import re
from codecs import BOM_UTF8
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv

from store import arrow
from store.importers.base import MAX_FIELD_BYTES, MAX_NUMBER, NO_TIME, Batch, Numbers, Texts
from store.importers.dialect import Dialect
from store.importers.values import epochs_of, ratings_of, times_of

_SEPARATOR = b"\x1f"  # stands in for "::", since Arrow knows delimiters of one character only
_TEXT = pa.dictionary(pa.int32(), pa.string())
Table = dict[str, Any]  # role to Arrow array


class CleanBlocks:
    """Reads the clean blocks of one text, and remembers how its columns could be read so far."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        # where every byte belongs to a column that is read, it can be shown that ids are whole numbers and nothing else
        numeric_ids = dialect.width == len(dialect.columns)
        self._choices = ([(True, True)] if numeric_ids else []) + [(False, True), (False, False)]
        self._is_settled = False

    def parse(self, block: bytes) -> Table | None:
        """Return the columns of a block, or None where it needs the exact path; several threads may do so at once.

        Args:
            block: whole lines of UTF-8, each ending with a line break.
        """
        plain = _plain(block, self._dialect.delimiter)
        return None if plain is None else self._table(plain)

    def batch(self, block: bytes, table: Table, line: int) -> Batch:
        """Return the rows of a block that was parsed; `line` is the number of its first line."""
        ratings, faults = ratings_of(_texts(table["rating"]))
        times, time_faults = _times(table.get("time"), len(ratings))
        return Batch(
            users=_ids(table["user"]),
            items=_ids(table["item"]),
            ratings=ratings,
            times=times,
            faults=np.where(faults > 0, faults, time_faults) if time_faults.any() else faults,
            lines=range(line, line + len(ratings)),
            raw=_line_reader(block),
        )

    def _table(self, block: bytes) -> Table | None:
        """Return role to array: with numbers where they read as such, else with dictionary-encoded text.

        What the first block turns out to be is tried first from then on; one odd block later changes nothing.
        """
        n_lines = int(np.count_nonzero(np.frombuffer(block, np.uint8) == 10))  # faster than `bytes.count`
        # Arrow reads 0x1F as a number, which the exact path does not
        choices = [(False, False)] if _holds(block, b"x", b"0x") or _holds(block, b"X", b"0X") else self._choices
        for ids, times in choices:
            kinds = {"user": ids, "item": ids, "time": times}
            types = {role: pa.int64() if numeric else _TEXT for role, numeric in kinds.items()}
            try:
                table = _parsed(block, self._dialect, types)
            except pa.ArrowInvalid:
                continue
            if len(table["rating"]) != n_lines:
                return None  # blank lines
            if not ids or _is_canonical(table, len(block)):
                if not self._is_settled:
                    self._is_settled, self._choices = True, choices[choices.index((ids, times)) :]
                return table
        return None  # ragged rows or undecodable text


def _holds(block: bytes, first: bytes, text: bytes) -> bool:
    """Tell whether a text occurs; looking for one byte first is ten times as fast where it is rare."""
    return first in block and text in block


def _is_canonical(table: Table, n_bytes: int) -> bool:
    """Tell whether the numbers in a block have no leading zero, sign or space, so that they stand for their text.

    Any such form is longer than the plain one, so it is enough that the digits, the ratings and one delimiter or line
    break a field add up to the length of the block.
    """
    codes, texts = arrow.texts(table["rating"])
    lengths = np.fromiter((len(text.encode()) for text in texts), np.int64, len(texts))
    total = int(lengths @ np.bincount(codes, minlength=len(texts))) + len(codes) * len(table)
    for role, column in table.items():
        if role != "rating":
            if column.null_count:  # an empty field; such blocks are rare
                return False
            values = arrow.times(column)
            if role != "time" and (values.min() < 0 or values.max() > MAX_NUMBER):
                return False
            total += _digits(values)
    return total == n_bytes


def _digits(values: NDArray[np.int64]) -> int:
    """Return how many characters numbers take in all."""
    negative = int(np.count_nonzero(values < 0))
    magnitudes = np.abs(values) if negative else values
    total, power, most = len(values) + negative, 10, int(magnitudes.max())
    while power <= most:
        total += int(np.count_nonzero(magnitudes >= power))
        power *= 10
    return total


def _plain(block: bytes, delimiter: bytes) -> bytes | None:
    """Return a block without quotes and with a delimiter of one byte, or None where that cannot be had safely."""
    if b"\0" in block or block.startswith(BOM_UTF8) or _has_long_line(block):  # Arrow would drop the mark
        return None
    quotes = block.count(b'"')
    if quotes:
        # quotes around whole fields without delimiters, quotes and line breaks inside can simply be taken away
        block, pairs = _simple_quotes(delimiter).subn(rb"\1", block)
        if 2 * pairs != quotes:
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


def _parsed(block: bytes, dialect: Dialect, kinds: dict[str, pa.DataType]) -> Table:
    names = [str(position) for position in range(dialect.width)]
    types = {names[position]: kinds.get(role, _TEXT) for role, position in dialect.columns.items()}
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


def _ids(column: Any) -> Texts | Numbers:
    return _texts(column) if isinstance(column, pa.DictionaryArray) else Numbers(arrow.times(column))


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
