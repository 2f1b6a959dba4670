"""An import from end to end: recognise, read, stage in key order, store batch by batch.

Nothing of a source is stored before all of it has been read, so a source that turns out damaged, or is refused under
`strict`, leaves no rating behind.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO

from store import errors
from store.database import Database
from store.importers import importer_class, recognise
from store.importers.base import Importer, Resumes
from store.importers.progress import Progress, Reporter
from store.importers.run import ImportRun
from store.importers.source import ReadOptions, Source
from store.imports import last_read, note_layout, note_reads
from store.loading.duplicates import check_policy
from store.migrations import migrate, schema_version
from store.scales import StoredScale, check_stated

# rows, as a rule; what is read and merged has been timed by the dry run itself
_FIRST_A_SECOND, _STORED_A_SECOND = 2_000_000, 500_000


@dataclass
class ImportResult:
    """What an import did. `read == stored + updated + unchanged + rejected + duplicates`, always.

    Attributes:
        import_id: the number in `imports`; None for a dry run.
        read: rows of the source, without header and blank lines.
        stored, updated, unchanged: distinct pairs by what became of them; `unchanged` are also those where the stored
            rating stands, by the policy for duplicates.
        rejected: rows that cannot be used, by `reasons`.
        duplicates: rows that gave way to another row of the same pair in the same source.
        quarantine: refused rows kept for inspection; beyond 100,000 they are only counted.
        users, items: distinct ids in the accepted rows.
        seconds: wall time.
        estimated_seconds: of a dry run, what the import itself will take; None otherwise.
        format, mapping: what the source was read as, and which column is what.
        scale: the scale of the database after the import (of a dry run: as it would be); None without ratings.
        preview: the first rows of a dry run: line, user, item, rating, time, and the reason where a row is refused.
    """

    import_id: int | None = None
    read: int = 0
    stored: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    duplicates: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    quarantine: int = 0
    users: int = 0
    items: int = 0
    seconds: float = 0.0
    estimated_seconds: float | None = None
    format: str = ""
    mapping: dict[str, str] = field(default_factory=dict)
    scale: StoredScale | None = None
    preview: list[dict[str, Any]] = field(default_factory=list)


def import_source(
    database: Database,
    source: str,
    *,
    format: str = "auto",  # noqa: A002  the word of the command line
    mapping: Mapping[str, str] | None = None,
    scale: tuple[float, float, float | None] | None = None,
    duplicates: str = "latest",
    dry_run: bool = False,
    strict: bool = False,
    progress: Callable[[Progress], None] | None = None,
    stdin: BinaryIO | None = None,
    reading: ReadOptions | None = None,
    opened: Callable[[Importer], None] | None = None,
) -> ImportResult:
    """Import ratings, and titles where the source has them; create the database where it is missing.

    Args:
        database: the store.
        source: a file, a folder, an address of MongoDB, or "-" for standard input.
        format: a name in `IMPORTERS`, or "auto".
        mapping: roles (user, item, rating, time) to column names or numbers from 1, where they cannot be guessed.
        scale: (low, high, step) as the operator states it; step None for any value between the ends.
        duplicates: "latest", "first", "mean" or "error"; see `store.loading.duplicates`.
        dry_run: read and judge everything, store nothing.
        strict: refuse the whole source if any row is refused.
        progress: called several times a second.
        stdin: what "-" stands for; the process's own by default.
        reading: what some formats need to know besides, such as a collection.
        opened: called with the importer once its columns are settled, before a row is read.

    Raises:
        NotFound: no such file.
        UsageRefused: an unknown format, policy or role, or an impossible scale.
        DataRefused: the source cannot be used; no rating of it is stored.
        Busy, NoSpace, NoPermission: what was stored before stays, and is recorded; the same import can be repeated.
    """
    began = time.monotonic()
    policy = check_policy(duplicates)
    stated = check_stated(scale)
    with ExitStack() as stack:
        found = stack.enter_context(closing(Source(source, stdin, reading)))
        name = recognise(found) if format == "auto" else format
        if found.is_address != (name == "mongodb"):
            what = "an address" if found.is_address else "no address"
            raise errors.UsageRefused(f"--format {name}: {found.text} is {what}", hint="leave --format out")
        if found.options.since_last:
            found.options = replace(found.options, after=_after(database, found, name))
        importer = importer_class(name)(found, mapping or {})
        if isinstance(importer, Resumes):
            stack.callback(importer.close)
        if opened is not None:
            opened(importer)
        if not dry_run:
            migrate(database)
        run = ImportRun(database, importer, policy, Reporter(progress, found, began))
        if dry_run:
            run.rehearse(stated, strict=strict)
        else:
            run.perform(stated, strict=strict, source=found.text, format_name=name)
        shape = getattr(importer, "dialect", None)
        if run.outcome.get("rejected") and not dry_run and shape is not None:
            note_layout(database, run.outcome["import_id"], shape.delimiter, shape.columns, shape.width)
        if isinstance(importer, Resumes):
            _note(database, importer, run.outcome.get("import_id"), found.options.query)
    seconds = time.monotonic() - began
    result = ImportResult(**run.outcome, format=name, mapping=dict(importer.mapping), seconds=round(seconds, 3))
    if dry_run:
        pace = _STORED_A_SECOND if database.exists else _FIRST_A_SECOND
        result.estimated_seconds = round(seconds + (result.stored + result.updated) / pace, 1)
    return result


def _after(database: Database, source: Source, name: str) -> str:
    """Return where the last import of a source stopped, "" where there was none.

    Raises:
        UsageRefused: the format has no such place.
    """
    if name != "mongodb":
        raise errors.UsageRefused(
            f"--since-last is for MongoDB, not for {name}",
            hint="import the whole source again: what is stored already stays as it is",
        )
    if not database.exists or schema_version(database) == 0:
        return ""
    migrate(database)
    return last_read(database, source.text, source.options.query)


def _note(database: Database, importer: Resumes, import_id: int | None, query: str) -> None:
    """Record how far a source was read.

    Raises:
        Busy: reading ended early; what was read before is stored.
    """
    if import_id is not None:
        note_reads(database, import_id, query=query, last=importer.last, broken=importer.broken)
    if importer.broken:
        kept = "what was read is stored; --since-last goes on from there" if import_id else "nothing was stored"
        raise errors.Busy(importer.broken, hint=kept)
