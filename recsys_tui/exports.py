"""Rows to a file: CSV, NDJSON or Parquet by the suffix; the file appears whole or not at all."""

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from recsys_tui import render
from store.errors import NotFound, UsageRefused, translate

_BATCH = 100_000
_FORMATS = {".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson", ".parquet": "parquet"}
_WHOLE = {"rank", "at", "users", "year", "line", "first_rank", "second_rank"}
_FIGURES = {"rating", "score", "prediction", "lower", "upper", "value", "low", "high", "overlap", "rbo"}


def check_target(out: Path) -> None:
    """Look at a target before the work that would go into it.

    Raises:
        UsageRefused: a suffix that stands for no format, or a folder.
        NotFound: the folder of the file is not there.
    """
    if out.suffix not in _FORMATS:
        raise UsageRefused(
            f"{out}: unknown suffix {out.suffix!r}", hint="name a file ending in .csv, .ndjson or .parquet"
        )
    _check_place(out)


def _check_place(out: Path) -> None:
    if out.is_dir():
        raise UsageRefused(f"{out} is a folder", hint="name a file in it")
    if not out.parent.is_dir():
        raise NotFound(f"no folder {out.parent}", hint="make it first, or write to another place")


def write_rows(out: Path, rows: Iterable[Mapping[str, Any]], columns: list[str], *, raw: bool = False) -> int:
    """Write rows as they come and return their number.

    Args:
        out: its suffix decides the format: .csv, .ndjson, .jsonl or .parquet.
        rows: mappings with `columns`.
        columns: what is written, in this order.
        raw: no guard against cells that a spreadsheet would run as formulas.

    Raises:
        UsageRefused, NotFound: see `check_target`.
        NoSpace, NoPermission: nothing remains of the attempt.
    """
    check_target(out)
    chosen = ({name: row[name] for name in columns} for row in rows)
    with _whole(out) as partial:
        if _FORMATS[out.suffix] == "parquet":
            return _write_parquet(partial, chosen, columns)
        with partial.open("w", encoding="utf-8", newline="") as file:
            partial.chmod(0o600)
            return render.emit(chosen, columns, _FORMATS[out.suffix], stream=file, true_data=True, raw=raw)


def write_document(out: Path, document: Mapping[str, Any]) -> None:
    """Write one JSON document, for the owner alone.

    Raises:
        NotFound: the folder of the file is not there.
        UsageRefused: it is a folder.
        NoSpace, NoPermission: nothing remains of the attempt.
    """
    _check_place(out)
    with _whole(out) as partial, partial.open("w", encoding="utf-8") as file:
        partial.chmod(0o600)
        render.emit_document(document, stream=file)


@contextmanager
def _whole(out: Path) -> Iterator[Path]:
    """Yield a path to write to, which takes the place of the target at the end; nothing is left of a failed attempt."""
    partial = out.with_name(out.name + ".partial")
    try:
        partial.unlink(missing_ok=True)
        yield partial
        partial.replace(out)
    except OSError as error:
        raise translate(error, out) from error
    finally:
        partial.unlink(missing_ok=True)


def join_files(parts: Sequence[Path], out: Path) -> None:
    """Put files of one format, which `write_rows` made with the same columns, into one that appears whole.

    Raises:
        NoSpace, NoPermission: nothing remains of the attempt.
    """
    partial = out.with_name(out.name + ".partial")
    join = _join_parquet if _FORMATS[out.suffix] == "parquet" else _join_texts
    try:
        partial.touch(mode=0o600)
        join(parts, partial, _FORMATS[out.suffix])
        partial.replace(out)
    except OSError as error:
        raise translate(error, out) from error
    finally:
        partial.unlink(missing_ok=True)


def _join_texts(parts: Sequence[Path], target: Path, kind: str) -> None:
    """Join lines; of CSV only the first file gives its header."""
    with target.open("wb") as file:
        for number, path in enumerate(parts):
            with path.open("rb") as part:
                if kind == "csv" and number:
                    part.readline()
                shutil.copyfileobj(part, file, 1 << 20)


def _join_parquet(parts: Sequence[Path], target: Path, _: str) -> None:
    from pyarrow import parquet

    with parquet.ParquetWriter(target, parquet.read_schema(parts[0])) as writer:
        for path in parts:
            for batch in parquet.ParquetFile(path).iter_batches(_BATCH):
                writer.write_batch(batch)


def _write_parquet(path: Path, rows: Iterator[dict[str, Any]], columns: list[str]) -> int:
    import pyarrow as pa
    from pyarrow import parquet

    kinds = {
        name: pa.int64() if name in _WHOLE else pa.float64() if name in _FIGURES else pa.string() for name in columns
    }
    schema, count = pa.schema(kinds), 0
    path.touch(mode=0o600)
    with parquet.ParquetWriter(path, schema) as writer:
        while batch := list(islice(rows, _BATCH)):
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))
            count += len(batch)
    return count
