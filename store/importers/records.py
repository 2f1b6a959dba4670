"""The exact path of the CSV importer: one record at a time, with quotes, faults and line numbers.

It defines what a delimited text means; the fast path must agree with it and hands over whatever it is not sure of.
"""

from collections.abc import Iterator
from typing import NamedTuple

from store.importers.base import MAX_FIELD_BYTES, Fault

_MOST_LINES = 1_000  # of one quoted field


class Record(NamedTuple):
    """One row: its fields, or the fault that kept it from having any; `line` counts from 1."""

    line: int
    fields: list[bytes]
    fault: Fault
    raw: bytes


class Incomplete(NamedTuple):
    """The rest of a block, from the line on whose quoted field does not end within the block."""

    line: int
    rest: bytes


def split_line(text: bytes, delimiter: bytes) -> list[bytes] | None:
    """Cut a record into fields; None where a quote is open at the end, or closed in the middle of a field.

    A field is quoted if its first byte is a quote; inside, a doubled quote stands for one. A quote anywhere else is a
    character like any other.
    """
    if b'"' not in text:
        return text.split(delimiter)
    fields: list[bytes] = []
    at = 0
    while True:
        if text[at : at + 1] != b'"':
            end = text.find(delimiter, at)
            fields.append(text[at:] if end < 0 else text[at:end])
        else:
            close = _closing_quote(text, at + 1)
            end = -1 if close + 1 == len(text) else close + 1
            if close < 0 or (end > 0 and not text.startswith(delimiter, end)):
                return None
            fields.append(text[at + 1 : close].replace(b'""', b'"'))
        if end < 0:
            return fields
        at = end + len(delimiter)


def _closing_quote(text: bytes, at: int) -> int:
    """Return the position of the quote that ends a field, or -1."""
    while (quote := text.find(b'"', at)) >= 0:
        if text[quote + 1 : quote + 2] != b'"':
            return quote
        at = quote + 2
    return -1


def records(block: bytes, delimiter: bytes, width: int, line: int, *, final: bool) -> Iterator[Record | Incomplete]:
    """Yield the records of a block that ends with a line break; blank lines are skipped.

    A quoted field may run over lines, up to 1 MB. Where its end is not found, only the line that opens it is refused
    and reading goes on with the next line, so that one stray quote costs one row. A record that may go on in the next
    block is handed back as `Incomplete`, unless the block is `final`.

    Args:
        block: lines, each ending with a line break.
        delimiter: what separates fields.
        width: the number of fields that a record must have.
        line: the number of the first line.
        final: whether no block follows.
    """
    lines = block.split(b"\n")
    lines.pop()
    index = 0
    while index < len(lines):
        text, taken = lines[index], 1
        if text.strip(b" "):
            fields = split_line(text, delimiter)
            if fields is None:
                fields, text, taken, open_end = _joined(lines, index, delimiter)
                if open_end and not final:
                    yield Incomplete(line + index, b"\n".join(lines[index:]) + b"\n")
                    return
            yield Record(line + index, fields or [], _fault(text, fields, width), text)
        index += taken


def _joined(lines: list[bytes], index: int, delimiter: bytes) -> tuple[list[bytes] | None, bytes, int, bool]:
    """Join lines until their quotes balance.

    Returns:
        Fields or None, the text, how many lines it took, and whether more lines could still change the answer.
    """
    text = lines[index]
    most = min(len(lines), index + _MOST_LINES)
    for after in range(index + 1, most):
        text += b"\n" + lines[after]
        if len(text) > MAX_FIELD_BYTES + len(lines[index]):
            return None, lines[index], 1, False
        if b'"' in lines[after]:
            fields = split_line(text, delimiter)
            if fields is not None:
                return fields, text, after - index + 1, False
            if not _open_at_end(text, delimiter):
                return None, lines[index], 1, False
    return None, lines[index], 1, most == len(lines) and _open_at_end(text, delimiter)


def _open_at_end(text: bytes, delimiter: bytes) -> bool:
    """Tell whether a record ends inside a quoted field, rather than being spoilt by a quote in the wrong place."""
    return split_line(text + b'"', delimiter) is not None


def _fault(text: bytes, fields: list[bytes] | None, width: int) -> Fault:
    if b"\0" in text:
        return Fault.NUL
    if fields is None:
        return Fault.QUOTE
    if len(text) > MAX_FIELD_BYTES and any(len(field) > MAX_FIELD_BYTES for field in fields):
        return Fault.FIELD_SIZE
    return Fault.NONE if len(fields) == width else Fault.FIELDS
