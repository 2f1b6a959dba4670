"""A source as bytes: a file, a folder, standard input; compressed or not; read once from front to back."""

import gzip
import io
import sys
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

from store import errors
from store.errors import translate
from store.secrets import looks_like_login, shown_address

HEAD_BYTES = 1 << 20


class _Counted(io.RawIOBase):
    """Counts the bytes that pass, so that progress is known in front of the decompression."""

    def __init__(self, stream: Any) -> None:  # anything with `readinto`, which the type of sys.stdin.buffer lacks
        self._stream = stream
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        count: int = self._stream.readinto(buffer)
        self.count += count
        return count


@dataclass(frozen=True)
class ReadOptions:
    """What some formats need to know besides the name of the source.

    Attributes:
        table: of an SQLite file; "" where the only one that fits is meant.
        collection: of MongoDB, with the ratings.
        items_collection, items_mapping: where titles are: of MongoDB a collection, of an SQLite file a table; roles
            (item, title, genres, year) to fields, guessed from their names where missing.
        query: of MongoDB, as extended JSON; see `store.importers.mongo_query`.
        read_preference: of MongoDB: primary, primaryPreferred, secondary, secondaryPreferred or nearest.
        timeout: seconds to wait for a MongoDB server.
        since_last: read only what came after the last import of the same source.
        after: the `_id` of the last document of that import, as extended JSON.
    """

    table: str = ""
    collection: str = ""
    items_collection: str = ""
    items_mapping: Mapping[str, str] = field(default_factory=dict)
    query: str = ""
    read_preference: str = ""
    timeout: float = 10.0
    since_last: bool = False
    after: str = ""


class Source:
    """What the operator named. Opening is lazy; `head` shows the beginning without consuming it.

    Attributes:
        text: the name as given; of an address what may be shown, without login and options.
        address: as given, with its password: never to be shown, logged or stored; "" for all but addresses.
        path: the file or folder; None for standard input and for addresses such as mongodb://….
        options: see `ReadOptions`.
        bytes_total: size on disk, None where unknown.
    """

    def __init__(self, text: str | Path, stdin: BinaryIO | None = None, options: ReadOptions | None = None) -> None:
        """Name a source.

        Raises:
            NotFound: no such file or folder.
        """
        self.text = given = str(text)
        self.options = options or ReadOptions()
        self.is_stdin = self.text == "-"
        self.is_address = "://" in self.text or self.text.lower().startswith("mongodb:")
        self.address = given if self.is_address else ""
        if self.is_address or looks_like_login(given):
            self.text = shown_address(given)
        if self.is_address and self.options.collection and "/" in self.text.partition("//")[2]:
            self.text += f".{self.options.collection}"
        self.path = None if self.is_stdin or self.is_address else Path(given).expanduser()
        self.bytes_total: int | None = None
        self._stdin = stdin
        self._counted: _Counted | None = None
        self._stream: BinaryIO | None = None
        self._head: bytes | None = None
        self._unread = b""
        self._parts: list[Source] = []
        if self.path is not None:
            self._look(self.path)

    def _look(self, path: Path) -> None:
        try:
            status = path.stat()
        except FileNotFoundError:
            raise errors.NotFound(
                f"no file or folder {self.text!r}", hint="check the path, or pass - for stdin"
            ) from None
        except (OSError, ValueError) as error:
            raise errors.DataRefused(f"{self.text!r} cannot be opened: {error}", hint="check the path") from error
        self.bytes_total = status.st_size if path.is_file() else None

    @property
    def name(self) -> str:
        """The last part of the name, for messages and for the quarantine."""
        return "stdin" if self.is_stdin else (self.path.name if self.path else self.text)

    @property
    def is_dir(self) -> bool:
        """True for a folder."""
        return self.path is not None and self.path.is_dir()

    @property
    def bytes_done(self) -> int:
        """How much of `bytes_total` has been read."""
        return (self._counted.count if self._counted else 0) + sum(part.bytes_done for part in self._parts)

    @property
    def head(self) -> bytes:
        """The first megabyte, decompressed; empty for folders and addresses."""
        if self._head is None:
            self._head = b"" if self.is_dir or self.is_address else self._fill(HEAD_BYTES)
            self._unread = self._head
        return self._head

    def follow(self, part: "Source") -> None:
        """Take the progress of a file of this folder for its own, and close the file with it."""
        self._parts.append(part)
        self.bytes_total = (self.bytes_total or 0) + (part.bytes_total or 0)

    def read(self, size: int) -> bytes:
        """Return up to `size` further bytes, decompressed; empty at the end.

        Raises:
            DataRefused: the compressed file is damaged.
            NoPermission: the file may not be read.
        """
        if self._head is None:
            _ = self.head
        if len(self._unread) >= size:
            data, self._unread = self._unread[:size], self._unread[size:]
            return data
        data, self._unread = self._unread, b""
        return data + self._fill(size - len(data))

    def close(self) -> None:
        """Close the file; standard input stays open."""
        for part in self._parts:
            part.close()
        if self._counted is not None and not self.is_stdin:
            self._counted.close()
            self._counted._stream.close()  # noqa: SLF001  the counter is part of this module

    def _fill(self, size: int) -> bytes:
        """Read `size` bytes unless the end comes first, whatever portions the system hands out."""
        parts: list[bytes] = []
        try:
            stream = self._open()
            while size > 0 and (part := stream.read(size)):
                parts.append(part)
                size -= len(part)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise errors.DataRefused(
                f"{self.name} is a damaged or truncated gzip file: {error}",
                hint="fetch it again; `gzip -t FILE` checks it",
            ) from error
        except OSError as error:
            raise translate(error, self.path or Path(self.text)) from error
        return b"".join(parts)

    def _open(self) -> BinaryIO:
        if self._stream is None:
            raw = (self._stdin or sys.stdin.buffer) if self.path is None else self.path.open("rb", buffering=0)
            self._counted = _Counted(raw)
            buffered = io.BufferedReader(self._counted, HEAD_BYTES)
            packed = buffered.peek(2)[:2] == b"\x1f\x8b"
            self._stream = cast("BinaryIO", gzip.GzipFile(fileobj=buffered)) if packed else buffered
        return self._stream
