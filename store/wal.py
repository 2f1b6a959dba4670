"""The write-ahead log where SQLite has the WAL-reset bug: only while ratings come in a stream, and well guarded.

A commit through the rollback journal flushes the disk four times, one through the log once. The bug needs a checkpoint
and a commit of another connection in the same moment (sqlite.org/wal.html, section 11); so no connection makes
checkpoints by itself, and those made here are made while nobody can commit.
"""

from contextlib import suppress
from typing import TYPE_CHECKING

from store import errors
from store.mounts import is_local

if TYPE_CHECKING:
    from store.database import Database


def hasten(database: "Database") -> bool:
    """Let commits from now on use the log; False where it could do harm, or others keep it from being opened now."""
    if not is_local(database.path):
        return False
    with suppress(errors.StoreError), database.read() as db:
        mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        db.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # having read from it keeps others from going back
        return bool(mode == "wal")
    return False


def settle(database: "Database") -> None:
    """Go back to the journal that suits the library, if no other process has the log open; else the last of them does.

    Raises:
        StoreError: what opening the database raises.
    """
    database.close()
    with database.read():
        pass


def checkpoint(database: "Database") -> None:
    """Bring what the log holds into the database, where there is a log.

    One connection holds the write lock, another one makes the checkpoint: nobody can commit meanwhile, not even a
    stranger's program.

    Raises:
        Busy: another process held the lock for longer than the database waits.
    """
    with database.read() as db:
        mode = db.execute("PRAGMA journal_mode").fetchone()[0]
    if mode == "wal":
        with database.write(), database.peek() as other:
            other.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
