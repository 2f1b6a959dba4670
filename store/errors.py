"""Errors of the store.

    StoreError
    ├── NotFound            a version, job, import, user or item that is not there
    ├── DataRefused         input that cannot be used: wrong columns, empty, binary, damaged
    │   ├── NotOurDatabase  another program's file, or no database at all
    │   ├── TooNew          a database written by a newer program
    │   └── Damaged         a file of the store whose content is not what was written
    ├── UsageRefused        a request that makes no sense as asked: bad flag value, forbidden name
    ├── Busy                another writer or training holds the lock
    ├── NoSpace             the disk is full
    └── NoPermission        the file system does not let us read or write

Every error carries one line of what happened and a `hint`: one line of what to do next.
"""

import errno
import os
from pathlib import Path

RESTORE = "restore a backup: `recsys-tui restore FOLDER`; the damaged file is left as it is"


class StoreError(Exception):
    """Base of all errors of the store: `str(error)` is what happened, `error.hint` what to do next."""

    code: str = "error"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class NotFound(StoreError):
    """What was asked for is not in the store."""

    code = "not_found"


class DataRefused(StoreError):
    """The input cannot be used; nothing was stored."""

    code = "data_refused"


class NotOurDatabase(DataRefused):
    """The file is no database of this program."""


class TooNew(DataRefused):
    """The database was written by a newer version of this program."""


class Damaged(DataRefused):
    """A file of the store does not hold what was written to it."""


class UsageRefused(StoreError):
    """The request makes no sense as asked."""

    code = "usage"


class Busy(StoreError):
    """Another process holds the lock; trying again later can succeed."""

    code = "busy"


class NoSpace(StoreError):
    """The disk is full; nothing half-written remains."""

    code = "disk_full"


class NoPermission(StoreError):
    """The file system refuses the read or the write."""

    code = "permission"


_MESSAGES: tuple[tuple[str, type[StoreError], str], ...] = (
    ("locked", Busy, "another process is writing; try again when it has ended (`rate --wait 10m` waits)"),
    (
        "disk is full",
        NoSpace,
        "free some space (`recsys-tui models delete V` works on a full disk), then repeat",
    ),
    ("readonly database", NoPermission, "check the owner and mode of the database and of its folder"),
    ("unable to open", NoPermission, "check that the folder exists and that you may write to it"),
    ("not a database", NotOurDatabase, "pass --db PATH of a recsys-tui database, or a new path"),
    ("malformed", Damaged, RESTORE),
    ("disk i/o error", NoSpace, "check the disk (`df`, `dmesg`), then repeat"),
)


def translate(error: Exception, path: Path) -> StoreError:
    """Turn an error of SQLite, ADBC or the file system into one of ours, naming the file."""
    if isinstance(error, OSError) and error.errno is not None:
        return _translate_errno(error.errno, path)
    if isinstance(error, OverflowError | UnicodeEncodeError):  # a bound value that SQLite cannot hold
        return UsageRefused(
            f"a value that cannot be in the database: {error}", hint="ids are valid text, numbers at most 64 bits"
        )
    if isinstance(error, UnicodeDecodeError):  # SQLite quotes the damaged text in its message
        return Damaged(f"{path}: holds text that is no text", hint=RESTORE)
    text = str(error).lower()
    for fragment, kind, hint in _MESSAGES:
        if fragment in text:
            return kind(f"{path}: {str(error).splitlines()[0]}", hint=hint)
    return StoreError(f"{path}: {str(error).splitlines()[0]}", hint="run `recsys-tui doctor` to check the database")


def _translate_errno(number: int, path: Path) -> StoreError:
    if number in {errno.ENOSPC, errno.EDQUOT}:
        return NoSpace(f"{path}: no space left on the device", hint="free some space, then repeat")
    denied = number in {errno.EACCES, errno.EPERM, errno.EROFS}
    hint = "check the owner and mode of the file and its folder" if denied else "check that the folder exists"
    return NoPermission(f"{path}: {os.strerror(number).lower()}", hint=hint)
