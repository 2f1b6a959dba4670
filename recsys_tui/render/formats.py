"""Rows for programs and for people: JSON, NDJSON, CSV and TSV here, the table in its own module."""

import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from typing import Any, Literal, TextIO

from recsys_tui.render.figures import DASH, iso, number
from recsys_tui.render.safe import json_safe, safe
from recsys_tui.render.terminal import Terminal

FORMATS = ("table", "json", "ndjson", "csv", "tsv")

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_PLAIN_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True)
class Column:
    """One column of a list.

    Attributes:
        key: which value of a row it shows.
        header: what stands over it in a table; CSV and TSV have the key.
        digits: decimals of a float in a table.
        align: left or right; by default right where the values are numbers.
        grows: True where it takes the room that is left and is cropped first (titles); left out where all are empty.
        wraps: like `grows`, but what has no room goes on in the next line: for sentences.
        spare: left out of a table for which the terminal is too narrow; CSV and TSV always have it.
        show: how a person sees the value, for those that are neither text nor figure: `when`, `duration`, `size`.
        style: a style of rich for the cells.
    """

    key: str
    header: str = ""
    digits: int = 4
    align: Literal["left", "right"] | None = None
    grows: bool = False
    wraps: bool = False
    spare: bool = False
    show: Callable[[Any], str] | None = None
    style: str = ""

    @property
    def title(self) -> str:
        """The header as shown."""
        return self.header or self.key.replace("_", " ")


def emit(
    rows: Iterable[Any],
    columns: Sequence[Column | str],
    format: str = "auto",  # noqa: A002  the flag's name
    *,
    stream: TextIO | None = None,
    true_data: bool = False,
    raw: bool = False,
    empty: str = "nothing to show",
) -> int:
    """Write rows and return how many there were. All formats but the table write each row as it comes.

    Args:
        rows: mappings or dataclasses.
        columns: what a table, CSV or TSV shows of them; JSON and NDJSON hold whole rows.
        format: one of `FORMATS`; "auto" is a table on a terminal and TSV otherwise.
        stream: stdout by default.
        true_data: control characters are kept as they are in CSV and TSV: for files, never for stdout.
        raw: no guard against cells that a spreadsheet would run as formulas.
        empty: what to say on stderr, instead of a table without rows.
    """
    terminal = Terminal.of(stream or sys.stdout)
    chosen = [Column(column) if isinstance(column, str) else column for column in columns]
    if format == "auto":
        format = "table" if terminal.tty else "tsv"  # noqa: A001
    records = map(record, rows)
    if format == "table":
        from recsys_tui.render.table import write_table

        return write_table(list(records), chosen, terminal, empty=empty)
    if format == "json":
        return _write_json(records, terminal)
    if format == "ndjson":
        return _counted(terminal, (to_json(row) + "\n" for row in records))
    return _write_separated(records, chosen, terminal, tabs=format == "tsv", true_data=true_data, raw=raw)


def emit_document(document: Any, *, stream: TextIO | None = None) -> None:
    """Write one JSON document, indented, with a line end."""
    Terminal.of(stream or sys.stdout).write(to_json(document, indent=2) + "\n")


def to_json(value: Any, indent: int | None = None) -> str:
    """Return the value as JSON that any reader takes and any terminal survives."""
    return json_safe(json.dumps(plain(value), ensure_ascii=False, allow_nan=False, indent=indent))


def record(row: Any) -> Mapping[str, Any]:
    """Return a row as a mapping, in the order of its fields."""
    if isinstance(row, Mapping):
        return row
    return {field.name: getattr(row, field.name) for field in fields(row)}


def plain(value: Any) -> Any:  # noqa: PLR0911  one a kind
    """Return the value in JSON's own kinds: NaN and infinities null, times ISO 8601, arrays lists, the rest text."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if is_dataclass(value) and not isinstance(value, type):
        return plain(record(value))
    if isinstance(value, datetime):
        return iso(value.timestamp())
    if hasattr(value, "tolist"):  # arrays and scalars of NumPy, without importing it
        return plain(value.tolist())
    return str(value)


def guard(text: str) -> str:
    """Return the text so that no spreadsheet runs it: a quote goes before what begins with = + - @, TAB or CR.

    Plain numbers stay. What begins with quotes and then such a character gets one more, so that taking one quote away
    always gives the original back.
    """
    return "'" + text if _FORMULA.match(text) and not _PLAIN_NUMBER.fullmatch(text) else text


def cell(value: Any) -> str:
    """Return a value as one cell of CSV or TSV: empty where there is none, lists joined by `|`, full precision."""
    value = plain(value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list) and not any(isinstance(part, list | dict) for part in value):
        return "|".join(cell(part) for part in value)
    return to_json(value) if isinstance(value, list | dict) else str(value)


def human(value: Any, digits: int = 4, *, ascii: bool = False) -> str:  # noqa: A002
    """Return a value as a person reads it, safe: grouped and rounded figures, yes and no, lists with commas."""
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or isinstance(value, int | float):
        text = number(value, 0 if isinstance(value, int) else digits)
        return "-" if ascii and text == DASH else text
    if isinstance(value, list | tuple) and all(isinstance(part, str) for part in value):
        return safe(", ".join(value))
    return safe(cell(value))


def _counted(terminal: Terminal, lines: Iterator[str]) -> int:
    n = 0
    for n, line in enumerate(lines, 1):  # noqa: B007  the count is the result
        terminal.write(line)
    return n


def _write_json(records: Iterator[Mapping[str, Any]], terminal: Terminal) -> int:
    """Write an array with a row a line: one document, and still readable by line."""
    terminal.write("[")
    n = _counted(terminal, (("\n  " if k == 0 else ",\n  ") + to_json(row) for k, row in enumerate(records)))
    terminal.write("\n]\n" if n else "]\n")
    return n


def _write_separated(
    records: Iterator[Mapping[str, Any]],
    columns: Sequence[Column],
    terminal: Terminal,
    *,
    tabs: bool,
    true_data: bool,
    raw: bool,
) -> int:
    import csv

    def prepared(text: str) -> str:
        guarded = text if raw else guard(text)
        return guarded if true_data else safe(guarded)

    class Lines:
        def write(self, line: str) -> None:
            terminal.write(line.removesuffix("\r\n") + "\n")

    # the writer quotes a cell with a CR only where its own line end has one
    writer = csv.writer(Lines(), delimiter="\t" if tabs else ",", lineterminator="\r\n")
    writer.writerow([prepared(column.key) for column in columns])
    n = 0
    for n, row in enumerate(records, 1):  # noqa: B007  the count is the result
        writer.writerow([prepared(cell(row.get(column.key))) for column in columns])
    return n
