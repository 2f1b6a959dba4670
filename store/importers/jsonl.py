"""JSON lines: an object a row, such as the Amazon review files; nested values by dotted paths in the mapping.

An object with an array that the paths cross is a row for each of its elements. Extended JSON, as `mongoexport` writes
it, is read as what it stands for.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from store import errors
from store.importers.base import Batch, Fault, Title
from store.importers.columns import check_mapping
from store.importers.nested import find_paths, keys_of, paths_in, rows_at, unwrapped, value_at
from store.importers.source import Source
from store.importers.text import encoding_of, refuse_binary, text_blocks
from store.importers.values import text_batch

_BATCH_ROWS = 100_000
_SAMPLE_LINES = 100


class JsonLinesImporter:
    """Rows of a file with one JSON object a line; numbers keep their text, so ids lose no digit."""

    def __init__(self, source: Source, mapping: Mapping[str, str]) -> None:
        self.file = source.name
        refuse_binary(source)
        if _text_of(source.head).lstrip().startswith("["):
            raise errors.DataRefused(
                f"{source.name} is one JSON array, not an object a line",
                hint="`jq -c '.[]' FILE | recsys-tui import -`",
            )
        self._blocks = text_blocks(source)
        self._first = next(self._blocks, b"")
        names = _names(self._first)
        if not names:
            raise errors.DataRefused(f"{source.name} holds no JSON object", hint="pass a file with one object a line")
        self.mapping = find_paths(names, check_mapping(mapping), source=source.name)
        self._paths = [(path, (path,) if "." not in path else keys_of(path)) for path in self.mapping.values()]

    @staticmethod
    def recognises(source: Source) -> bool:
        """Tell whether a text begins with a brace (or a bracket, which is refused with advice)."""
        return _text_of(source.head).lstrip().startswith(("{", "[{", "[\n"))

    def batches(self) -> Iterator[Batch]:
        """Yield all rows; a line that is no object is a row with a fault."""
        line = 1
        block, self._first = self._first, b""
        while block:
            lines = block.split(b"\n")
            lines.pop()
            for start in range(0, len(lines), _BATCH_ROWS):
                yield self._batch(lines[start : start + _BATCH_ROWS], line + start)
            line += len(lines)
            block = next(self._blocks, b"")

    def titles(self) -> Iterator[Title]:
        """Yield nothing: rows of reviews have no catalogue."""
        yield from ()

    def _batch(self, lines: list[bytes], first: int) -> Batch:
        columns: dict[str, list[str]] = {role: [] for role in self.mapping}
        numbers: list[int] = []
        faults: list[Fault] = []
        for number, text in enumerate(lines, first):
            if text.strip(b" "):
                rows, fault = self._rows(text)
                for row in rows:
                    for column, value in zip(columns.values(), row, strict=True):
                        column.append(_scalar(value))
                numbers += [number] * len(rows)
                faults += [fault] * len(rows)
        return text_batch(
            columns,
            np.array(faults, np.uint8),
            numbers,
            lambda row: lines[numbers[row] - first].decode("utf-8", "backslashreplace"),
        )

    def _rows(self, line: bytes) -> tuple[list[tuple[Any, ...]], Fault]:
        """Return the values of a line's rows, one row where it has a fault."""
        nothing = [(None,) * len(self._paths)]
        try:
            found = _loads(line.decode())
            if not isinstance(found, dict):
                return nothing, Fault.NOT_JSON
            values = tuple([_at(found, path, keys) for path, keys in self._paths])
            if any(type(value) is list for value in values):
                parts = rows_at(found, [keys for _, keys in self._paths])
                return (nothing, Fault.FIELDS) if parts is None else (parts, Fault.NONE)
            "".join([value for value in values if isinstance(value, str)]).encode()
        except UnicodeError:
            return nothing, Fault.UNDECODABLE
        except (ValueError, RecursionError):
            return nothing, Fault.NOT_JSON
        return [values], Fault.NONE


def _loads(text: str) -> Any:
    return json.loads(text, parse_int=str, parse_float=str, parse_constant=str)


def _names(block: bytes) -> list[str]:
    """Return the paths of the fields of the first objects, in order of appearance."""
    found = []
    for line in block.split(b"\n", _SAMPLE_LINES)[:_SAMPLE_LINES]:
        with suppress(ValueError, RecursionError):
            found.append(_loads(line.decode()))
    objects = [part for part in found if isinstance(part, dict)]
    return list(dict.fromkeys([*(key for part in objects for key in part), *paths_in(objects)]))


def _at(found: Any, path: str, keys: tuple[str, ...]) -> Any:
    """Return the value at a key, or at a dotted path; None where there is none."""
    return found[path] if isinstance(found, dict) and path in found else value_at(found, keys)


def _scalar(value: Any) -> str:
    """Return text for a text or a number, and an empty text for anything that cannot be an id or a number."""
    value = unwrapped(value)
    return value if isinstance(value, str) else ""


def _text_of(head: bytes) -> str:
    encoding, mark = encoding_of(head[:4096])
    return head[mark:4096].decode(encoding, "replace")
