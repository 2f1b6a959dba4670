"""Parcels: one file that moves versions to another machine. It is a plain tar that any `tar` lists, and only that.

The first member is the checksum of the second one, `manifest.json`, which says what each version is and has a checksum
for every file; the files follow in its order. A parcel is read by the few lines below and not by an archive library: a
member is an ordinary file with the very name and size that the manifest gives, or the parcel is refused. Nothing is
compressed, no name in it becomes a path, and nothing of it is run.
"""

import json
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from store import errors
from store.artifacts import FileFacts, checked_file, private_folder
from store.errors import translate
from store.parcel_manifest import MANIFEST, MOST_BYTES, Packed, manifest_of, packed_versions
from store.registry import ModelVersion, Registry

_SEAL = "manifest.sha256"
_BLOCK = 512
_CHUNK = 1 << 20


def write_parcel(registry: Registry, versions: Sequence[ModelVersion], target: Path) -> dict[str, Any]:
    """Write versions into a new file, those that others need first; it appears whole or not at all.

    Returns:
        `bytes` and `sha256` of the file.

    Raises:
        Damaged: a file of a version is not what was written; nothing remains.
        NoSpace, NoPermission: likewise.
    """
    partial = target.with_name(f"{target.name}.partial")
    try:
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as archive:
                text = json.dumps(manifest_of(versions), allow_nan=False, sort_keys=True).encode()
                for name, content in ((_SEAL, sha256(text).hexdigest().encode()), (MANIFEST, text)):
                    archive.addfile(_header(name, len(content)), BytesIO(content))
                for version in versions:
                    for name, facts in sorted(version.files.items()):
                        with checked_file(registry.folder / version.name, name, version.files) as source:
                            archive.addfile(_header(f"{version.name}/{name}", facts.bytes), source)
            file.flush()
            os.fsync(file.fileno())
        size, digest = partial.stat().st_size, _digest(partial)
        partial.replace(target)
    except OSError as error:
        raise translate(error, target) from error
    finally:
        partial.unlink(missing_ok=True)
    return {"bytes": size, "sha256": digest}


def _header(name: str, size: int) -> tarfile.TarInfo:
    """Describe a member; nothing in it depends on machine or time, so that equal versions give equal parcels."""
    header = tarfile.TarInfo(name)
    header.size, header.mode = size, 0o600
    return header


def _digest(path: Path) -> str:
    digest = sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


class Parcel:
    """An open parcel whose manifest has been read and whose size is what its manifest says.

    Attributes:
        versions: what is in it, those that others need first.
    """

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._file = file
        size = os.fstat(file.fileno()).st_size
        seal = b"".join(self._member(_SEAL, range(64, 65)))
        text = b"".join(self._member(MANIFEST, range(MOST_BYTES)))
        if sha256(text).hexdigest().encode() != seal:
            raise self._refused("its manifest has not the checksum that was written beside it")
        self.versions = packed_versions(path, text)
        needed = file.tell() + sum(map(_length, self.versions))
        if size < needed:
            raise self._refused(f"it has {size:,} bytes where its manifest speaks of {needed:,}")

    def unpack(self, version: Packed, folder: Path, accept: Callable[[Path], None]) -> Mapping[str, FileFacts]:
        """Put the next version's files into a new folder, whole or not at all; versions are taken in their order.

        Args:
            version: the next one of `versions`.
            folder: is made.
            accept: looks at the folder before it appears, and raises where it will not do.

        Raises:
            Damaged: a file is not what the manifest says.
        """
        with private_folder(folder) as partial:
            for name, facts in sorted(version.files.items()):
                content = self._member(f"{version.name}/{name}", range(facts.bytes, facts.bytes + 1))
                self._write(partial / name, content, facts)
            accept(partial)
        return version.files

    def skip(self, version: Packed) -> None:
        """Pass over the next version's files."""
        self._file.seek(_length(version), os.SEEK_CUR)

    def _write(self, path: Path, content: Iterator[bytes], facts: FileFacts) -> None:
        digest = sha256()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)
            for chunk in content:
                digest.update(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(descriptor)
        if digest.hexdigest() != facts.sha256:
            raise self._refused(f"{path.name} has not the checksum that its manifest gives")

    def _member(self, name: str, sizes: range) -> Iterator[bytes]:
        """Yield the content of the next member, which must be an ordinary file of this name and of one of the sizes."""
        found = _read_header(self._file.read(_BLOCK))
        if found is None or found[0] != name:
            raise self._refused(f"{name} is not where it should be")
        if found[1] not in sizes:
            raise self._refused(f"the size of {name} is not what it should be")
        left = found[1]
        while left:
            chunk = self._file.read(min(left, _CHUNK))
            if not chunk:
                raise self._refused("it ends in the middle of a file")
            left -= len(chunk)
            yield chunk
        self._file.seek(_padded(found[1]) - found[1], os.SEEK_CUR)

    def _refused(self, why: str) -> errors.Damaged:
        return errors.Damaged(f"{self._path}: no parcel of versions: {why}", hint="export it again, and compare sha256")


@contextmanager
def open_parcel(path: Path) -> Iterator[Parcel]:
    """Open a parcel for reading.

    Raises:
        NotFound: there is no such file.
        Damaged: it is no parcel, or its sizes are not what its manifest says.
    """
    try:
        if path.exists() and not path.is_file():
            raise errors.UsageRefused(f"{path} is no ordinary file", hint="name a file that `models export` wrote")
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            yield Parcel(path, file)
    except FileNotFoundError as error:
        raise errors.NotFound(f"no file {path}", hint="check the path") from error
    except OSError as error:
        raise translate(error, path) from error


def _length(version: Packed) -> int:
    """Return the bytes that the files of a version take up, headers and padding included."""
    return sum(_BLOCK + _padded(facts.bytes) for facts in version.files.values())


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _read_header(block: bytes) -> tuple[str, int] | None:
    """Return name and size of an ordinary file from its tar header; None of anything else, links and devices too."""
    if len(block) != _BLOCK or block[257:265] != b"ustar\x0000" or block[154:157] != b"\0 0":
        return None
    try:
        checksum, size = int(block[148:154], 8), int(block[124:135], 8)
        name = block[:100].rstrip(b"\0").decode("ascii")
    except ValueError:
        return None
    whole = sum(block[:148]) + 8 * ord(" ") + sum(block[156:])
    return (name, size) if checksum == whole and size >= 0 else None
