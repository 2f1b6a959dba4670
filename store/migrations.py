"""The schema as ordered functions; all that are pending run in one transaction, after a backup of existing data."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from store import errors, schema
from store.database import APPLICATION_ID, Database
from store.errors import translate

Migration = Callable[[sqlite3.Connection], None]


def _run(db: sqlite3.Connection, statements: str) -> None:
    for statement in statements.split("\n\n"):
        if statement.strip():
            db.execute(statement)


def _first_schema(db: sqlite3.Connection) -> None:
    """Ratings, catalogue, imports with quarantine and undo data, jobs with events, versions, metrics, activations."""
    _run(db, schema.FIRST)


def _second_schema(db: sqlite3.Connection) -> None:
    """An audit trail of all changes of versions, members of ensembles, canaries."""
    _run(db, schema.SECOND)


MIGRATIONS: tuple[Migration, ...] = (_first_schema, _second_schema)
SCHEMA_VERSION = len(MIGRATIONS)


def schema_version(database: Database) -> int:
    """Return the schema version of the file: 0 for a new one.

    Raises:
        NotOurDatabase: the file is another program's.
        TooNew: a newer program wrote it.
    """
    with database.peek() as db:
        version: int = db.execute("PRAGMA user_version").fetchone()[0]
        application: int = db.execute("PRAGMA application_id").fetchone()[0]
        tables: int = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application != APPLICATION_ID and (application or version or tables):
        raise errors.NotOurDatabase(
            f"{database.path} is a database of another program",
            hint="pass --db PATH of a recsys-tui database, or a path that does not exist yet",
        )
    if version > SCHEMA_VERSION:
        raise errors.TooNew(
            f"{database.path} has schema {version}; this program knows up to {SCHEMA_VERSION}",
            hint="upgrade recsys-tui, or restore the backup that was made before the upgrade",
        )
    return version


def migrate(database: Database) -> None:
    """Bring the file to `SCHEMA_VERSION`, creating it where it is missing; a backup of existing data is made first."""
    database.create()
    if schema_version(database) == SCHEMA_VERSION:
        return
    with database.write() as db:
        current: int = db.execute("PRAGMA user_version").fetchone()[0]
        if current >= SCHEMA_VERSION:  # another process migrated while we waited for the lock
            return
        if current:
            backup(database, database.path.with_name(f"{database.path.name}.schema{current}.backup"))
        for step in MIGRATIONS[current:]:
            step(db)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def backup(database: Database, target: Path) -> None:
    """Copy the database while it is in use (SQLite's online backup); the target appears whole, with private mode."""
    partial = Database(target.with_name(f"{target.name}.partial"))
    try:
        _remove(partial.path)
        partial.create()
        with database.peek() as source, closing(sqlite3.connect(partial.path)) as copy:
            source.backup(copy)
        _remove(target, "-journal", "-wal", "-shm")  # of what stood there before: SQLite would play them into the copy
        partial.path.replace(target)
    except BaseException as error:
        _remove(partial.path)
        if isinstance(error, OSError):
            raise translate(error, target) from error
        raise


def _remove(path: Path, *suffixes: str) -> None:
    for suffix in suffixes or ("", "-journal", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
