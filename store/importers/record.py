"""What an import leaves behind about itself: its row in `imports`, and the rows it refused in `quarantine`."""

import json
import os
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from itertools import islice
from typing import Any, NamedTuple

from store.database import Connection, Database
from store.importers.base import RAW_CHARACTERS, Fault
from store.processes import is_running
from store.scales import read_scale

QUARANTINE_ROWS = 100_000


class Refused(NamedTuple):
    """A row that cannot be used: where it begins, why, its text, and whose it is ("" where that cannot be read)."""

    line: int
    fault: Fault
    raw: str
    user: str = ""


class ImportRecord:
    """One row of `imports`, from "running" to "done" or "failed", with its quarantine.

    Attributes:
        id: the number of the import.
        quarantined: rows in quarantine; from `QUARANTINE_ROWS` on, refused rows are only counted.
    """

    def __init__(self, database: Database, *, source: str, format_name: str, options: dict[str, Any]) -> None:
        self._database = database
        self.quarantined = 0
        with database.write() as db:
            self._close_lost()
            cursor = db.execute(
                "INSERT INTO imports (source, format, options, state, started_at, footprint) "
                "VALUES (?, ?, ?, 'running', ?, ?)",
                (
                    source,
                    format_name,
                    json.dumps({**options, "pid": os.getpid()}),
                    time.time(),
                    json.dumps({"before": _extent(db)}),
                ),
            )
            assert cursor.lastrowid is not None  # noqa: S101  an INSERT has one
            self.id: int = cursor.lastrowid

    def quarantine(self, rows: Iterable[Refused], file: str) -> None:
        """Keep refused rows of a file, up to the limit."""
        kept = [
            (self.id, row.line, row.fault.reason, _storable(row.raw), file, _storable(row.user.strip()) or None)
            for row in islice(rows, QUARANTINE_ROWS - self.quarantined)
        ]
        if kept:
            with self._database.write() as db:
                db.executemany(
                    "INSERT INTO quarantine (import, line, reason, raw, source, user) VALUES (?, ?, ?, ?, ?, ?)", kept
                )
            self.quarantined += len(kept)

    def has_read(self, read: int, reasons: Counter[str]) -> None:
        """Record what reading gave, inside the caller's transaction or in one of its own."""
        with self._database.write() as db:
            db.execute(
                "UPDATE imports SET read = ?, rejected = ?, reasons = ? WHERE id = ?",
                (read, reasons.total(), json.dumps(reasons), self.id),
            )

    def done(self) -> None:
        """Record the end of an import that went well."""
        self._end("done", None)

    def failed(self, error: BaseException) -> None:
        """Record why an import ended early; where even that fails, the first error is the one to report."""
        with suppress(Exception):
            self._end("failed", str(error) or type(error).__name__)

    def _end(self, state: str, error: str | None) -> None:
        with self._database.write() as db:
            db.execute(
                "UPDATE imports SET state = ?, error = ?, finished_at = ?, "
                "footprint = json_set(footprint, '$.after', json(?)) WHERE id = ?",
                (state, error, time.time(), json.dumps(_extent(db)), self.id),
            )

    def _close_lost(self) -> None:
        """Mark imports as failed whose process is gone."""
        with self._database.write() as db:
            running = db.execute("SELECT id, options FROM imports WHERE state = 'running'").fetchall()
            for number, options in running:
                if not is_running(json.loads(options).get("pid")):
                    db.execute(
                        "UPDATE imports SET state = 'failed', error = 'the process ended' WHERE id = ?", (number,)
                    )


def _extent(db: Connection) -> dict[str, Any]:
    """Return how far the store goes: the last ids, the revision of the data, the scale; what `store.undo` needs."""
    users, items, revision = db.execute(
        "SELECT (SELECT coalesce(max(id), 0) FROM users), (SELECT coalesce(max(id), 0) FROM items), "
        "(SELECT value FROM meta WHERE key = 'revision')"
    ).fetchone()
    found = read_scale(db)
    scale = None if found is None else [*found.scale, found.stated]
    return {"users": users, "items": items, "revision": revision, "scale": scale}


def _storable(raw: str) -> str:
    return raw[:RAW_CHARACTERS].encode("utf-8", "backslashreplace").decode()
