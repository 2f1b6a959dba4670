"""Rows for programs and for people: JSON, NDJSON, CSV and TSV here, the table in its own module."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import NoneType
from typing import Any, TextIO

from recsys_tui.render.safe import safe
from recsys_tui.render.terminal import Terminal
from recsys_tui.render.values import Column, cell, guard, record, to_json

FORMATS = ("table", "json", "ndjson", "csv", "tsv")
_NUMBERS = (int, float, bool, NoneType)


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

    def prepared(value: Any) -> str:
        text = cell(value)
        if type(value) in _NUMBERS:  # which no spreadsheet runs and no terminal obeys
            return text
        guarded = text if raw else guard(text)
        return guarded if true_data else safe(guarded)

    class Lines:
        def write(self, line: str) -> None:
            terminal.write(line.removesuffix("\r\n") + "\n")

    # the writer quotes a cell with a CR only where its own line end has one
    writer = csv.writer(Lines(), delimiter="\t" if tabs else ",", lineterminator="\r\n")
    keys = [column.key for column in columns]
    writer.writerow(map(prepared, keys))
    n = 0
    for n, row in enumerate(records, 1):  # noqa: B007  the count is the result
        writer.writerow([prepared(row.get(key)) for key in keys])
    return n
