"""Whatever comes in: rows and refused rows add up, errors are ours with advice, nothing else is raised.

A few hundred cases in the ordinary suite; `make faults` runs 10,000 of each test.
"""

import io
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import strategies as st
from pyarrow import parquet

from store import errors
from store.database import Database
from store.importers import importer_class, recognise
from store.importers.base import Batch, Fault, Importer
from store.importers.pipeline import import_source
from store.importers.source import Source
from store.migrations import migrate
from tests.fuzz import Cases, fuzz

PIECES = st.one_of(
    st.sampled_from(
        [
            b"userId,movieId,rating,timestamp\n", b"user;item;rating\r\n", b"1,2,3,4\n", b'"a","b","3"\n', b"\n", b"\r",
            b"\0", b'"', b",", b";", b"\t", b"::", b"|", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"NaN", b"inf",
            b"1e400", b"007", b"1e5", b"12345678901234567890", b"-1", b"253402300800", b"1112486027000", b"9" * 40,
            b'{"user":1,"item":2,"rating":3}\n', b'{"user":{"id":[1,2]},"item":[', b"}\n", b"null", b"PAR1",
            b'{"user":{"$oid":"x"},"item":{"$date":{"$numberLong":"9"}},"rating":[1,[2]],"time":{"a":1}}\n',
            b"\x1f\x8b", b"1.5,2020-01-01", b"SQLite format 3\0", b"\x1a", b"u\0s\0e\0r\0",
            b"\xc3\xa9", b"\xc3", b"=cmd|'/c'!A1", b"'", b" ", "\u2028".encode(), b"\x1b[2J", b"\x85",
        ]
    ),
    st.binary(max_size=8),
    st.text(max_size=6).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.tuples(st.integers(0, 99), st.integers(0, 99), st.floats(0, 6)).map(
        lambda row: f"{row[0]},{row[1]},{row[2]}\n".encode()
    ),
)  # fmt: skip
FILES = st.lists(PIECES, max_size=14).map(b"".join)
# of a finished file: bytes changed at places from the end, and how much of it is there
DAMAGE = st.tuples(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=4), st.integers(0, 60))


def look_at(batch: Batch) -> None:
    """Hold a batch to what `Batch` promises."""
    assert len(batch.faults) == len(batch.times) == len(batch.lines) == len(batch)
    for row in range(len(batch)):
        assert isinstance(batch.raw(row), str)
        assert Fault(int(batch.faults[row])).reason or batch.ratings[row] == batch.ratings[row]
        batch.users.text(row)
        batch.items.text(row)


def read(source: Source, name: str) -> None:
    """Read all there is; whatever is wrong with it is said in our words."""
    with closing(source):
        try:
            importer: Importer = importer_class(name or recognise(source))(source, {})
            for batch in importer.batches():
                look_at(batch)
            for title in importer.titles():
                assert title.item
        except errors.StoreError as error:
            assert_ours(error)


def assert_ours(error: errors.StoreError) -> None:
    assert str(error)
    assert error.hint


@pytest.mark.faults
@pytest.mark.parametrize("name", ["", "csv", "jsonl"], ids=["recognised", "csv", "jsonl"])
def test_any_bytes_are_read_or_refused_in_our_own_words(name: str, cases: Cases) -> None:
    fuzz(cases(150), FILES, lambda data: read(Source("-", io.BytesIO(data)), name))


@pytest.mark.faults
def test_any_folder_is_read_or_refused(tmp_path: Path, cases: Cases) -> None:
    def check(drawn: tuple[bytes, bytes, str]) -> None:
        ratings, titles, name = drawn
        (tmp_path / "ratings.csv").write_bytes(b"user,item,rating\n" + ratings)
        (tmp_path / name).write_bytes(titles)
        read(Source(str(tmp_path)), "movielens")
        (tmp_path / name).unlink()

    names = st.sampled_from(["movies.csv", "items.csv", "movies.dat", "u.item", "items.ndjson", "items.parquet"])
    fuzz(cases(80), st.tuples(FILES, FILES, names), check)


KINDS = [
    pa.int8(), pa.int64(), pa.uint64(), pa.float32(), pa.float64(), pa.string(), pa.large_string(), pa.binary(),
    pa.bool_(), pa.date32(), pa.timestamp("ns"), pa.timestamp("us", tz="Europe/Paris"), pa.time64("us"),
    pa.duration("s"), pa.decimal128(12, 3), pa.list_(pa.int64()), pa.struct([("rating", pa.float64())]), pa.null(),
    pa.dictionary(pa.int32(), pa.string()), pa.list_(pa.struct([("item", pa.string()), ("rating", pa.int32())])),
]  # fmt: skip


