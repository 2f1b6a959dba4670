"""One suite over the table of importers: whatever reads ratings keeps these promises."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pytest
from pyarrow import parquet
from pymongo import MongoClient

from store import errors
from store.database import Database
from store.importers import IMPORTERS, importer_class, recognise
from store.importers.base import Fault, Resumes
from store.importers.pipeline import ImportResult, import_source
from store.importers.source import ReadOptions, Source
from tests import mongo
from tests.store.rows import quarantine, stored

Line = tuple[str, str, str, str]
SOUND: list[Line] = [(f"{user:03}", f"1e{item}", "3.5", "1112486027") for user in range(4) for item in range(user + 1)]
BAD: list[Line] = [
    ("", "x", "3", ""),
    ("u", "", "3", ""),
    ("u", "x", "", ""),
    ("u", "x", "NaN", ""),
    ("u", "x", "3", "soon"),
]
NAMES = ("user", "item", "rating", "time")


def as_csv(folder: Path, lines: list[Line]) -> Path:
    path = folder / "ratings.csv"
    path.write_text("\n".join(",".join(line) for line in [NAMES, *lines]) + "\n")
    return path


def as_movielens(folder: Path, lines: list[Line]) -> Path:
    inside = folder / "ml"
    inside.mkdir(exist_ok=True)
    as_csv(inside, lines)
    (inside / "movies.csv").write_text("movieId,title,genres\n1e0,Heat (1995),Crime\n")
    return inside


def as_jsonl(folder: Path, lines: list[Line]) -> Path:
    path = folder / "ratings.jsonl"
    path.write_text("".join(json.dumps(dict(zip(NAMES, line, strict=True))) + "\n" for line in lines))
    return path


def as_parquet(folder: Path, lines: list[Line]) -> Path:
    columns = {name: pa.array([line[at] for line in lines], pa.string()) for at, name in enumerate(NAMES)}
    parquet.write_table(pa.table(columns), folder / "ratings.parquet", row_group_size=3)
    return folder / "ratings.parquet"


def as_sqlite(folder: Path, lines: list[Line]) -> Path:
    path = folder / "other.sqlite"
    with closing(sqlite3.connect(path)) as db, db:
        db.execute('CREATE TABLE "my ""reviews" (user TEXT, item TEXT, rating TEXT, time TEXT)')
        db.executemany('INSERT INTO "my ""reviews" VALUES (?, ?, ?, ?)', lines)
    return path


def as_mongodb(_: Path, lines: list[Line]) -> str:
    name = f"contract_{uuid4().hex[:8]}"
    address = SERVER.enter_context(mongo.server("nx-27017")) if not RUNNING else RUNNING[0]
    RUNNING[:] = [address]
    with MongoClient(address) as client:
        client[name].create_collection("ratings")
        if lines:
            client[name].ratings.insert_many([dict(zip(NAMES, line, strict=True)) for line in lines])
    return f"{address}/{name}"


SERVER, RUNNING = ExitStack(), list[str]()
OPTIONS = ReadOptions(collection="ratings")


@pytest.fixture(scope="module", autouse=True)
def _server_ends() -> Iterator[None]:
    with SERVER:
        yield
    RUNNING.clear()


def take(database: Database, source: Path | str, **options: Any) -> ImportResult:
    reading = OPTIONS if isinstance(source, str) else None
    return import_source(database, str(source), reading=reading, **options)


def opened(source: Path | str) -> Source:
    return Source(source, options=OPTIONS if isinstance(source, str) else None)


WRITERS: dict[str, Callable[[Path, list[Line]], Path | str]] = {
    "csv": as_csv, "movielens": as_movielens, "jsonl": as_jsonl, "parquet": as_parquet, "sqlite": as_sqlite,
    "mongodb": as_mongodb,
}  # fmt: skip
formats = pytest.mark.parametrize("name", list(IMPORTERS))


@formats
def test_a_source_is_recognised(name: str, tmp_path: Path) -> None:
    source = opened(WRITERS[name](tmp_path, SOUND))
    assert recognise(source) == name
    source.close()


@formats
def test_good_rows_are_stored_and_bad_rows_are_kept_aside(name: str, database: Database, tmp_path: Path) -> None:
    result = take(database, WRITERS[name](tmp_path, [*SOUND, *BAD]))
    assert result.format == name
    assert result.mapping == dict(zip(NAMES, NAMES, strict=True))
    assert stored(database) == {(user, item): (3.5, 1_112_486_027) for user, item, *_ in SOUND}
    assert [reason for _, reason, _ in quarantine(database)] == [
        Fault.MISSING_USER.reason, Fault.MISSING_ITEM.reason, Fault.MISSING_RATING.reason, Fault.NOT_A_NUMBER.reason,
        Fault.BAD_TIME.reason,
    ]  # fmt: skip
    assert result.read == len(SOUND) + len(BAD) == result.stored + result.rejected
    assert sum(result.reasons.values()) == result.rejected == result.quarantine


@formats
def test_importing_again_changes_nothing(name: str, database: Database, tmp_path: Path) -> None:
    source = WRITERS[name](tmp_path, SOUND)
    take(database, source)
    again = take(database, source)
    assert (again.unchanged, again.stored, again.updated) == (again.read, 0, 0)


@formats
def test_batches_have_a_line_a_fault_and_a_text_for_each_row(name: str, tmp_path: Path) -> None:
    source = opened(WRITERS[name](tmp_path, [*SOUND, *BAD]))
    importer = importer_class(name)(source, {})
    lines = []
    for batch in importer.batches():
        assert len(batch) == len(batch.ratings) == len(batch.times) == len(batch.faults) == len(batch.lines)
        lines += [(batch.lines[row], batch.raw(row)) for row in range(len(batch))]
        for row in range(len(batch)):
            assert batch.users.text(row) in batch.raw(row)
    assert [line for line, _ in lines] == sorted({line for line, _ in lines})
    assert all(title.item for title in importer.titles())
    if isinstance(importer, Resumes):
        importer.close()
    source.close()


@formats
def test_a_source_of_nothing_is_refused(name: str, database: Database, tmp_path: Path) -> None:
    with pytest.raises(errors.DataRefused) as caught:
        take(database, WRITERS[name](tmp_path, []), format=name)
    assert caught.value.hint
    assert stored(database) == {}


@formats
def test_a_mapping_is_obeyed(name: str, database: Database, tmp_path: Path) -> None:
    take(database, WRITERS[name](tmp_path, SOUND), mapping={"user": "item", "item": "user"})
    assert set(stored(database)) == {(item, user) for user, item, *_ in SOUND}
