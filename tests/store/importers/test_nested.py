"""Nested fields and arrays in JSON lines and Parquet; tables of other programs' SQLite files."""

import datetime as dt
import json
import sqlite3
from contextlib import closing
from decimal import Decimal

import pyarrow as pa
import pytest
from pyarrow import parquet

from store import errors
from store.importers import documents
from store.importers.base import Fault
from store.importers.pipeline import import_source
from store.importers.source import ReadOptions
from tests.store.rows import quarantine, stored

T = 1_112_486_027
NESTED = [{"who": {"id": f"u{k}"}, "movie": {"ref": k}, "meta": {"rating": 3.5, "timestamp": T}} for k in range(4)]
ARRAYS = [
    {"user": "u1", "seen": [{"m": 1, "stars": 4}, {"m": 2, "stars": 3}]},
    {"user": "u2", "seen": []},
    {"user": "u3", "seen": [{"m": 1, "stars": None}]},
]
UNWIND = {"item": "seen.m", "rating": "seen.stars"}


def written(folder, kind, documents):
    path = folder / f"ratings.{kind}"
    if kind == "jsonl":
        path.write_text("".join(json.dumps(document) + "\n" for document in documents))
    else:
        parquet.write_table(pa.Table.from_pylist(documents), path)
    return str(path)


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_nested_fields_by_path_and_by_the_last_part_of_their_names(database, tmp_path, kind):
    mapping = {"user": "who.id", "item": "movie.ref"}
    result = import_source(database, written(tmp_path, kind, NESTED), mapping=mapping)
    assert result.mapping == mapping | {"rating": "meta.rating", "time": "meta.timestamp"}
    assert stored(database) == {(f"u{k}", str(k)): (3.5, T) for k in range(4)}


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_arrays_make_a_row_an_element(database, tmp_path, kind):
    result = import_source(database, written(tmp_path, kind, ARRAYS), mapping=UNWIND)
    assert stored(database) == {("u1", "1"): (4.0, None), ("u1", "2"): (3.0, None)}
    assert (result.read, result.reasons) == (3, {Fault.MISSING_RATING.reason: 1})


def test_arrays_of_different_lengths_are_refused_row_by_row(database, tmp_path):
    documents = [
        *ARRAYS[:1],
        {"user": "u4", "items": [1, 2], "stars": [1]},
        {"user": "u5", "items": 7, "stars": [1, 2]},
    ]
    source = written(tmp_path, "jsonl", documents)
    result = import_source(database, source, mapping={"item": "items", "rating": "stars"})
    assert stored(database) == {("u5", "7"): (2.0, None)}
    assert (result.read, result.duplicates, result.rejected) == (4, 1, 2)
    assert [reason for _, reason, _ in quarantine(database)] == [Fault.MISSING_RATING.reason, Fault.FIELDS.reason]


def test_very_long_arrays_come_in_several_batches(monkeypatch):
    monkeypatch.setattr(documents, "_MOST_ROWS", 4)
    found = [
        {"_id": 1, "m": list(range(9)), "s": [3] * 9},
        {"_id": 2, "m": [7], "s": [1, 2]},
        {"_id": 3, "m": 8, "s": 1},
    ]
    keys = {"user": ("_id",), "item": ("m",), "rating": ("s",)}
    batches = list(documents.document_batches(found, keys, 5, documents.Kinds(str, str), json.dumps))
    assert [len(batch) for batch in batches] == [4, 4, 3]
    assert [line for batch in batches for line in batch.lines] == list(range(5, 16))
    assert [batches[0].raw(3), batches[2].raw(1)] == ['{"_id": 1, "m": 3, "s": 3}', json.dumps(found[1])]
    assert batches[2].faults.tolist() == [0, Fault.FIELDS, 0]


