"""Files of a version: named arrays in safetensors, the rest in JSON, a checksum each. Opening one cannot run code."""

import json
import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from store import errors
from store.database import make_folder, translate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FORMAT_VERSION = 1


class Bundle(NamedTuple):
    """What one file pair of a version holds: arrays by name, and JSON."""

    arrays: "dict[str, NDArray[np.generic]]"
    extra: dict[str, Any]


class FileFacts(NamedTuple):
    """Checksum and size of a file, as recorded in the version's row."""

    sha256: str
    bytes: int


def write_bundles(folder: Path, bundles: Mapping[str, Bundle]) -> dict[str, FileFacts]:
    """Write bundles into a new folder so that it appears whole or not at all, and return the facts of each file.

    Each file is written, flushed to the disk and only then are all of them made visible by one rename of the folder.

    Raises:
        NoSpace, NoPermission: nothing remains of the attempt.
    """
    import shutil

    from safetensors.numpy import save

    partial = folder.with_name(folder.name + ".partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        make_folder(partial)
        facts: dict[str, FileFacts] = {}
        for name, bundle in bundles.items():
            arrays = {key: _contiguous(array) for key, array in bundle.arrays.items()}
            facts[f"{name}.safetensors"] = write_file(partial / f"{name}.safetensors", save(arrays))
            text = json.dumps({"format": FORMAT_VERSION} | bundle.extra, allow_nan=False, sort_keys=True)
            facts[f"{name}.json"] = write_file(partial / f"{name}.json", text.encode())
        _sync_folder(partial)
        shutil.rmtree(folder, ignore_errors=True)  # an orphan of a run that was killed before its row was written
        partial.rename(folder)
        _sync_folder(folder.parent)
        _sync_folder(folder.parent.parent)  # the folder of all versions may be new as well
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        if isinstance(error, OSError):
            raise translate(error, folder) from error
        raise
    return facts


def read_bundle(folder: Path, name: str, facts: Mapping[str, FileFacts]) -> Bundle:
    """Read one bundle back; the bytes are checked against the recorded checksum before anything is parsed.

    Raises:
        Damaged: a file is missing, has another size or another checksum, or a newer format.
    """
    from safetensors.numpy import load

    arrays = load(_read_checked(folder, f"{name}.safetensors", facts))
    extra = json.loads(_read_checked(folder, f"{name}.json", facts))
    if extra.pop("format") > FORMAT_VERSION:
        raise errors.Damaged(f"{folder / name}.json has a newer format", hint="upgrade recsys-tui")
    return Bundle(arrays, extra)


def check_file(folder: Path, name: str, facts: Mapping[str, FileFacts]) -> str | None:
    """Compare a file with its recorded size and checksum; return what is wrong, or None."""
    try:
        _read_checked(folder, name, facts)
    except errors.Damaged as error:
        return str(error)
    return None


def copy_files(source: Path, target: Path, facts: Mapping[str, FileFacts]) -> None:
    """Copy the files of a version into a new private folder, checking them on the way.

    Raises:
        Damaged: one of them is not what was written.
        OSError: as the file system says.
    """
    make_folder(target)
    for name in facts:
        write_file(target / name, _read_checked(source, name, facts))
    _sync_folder(target)


def _read_checked(folder: Path, name: str, facts: Mapping[str, FileFacts]) -> bytes:
    path, expected = folder / name, facts.get(name)
    hint = "`recsys-tui models verify` names what is damaged; train again, or activate another version"
    if expected is None:
        raise errors.Damaged(f"{path}: not part of this version", hint=hint)
    try:
        with open(path, "rb", opener=_open_plainly) as file:
            size = os.fstat(file.fileno()).st_size
            if size != expected.bytes:  # before reading: a file that lies about its size costs no memory
                raise errors.Damaged(f"{path}: {size} bytes where {expected.bytes} were written", hint=hint)
            content = file.read()
    except OSError as error:
        raise errors.Damaged(f"{path}: cannot be read ({error.strerror})", hint=hint) from error
    if sha256(content).hexdigest() != expected.sha256:
        raise errors.Damaged(f"{path}: its checksum is not the one recorded when it was written", hint=hint)
    return content


def _open_plainly(path: str, flags: int) -> int:
    """Open a file in a folder that others may have changed: no symbolic link, no waiting for the far end of a pipe."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _contiguous(array: "NDArray[np.generic]") -> "NDArray[np.generic]":
    """Return an array as safetensors writes it: rows in order, without gaps."""
    import numpy as np

    return np.asarray(array, order="C")  # `ascontiguousarray` would give a scalar a dimension


def write_file(path: Path, content: bytes) -> FileFacts:
    """Write a new file with private mode and flush it to the disk; an existing one is an error."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o600)
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    return FileFacts(sha256(content).hexdigest(), len(content))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
