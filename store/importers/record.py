"""What an import leaves behind about itself: its row in `imports`, and the rows it refused in `quarantine`."""

import json
import os
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from store.database import Database
from store.importers.base import RAW_CHARACTERS, Fault

QUARANTINE_ROWS = 100_000


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
                "INSERT INTO imports (source, format, options, state, started_at) VALUES (?, ?, ?, 'running', ?)",
                (source, format_name, json.dumps({**options, "pid": os.getpid()}), time.time()),
            )
            assert cursor.lastrowid is not None  # noqa: S101  an INSERT has one
            self.id: int = cursor.lastrowid

    def quarantine(self, rows: Iterable[tuple[int, Fault, str]], file: str) -> None:
        """Keep refused rows (line, fault, text) of a file, up to the limit."""
        kept = list(rows)[: QUARANTINE_ROWS - self.quarantined]
        if kept:
            with self._database.write() as db:
                db.executemany(
                    "INSERT INTO quarantine (import, line, reason, raw, source) VALUES (?, ?, ?, ?, ?)",
                    [(self.id, line, fault.reason, _storable(raw), file) for line, fault, raw in kept],
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
                "UPDATE imports SET state = ?, error = ?, finished_at = ? WHERE id = ?",
                (state, error, time.time(), self.id),
            )

    def _close_lost(self) -> None:
        """Mark imports as failed whose process is gone."""
        with self._database.write() as db:
            running = db.execute("SELECT id, options FROM imports WHERE state = 'running'").fetchall()
            for number, options in running:
                if not _alive(json.loads(options).get("pid")):
                    db.execute(
                        "UPDATE imports SET state = 'failed', error = 'the process ended' WHERE id = ?", (number,)
                    )


def _alive(pid: int | None) -> bool:
    if pid is None or pid == os.getpid():
        return pid is not None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _storable(raw: str) -> str:
    return raw[:RAW_CHARACTERS].encode("utf-8", "backslashreplace").decode()
