"""Backup and restore: one folder with a copy of the database and of every version's files, checked by checksum."""

import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

from store import errors, migrations
from store.artifacts import copy_files
from store.database import Database, make_folder
from store.errors import translate
from store.registry import Registry

_DATABASE, _MODELS = "recsys.db", "recsys.db.models"


def make_backup(registry: Registry, target: Path) -> dict[str, Any]:
    """Copy database and models into a new folder while they are in use; it appears whole or not at all.

    Raises:
        UsageRefused: the target exists.
        Damaged: a version's file is not what was written; a restore would refuse the copy.
        NoSpace, NoPermission: nothing remains of the attempt.
    """
    target = target.expanduser().absolute()
    if target.exists():
        raise errors.UsageRefused(f"{target} exists", hint="name a folder that does not exist yet")
    partial = target.with_name(target.name + ".partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        make_folder(partial)
        migrations.backup(registry.database, partial / _DATABASE)
        with closing(Database(partial / _DATABASE)) as copy:
            versions = Registry(copy).versions()  # those of the copy: later ones have no row there
        for version in versions:
            copy_files(registry.folder / version.name, partial / _MODELS / version.name, version.files)
        partial.rename(target)
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        if isinstance(error, OSError):
            raise translate(error, target) from error
        raise
    size = sum(file.stat().st_size for file in target.rglob("*") if file.is_file())
    return {"backup": str(target), "versions": len(versions), "bytes": size}


def restore_backup(source: Path, path: Path, *, replace: bool = False) -> dict[str, Any]:
    """Put a backup in the place of the database `path`, after checking the database and every version's files.

    Raises:
        NotFound: `source` is no folder made by `make_backup`.
        UsageRefused: a database is there and `replace` is false.
        Damaged: a file of the backup is not what was written.
    """
    if not (source / _DATABASE).is_file():
        raise errors.NotFound(f"{source} is no backup", hint="name a folder made by `recsys-tui backup`")
    target = Database(path)
    if target.exists and not replace:
        raise errors.UsageRefused(f"{path} exists", hint="pass --yes to replace it, or --db another path")
    with closing(Database(source / _DATABASE)) as copy:
        migrations.schema_version(copy)
        with copy.read() as db:
            verdict = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if verdict != "ok":
            raise errors.Damaged(f"{copy.path}: {verdict}", hint="this backup is damaged; use another one")
        versions = Registry(copy).versions()
        folder = Registry(target).folder
        fresh = folder.with_name(folder.name + ".restored")
        try:
            shutil.rmtree(fresh, ignore_errors=True)
            make_folder(fresh)
            for version in versions:
                copy_files(source / _MODELS / version.name, fresh / version.name, version.files)
            target.close()
            migrations.backup(copy, target.path)
            shutil.rmtree(folder, ignore_errors=True)
            fresh.rename(folder)
        except BaseException as error:
            shutil.rmtree(fresh, ignore_errors=True)
            if isinstance(error, OSError):
                raise translate(error, path) from error
            raise
    return {"db": str(target.path), "versions": len(versions)}
