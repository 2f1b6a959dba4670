"""Locks between processes: a file in the folder of models that one of them holds, freed by the kernel when it ends."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from store.database import make_folder
from store.errors import Busy, translate

_POLL_SECONDS = 0.2


@contextmanager
def held(path: Path, busy: Busy, *, wait_seconds: float = 0.0, shared: bool = False) -> Iterator[None]:
    """Hold the lock of this file, which is made where it is missing; its folder too.

    Args:
        path: of the file.
        busy: what is raised where another process holds it for longer than `wait_seconds`.
        wait_seconds: how long to wait for it.
        shared: others may hold it at once who ask for it so.

    Raises:
        NoPermission, NoSpace: the file cannot be made.
    """
    import fcntl

    try:
        make_folder(path.parent)
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise translate(error, path.parent) from error
    try:
        deadline = time.monotonic() + wait_seconds
        while True:
            try:
                fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise busy from None
                time.sleep(_POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)
