"""Delimited text: every dirty file gives the right rows, every refused row is kept with its line and reason."""

import gzip
import io
from pathlib import Path

import pytest

from store import errors
from store.database import Database
from store.importers.pipeline import ImportResult, import_source
from tests.store.importers.dirty import CASES, HEADER, Dirty
from tests.store.rows import quarantine, stored


def adds_up(result: ImportResult) -> bool:
    done = result.stored + result.updated + result.unchanged + result.duplicates
    return result.read == done + result.rejected and sum(result.reasons.values()) == result.rejected


def write(folder: Path, data: bytes | str, name: str = "ratings.csv") -> str:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return str(path)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_dirty_file_gives_the_right_rows(database: Database, tmp_path: Path, case: Dirty) -> None:
    source = write(tmp_path, case.data)
    result = import_source(database, source, format="csv")
    assert stored(database) == case.stored
    kept = quarantine(database)
    assert {line: reason for line, reason, _ in kept} == case.refused
    assert all(0 < len(raw) <= 2_000 for _, _, raw in kept)
    assert (result.rejected, result.duplicates, result.quarantine) == (len(case.refused), case.duplicates, len(kept))
    assert adds_up(result)
    again = import_source(database, source, format="csv")
    assert again.stored == again.updated == 0
    assert adds_up(again)


def test_the_raw_text_of_a_refused_row_is_kept(database: Database, tmp_path: Path) -> None:
    import_source(database, write(tmp_path, HEADER + "a,b,4,5\nu,i,\x1b[2J9,5\n"))
    assert quarantine(database) == [(3, "rating is not a number", "u,i,\x1b[2J9,5")]


@pytest.mark.parametrize(
    "header",
    [
        "userId,movieId,rating,timestamp",
        "user_id,parent_asin,rating,timestamp",
        "reviewerID,asin,overall,unixReviewTime",
        "User-ID,ISBN,Book-Rating,Date",
        "USER,ITEM,RATING,TIME",
        "customer_id,product_id,star_rating,review_date",
        "reviewer,book_id,score,created_at",
    ],
)
def test_columns_are_found_by_name(database: Database, tmp_path: Path, header: str) -> None:
    result = import_source(database, write(tmp_path, f"{header}\nu,i,4,1112486027\n"))
    assert stored(database) == {("u", "i"): (4.0, 1_112_486_027)}
    assert list(result.mapping.values()) == header.split(",")


def test_columns_may_stand_in_any_order_among_others(database: Database, tmp_path: Path) -> None:
    import_source(database, write(tmp_path, 'title,rating,asin,x,user_id\n"a, b",4,i,?,u\n'))
    assert stored(database) == {("u", "i"): (4.0, None)}


@pytest.mark.parametrize(
    "mapping", [{"user": "2", "item": "1"}, {"user": "2", "item": "1", "rating": "3", "time": "4"}]
)
def test_headerless_columns_are_mapped_by_number(database: Database, tmp_path: Path, mapping: dict[str, str]) -> None:
    result = import_source(database, write(tmp_path, "i,u,4,1112486027\nj,u,3,1112486027\n"), mapping=mapping)
    assert stored(database) == {("u", "i"): (4.0, 1_112_486_027), ("u", "j"): (3.0, 1_112_486_027)}
    assert result.mapping == {"user": "2", "item": "1", "rating": "3", "time": "4"}


def test_columns_are_mapped_by_name(database: Database, tmp_path: Path) -> None:
    import_source(
        database, write(tmp_path, "who,what,much\nu,i,4\n"), mapping={"user": "who", "item": "WHAT", "rating": "3"}
    )
    assert stored(database) == {("u", "i"): (4.0, None)}


def test_a_first_row_of_small_numbers_is_no_header(database: Database, tmp_path: Path) -> None:
    import_source(database, write(tmp_path, "1,2,3,4\n5,6,4,8\n"))
    assert stored(database) == {("1", "2"): (3.0, 4), ("5", "6"): (4.0, 8)}