def test_extended_json_is_read_as_what_it_stands_for(database, tmp_path):
    document = {
        "user": {"$oid": "5f" * 12}, "item": {"$numberLong": "7"}, "rating": {"$numberDecimal": "4.5"},
        "time": {"$date": {"$numberLong": str(T * 1000)}},
    }  # fmt: skip
    import_source(database, written(tmp_path, "jsonl", [document]))
    assert stored(database) == {("5f" * 12, "7"): (4.5, T)}


def test_kinds_inside_parquet_lists(database, tmp_path):
    moment = dt.datetime(2005, 4, 2, 23, 53, 47, tzinfo=dt.UTC)
    document = {"user": 7, "seen": [{"item": "a", "rating": Decimal("4.5"), "time": moment}]}
    import_source(
        database,
        written(tmp_path, "parquet", [document]),
        mapping={"item": "seen.item", "rating": "seen.rating", "time": "seen.time"},
    )
    assert stored(database) == {("7", "a"): (4.5, T)}


@pytest.fixture
def shop(tmp_path):
    """Another program's database with hostile names."""
    path = tmp_path / "shop.sqlite"
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute('CREATE TABLE "x""; DROP TABLE y; --" ("user" TEXT, "item]" INTEGER, "ra""ting" REAL)')
        db.execute('INSERT INTO "x""; DROP TABLE y; --" VALUES (\'u\', 1, 4)')
        db.execute("CREATE TABLE reviews (customer INTEGER, product TEXT, stars, created)")
        db.executemany(
            "INSERT INTO reviews VALUES (?, ?, ?, ?)",
            [(1, "007", 4, T), (2, "1e5", "3.5", "2005-04-02T23:53:47Z"), (3, "x", None, T), (None, "x", 3, T),
             (4, b"blob", 3, T), (5, "x", b"\x00", T), (6, "bad\udc80".encode("utf-8", "surrogateescape"), 3, T)],
        )  # fmt: skip
        db.execute("CREATE TABLE products (product TEXT, name TEXT, category TEXT)")
        db.executemany("INSERT INTO products VALUES (?, ?, ?)", [("007", "Spy (1995)", "Drama|War"), ("zz", "Z", None)])
        db.execute("CREATE VIEW best AS SELECT customer, product, stars FROM reviews WHERE stars = 4")
    return path


def test_a_table_of_another_program_and_its_titles(database, shop):
    before = shop.read_bytes()
    options = ReadOptions(table="reviews", items_collection="products", items_mapping={"genres": "category"})
    result = import_source(database, str(shop), reading=options)
    assert stored(database) == {("1", "007"): (4.0, T), ("2", "1e5"): (3.5, T), ("4", "blob"): (3.0, T)}
    assert result.read == 7 == result.stored + result.rejected
    with database.read() as db:
        rows = db.execute("SELECT title, year FROM items WHERE title IS NOT NULL ORDER BY title").fetchall()
    assert rows == [("Spy (1995)", 1995), ("Z", None)]
    assert shop.read_bytes() == before


def test_a_view_and_hostile_names(database, shop):
    import_source(database, str(shop), reading=ReadOptions(table="best"))
    assert stored(database) == {("1", "007"): (4.0, None)}
    options = ReadOptions(table='x"; DROP TABLE y; --')
    import_source(database, str(shop), reading=options, mapping={"item": "item]", "rating": 'ra"ting'})
    assert stored(database)["u", "1"] == (4.0, None)


def test_which_table_is_meant(database, shop, tmp_path):
    with pytest.raises(errors.UsageRefused, match="3 tables that fit") as caught:
        import_source(database, str(shop))
    assert "reviews" in caught.value.hint
    with pytest.raises(errors.NotFound, match="no table 'review'") as caught:
        import_source(database, str(shop), reading=ReadOptions(table="review"))
    assert "did you mean reviews" in caught.value.hint
    with pytest.raises(errors.DataRefused, match="of this program"):
        import_source(database, str(database.path), reading=ReadOptions(table="ratings"))
    with pytest.raises(errors.UsageRefused, match="--since-last"):
        import_source(database, str(shop), reading=ReadOptions(since_last=True))
