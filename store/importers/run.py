"""One run of an import, once its source is open: read everything, then rehearse or perform the storing."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store import errors
from store.database import Database
from store.importers.base import NO_TIME, RAW_CHARACTERS, Batch, Fault, Importer
from store.importers.catalogue import store_titles
from store.importers.progress import Reporter
from store.importers.reading import Reader, prefetched, worked_on
from store.importers.record import ImportRecord, Refused
from store.loading import fresh, ingest
from store.loading.duplicates import RULES, Policy, reduce
from store.loading.ids import IdTable
from store.loading.spool import Rows, Spool, sort_rows
from store.migrations import schema_version
from store.scales import Acceptance, StoredScale, read_scale, settle, shown

_PREVIEW_ROWS = 20
_MANY_ROWS = 500_000  # from here on keeping the index by item up to date costs more than making it anew
# SQLite hands the lock to whoever asks at the right moment, and a writer that waits asks ten times a second: without a
# pause longer than that it can wait for as long as an import takes
_HOLD_SECONDS, _PAUSE_SECONDS = 2.0, 0.11


class ImportRun:
    """Reads an importer's rows and stores them; `outcome` has the figures of `ImportResult` afterwards."""

    def __init__(self, database: Database, importer: Importer, policy: Policy, reporter: Reporter) -> None:
        self._database = database
        self._importer = importer
        self._policy: Policy = policy
        self._reporter = reporter
        self._first_refused: tuple[int, str] | None = None
        self.outcome: dict[str, Any] = {}

    def perform(self, stated: StoredScale | None, *, strict: bool, source: str, format_name: str) -> None:
        """Read and store everything; the import is recorded as done, or as failed with the reason."""
        options = {"mapping": self._importer.mapping, "scale": stated, "duplicates": self._policy}
        with self._database.read() as db:
            taken = settle(read_scale(db), stated)
        record = ImportRecord(self._database, source=source, format_name=format_name, options=options)
        try:
            with Spool(self._database.path, compact=self._compact) as spool:
                reader = Reader(IdTable(self._database, "users"), IdTable(self._database, "items"), spool, taken)
                self._read(reader, lambda *part: record.quarantine(_refused(*part), self._importer.file))
                record.has_read(reader.read, reader.reasons)
                self._check(reader, strict=strict, stored=True)
                counts = self._store(reader, record)
            with self._database.read() as db:
                after = read_scale(db)
            self._conclude(reader, counts, after, import_id=record.id, quarantine=record.quarantined)
            record.done()
        except BaseException as error:
            record.failed(error)
            raise

    def rehearse(self, stated: StoredScale | None, *, strict: bool) -> None:
        """Read everything and foresee what storing would do; nothing is written, nor is a database created."""
        exists = self._database.exists and schema_version(self._database) > 0
        stored = None
        if exists:
            with self._database.read() as db:
                stored = read_scale(db)
        preview: list[dict[str, Any]] = []
        with tempfile.TemporaryDirectory() as folder, Spool(Path(folder) / "rehearsal", compact=self._compact) as spool:
            users, items = (IdTable(self._database, table, empty=not exists) for table in ("users", "items"))
            reader = Reader(users, items, spool, settle(stored, stated))
            self._read(reader, lambda batch, _: preview.extend(_shown(batch, _PREVIEW_ROWS - len(preview))))
            self._check(reader, strict=strict, stored=exists)
            counts, values = ingest.Counts(), set[float]()
            for part, found in worked_on(self._distinct(spool), partial(self._foreseen, exists=exists)):
                counts += part
                values |= found
            self._conclude(reader, counts, _scale_after(stored, reader.taken, values), preview=preview)

    def _foreseen(self, rows: Rows, *, exists: bool) -> tuple[ingest.Counts, set[float]]:
        """Say what would become of distinct rows in key order, and which ratings they have."""
        values = set(np.unique(rows.ratings).tolist())
        if not exists:
            return ingest.Counts(stored=len(rows)), values
        size = 2 * ingest.BATCH_ROWS
        parts = (rows.part(start, start + size) for start in range(0, len(rows), size))
        counts = (ingest.foresee_batch(self._database, part, rule=RULES[self._policy]) for part in parts)
        return sum(counts, ingest.Counts()), values

    def _read(self, reader: Reader, refuse: Callable[[Batch, NDArray[np.int64]], None]) -> None:
        for batch in prefetched(self._importer.batches()):
            refused = reader.take(batch)
            if len(refused) and self._first_refused is None:
                first = int(refused[0])
                self._first_refused = batch.lines[first], Fault(int(batch.faults[first])).reason
            refuse(batch, refused)
            self._reporter.tell("reading", reader.read)

    def _check(self, reader: Reader, *, strict: bool, stored: bool) -> None:
        """Refuse a source that `strict` or the policy "error" does not let pass, before anything is stored."""
        if strict and self._first_refused:
            line, reason = self._first_refused
            raise errors.DataRefused(
                f"{reader.reasons.total():,} of {reader.read:,} rows cannot be used; the first, line {line}: {reason}",
                hint="mend the source, or leave --strict out to keep the good rows and set the others aside",
            )
        if self._policy != "error":
            return
        for rows in reader.spool.ranges(ingest.BATCH_ROWS):
            twice = rows.keys[1:][rows.keys[1:] == rows.keys[:-1]]
            conflict = int(twice[0]) if len(twice) else None
            if conflict is None and stored:
                conflict = ingest.first_change(self._database, ingest.Staged.of(rows), RULES["error"])
            if conflict is not None:
                user, item = reader.users.text(conflict >> 32), reader.items.text(conflict & 0xFFFFFFFF)
                where = "occurs twice" if len(twice) else "is stored with another rating"
                raise errors.DataRefused(
                    f"user {user!r}, item {item!r} {where}", hint="choose --duplicates latest, first or mean"
                )

    def _store(self, reader: Reader, record: ImportRecord) -> ingest.Counts:
        counts = self._store_at_once(reader, record)
        if counts is None:
            counts = self._store_by_batches(reader, record)
        store_titles(self._database, self._importer.titles(), record.id)
        return counts

    def _store_at_once(self, reader: Reader, record: ImportRecord) -> ingest.Counts | None:
        """Store the first ratings of a database; None where that must be done by batches."""
        n_rows = len(reader.spool)
        if not n_rows or reader.taken is None:
            return None
        rows = prefetched(self._distinct(reader.spool))
        averages = self._policy == "mean"
        first = fresh.First(record.id, reader.users, reader.items, reader.spool.facts, averages, reader.taken)
        with closing(rows):
            return fresh.store_first(
                self._database, first, rows, lambda done: self._reporter.tell("storing", done, n_rows)
            )

    def _store_by_batches(self, reader: Reader, record: ImportRecord) -> ingest.Counts:
        with self._database.write() as db:
            moved = reader.users.store(db), reader.items.store(db)
            if len(reader.spool) > _MANY_ROWS:
                db.execute("DROP INDEX IF EXISTS ratings_by_item")

        def final(keys: NDArray[np.int64]) -> NDArray[np.int64]:
            return (reader.users.final(keys >> 32, moved[0]) << 32) | reader.items.final(keys & 0xFFFFFFFF, moved[1])

        counts = ingest.Counts()
        staged_rows = self._staged(reader.spool, final if any(part is not None for part in moved) else None)
        pause_at = time.monotonic() + _HOLD_SECONDS
        try:
            for staged in prefetched(staged_rows):
                if time.monotonic() >= pause_at:
                    time.sleep(_PAUSE_SECONDS)
                    pause_at = time.monotonic() + _HOLD_SECONDS
                assert reader.taken is not None  # noqa: S101  there is a row, so there is a scale
                rule = RULES[self._policy]
                counts += ingest.store_batch(self._database, staged, import_id=record.id, rule=rule, taken=reader.taken)
                self._reporter.tell("storing", counts.total, len(reader.spool))
        finally:
            with suppress(errors.StoreError):
                ingest.finish(self._database)
        return counts

    def _distinct(self, spool: Spool) -> Iterator[Rows]:
        """Yield everything in the spool, one row for each key, in key order."""
        return (reduce(rows, self._policy) for rows in spool.ranges(ingest.BATCH_ROWS))

    def _staged(
        self, spool: Spool, final: Callable[[NDArray[np.int64]], NDArray[np.int64]] | None = None
    ) -> Iterator[ingest.Staged]:
        """Yield everything in the spool, one row for each key, laid out for SQLite."""
        for distinct in self._distinct(spool):
            if final is not None:
                rows = sort_rows(Rows(final(distinct.keys), distinct.ratings, distinct.times))
            else:
                rows = distinct
            for start in range(0, len(rows), 2 * ingest.BATCH_ROWS):
                yield ingest.Staged.of(rows.part(start, start + 2 * ingest.BATCH_ROWS))

    def _compact(self, rows: Rows) -> Rows:
        """Drop rows of a run that cannot matter any more, so that one pair repeated for ever stays small."""
        return reduce(rows, self._policy) if self._policy in {"latest", "first"} else rows

    def _conclude(self, reader: Reader, counts: ingest.Counts, taken: Acceptance | None, **more: Any) -> None:
        rejected = reader.reasons.total()
        self.outcome = {
            "read": reader.read,
            "stored": counts.stored,
            "updated": counts.updated,
            "unchanged": counts.unchanged,
            "rejected": rejected,
            "duplicates": reader.read - rejected - counts.total,
            "reasons": dict(reader.reasons.most_common()),
            "users": len(reader.users.known),
            "items": len(reader.items.known),
            "scale": None if taken is None else taken.scale,
            **more,
        }


def _scale_after(stored: Acceptance | None, taken: Acceptance | None, values: set[float]) -> Acceptance | None:
    """Return the scale that the store would show with these ratings in it."""
    if taken is None or not values:
        return stored or taken
    return Acceptance(shown(None if stored is None else stored.scale, taken, values), taken.stated)


def _refused(batch: Batch, rows: NDArray[np.int64]) -> Iterator[Refused]:
    return (
        Refused(batch.lines[row], Fault(int(batch.faults[row])), batch.raw(row)[:RAW_CHARACTERS], batch.users.text(row))
        for row in rows.tolist()
    )


def _shown(batch: Batch, most: int) -> list[dict[str, Any]]:
    """Return the first rows of a batch as the operator should see them; None for what is unknown."""
    return [
        {
            "line": batch.lines[row],
            "user": batch.users.text(row),
            "item": batch.items.text(row),
            "rating": None if np.isnan(batch.ratings[row]) else float(batch.ratings[row]),
            "time": None if batch.times[row] == NO_TIME else int(batch.times[row]),
            "reason": Fault(int(batch.faults[row])).reason,
        }
        for row in range(min(most, len(batch)))
    ]
