"""What `doctor` looks at: each check says what it found and, where it is not well, what to do."""

import locale
import os
import shutil
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from typing import NamedTuple

from recsys_tui import render
from recsys_tui.settings import Settings
from store.condition import condition
from store.database import Database, wal_is_safe
from store.errors import StoreError
from store.migrations import SCHEMA_VERSION
from store.registry import Registry

_LEAST_DISK = 500 * 2**20


class Check(NamedTuple):
    """One thing looked at: `ok`, what was found, and what to do where it is not ok (empty where it is)."""

    name: str
    ok: bool
    detail: str
    hint: str = ""


def checks(settings: Settings) -> Iterator[Check]:
    """Yield every check, cheap ones first; none changes anything."""
    yield _python()
    yield _machine()
    yield from _terminal()
    yield _disk(settings)
    yield from _database(Database(settings.db))
    yield _torch()


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    return Check("python", sys.version_info >= (3, 11), version, "install Python 3.11 or newer")


def _machine() -> Check:
    from engine.resources import available_memory, processors

    return Check("machine", True, f"{processors()} processors, {render.size(available_memory())} of memory to use")


def _terminal() -> Iterator[Check]:
    encoding = locale.getpreferredencoding(do_setlocale=False)
    well = encoding.lower().replace("-", "") == "utf8"
    yield Check("locale", well, encoding, "export LANG=C.UTF-8, or RECSYS_ASCII=1 for plain characters")
    size = shutil.get_terminal_size()
    term = os.environ.get("TERM", "")
    yield Check("terminal", True, f"{term or 'none'}, {size.columns}x{size.lines}")


def _disk(settings: Settings) -> Check:
    folder = settings.db.parent
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    return Check("disk", free >= _LEAST_DISK, f"{render.size(free)} free at {folder}", "free some space")


def _database(database: Database) -> Iterator[Check]:
    if not database.exists:
        yield Check("database", True, f"none yet at {database.path}")
        return
    try:
        found = condition(database)
    except StoreError as error:
        yield Check("database", False, str(error), error.hint)
        return
    hint = "restore a backup: recsys-tui restore FOLDER"
    detail = f"{database.path}: {found.verdict}, schema {found.schema} of {SCHEMA_VERSION}"
    yield Check("database", found.verdict == "ok", detail, hint)
    avoided = {"wal": "no checkpoint while anybody writes"}.get(found.journal_mode, "the rollback journal")
    why = "" if wal_is_safe() else f" (its WAL-reset bug is avoided by {avoided})"
    yield Check("sqlite", True, f"{found.sqlite_version}, journal mode {found.journal_mode}{why}")
    yield Check("privacy", not found.mode & 0o077, f"mode {found.mode:04o}", f"chmod 600 {database.path}")
    yield _versions(Registry(database))


def _versions(registry: Registry) -> Check:
    versions = registry.versions()
    problems = [problem for version in versions for problem in registry.verify(version.id)]
    detail = problems[0] if problems else f"{len(versions)} versions, every file as it was written"
    return Check(
        "versions", not problems, detail, "train again, or activate a sound version and delete the damaged one"
    )


def _torch() -> Check:
    found = find_spec("torch") is not None
    return Check(
        "torch", True, "installed" if found else "not installed: pip install 'recsys-tui[neural]' adds neural models"
    )
