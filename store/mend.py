"""Rows that an import kept aside, field by field, and their way back once somebody has mended them."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from store import errors
from store.database import Database
from store.errors import translate
from store.formulas import unguarded
from store.importers.nested import keys_of, value_at
from store.importers.pipeline import ImportResult, import_source
from store.importers.records import split_line
from store.imports import Import, get_import

FIELDS = ("user", "item", "rating", "time")
COLUMNS = ("line", "source", "reason", *FIELDS, "raw")
_PAGE = 5_000
_LONGEST_CELL = 1_000_000


class Mended(NamedTuple):
    """What came of mended rows: the import that stored them, and how many left the quarantine."""

    result: ImportResult
    mended: int


def rejected_rows(database: Database, number: int) -> Iterator[dict[str, Any]]:
    """Yield every row that an import kept aside, with `COLUMNS`; fields that cannot be told apart are empty.

    Raises:
        NotFound: no such import.
    """
    found = get_import(database, number)
    layout = _layout(database, number)
    query = (
        "SELECT rowid, line, source, reason, raw, user FROM quarantine WHERE import = ? AND (line, rowid) > (?, ?) "
        "ORDER BY line, rowid LIMIT ?"
    )
    after = (-1, -1)
    while True:
        with database.read() as db:
            rows = db.execute(query, (number, *after, _PAGE)).fetchall()
        for _, line, source, reason, raw, user in rows:
            fields = dict.fromkeys(FIELDS, "") | {"user": user or ""} | _fields(raw, found, layout)
            yield {"line": line, "source": source, "reason": reason, **fields, "raw": raw}
        if len(rows) < _PAGE:
            return
        after = (rows[-1][1], rows[-1][0])


def mend(database: Database, number: int, path: Path) -> Mended:
    """Import mended rows; those that can be used now leave the quarantine of the import that refused them.

    Args:
        database: the store.
        number: that import.
        path: a CSV with `COLUMNS`, as `rejected_rows` gives them, in which the fields have been mended; rows may be
            left out.

    Raises:
        NotFound: no such import or file.
        DataRefused: no such CSV, or a row that the import did not refuse.
    """
    found = get_import(database, number)
    rows = list(_read(path))
    known = {(row["line"], row["source"]) for row in rejected_rows(database, number)}
    for at, row in rows:
        if at not in known:
            raise errors.DataRefused(
                f"{path}: line {at[0]} of {at[1] or found.source} is not in the quarantine of import {number}",
                hint=f"`recsys-tui imports show {number} --rejected --out FILE` writes the rows that are",
            )
        del row["line"], row["source"]
    lines = io.BytesIO("".join(json.dumps(row) + "\n" for _, row in rows).encode())
    policy = found.options.get("duplicates", "latest")
    mapping = {field: field for field in FIELDS}
    result = import_source(database, "-", format="jsonl", mapping=mapping, duplicates=policy, stdin=lines)
    with database.write() as db:
        source = f"{path.name}, mended rows of import {number}"
        db.execute("UPDATE imports SET source = ? WHERE id = ?", (source, result.import_id))
        refused = db.execute("SELECT line FROM quarantine WHERE import = ?", (result.import_id,)).fetchall()
        still = {line for (line,) in refused}
        sound = [(number, *at) for row, (at, _) in enumerate(rows, 1) if row not in still]
        before = db.total_changes
        db.executemany("DELETE FROM quarantine WHERE import = ? AND line = ? AND source = ?", sound)
        db.execute("DELETE FROM quarantine WHERE import = ?", (result.import_id,))  # they still stand with the first
        gone = db.total_changes - before - len(still)
    return Mended(result, gone)


def _layout(database: Database, number: int) -> dict[str, Any] | None:
    with database.read() as db:
        row = db.execute("SELECT json_extract(footprint, '$.layout') FROM imports WHERE id = ?", (number,)).fetchone()
    return None if row is None or row[0] is None else dict(json.loads(row[0]))


def _fields(raw: str, found: Import, layout: dict[str, Any] | None) -> dict[str, str]:
    """Return what can be told of the fields of a row from its text."""
    if layout is not None:
        parts = split_line(raw.encode("utf-8", "replace"), layout["delimiter"].encode()) or []
        if len(parts) != layout["width"]:  # which field is missing or too much is for a person to say
            return {}
        cells = [part.decode("utf-8", "replace") for part in parts]
        return {role: cells[position] for role, position in layout["columns"].items() if position < len(cells)}
    try:
        document = json.loads(raw)
        values = {role: _value(document, path) for role, path in (found.options.get("mapping") or {}).items()}
    except (ValueError, RecursionError, errors.UsageRefused):
        return {}
    return {role: str(value) for role, value in values.items() if isinstance(value, str | int | float)}


def _value(document: Any, path: str) -> Any:
    if isinstance(document, dict) and path in document:
        return document[path]
    value = value_at(document, keys_of(path))
    if isinstance(value, dict) and len(value) == 1:  # a kind of MongoDB's in extended JSON, such as {"$oid": "…"}
        return next(iter(value.values()))
    return value


def _read(path: Path) -> Iterator[tuple[tuple[int, str], dict[str, Any]]]:
    """Yield (line, source) and the fields of each row of a mended file."""
    hint = f"a CSV with the columns {','.join(COLUMNS)}, as `imports show N --rejected --out FILE.csv` writes it"
    csv.field_size_limit(_LONGEST_CELL)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if not {"line", *FIELDS} <= set(reader.fieldnames or ()):
                raise errors.DataRefused(f"{path} has other columns", hint=hint)
            for row in reader:
                fields = {name: unguarded(row[name] or "") for name in FIELDS}
                at = int(row["line"]), unguarded(row.get("source") or "")
                yield at, {"line": at[0], "source": at[1], **fields}
    except FileNotFoundError:
        raise errors.NotFound(f"no file {path}", hint=hint) from None
    except (UnicodeDecodeError, csv.Error, ValueError) as error:
        raise errors.DataRefused(f"{path} is no such CSV: {error}", hint=hint) from error
    except OSError as error:
        raise translate(error, path) from error
