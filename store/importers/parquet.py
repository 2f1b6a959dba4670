"""Parquet files, a row group at a time; ids may be text or integers, times may be numbers, dates or text.

Fields of structs are named by dotted paths; a path that crosses a list makes a row for each of its elements.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from store import arrow, errors
from store.importers.base import Batch, Fault, Texts, Title
from store.importers.columns import check_mapping
from store.importers.documents import Kinds, document_batches
from store.importers.nested import find_paths, keys_of
from store.importers.source import Source
from store.importers.values import epochs_of, ratings_of, seconds_of, times_of

_BATCH_ROWS = 256 * 1024
_PARTS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}  # of a second
_DAMAGE = (
    pa.ArrowException,
    OSError,
    UnicodeError,
    OverflowError,
    ValueError,
)  # names that are no text, years beyond all
_DOCUMENTS = 20_000  # rows that become Python objects at a time


class ParquetImporter:
    """Rows of a Parquet file; a row's line is its number, counted from 1."""

    def __init__(self, source: Source, mapping: Mapping[str, str]) -> None:
        self.file = source.name
        source.bytes_total = None  # Arrow reads the file itself, so only rows can be counted
        if source.path is None or source.is_dir:
            raise errors.DataRefused(f"{source.text}: Parquet is read from a file", hint="save it to a file first")
        from pyarrow import parquet  # a tenth of a second that other formats need not pay

        try:
            self._parquet = parquet.ParquetFile(source.path)
        except _DAMAGE as error:
            raise _damaged(source.name, error) from error
        schema = self._parquet.schema_arrow
        names = [path for field in schema for path in _paths(field.name, field.type)]
        self.mapping = find_paths(names, check_mapping(mapping), source=source.name)
        self._keys = {role: _keys(path, schema.names) for role, path in self.mapping.items()}
        self._unwinds = any(_crosses_list(schema, keys) for keys in self._keys.values())
        if not self._parquet.metadata.num_rows:
            raise errors.DataRefused(f"{source.name} has no rows", hint="is the export complete?")

    @staticmethod
    def recognises(source: Source) -> bool:
        """Tell whether a file begins with Parquet's magic."""
        return source.head.startswith(b"PAR1")

    def batches(self) -> Iterator[Batch]:
        """Yield all rows.

        Raises:
            DataRefused: a page of the file is damaged.
        """
        row = 1
        columns = list(dict.fromkeys(keys[0] for keys in self._keys.values()))
        size = _DOCUMENTS if self._unwinds else _BATCH_ROWS
        try:
            for part in self._parquet.iter_batches(size, columns=columns, use_threads=False):
                for batch in self._unwound(part, row) if self._unwinds else [self._batch(part, row)]:
                    row += len(batch)
                    yield batch
        except _DAMAGE as error:
            raise _damaged(self.file, error) from error

    def titles(self) -> Iterator[Title]:
        """Yield nothing: a table of ratings has no titles."""
        yield from ()

    def _unwound(self, part: pa.RecordBatch, row: int) -> Iterator[Batch]:
        return document_batches(part.to_pylist(), self._keys, row, _KINDS, partial(json.dumps, default=str))

    def _batch(self, part: pa.RecordBatch, row: int) -> Batch:
        columns = {role: _column(part, keys) for role, keys in self._keys.items()}
        ratings, faults = _numbers(columns["rating"])
        times, time_faults = _times(columns.get("time", pa.nulls(part.num_rows, pa.int64())))
        return Batch(
            users=_ids(columns["user"]),
            items=_ids(columns["item"]),
            ratings=ratings,
            times=times,
            faults=np.where(faults > 0, faults, time_faults),
            lines=range(row, row + part.num_rows),
            raw=_row_reader(part),
        )


