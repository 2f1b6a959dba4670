"""Text in any of the usual encodings and line ends, as blocks of UTF-8 that end at a line break."""

import codecs
from collections.abc import Callable, Iterator

from store import errors
from store.importers.source import Source

BLOCK_BYTES = 4 << 20
_FIRST_BYTES = 1 << 20
_LONGEST_LINE = 64 << 20
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_FORMATS = (
    (b"PK\x03\x04", "a zip archive", "unzip it, then import the folder"),
    (b"SQLite format 3\0", "an SQLite database", "leave --format out, or pass --format sqlite --table NAME"),
    (b"BZh", "a bzip2 file", "pipe it: `bzcat FILE | recsys-tui import -`"),
    (b"\xfd7zXZ\0", "an xz file", "pipe it: `xzcat FILE | recsys-tui import -`"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file", "pipe it: `zstdcat FILE | recsys-tui import -`"),
    (b"%PDF", "a PDF", "export the data as CSV first"),
)
_PLAIN_CONTROLS = frozenset(b"\t\n\v\f\r\x1b\x1a\x1c\x1d\x1e\x1f\0")
# Windows-1252, where its five undefined bytes are the control characters that latin-1 has there
_CP1252 = "".join(bytes([byte]).decode("cp1252", "replace").replace("\ufffd", chr(byte)) for byte in range(256))


def encoding_of(head: bytes) -> tuple[str, int]:
    """Return the encoding of a text and the length of its byte order mark.

    Bytes that are no UTF-8 mean Windows-1252 (of which latin-1 is a part), unless the text has more letters in valid
    UTF-8 than stray bytes: then those bytes are damage, and the rows that hold them are refused.
    """
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name, len(mark)
    pairs = len(head) // 2
    if pairs and head[1::2].count(0) > 0.3 * pairs and head[::2].count(0) < 0.05 * pairs:
        return "utf-16-le", 0
    if pairs and head[::2].count(0) > 0.3 * pairs and head[1::2].count(0) < 0.05 * pairs:
        return "utf-16-be", 0
    text = head.decode("utf-8", "surrogateescape")
    if text.isascii():
        return "utf-8", 0
    stray = sum("\udc80" <= letter <= "\udcff" for letter in text)
    letters = sum(letter > "\x7f" for letter in text) - stray
    return ("utf-8" if stray <= letters else "cp1252"), 0


def refuse_binary(source: Source) -> None:
    """Raise DataRefused where the beginning of a source is no text."""
    head = source.head
    for magic, what, hint in _FORMATS:
        if head.startswith(magic):
            raise errors.DataRefused(f"{source.name} is {what}, not a table of ratings", hint=hint)
    sample = head[:65_536]
    if not encoding_of(sample)[0].startswith("utf-16"):
        strange = sum(byte < 32 and byte not in _PLAIN_CONTROLS for byte in sample) + max(0, sample.count(0) - 16)
        if strange > 0.01 * len(sample):
            raise errors.DataRefused(f"{source.name} is a binary file", hint="import CSV, TSV, JSON lines or Parquet")


def text_blocks(source: Source, *, size: int = BLOCK_BYTES) -> Iterator[bytes]:
    """Yield a text as UTF-8 with LF line ends, in blocks that each end with a line break.

    The first block has about a megabyte and each further one twice as much, up to `size`, so that the threads that work
    on them are busy early. Bytes that cannot be decoded are passed on as they are: their rows are refused one by one.

    Raises:
        DataRefused: no line break in 64 MB.
    """
    step = min(size, _FIRST_BYTES)
    block = source.read(step)
    encoding, mark = encoding_of(block)
    widen = _from_utf_16(encoding) if encoding.startswith("utf-16") else bytes
    recode = bytes if mark or widen is not bytes else _EightBit()
    block, carry = block[mark:], b""
    while block:
        text = carry + widen(block)
        step = min(size, 2 * step)
        block = source.read(step)
        if block and text.endswith(b"\r"):  # the line feed that belongs to it may follow
            text, held = text[:-1], b"\r"
        else:
            held = b""
        if b"\r" in text:
            text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        end = text.rfind(b"\n") + 1 if block else len(text)
        if end:
            yield recode(text[:end] if text[end - 1] == 10 else text + b"\n")
        carry = text[end:] + held
        if len(carry) > _LONGEST_LINE:
            raise errors.DataRefused(
                f"{source.name} has no line break in 64 MB", hint="is it a table with a row a line?"
            )


class _EightBit:
    """Turns whole lines into UTF-8; the first lines that are not ASCII tell what they are."""

    def __init__(self) -> None:
        self._encoding: str | None = None

    def __call__(self, lines: bytes) -> bytes:
        if lines.isascii():
            return lines
        self._encoding = self._encoding or encoding_of(lines)[0]
        return codecs.charmap_decode(lines, "strict", _CP1252)[0].encode() if self._encoding == "cp1252" else lines


def _from_utf_16(encoding: str) -> Callable[[bytes], bytes]:
    """Return a decoder of consecutive blocks; a lone surrogate becomes invalid UTF-8, which is refused with its row."""
    incremental = codecs.getincrementaldecoder(encoding)("surrogatepass")
    return lambda block: incremental.decode(block).encode("utf-8", "surrogatepass")
