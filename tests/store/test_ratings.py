"""Single ratings, bulk reads and statistics."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store import errors, ratings
from store.database import Database
from store.importers.pipeline import import_source
from store.migrations import migrate
from store.ratings import Entry, Put
from store.scales import StoredScale

NOW = 1_700_000_000.0


@pytest.fixture
def filled(database: Database, tmp_path: Path) -> Database:
    """Two users, three items of which one has no ratings by them, whole stars from 1 to 5."""
    path = tmp_path / "ratings.csv"
    path.write_text("user,item,rating,time\nann,heat,5,10\nann,alien,3,20\nbob,heat,1,\nzed,zulu,4,1\n")
    import_source(database, str(path))
    ratings.remove(database, "zed", "zulu")
    return database


def test_a_history_is_in_the_order_of_items(filled: Database) -> None:
    assert ratings.history(filled, "ann") == [("heat", 5.0, 10, 1), ("alien", 3.0, 20, 2)]
    assert ratings.history(filled, "bob") == [("heat", 1.0, None, 1)]
    assert ratings.history(filled, "nobody") == []


def test_timed_ratings_of_many_users_are_columns(filled: Database) -> None:
    found = ratings.timed(filled, [3, 2, 1, 99])
    assert {user: [column.tolist() for column in rows] for user, rows in found.items()} == {
        1: [[1, 2], [5.0, 3.0], [10, 20]],
        2: [[1], [1.0], [-(2**63)]],
    }
    assert ratings.timed(filled, []) == {}
    assert len(ratings.timed(filled, [99] * 1_200 + [1])) == 1  # more than SQLite takes values at once


def test_get_gives_one_rating_or_none(filled: Database) -> None:
    assert ratings.get(filled, "ann", "alien") == ("alien", 3.0, 20, 2)
    assert ratings.get(filled, "bob", "alien") is None
    assert ratings.get(filled, "bob", "nothing") is None


def test_put_stores_updates_and_leaves_alone(filled: Database) -> None:
    before = ratings.revision(filled)
    assert ratings.put(filled, "bob", "alien", 2, now=NOW) == Put(None, before + 1, "stored")
    assert ratings.get(filled, "bob", "alien") == ("alien", 2.0, int(NOW), 2)
    assert ratings.put(filled, "bob", "alien", 4, 7, now=NOW) == Put(2.0, before + 2, "updated")
    assert ratings.put(filled, "bob", "alien", 4, 9, now=NOW) == Put(4.0, before + 2, "unchanged")
    assert ratings.get(filled, "bob", "alien") == ("alien", 4.0, 7, 2)
    assert ratings.put(filled, "new", "heat", 4, now=NOW).state == "stored"


def test_put_marks_only_its_user_with_the_revision(filled: Database) -> None:
    with filled.read() as db:
        before = dict(db.execute("SELECT user, revision FROM users").fetchall())
    after = ratings.put(filled, "bob", "alien", 2, now=NOW).revision
    with filled.read() as db:
        assert dict(db.execute("SELECT user, revision FROM users").fetchall()) == {**before, "bob": after}


@pytest.mark.parametrize("value", [0, 5.5, float("nan"), float("inf"), -1])
def test_a_value_off_the_scale_is_refused(filled: Database, value: float) -> None:
    with pytest.raises(errors.DataRefused, match=f"{value:g} .* 1 to 5") as caught:
        ratings.put(filled, "bob", "alien", value, now=NOW)
    assert "1 to 5" in caught.value.hint


def test_a_value_between_the_steps_is_refused_where_the_scale_was_stated(database: Database, tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("user,item,rating\nu,i,4\n")
    import_source(database, str(tmp_path / "r.csv"), scale=(0, 10, 2))
    with pytest.raises(errors.DataRefused, match="0 to 10 in steps of 2"):
        ratings.put(database, "u", "i", 3, now=NOW)


def test_a_scale_that_nobody_stated_follows_what_is_put(filled: Database) -> None:
    assert ratings.scale(filled) == StoredScale(1, 5, 1)
    ratings.put(filled, "bob", "alien", 2.5, now=NOW)
    assert ratings.scale(filled) == StoredScale(1, 5, 0.5)


def test_an_unknown_item_is_refused_with_the_nearest(filled: Database) -> None:
    with pytest.raises(errors.NotFound) as caught:
        ratings.put(filled, "bob", "alie", 2, now=NOW)
    assert "alien" in caught.value.hint


@pytest.mark.parametrize("user", ["", "  ", "x" * 513, "a\0b"])
def test_what_is_no_user_id_is_refused(filled: Database, user: str) -> None:
    with pytest.raises(errors.DataRefused):
        ratings.put(filled, user, "heat", 2, now=NOW)


def test_put_many_is_all_or_nothing(filled: Database) -> None:
    before = ratings.revision(filled), ratings.count(filled)
    with pytest.raises(errors.NotFound):
        ratings.put_many(filled, [Entry("new", "heat", 2), Entry("new", "nothing", 2)], now=NOW)
    assert (ratings.revision(filled), ratings.count(filled)) == before
    puts = ratings.put_many(
        filled, [Entry("new", "heat", 2), Entry("bob", "heat", 1), Entry("ann", "heat", 2)], now=NOW
    )
    assert [put.state for put in puts] == ["stored", "unchanged", "updated"]
    assert {put.revision for put in puts} == {before[0] + 1}


@pytest.mark.parametrize(
    ("entry", "kind", "said"),
    [
        (Entry("ann", "heat", 7, line=3), errors.DataRefused, "line 3: rating 7 is not on the scale"),
        (Entry("ann", "heat", 2.25, line=3), errors.DataRefused, "line 3: rating 2.25 is not on the scale"),
        (Entry("ann", "heet", 2, line=3), errors.NotFound, "line 3: unknown item 'heet'"),
        (Entry("", "heat", 2, line=3), errors.DataRefused, "line 3: a user id"),
        (Entry("ann", "heat", 2, at=2**63, line=3), errors.DataRefused, "line 3: .* is no time"),
    ],
)
def test_a_refusal_names_the_line(filled: Database, entry: Entry, kind: type[Exception], said: str) -> None:
    before = ratings.revision(filled), ratings.count(filled)
    for entries in ([entry], [Entry("bob", "alien", 3), entry]):
        with pytest.raises(kind, match=said):
            ratings.put_many(filled, entries, now=NOW)
    assert (ratings.revision(filled), ratings.count(filled)) == before


def test_remove_gives_the_rating_back(filled: Database) -> None:
    before = ratings.revision(filled)
    assert ratings.remove(filled, "ann", "heat") == 5.0
    assert ratings.revision(filled) == before + 1
    with pytest.raises(errors.NotFound) as caught:
        ratings.remove(filled, "ann", "heat")
    assert "users show ann" in caught.value.hint


def test_read_all_has_every_item_and_every_user_with_ratings(filled: Database) -> None:
    rows = ratings.read_all(filled)
    assert rows.user_ids == ["ann", "bob"]
    assert rows.item_ids == ["heat", "alien", "zulu"]
    assert rows.user_codes.tolist() == [0, 0, 1]
    assert rows.item_codes.tolist() == [0, 1, 0]
    assert rows.ratings.tolist() == [5, 3, 1]
    assert rows.times.tolist() == [10, 20, np.iinfo(np.int64).min]
    assert rows.revision == ratings.revision(filled)
    kinds = [column.dtype for column in (rows.user_codes, rows.item_codes, rows.ratings, rows.times)]
    assert kinds == [np.int32, np.int32, np.float32, np.int64]


def test_read_all_of_an_empty_database(database: Database) -> None:
    rows = ratings.read_all(database)
    assert (rows.user_ids, rows.item_ids, len(rows.ratings), rows.revision) == ([], [], 0, 0)
    assert rows.user_codes.dtype == np.int32


@settings(max_examples=25)
@given(
    st.dictionaries(
        st.tuples(st.integers(0, 60), st.integers(0, 9)),
        st.tuples(st.sampled_from([0.5, 1.0, 3.25, 5.0]), st.none() | st.integers(-(2**40), 2**40)),
    )
)
def test_read_all_gives_back_what_is_stored(
    tmp_path_factory: pytest.TempPathFactory, rows: dict[tuple[int, int], tuple[float, int | None]]
) -> None:
    database = Database(tmp_path_factory.mktemp("store") / "recsys.db")
    migrate(database)
    with database.write() as db:
        for table, column in (("users", "user"), ("items", "item")):
            db.executemany(
                f"INSERT INTO {table} (id, {column}) VALUES (?, ?)", [(n + 1, f"x{n}") for n in range(0, 70, 2)]
            )
        db.executemany(
            "INSERT INTO ratings (user, item, rating, at) VALUES (?, ?, ?, ?)",
            [(2 * (user // 2) + 1, 2 * item + 1, *value) for (user, item), value in rows.items() if user % 2 == 0],
        )
        expected = db.execute(
            "SELECT u.user, i.item, rating, at FROM ratings r "
            "JOIN users u ON u.id = r.user JOIN items i ON i.id = r.item "
            "ORDER BY r.user, r.item"
        ).fetchall()
    read = ratings.read_all(database)
    unknown = np.iinfo(np.int64).min
    assert [
        (read.user_ids[user], read.item_ids[item], rating, None if at == unknown else at)
        for user, item, rating, at in zip(
            read.user_codes.tolist(), read.item_codes.tolist(), read.ratings.tolist(), read.times.tolist(), strict=True
        )
    ] == [tuple(row) for row in expected]
    assert set(read.user_ids) == {user for user, *_ in expected}
    database.close()


def test_reading_goes_on_page_by_page(filled: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ratings.read_all(filled)
    monkeypatch.setattr("store.bulk._PAGE_ROWS", 1)
    paged = ratings.read_all(filled)
    assert paged.user_codes.tolist() == whole.user_codes.tolist()
    assert paged.times.tolist() == whole.times.tolist()


def test_stats_count_what_there_is(filled: Database) -> None:
    found = ratings.stats(filled)
    assert (found.users, found.items, found.ratings, found.density) == (2, 2, 3, 0.75)
    assert (found.first_at, found.last_at) == (10, 20)
    assert found.histogram == {1.0: 1, 3.0: 1, 5.0: 1}
    assert found.scale == (1, 5, 1)


def test_stats_of_an_empty_database(database: Database) -> None:
    found = ratings.stats(database)
    assert (found.users, found.ratings, found.density, found.first_at, found.histogram) == (0, 0, 0.0, None, {})
    assert found.scale == ratings.DEFAULT_SCALE


def test_the_index_by_item_is_made_once(filled: Database) -> None:
    ratings.ensure_item_index(filled)
    ratings.ensure_item_index(filled)
    with filled.read() as db:
        plan = db.execute("EXPLAIN QUERY PLAN SELECT user FROM ratings WHERE item = 1").fetchall()
    assert "ratings_by_item" in str([tuple(step) for step in plan])


def test_point_reads_load_no_heavy_library(filled: Database) -> None:
    code = (
        "import sys; from store import ratings; from store.database import Database\n"
        "assert ratings.history(Database(sys.argv[1]), 'ann')\n"
        "print(sorted({'numpy', 'pyarrow', 'pandas', 'sqlite_utils', 'adbc_driver_sqlite'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(filled.path)], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )
    assert done.stdout.strip() == "[]"
