"""Files of a version replaced by others that hold less, with the row that names their checksums."""

import json
import shutil
from collections.abc import Mapping

from store.artifacts import Bundle, write_bundles
from store.errors import translate
from store.registry import ModelVersion, Registry


def replace_files(registry: Registry, version: ModelVersion, bundles: Mapping[str, Bundle]) -> dict[str, str]:
    """Write bundles in the place of those of a version; rows of ensembles that name a file by its checksum follow.

    The files and the row change at one moment for everyone who asks the database. Where the process dies between the
    two, the version is named as damaged and not served: doing it again, or deleting it, mends that.

    Returns:
        The checksums of files that changed, old to new.

    Raises:
        NoSpace, NoPermission: nothing has changed.
    """
    folder = registry.folder / version.name
    fresh = folder.with_name(folder.name + ".redacted")
    old = folder.with_name(folder.name + ".old.partial")
    facts = write_bundles(fresh, bundles)
    moved = {
        before.sha256: fact.sha256
        for name, fact in facts.items()
        if (before := version.files.get(name)) is not None and before.sha256 != fact.sha256
    }
    try:
        with registry.database.write() as db:
            files = json.dumps({name: fact._asdict() for name, fact in facts.items()})
            db.execute("UPDATE versions SET files = ? WHERE id = ?", (files, version.id))
            for was, now in moved.items():
                db.execute(
                    "UPDATE versions SET members = replace(members, ?, ?) WHERE instr(members, ?)", (was, now, was)
                )
            shutil.rmtree(old, ignore_errors=True)
            folder.rename(old)
            fresh.rename(folder)
    except OSError as error:
        if not folder.exists() and old.exists():
            old.rename(folder)
        raise translate(error, folder) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
    return moved
