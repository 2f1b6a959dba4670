"""What can be said of a database file without changing it, for `doctor`."""

import stat
from typing import NamedTuple

from store.database import Database
from store.migrations import schema_version


class Condition(NamedTuple):
    """Schema, verdict of SQLite ("ok": the file is whole), journal mode, version of SQLite, and mode of the file."""

    schema: int
    verdict: str
    journal_mode: str
    sqlite_version: str
    mode: int


def condition(database: Database) -> Condition:
    """Look at a database file.

    Raises:
        NotOurDatabase, TooNew, Damaged: it cannot be used.
    """
    version = schema_version(database)
    with database.read() as db:
        verdict: str = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        mode: str = db.execute("PRAGMA journal_mode").fetchone()[0]
        library: str = db.execute("SELECT sqlite_version()").fetchone()[0]
    return Condition(version, verdict, mode, library, stat.S_IMODE(database.path.stat().st_mode))
