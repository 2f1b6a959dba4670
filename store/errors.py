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
