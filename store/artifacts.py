"""Files of a version: named arrays in safetensors, the rest in JSON, a checksum each. Opening one cannot run code."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

from store import errors
from store.database import make_folder
from store.errors import translate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FORMAT_VERSION = 1
MODEL_ARRAYS = "model.safetensors"
"""The file whose checksum stands for a version."""

_HINT = "`recsys-tui models verify` names what is damaged; train again, or activate another version"
_CHUNK = 1 << 20


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

    Raises:
        NoSpace, NoPermission: nothing remains of the attempt.
    """
    return write_packed(folder, (file for name, bundle in bundles.items() for file in packed(name, bundle)))


def packed(name: str, bundle: Bundle) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the files of a bundle; the content is a copy of the arrays, as they are now."""
    from safetensors.numpy import save

    yield f"{name}.safetensors", save({key: _contiguous(array) for key, array in bundle.arrays.items()})
    text = json.dumps({"format": FORMAT_VERSION} | bundle.extra, allow_nan=False, sort_keys=True)
    yield f"{name}.json", text.encode()


def write_packed(folder: Path, files: Iterable[tuple[str, bytes]]) -> dict[str, FileFacts]:
    """Write what `packed` gave, as `write_bundles` does."""
    with private_folder(folder) as partial:
        return {name: write_file(partial / name, content) for name, content in files}


@contextmanager
def private_folder(folder: Path) -> Iterator[Path]:
    """Yield a folder to be filled with files that are flushed to the disk; one rename at the end makes all visible.

    Raises:
        NoSpace, NoPermission: nothing remains of the attempt, as after any other error of the caller.
    """
    import shutil

    partial = folder.with_name(folder.name + ".partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        make_folder(partial)
        yield partial
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


def read_bundle(folder: Path, name: str, facts: Mapping[str, FileFacts]) -> Bundle:
    """Read one bundle back; the bytes are checked against the recorded checksum before anything is parsed.

    Raises:
        Damaged: a file is missing, has another size or another checksum, or a newer format.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    content = _read_checked(folder, f"{name}.safetensors", facts), _read_checked(folder, f"{name}.json", facts)
    try:
        arrays, extra = load(content[0]), json.loads(content[1])
        version = extra.pop("format")
    except (SafetensorError, ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
        raise errors.Damaged(f"{folder / name}: holds no arrays ({error})", hint=_HINT) from error
    if version != FORMAT_VERSION:
        raise errors.Damaged(f"{folder / name}.json has format {version!r}", hint="upgrade recsys-tui")
    return Bundle(arrays, extra)


def check_file(folder: Path, name: str, facts: Mapping[str, FileFacts]) -> str | None:
    """Compare a file with its recorded size and checksum; return what is wrong, or None."""
    try:
        with checked_file(folder, name, facts) as content:
            while content.read(_CHUNK):
                pass
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


class _Checked:
    """A file whose bytes are counted into a checksum while they are read."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self._path = file, path
        self.digest = sha256()

    def read(self, size: int = -1) -> bytes:
        with _readable(self._path):
            content = self._file.read(size)
        self.digest.update(content)
        return content


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise errors.Damaged(f"{path}: cannot be read ({error.strerror})", hint=_HINT) from error


@contextmanager
def checked_file(folder: Path, name: str, facts: Mapping[str, FileFacts]) -> Iterator[BinaryIO]:
    """Yield a file of a version to be read to its end, a part at a time: what was read is checked at the end.

    Raises:
        Damaged: at the beginning where its size is not the recorded one, at the end where its checksum is not.
    """
    path, expected = folder / name, facts.get(name)
    if expected is None:
        raise errors.Damaged(f"{path}: not part of this version", hint=_HINT)
    with _readable(path):
        file = open(path, "rb", opener=_open_plainly)  # noqa: SIM115  closed below
    with file:
        size = os.fstat(file.fileno()).st_size
        if size != expected.bytes:  # before reading: a file that lies about its size costs no memory
            raise errors.Damaged(f"{path}: {size} bytes where {expected.bytes} were written", hint=_HINT)
        checked = _Checked(file, path)
        yield cast("BinaryIO", checked)
    if checked.digest.hexdigest() != expected.sha256:
        raise errors.Damaged(f"{path}: its checksum is not the one recorded when it was written", hint=_HINT)


def _read_checked(folder: Path, name: str, facts: Mapping[str, FileFacts]) -> bytes:
    with checked_file(folder, name, facts) as file:
        return file.read()


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