def column(kind: pa.DataType, seeds: list[int | None]) -> pa.Array:
    """Return a column of a kind, with what these numbers can be turned into; nulls where they cannot."""
    if pa.types.is_struct(kind):
        values: list[object] = [None if seed is None else {"rating": float(seed)} for seed in seeds]
    elif pa.types.is_list(kind):
        part = {"item": "x", "rating": 3} if pa.types.is_struct(kind.value_type) else 7
        values = [None if seed is None else [part] * (seed % 3) for seed in seeds]
    else:
        texts = pa.array([None if seed is None else str(seed) for seed in seeds], pa.string())
        numbers = pa.array([seed if seed is None else seed % 100 for seed in seeds], pa.int64())
        whole = [pa.array(seeds, pa.int64())] if pa.types.is_temporal(kind) else []
        for values_in in (*whole, texts, numbers, numbers.cast(pa.int32())):
            with suppress(pa.ArrowException):
                return values_in.cast(kind)
        return pa.nulls(len(seeds), kind)
    return pa.array(values, kind)


SEEDS = st.lists(st.one_of(st.none(), st.integers(-(2**62), 2**62), st.integers(0, 9)), min_size=3, max_size=3)


@pytest.mark.faults
def test_any_parquet_file_whole_or_damaged_is_read_or_refused(tmp_path: Path, cases: Cases) -> None:
    path = tmp_path / "x.parquet"

    def check(drawn: tuple[list[tuple[pa.DataType, list[int | None]]], tuple[list[tuple[int, int]], int]]) -> None:
        columns, damage = drawn
        made = [column(kind, seeds) for kind, seeds in columns]
        parquet.write_table(pa.table(made, names=["user", "item", "rating", "time"][: len(made)]), path)
        path.write_bytes(damaged(path.read_bytes(), damage))
        read(Source(str(path)), "parquet")

    kinds = st.tuples(st.sampled_from(KINDS), SEEDS)
    fuzz(cases(120), st.tuples(st.lists(kinds, min_size=3, max_size=4), DAMAGE), check)


def damaged(data: bytes, damage: tuple[list[tuple[int, int]], int]) -> bytes:
    """Return a file with some bytes changed and, now and then, its end missing."""
    changes, cut = damage
    out = bytearray(data)
    for place, byte in changes:
        out[-1 - place % len(out)] = byte
    return bytes(out[: len(out) - cut] if cut > 50 else out)


VALUES = st.one_of(
    st.none(), st.integers(-(2**63), 2**63 - 1), st.integers(0, 5), st.floats(), st.binary(max_size=6),
    st.text(max_size=5, alphabet=st.characters(codec="utf-8")),
)  # fmt: skip


@pytest.mark.faults
def test_any_sqlite_file_whole_or_damaged_is_read_or_refused(tmp_path: Path, cases: Cases) -> None:
    path = tmp_path / "x.sqlite"

    def check(drawn: tuple[list[tuple[object, ...]], tuple[list[tuple[int, int]], int]]) -> None:
        rows, damage = drawn
        path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("PRAGMA page_size = 512")
            db.execute("CREATE TABLE r (user, item, rating, at)")
            db.executemany("INSERT INTO r VALUES (?, ?, ?, ?)", rows)
        path.write_bytes(damaged(path.read_bytes(), damage))
        read(Source(str(path)), "sqlite")

    fuzz(cases(80), st.tuples(st.lists(st.tuples(*[VALUES] * 4), min_size=1, max_size=4), DAMAGE), check)


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    with tempfile.TemporaryDirectory() as folder, closing(Database(Path(folder) / "fuzz.db")) as made:
        migrate(made)
        yield made


@pytest.mark.faults
def test_the_totals_add_up(database: Database, cases: Cases) -> None:
    def check(data: bytes) -> None:
        foreseen = None
        with suppress(errors.StoreError):
            foreseen = import_source(database, "-", stdin=io.BytesIO(data), dry_run=True)
        try:
            result = import_source(database, "-", stdin=io.BytesIO(data))
        except errors.StoreError as error:
            assert_ours(error)
            assert foreseen is None
            return
        counted = ("read", "stored", "updated", "unchanged", "rejected", "duplicates", "reasons", "users", "items")
        assert {name: getattr(foreseen, name) for name in counted} == {name: getattr(result, name) for name in counted}
        assert result.read == result.stored + result.updated + result.unchanged + result.rejected + result.duplicates
        assert sum(result.reasons.values()) == result.rejected == result.quarantine

    fuzz(cases(80), FILES, check)
