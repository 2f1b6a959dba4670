"""The change counter in the header of a database file: whether anything was committed, for one call to the system.

Asking SQLite takes its locks and a look for a journal, several times as long. Where it keeps a rollback journal every
commit writes the counter; in the write-ahead log none needs to, and the header says so (sqlite.org/fileformat2.html,
sections 1.3.3 and 1.3.7).

POSIX drops all locks of a process on a file when *any* descriptor on it is closed. So this one stays open until the
gate closes the connections of the process, after these.
"""

import os
import threading
from contextlib import suppress
from pathlib import Path

from store.mounts import is_local

_MOST_FILES = 32  # of one process: a descriptor stays open for each
_FROM, _BYTES = 18, 10  # from the version for writing to the counter
_ROLLBACK = 1

_lock = threading.Lock()
_open: set[int] = set()


class Header:
    """The first bytes of one database file.

    Args:
        path: of the file, which need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._refused = False

    def read(self) -> bytes | None:
        """Return what every commit changes; None where that cannot be told from the file.

        What is read while another process commits may yet be rolled back: hold a read lock to know what it stands for.
        """
        with _lock:
            if self._file is None and not self._opened():
                return None
            assert self._file is not None  # noqa: S101
            try:
                found = os.pread(self._file, _BYTES, _FROM)
            except OSError:
                return None
        return found if len(found) == _BYTES and found[0] == _ROLLBACK else None

    def close(self) -> None:
        """Close the file; only where no connection of this process holds a lock on it."""
        with _lock:
            self._refused = False
            if self._file is not None:
                _open.discard(self._file)
                with suppress(OSError):
                    os.close(self._file)
                self._file = None

    def _opened(self) -> bool:
        """Open the file, where it lies on a disk of this machine: others show changes late to those without a lock."""
        if self._refused or len(_open) >= _MOST_FILES or not is_local(self._path):
            self._refused = True
            return False
        with suppress(OSError):
            self._file = os.open(self._path, os.O_RDONLY)
            _open.add(self._file)
        return self._file is not None
