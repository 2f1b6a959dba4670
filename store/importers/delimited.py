"""CSV and its relatives: comma, semicolon, tab, bar or "::" between fields, with or without a header."""

from collections import deque
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing

import numpy as np

from store import errors
from store.formulas import EXPORTED, unguarded
from store.importers.arrow_rows import CleanBlocks, Table
from store.importers.base import Batch, Fault, Numbers, Texts, Title
from store.importers.columns import check_mapping
from store.importers.dialect import Dialect, detect
from store.importers.records import Incomplete, Record, records
from store.importers.source import Source
from store.importers.text import refuse_binary, text_blocks
from store.importers.values import text_batch

_PIECE_BYTES = 256 << 10
_THREADS = 2  # parse while a third numbers the rows; Arrow's parser has no use for more


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
        first, self._first = self._first, b""
        with ThreadPoolExecutor(_THREADS) as pool, closing(self._ahead(first, reader, pool)) as blocks:
            for block, parsed, final in blocks:
                for batch in reader.batches(block, final=final, parsed=parsed):
                    rows += len(batch)
                    yield _unguarded(batch) if self.dialect.names in EXPORTED else batch
        if not rows:
            raise errors.DataRefused(f"{self.file} has a header and no rows", hint="is the export complete?")

    def _ahead(
        self, first: bytes, reader: "BlockReader", pool: ThreadPoolExecutor
    ) -> Generator[tuple[bytes, "Future[Table | None] | None", bool]]:
        """Yield blocks, their columns to come, and whether a block is the last, while threads work on the next ones."""
        waiting: deque[tuple[bytes, Future[Table | None] | None]] = deque([(first, None)] if first else [])
        try:
            while waiting:
                while len(waiting) <= _THREADS and (block := next(self._blocks, b"")):
                    waiting.append((block, pool.submit(reader.parse, block)))
                block, parsed = waiting.popleft()
                yield block, parsed, not waiting
        finally:
            for _, parsed in waiting:
                if parsed is not None:
                    parsed.cancel()

    def titles(self) -> Iterator[Title]:
        """Yield nothing: a table of ratings has no titles."""
        yield from ()


def _unguarded(batch: Batch) -> Batch:
    """Take the quotes away that our own exports put before what a spreadsheet would run."""
    batch.users, batch.items = (
        ids if isinstance(ids, Numbers) else Texts(ids.codes, [unguarded(text) for text in ids.texts])
        for ids in (batch.users, batch.items)
    )
    return batch


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

    def parse(self, block: bytes) -> Table | None:
        """Return the columns of a block ahead of its turn, or None where that cannot be; threads may call it."""
        return None if self._clean_blocks is None else self._clean_blocks.parse(block)

    def batches(self, block: bytes, *, final: bool, parsed: "Future[Table | None] | None" = None) -> Iterator[Batch]:
        """Yield the rows of the next block, which holds whole lines; `parsed` is what `parse` makes of it."""
        if self._header:
            block, parsed = self._without_header(block), None
        if block and not self._carry:
            table = self.parse(block) if parsed is None else parsed.result()
            if table is not None:
                yield self._batch(block, table)
                return
        end = 0
        while end < len(block):
            start, end = end, block.find(b"\n", min(end + self._piece_bytes, len(block) - 1)) + 1
            piece = self._carry + block[start:end]
            self._carry = b""
            table = self.parse(piece)
            is_last = final and end == len(block)
            yield self._exact(piece, final=is_last) if table is None else self._batch(piece, table)

    def _batch(self, text: bytes, table: Table) -> Batch:
        assert self._clean_blocks is not None  # noqa: S101  it made the table
        batch = self._clean_blocks.batch(text, table, self._line)
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
