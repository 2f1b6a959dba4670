"""What each import did, and the rows that it kept aside."""

import json
from typing import Any, NamedTuple

from store import errors
from store.database import Database, decoding

_COLUMNS = (
    "id, source, format, state, started_at, finished_at, read, stored, updated, unchanged, rejected, "
    "reasons, options, error"
)


class Import(NamedTuple):
    """An import as recorded; times are seconds since 1970."""

    import_id: int
    source: str
    format: str
    state: str
    started_at: float
    finished_at: float | None
    read: int
    stored: int
    updated: int
    unchanged: int
    rejected: int
    reasons: dict[str, int]
    options: dict[str, Any]
    error: str | None


class Quarantined(NamedTuple):
    """A row that was kept aside: the file inside a folder, its line, why, and the row as read."""

    source: str
    line: int
    reason: str
    raw: str


def list_imports(database: Database, *, limit: int = 100) -> list[Import]:
    """Return the newest imports, newest first."""
    with database.read() as db:
        rows = db.execute(f"SELECT {_COLUMNS} FROM imports ORDER BY id DESC LIMIT ?", (limit,)).fetchall()
    with decoding(database.path):
        return [_import(row) for row in rows]


def get_import(database: Database, number: int) -> Import:
    """Return one import.

    Raises:
        NotFound: no such import.
    """
    with database.read() as db:
        row = db.execute(f"SELECT {_COLUMNS} FROM imports WHERE id = ?", (number,)).fetchone()
    if row is None:
        raise errors.NotFound(f"no import {number}", hint="`recsys-tui imports list` shows all")
    with decoding(database.path):
        return _import(row)


def quarantined(database: Database, number: int, *, limit: int = 100) -> list[Quarantined]:
    """Return the rows that an import kept aside, in the order of their lines."""
    with database.read() as db:
        rows = db.execute(
            "SELECT source, line, reason, raw FROM quarantine WHERE import = ? ORDER BY line LIMIT ?", (number, limit)
        ).fetchall()
    return [Quarantined(*row) for row in rows]


def last_read(database: Database, source: str, query: str) -> str:
    """Return how far imports of a source with this query have read, as `ReadOptions.after` takes it; "" for none yet.

    Undone imports do not count.
    """
    reads = "json_extract(footprint, '$.reads.last')"
    with database.read() as db:
        row = db.execute(
            f"SELECT {reads} FROM imports WHERE source = ? AND state IN ('done', 'failed') "
            f"AND json_extract(footprint, '$.reads.query') = ? AND {reads} <> '' ORDER BY id DESC LIMIT 1",
            (source, query),
        ).fetchone()
    return row[0] if row else ""


def note_reads(database: Database, number: int, *, query: str, last: str, broken: str = "") -> None:
    """Record how far an import has read, and mark it as failed where it ended early."""
    with database.write() as db:
        db.execute(
            "UPDATE imports SET footprint = json_set(footprint, '$.reads', json_object('query', ?, 'last', ?)) "
            "WHERE id = ?",
            (query, last, number),
        )
        if broken:
            db.execute("UPDATE imports SET state = 'failed', error = ? WHERE id = ?", (broken, number))


def note_layout(database: Database, number: int, delimiter: bytes, columns: dict[str, int], width: int) -> None:
    """Record how the rows of a delimited text are cut into fields, so that refused ones can be shown field by field."""
    layout = json.dumps({"delimiter": delimiter.decode(), "columns": columns, "width": width})
    with database.write() as db:
        db.execute(
            "UPDATE imports SET footprint = json_set(footprint, '$.layout', json(?)) WHERE id = ?", (layout, number)
        )


def _import(row: tuple[Any, ...]) -> Import:
    *head, reasons, options, error = row
    return Import._make((*head, json.loads(reasons), json.loads(options), error))
