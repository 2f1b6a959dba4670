"""MovieLens folders, JSON lines and Parquet files."""

import datetime as dt
import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from store import catalog, errors
from store.database import Database
from store.importers.pipeline import import_source
from store.importers.titles import year_of
from tests.store.rows import quarantine, stored

MOVIES = (
    'movieId,title,genres\n1,"Lock, Stock (1998)",Crime|Comedy\n2,2001 (1968) (2001),(no genres listed)\n3,Alone,\n'
)


def test_a_movielens_folder_brings_titles_rated_or_not(database: Database, tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n7,1,4.5,9\n")
    (tmp_path / "movies.csv").write_text(MOVIES)
    result = import_source(database, str(tmp_path))
    assert (result.format, result.stored, result.users, result.items) == ("movielens", 1, 1, 1)
    found = {item.item: (item.title, item.year, item.genres) for item in catalog.list_items(database)}
    assert found == {
        "1": ("Lock, Stock (1998)", 1998, ("Comedy", "Crime")),
        "2": ("2001 (1968) (2001)", 2001, ()),
        "3": ("Alone", None, ()),
    }
    assert [item.item for item in catalog.search_items(database, "Stock")] == ["1"]


def test_the_old_forms_of_movielens(database: Database, tmp_path: Path) -> None:
    (tmp_path / "ratings.dat").write_text("1::1193::5::978300760\n")
    (tmp_path / "movies.dat").write_bytes("1193::Misérables, Les (1995)::Drama|Musical\n".encode("latin-1"))
    import_source(database, str(tmp_path))
    assert stored(database) == {("1", "1193"): (5.0, 978300760)}
    found = catalog.need_item(database, "1193")
    assert (found.title, found.year, found.genres) == ("Misérables, Les (1995)", 1995, ("Drama", "Musical"))


def test_movielens_100k(database: Database, tmp_path: Path) -> None:
    with gzip.open(tmp_path / "u.data.gz", "wt") as file:
        file.write("196\t242\t3\t881250949\n")
    flags = "|".join("1" if genre in {5, 8} else "0" for genre in range(19))
    (tmp_path / "u.item").write_bytes(f"242|Kölya (1996)|24-Jan-1997||http://x|{flags}\n".encode("latin-1"))
    import_source(database, str(tmp_path))
    found = catalog.need_item(database, "242")
    assert (found.title, found.year, found.genres) == ("Kölya (1996)", 1996, ("Comedy", "Drama"))


def test_a_folder_without_ratings_names_what_was_looked_for(database: Database, tmp_path: Path) -> None:
    (tmp_path / "movies.csv").write_text(MOVIES)
    with pytest.raises(errors.DataRefused, match=r"ratings\.csv, ratings\.dat, u\.data"):
        import_source(database, str(tmp_path))


def test_titles_are_brought_up_to_date(database: Database, tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n7,1,4.5,9\n")
    (tmp_path / "movies.csv").write_text(MOVIES)
    import_source(database, str(tmp_path))
    (tmp_path / "movies.csv").write_text("movieId,title,genres\n1,Two Smoking Barrels (1999),War\n2,,\n")
    import_source(database, str(tmp_path))
    first, second = catalog.need_item(database, "1"), catalog.need_item(database, "2")
    assert (first.title, first.year, first.genres) == ("Two Smoking Barrels (1999)", 1999, ("War",))
    assert (second.title, second.year) == ("2001 (1968) (2001)", 2001)
    assert catalog.search_items(database, "Stock") == []


@pytest.mark.parametrize(
    ("title", "year"),
    [("Heat (1995)", 1995), ("2001 (1968) (2001) x", 2001), ("1984", None), ("(19955)", None), ("", None)],
)
def test_the_year_is_the_last_one_in_brackets(title: str, year: int | None) -> None:
    assert year_of(title) == year


def test_json_lines_keep_ids_exactly(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "reviews.jsonl"
    path.write_text(
        '{"reviewerID": "007", "asin": 12345678901234567890, "overall": 5.0, "unixReviewTime": 1112486027}\n\n'
        '{"reviewerID": 1e5, "asin": "b", "overall": "4", "unixReviewTime": "2005-04-03T00:00:00Z", "m": {"x": [1]}}\n'
        'not json\n[1, 2]\n{"reviewerID": null, "asin": "c", "overall": 3}\n'
        '{"reviewerID": "u", "asin": {"a": 1}, "overall": 3}\n'
        '{"reviewerID": "u", "asin": "\\ud800", "overall": 3}\n{"reviewerID": "u", "asin": "d", "overall": NaN}\n'
    )
    result = import_source(database, str(path))
    assert result.format == "jsonl"
    assert stored(database) == {("007", "12345678901234567890"): (5.0, 1112486027), ("1e5", "b"): (4.0, 1112486400)}
    assert [(line, reason) for line, reason, _ in quarantine(database)] == [
        (4, "not a JSON object"), (5, "not a JSON object"), (6, "missing user"), (7, "missing item"),
        (8, "undecodable text"), (9, "rating is not a number"),
    ]  # fmt: skip


def test_json_lines_with_nested_values(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "events.json"
    path.write_text('{"who": {"id": 7}, "what": {"key": {"sku": "x"}}, "rating": 3}\n{"who": 4, "rating": 3}\n')
    mapping = {"user": "who.id", "item": "what.key.sku"}
    result = import_source(database, str(path), mapping=mapping)
    assert stored(database) == {("7", "x"): (3.0, None)}
    assert result.reasons == {"missing user": 1}
    assert result.mapping == {**mapping, "rating": "rating"}


@pytest.mark.parametrize("text", ['[{"user": 1}]', "[\n{}]", '{"who": 1}\n', '{"user": \n'])
def test_json_that_cannot_be_used_is_refused(database: Database, tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(errors.DataRefused) as caught:
        import_source(database, str(path))
    assert caught.value.hint


def write_parquet(folder: Path, **columns: Any) -> str:
    parquet.write_table(pa.table(columns), folder / "ratings.parquet", row_group_size=2)
    return str(folder / "ratings.parquet")


def test_parquet_by_row_groups(database: Database, tmp_path: Path) -> None:
    source = write_parquet(
        tmp_path,
        user_id=pa.array([1, 2, 2, None, 3], pa.int32()),
        item_id=pa.array(["007", "b", "c", "d", " "]).dictionary_encode(),
        rating=pa.array([5, 4, None, 3, 2], pa.float32()),
        timestamp=pa.array([dt.datetime(2005, 4, 3, 0, 0, 0, 5, dt.UTC)] * 4 + [None], pa.timestamp("us", "UTC")),
    )
    result = import_source(database, source)
    assert result.format == "parquet"
    assert stored(database) == {("1", "007"): (5.0, 1112486400), ("2", "b"): (4.0, 1112486400)}
    kept = quarantine(database)
    assert [(line, reason) for line, reason, _ in kept] == [
        (3, "missing rating"),
        (4, "missing user"),
        (5, "missing item"),
    ]
    assert '"item_id": "c"' in kept[0][2]


def test_parquet_ids_that_pandas_made_floats(database: Database, tmp_path: Path) -> None:
    source = write_parquet(tmp_path, user=[1.0, 2.0, None], item=[10.0, 11.0, 12.0], rating=["4", "x", "3"])
    import_source(database, source)
    assert stored(database) == {("1", "10"): (4.0, None)}
    assert [reason for _, reason, _ in quarantine(database)] == ["rating is not a number", "missing user"]


def test_a_damaged_parquet_file_is_refused(database: Database, tmp_path: Path) -> None:
    source = Path(write_parquet(tmp_path, user=["u"], item=["i"], rating=[1]))
    source.write_bytes(source.read_bytes()[:-20])
    with pytest.raises(errors.DataRefused, match="not a whole Parquet file"):
        import_source(database, str(source))


@pytest.mark.parametrize(("unit", "parts"), [("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
def test_parquet_moments_of_every_unit_lose_their_fraction_alone(
    database: Database, tmp_path: Path, unit: str, parts: int
) -> None:
    moments = pa.array([1_112_486_027 * parts + parts // 2, -parts, 2**62, None], pa.timestamp(unit, tz="Europe/Paris"))
    import_source(
        database, write_parquet(tmp_path, user=list("abcd"), item=["x"] * 4, rating=[3, 3, 3, 3], time=moments)
    )
    found = {user: at for (user, _), (_, at) in stored(database).items()}
    beyond = {"c": 2**62 // parts} if unit == "ns" else {}
    assert found == {"a": 1_112_486_027, "b": -1, "d": None} | beyond
    assert [reason for _, reason, _ in quarantine(database)] == ([] if beyond else ["bad time"])
