"""Backup and restore: one folder with a copy of the database and of every version's files, checked by checksum."""

import shutil
from pathlib import Path
from typing import Any

from store import errors, migrations
from store.database import Database, translate
from store.registry import Registry

_DATABASE, _MODELS = "recsys.db", "recsys.db.models"


def make_backup(registry: Registry, target: Path) -> dict[str, Any]:
    """Copy database and models into a new folder while they are in use; it appears whole or not at all.

    Raises:
        UsageRefused: the target exists.
        NoSpace, NoPermission: nothing remains of the attempt.
    """
    target = target.expanduser().absolute()
    if target.exists():
        raise errors.UsageRefused(f"{target} exists", hint="name a folder that does not exist yet")
    partial = target.with_name(target.name + ".partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700, parents=True)
        migrations.backup(registry.database, partial / _DATABASE)
        versions = Registry(Database(partial / _DATABASE)).versions()  # those of the copy: later ones have no row there
        for version in versions:
            shutil.copytree(registry.folder / version.name, partial / _MODELS / version.name)
        partial.rename(target)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise translate(error, target) from error
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
    copy = Database(source / _DATABASE)
    migrations.schema_version(copy)
    registry = Registry(copy)
    versions = registry.versions()
    problems = [problem for version in versions for problem in registry.verify(version.id)]
    if problems:
        raise errors.Damaged(problems[0], hint=f"{len(problems)} files of the backup are damaged; use another backup")
    copy.close()
    target.close()
    folder = Registry(target).folder
    try:
        target.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = folder.with_name(folder.name + ".restored")
        shutil.rmtree(fresh, ignore_errors=True)
        if (source / _MODELS).exists():
            shutil.copytree(source / _MODELS, fresh)
        else:
            fresh.mkdir(mode=0o700)
        migrations.backup(copy, target.path)
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
    except OSError as error:
        raise translate(error, path) from error
    return {"db": str(target.path), "versions": len(versions)}
