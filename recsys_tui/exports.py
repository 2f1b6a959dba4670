"""Rows to a file: CSV, NDJSON or Parquet by the suffix; the file appears whole or not at all."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from recsys_tui import render
from store.database import translate
from store.errors import UsageRefused

_BATCH = 100_000


def write_rows(out: Path, rows: Iterable[Mapping[str, Any]], columns: list[str], *, raw: bool = False) -> int:
    """Write rows as they come and return their number.

    Args:
        out: its suffix decides the format: .csv, .ndjson, .jsonl or .parquet.
        rows: mappings with `columns`.
        columns: what is written, in this order.
        raw: no guard against cells that a spreadsheet would run as formulas.

    Raises:
        UsageRefused: another suffix.
        NoSpace, NoPermission: nothing remains of the attempt.
    """
    formats = {".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson", ".parquet": "parquet"}
    if out.suffix not in formats:
        raise UsageRefused(
            f"{out}: unknown suffix {out.suffix!r}", hint="name a file ending in .csv, .ndjson or .parquet"
        )
    partial = out.with_name(out.name + ".partial")
    chosen = ({name: row[name] for name in columns} for row in rows)
    try:
        if formats[out.suffix] == "parquet":
            count = _write_parquet(partial, chosen)
        else:
            with partial.open("w", encoding="utf-8", newline="") as file:
                partial.chmod(0o600)
                count = render.emit(chosen, columns, formats[out.suffix], stream=file, true_data=True, raw=raw)
        partial.replace(out)
    except OSError as error:
        raise translate(error, out) from error
    finally:
        partial.unlink(missing_ok=True)
    return count


def _write_parquet(path: Path, rows: Iterator[dict[str, Any]]) -> int:
    import pyarrow as pa
    from pyarrow import parquet

    count, writer = 0, None
    try:
        while batch := list(islice(rows, _BATCH)):
            table = pa.Table.from_pylist(batch, schema=writer.schema if writer else None)
            if writer is None:
                writer = parquet.ParquetWriter(path, table.schema)
                path.chmod(0o600)
            writer.write_table(table)
            count += len(batch)
    finally:
        if writer is not None:
            writer.close()
    if not count:
        parquet.write_table(pa.table({}), path)
    return count