def test_a_time_column_in_an_unknown_form_is_left_out(database: Database, tmp_path: Path) -> None:
    result = import_source(database, write(tmp_path, 'user,item,rating,date\nu,i,4,"01 1, 2014"\nv,i,3,"02 1, 2014"\n'))
    assert stored(database) == {("u", "i"): (4.0, None), ("v", "i"): (3.0, None)}
    assert "time" not in result.mapping


@pytest.mark.parametrize(
    ("data", "said", "hinted"),
    [
        (b"", "empty", "user,item,rating"),
        (b"\n \n", "empty", "user,item,rating"),
        (HEADER.encode(), "no rows", "complete"),
        (b"userId,movieId,stamp\nu,i,3\n", "no rating column; its columns: userId, movieId, stamp", "--map rating="),
        (b"who,what,much\nu,i,4\n", "who, what, much", "--map"),
        (b"user,item,rating,rating\nu,i,3,4\n", "2 columns called 'rating'", "--map rating=3 or --map rating=4"),
        (b"u,i\nv,j\n", "no rating column", "--map"),
        (bytes(range(256)) * 50, "binary", "import CSV"),
        (b"PK\x03\x04abc", "zip archive", "unzip"),
        (b"SQLite format 3\0abc", "SQLite database", "recover"),
        (b"\x1f\x8b\x08garbage", "gzip", "gzip -t"),
    ],
)
def test_what_cannot_be_used_is_refused_with_advice(
    database: Database, tmp_path: Path, data: bytes, said: str, hinted: str
) -> None:
    with pytest.raises(errors.DataRefused) as caught:
        import_source(database, write(tmp_path, data))
    assert said in str(caught.value)
    assert hinted in caught.value.hint
    assert stored(database) == {}


def test_a_missing_file_is_not_found(database: Database, tmp_path: Path) -> None:
    with pytest.raises(errors.NotFound) as caught:
        import_source(database, str(tmp_path / "nothing.csv"))
    assert caught.value.hint


@pytest.mark.parametrize("mapping", [{"stars": "1"}, {"user": " "}])
def test_a_bad_mapping_is_refused(database: Database, tmp_path: Path, mapping: dict[str, str]) -> None:
    with pytest.raises(errors.UsageRefused) as caught:
        import_source(database, write(tmp_path, HEADER + "u,i,3,4\n"), mapping=mapping)
    assert "--map" in caught.value.hint


def test_a_mapped_column_that_is_not_there_is_refused(database: Database, tmp_path: Path) -> None:
    with pytest.raises(errors.DataRefused) as caught:
        import_source(database, write(tmp_path, HEADER + "u,i,3,4\n"), mapping={"rating": "stars"})
    assert "userId, movieId, rating, timestamp" in caught.value.hint


def test_compressed_files_and_standard_input(database: Database, tmp_path: Path) -> None:
    data = gzip.compress(b"user,item,rating\nu,i,3\n")
    import_source(database, write(tmp_path, data, "ratings.csv.gz"))
    import_source(database, "-", stdin=io.BytesIO(b"user,item,rating\nu,j,4\n"))
    import_source(database, "-", stdin=io.BytesIO(gzip.compress(b"user,item,rating\nu,k,5\n")))
    assert stored(database) == {("u", "i"): (3.0, None), ("u", "j"): (4.0, None), ("u", "k"): (5.0, None)}


def test_a_truncated_gzip_file_leaves_nothing(database: Database, tmp_path: Path) -> None:
    rows = "".join(f"u{row},i{row * 7919 % 1000},{row % 5 + 1}\n" for row in range(300_000))
    packed = gzip.compress(f"user,item,rating\n{rows}".encode())
    with pytest.raises(errors.DataRefused, match="truncated"):
        import_source(database, write(tmp_path, packed[: len(packed) // 2], "ratings.csv.gz"))
    assert stored(database) == {}


def test_a_file_of_fifty_thousand_unbalanced_quotes_is_read_in_linear_time(database: Database, tmp_path: Path) -> None:
    rows = "".join(f'u{row},"i{row},3,5\n' for row in range(50_000))
    result = import_source(database, write(tmp_path, HEADER + "a,b,3,4\n" + rows))
    assert (result.stored, result.rejected, result.quarantine) == (1, 50_000, 50_000)
