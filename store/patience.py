"""Waiting for a lock of SQLite so that who waits goes on within a moment of its release.

SQLite's own waiting sleeps for longer each time, up to a tenth of a second. A reader that came during a commit of two
milliseconds then sleeps on for fifty, and so does a commit that waits for a reader to end, which keeps all others out
meanwhile.
"""

import sqlite3
import time
from typing import Any

_NAP = 0.0005  # seconds, the first
_READER = 8, 0.01  # a nap is this part of what has been waited so far, and no longer than so many seconds
_WRITER = 2, 0.05  # waits to begin and keeps nobody out meanwhile; many that look often are in each other's way
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_BUSY_RECOVERY}  # of the others none ends by waiting
_execute = sqlite3.Connection.execute


class PatientConnection(sqlite3.Connection):
    """A connection whose statements wait for the locks of others, once it is told for how long.

    Attributes:
        patience: seconds. SQLite tries a statement again from its beginning, as when its own waiting were set.
    """

    patience: float = 0.0

    def wait(self, seconds: float) -> None:
        """Wait for others this long from now on, in place of SQLite's own waiting."""
        _execute(self, "PRAGMA busy_timeout = 0")
        self.patience = seconds

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Run a statement as soon as the lock that it needs is free.

        Raises:
            sqlite3.OperationalError: another connection held it for all of the time, among all else that SQLite raises.
        """
        began = 0.0
        while True:
            try:
                return _execute(self, sql, parameters)
            except sqlite3.OperationalError as error:
                if not self.patience or error.sqlite_errorcode not in _BUSY:
                    raise
                now = time.monotonic()
                began = began or now
                if now - began >= self.patience:
                    raise
            share, longest = _WRITER if sql.startswith("BEGIN") else _READER
            time.sleep(min(_NAP + (now - began) / share, longest))
