"""How a delimited text is written: its delimiter, whether a header comes first, and which columns matter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from store import errors
from store.importers.base import Fault
from store.importers.columns import ROLES, find_columns, role_of
from store.importers.records import split_line
from store.importers.values import parse_rating, parse_time

DELIMITERS = (b"::", b"\t", b";", b"|", b",")
_SAMPLE_LINES = 200


@dataclass(frozen=True)
class Dialect:
    """The shape of a delimited text.

    Attributes:
        delimiter: one of `DELIMITERS`.
        width: the number of fields that every row must have.
        columns: role to position; time may be missing.
        names: the header, or "1", "2", … where there is none.
        has_header: whether the first row is the header.
    """

    delimiter: bytes
    width: int
    columns: dict[str, int]
    names: tuple[str, ...]
    has_header: bool

    @property
    def mapping(self) -> dict[str, str]:
        """Role to the name of its column."""
        return {role: self.names[position] for role, position in self.columns.items()}


def detect(block: bytes, mapping: Mapping[str, str], *, source: str) -> Dialect:
    """Recognise how a text is written by its first rows.

    A header is a first row with known column names, or any first row where the operator maps by names. Without one, the
    columns are user, item, rating and, where the fourth reads as a time, time: the headerless Amazon files (item, user,
    rating, time) look the same, and need `--map user=2,item=1,rating=3,time=4`.

    Raises:
        DataRefused: nothing in it, or the columns cannot be told.
    """
    lines = [line for line in block[: 1 << 20].split(b"\n")[:_SAMPLE_LINES] if line.strip()]
    if not lines:
        raise errors.DataRefused(f"{source} is empty", hint="pass a file with a row a rating: user,item,rating[,time]")
    delimiter = _delimiter(lines)
    rows = [fields for line in lines if (fields := split_line(line, delimiter)) is not None]
    if not rows:
        raise errors.DataRefused(f"{source} has no row with balanced quotes", hint="is it a table with a row a line?")
    first = tuple(field.decode("utf-8", "replace").strip() for field in rows[0])
    has_header = _is_header(first, rows[1:], mapping)
    if has_header:
        columns = find_columns(first, mapping, source=source)
        width, names, body = len(first), first, rows[1:]
    else:
        width = _usual([len(row) for row in rows])
        names, body = tuple(str(number) for number in range(1, width + 1)), rows
        columns = _positional(names, mapping, first, source)
    body = [row for row in body if len(row) == width]
    if "time" in columns and "time" not in mapping and not _reads_as_time(body, columns["time"]):
        del columns["time"]
    return Dialect(delimiter, width, columns, names, has_header)


def _delimiter(lines: Sequence[bytes]) -> bytes:
    """Return the delimiter that cuts most lines into the same number of fields, three at least."""

    def fit(delimiter: bytes) -> tuple[int, int]:
        counts = [len(fields) for line in lines[:50] if (fields := split_line(line, delimiter)) is not None]
        width = _usual([count for count in counts if count >= 3] or [0])
        return (counts.count(width) if width else 0), width

    return max(DELIMITERS, key=lambda delimiter: (fit(delimiter), -DELIMITERS.index(delimiter)))


def _usual(counts: Sequence[int]) -> int:
    return max(set(counts), key=lambda count: (counts.count(count), count), default=0)


def _is_header(first: Sequence[str], rest: Sequence[Sequence[bytes]], mapping: Mapping[str, str]) -> bool:
    named = any(not column.isdecimal() for column in mapping.values())
    known = {role_of(name) for name in first} - {None}
    if named or len(known) >= 2 or (known and not _number(first, 2)):
        return True
    if all(role in mapping for role in ROLES[:3]):
        position = int(mapping["rating"]) - 1
        return not _number(first, position) and any(_number(_texts(row), position) for row in rest)
    return not any(_number(_texts(row), 2) for row in [[name.encode() for name in first], *rest])


def _positional(
    names: tuple[str, ...], mapping: Mapping[str, str], first: Sequence[str], source: str
) -> dict[str, int]:
    """Columns of a text without a header: user, item, rating, time, save what the operator states."""
    numbers = {role: str(number) for number, role in enumerate(ROLES, 1) if number <= len(names)}
    if mapping:
        taken = set(mapping.values())
        numbers = {role: column for role, column in numbers.items() if role not in mapping and column not in taken}
    columns = find_columns(names, {**numbers, **mapping}, source=source)
    if not mapping and not _number(first, 2):
        raise errors.DataRefused(
            f"{source} has no header that names its columns; its first row: {', '.join(first)[:200]}",
            hint="state them: --map user=1,item=2,rating=3 (a name, or a number from 1)",
        )
    return columns


def _reads_as_time(rows: Sequence[Sequence[bytes]], position: int) -> bool:
    texts = [_texts(row)[position] for row in rows]
    readable = sum(parse_time(text)[1] == Fault.NONE for text in texts)
    return 5 * readable >= len(texts)


def _texts(row: Sequence[bytes]) -> list[str]:
    return [field.decode("utf-8", "replace") for field in row]


def _number(row: Sequence[str], position: int) -> bool:
    return 0 <= position < len(row) and parse_rating(row[position])[1] == Fault.NONE
