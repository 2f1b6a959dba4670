"""CSV and its relatives: comma, semicolon, tab, bar or "::" between fields, with or without a header."""

from collections.abc import Iterator, Mapping

import numpy as np

from store import errors
from store.importers.arrow_rows import CleanBlocks
from store.importers.base import Batch, Fault, Title
from store.importers.columns import check_mapping
from store.importers.dialect import Dialect, detect
from store.importers.records import Incomplete, Record, records
from store.importers.source import Source
from store.importers.text import refuse_binary, text_blocks
from store.importers.values import text_batch

_PIECE_BYTES = 256 << 10


class CsvImporter:
    """Rows of a delimited text; the dialect is recognised from its first block."""

    def __init__(self, source: Source, mapping: Mapping[str, str]) -> None:
        self.file = source.name
        refuse_binary(source)
        self._blocks = text_blocks(source)
        self._first = next(self._blocks, b"")
        self.dialect = detect(self._first, check_mapping(mapping), source=source.name)
        self.mapping = self.dialect.mapping

    @staticmethod
    def recognises(source: Source) -> bool:
        """Any text will do: this is the last format to be asked."""
        return not source.is_dir and not source.is_address

    def batches(self) -> Iterator[Batch]:
        """Yield all rows but the header.

        Raises:
            DataRefused: there is no row.
        """
        reader = BlockReader(self.dialect)
        rows = 0
        block, self._first = self._first, b""
        while block:
            following = next(self._blocks, b"")
            for batch in reader.batches(block, final=not following):
                rows += len(batch)
                yield batch
            block = following
        if not rows:
            raise errors.DataRefused(f"{self.file} has a header and no rows", hint="is the export complete?")

    def titles(self) -> Iterator[Title]:
        """Yield nothing: a table of ratings has no titles."""
        yield from ()


class BlockReader:
    """Turns the blocks of a text into batches, fast where it can and exactly where it must."""

    def __init__(self, dialect: Dialect, *, piece_bytes: int = _PIECE_BYTES, fast: bool = True) -> None:
        """Begin at the first line of a text; `piece_bytes` is how much one odd row sends down the exact path."""
        self._dialect = dialect
        self._piece_bytes = piece_bytes
        self._clean_blocks = CleanBlocks(dialect) if fast else None
        self._line = 1
        self._carry = b""  # the beginning of a record that was not complete in its block
        self._header = dialect.has_header

    def batches(self, block: bytes, *, final: bool) -> Iterator[Batch]:
        """Yield the rows of the next block, which holds whole lines."""
        if self._header:
            block = self._without_header(block)
        whole = None if self._carry else self._clean(block)
        if whole is not None:
            yield whole
            return
        end = 0
        while end < len(block):
            start, end = end, block.find(b"\n", min(end + self._piece_bytes, len(block) - 1)) + 1
            piece = self._carry + block[start:end]
            self._carry = b""
            batch = self._clean(piece)
            yield batch if batch is not None else self._exact(piece, final=final and end == len(block))

    def _clean(self, text: bytes) -> Batch | None:
        batch = self._clean_blocks.batch(text, self._line) if self._clean_blocks and text else None
        if batch is not None:
            self._line += len(batch)
        return batch

    def _exact(self, text: bytes, *, final: bool) -> Batch:
        found: list[Record] = []
        for record in records(text, self._dialect.delimiter, self._dialect.width, self._line, final=final):
            if isinstance(record, Incomplete):
                self._carry = record.rest
            else:
                found.append(record)
        self._line += text.count(b"\n") - self._carry.count(b"\n")
        return exact_batch(found, self._dialect)

    def _without_header(self, block: bytes) -> bytes:
        start = 0
        while self._header and start < len(block):
            end = block.index(b"\n", start) + 1
            self._header = not block[start:end].strip()
            self._line += 1
            start = end
        return block[start:]


def exact_batch(found: list[Record], dialect: Dialect) -> Batch:
    """Return records as a batch; the fields that matter are decoded, the others may hold anything."""
    columns: dict[str, list[str]] = {role: [] for role in dialect.columns}
    faults = np.array([record.fault for record in found], np.uint8)
    for row, record in enumerate(found):
        texts = dict.fromkeys(dialect.columns, "")
        if not record.fault:
            try:
                texts = {role: record.fields[position].decode() for role, position in dialect.columns.items()}
            except UnicodeDecodeError:
                faults[row] = Fault.UNDECODABLE
        for role, text in texts.items():
            columns[role].append(text)
    return text_batch(
        columns,
        faults,
        [record.line for record in found],
        lambda row: found[row].raw.decode("utf-8", "backslashreplace"),
    )