def rows_of(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file as objects.

    Raises:
        DataRefused: it is no whole Parquet file.
    """
    from pyarrow import parquet

    try:
        for part in parquet.ParquetFile(path).iter_batches(_DOCUMENTS, use_threads=False):
            yield from part.to_pylist()
    except _DAMAGE as error:
        raise _damaged(path.name, error) from error


def _paths(path: str, kind: pa.DataType) -> Iterator[str]:
    """Yield the paths of the plain fields below a column."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        yield from _paths(path, kind.value_type)
    elif pa.types.is_struct(kind):
        for position in range(kind.num_fields):
            yield from _paths(f"{path}.{kind.field(position).name}", kind.field(position).type)
    else:
        yield path


def _keys(path: str, names: list[str]) -> tuple[str, ...]:
    """Return the parts of a path; a column whose own name has dots comes first."""
    return (path,) if path in names else keys_of(path)


def _crosses_list(schema: pa.Schema, keys: tuple[str, ...]) -> bool:
    kind = schema.field(keys[0]).type if keys[0] in schema.names else pa.null()
    for key in keys[1:]:
        if pa.types.is_list(kind) or pa.types.is_large_list(kind):
            return True
        field = kind.field(key) if pa.types.is_struct(kind) and kind.get_field_index(key) >= 0 else None
        kind = pa.null() if field is None else field.type
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _column(part: pa.RecordBatch, keys: tuple[str, ...]) -> pa.Array:
    """Return a column, or a field of it; nulls where there is none of this name."""
    import pyarrow.compute as pc

    if keys[0] not in part.schema.names:
        return pa.nulls(part.num_rows)
    column = part.column(keys[0])
    for key in keys[1:]:
        if not pa.types.is_struct(column.type) or column.type.get_field_index(key) < 0:
            return pa.nulls(part.num_rows)
        column = pc.struct_field(column, key)
    return column


def _plain(value: Any) -> str:
    return str(value) if isinstance(value, Decimal | UUID) else ""


def _moment(value: Any) -> str:
    if isinstance(value, datetime):
        return str(int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp() // 1))
    return value.isoformat() if isinstance(value, date) else _plain(value) or "?"


_KINDS = Kinds(_plain, _moment)


def _ids(column: pa.Array) -> Texts:
    """Return ids as text; whole numbers in a float column, as pandas makes them of gaps, lose their ".0"."""
    if pa.types.is_floating(column.type):
        import pyarrow.compute as pc

        whole = pc.all(pc.equal(column, pc.floor(column)))  # None where there is nothing but gaps
        if whole.as_py() is not False and pc.all(pc.less(pc.abs(column), 2**53)).as_py() is not False:
            column = column.cast(pa.int64(), safe=False)
    return _text(column)


def _text(column: pa.Array) -> Texts:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    try:
        return Texts(*arrow.texts(column.cast(pa.string()).fill_null("").dictionary_encode()))
    except pa.ArrowException:  # lists and structs are no ids
        return Texts.of([""] * len(column))


def _numbers(column: pa.Array) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Return ratings and faults; null is a missing rating, NaN and infinities are no numbers."""
    numeric = pa.types.is_floating(column.type) or pa.types.is_integer(column.type) or pa.types.is_decimal(column.type)
    if not numeric:
        return ratings_of(_text(column))
    missing = np.asarray(column.is_null())
    values = np.asarray(column.cast(pa.float64(), safe=False).fill_null(np.nan), dtype=np.float64) + 0.0
    faults = np.where(np.isfinite(values), np.uint8(0), np.uint8(Fault.NOT_A_NUMBER))
    return values, np.where(missing, np.uint8(Fault.MISSING_RATING), faults)


def _times(column: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    kind = column.type
    if pa.types.is_timestamp(kind):
        return seconds_of(arrow.times(column.cast(pa.int64())), _PARTS[kind.unit])
    if pa.types.is_date(kind):
        return seconds_of(arrow.times(column.cast(pa.date64()).cast(pa.int64())), _PARTS["ms"])
    if pa.types.is_integer(kind) and kind != pa.uint64():
        return epochs_of(arrow.times(column.cast(pa.int64())))
    return times_of(_text(column))


def _row_reader(part: pa.RecordBatch) -> Callable[[int], str]:
    def read(row: int) -> str:
        return json.dumps({name: _shown(part.column(name)[row]) for name in part.schema.names}, default=str)

    return read


def _shown(value: pa.Scalar) -> Any:
    """Return a value as Python has it; a moment beyond Python's years as its number."""
    try:
        return value.as_py()
    except (ValueError, OverflowError):
        return value.value


def _damaged(name: str, error: Exception) -> errors.DataRefused:
    return errors.DataRefused(
        f"{name} is not a whole Parquet file: {str(error).splitlines()[0]}", hint="write it again, or fetch it again"
    )
