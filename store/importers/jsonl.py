"""JSON lines: an object a row, such as the Amazon review files; nested values by dotted paths in the mapping."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from store import errors
from store.importers.base import Batch, Fault, Title
from store.importers.columns import check_mapping, find_columns
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
        stated = check_mapping(mapping)
        names = _names(self._first)
        if not names:
            raise errors.DataRefused(f"{source.name} holds no JSON object", hint="pass a file with one object a line")
        paths = [path for path in stated.values() if "." in path and path not in names]
        names += paths
        self.mapping = {
            role: names[position] for role, position in find_columns(names, stated, source=source.name).items()
        }

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
        numbers = [number for number, text in enumerate(lines, first) if text.strip(b" ")]
        columns: dict[str, list[str]] = {role: [] for role in self.mapping}
        faults = np.zeros(len(numbers), np.uint8)
        for row, number in enumerate(numbers):
            texts, faults[row] = self._row(lines[number - first])
            for role, column in columns.items():
                column.append(texts.get(role, ""))
        return text_batch(
            columns, faults, numbers, lambda row: lines[numbers[row] - first].decode("utf-8", "backslashreplace")
        )

    def _row(self, line: bytes) -> tuple[dict[str, str], Fault]:
        try:
            found = _loads(line.decode())
            texts = {role: _scalar(_at(found, path)) for role, path in self.mapping.items()}
            "".join(texts.values()).encode()
        except UnicodeError:
            return {}, Fault.UNDECODABLE
        except (ValueError, RecursionError):
            return {}, Fault.NOT_JSON
        return (texts, Fault.NONE) if isinstance(found, dict) else ({}, Fault.NOT_JSON)


def _loads(text: str) -> Any:
    return json.loads(text, parse_int=str, parse_float=str, parse_constant=str)


def _names(block: bytes) -> list[str]:
    """Return the keys of the first objects, in order of appearance."""
    names: dict[str, None] = {}
    for line in block.split(b"\n", _SAMPLE_LINES)[:_SAMPLE_LINES]:
        try:
            found = _loads(line.decode())
        except (ValueError, RecursionError):
            continue
        names.update(dict.fromkeys(found if isinstance(found, dict) else ()))
    return list(names)


def _at(found: Any, path: str) -> Any:
    """Return the value at a key, or at a dotted path; None where there is none."""
    if isinstance(found, dict) and path in found:
        return found[path]
    for key in path.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _scalar(value: Any) -> str:
    """Return text for a text or a number, and an empty text for anything that cannot be an id or a number."""
    return value if isinstance(value, str) else ""


def _text_of(head: bytes) -> str:
    encoding, mark = encoding_of(head[:4096])
    return head[mark:4096].decode(encoding, "replace")
