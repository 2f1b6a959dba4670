"""Small CSV files that commands read row by row: pairs to predict, ratings to store."""

import csv
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from store.errors import DataRefused, NotFound

_LONGEST_CELL = 1_000_000


def read_cells(path: Path, roles: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the line and the cells of each row, in the order of `roles`; `-` is standard input.

    Args:
        path: a CSV whose header names the columns; without a header they stand in the order of `roles`.
        roles: of user, item and rating those that are needed.

    Raises:
        NotFound: no such file.
        DataRefused: a row with too few cells, or a file that is no text.
    """
    csv.field_size_limit(_LONGEST_CELL)
    if str(path) == "-":
        yield from _cells(sys.stdin, path, roles)
        return
    if not path.is_file():
        raise NotFound(f"no file {path}", hint=f"name a CSV with {', '.join(roles)}")
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from _cells(file, path, roles)


def _cells(file: TextIO, path: Path, roles: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    from store.importers.columns import role_of

    wanted = f"each row is {','.join(roles)}[,…]"
    reader = csv.reader(file)
    places: list[int] | None = None
    try:
        for row in reader:
            if places is None:
                named = [role_of(cell) for cell in row]
                found = [named.index(role) for role in roles if role in named]
                places = found if len(found) == len(roles) else list(range(len(roles)))
                if found:
                    if places is not found:
                        missing = ", ".join(role for role in roles if role not in named)
                        raise DataRefused(f"{path} has no column {missing}", hint=wanted)
                    continue
            if not row:
                continue
            if len(row) <= max(places):
                raise DataRefused(f"{path}, line {reader.line_num}: too few cells", hint=wanted)
            yield reader.line_num, [row[place].strip() for place in places]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataRefused(f"{path} is no CSV: line {reader.line_num + 1} cannot be read", hint=wanted) from error
