"""Rows come back in key order, whatever the order and the number of runs; images hold exactly the rows laid out."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.importers.base import NO_TIME
from store.loading import pages
from store.loading.duplicates import reduce
from store.loading.spool import Rows, Spool, sort_rows


def made(keys: list[int]) -> Rows:
    n = len(keys)
    return Rows(np.array(keys, np.int64), np.arange(n, dtype=np.float64), np.arange(n, dtype=np.int64))


@given(
    st.lists(st.lists(st.integers(0, 30) | st.integers(0, 2**62), max_size=20), min_size=1, max_size=8),
    st.integers(1, 40),
    st.integers(1, 12),
)
def test_rows_come_back_in_order(parts: list[list[int]], size: int, run_rows: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("store.loading.spool._RUN_ROWS", run_rows)
        patch.setattr("store.loading.spool._EVERY", 2)
        keys = [key for part in parts for key in part]
        positions = iter(range(len(keys)))
        with Spool(Path(os.environ.get("TMPDIR", "/tmp")) / "spool-test") as spool:
            for part in parts:
                numbers = np.array([next(positions) for _ in part], np.int64)
                spool.add(Rows(np.array(part, np.int64), numbers.astype(np.float64), numbers))
            assert len(spool) == len(keys)
            ranges = list(spool.ranges(size))
    found = [(int(key), int(at)) for rows in ranges for key, at in zip(rows.keys, rows.times, strict=True)]
    assert found == sorted((key, at) for at, key in enumerate(keys))
    assert all((rows.ratings == rows.times).all() for rows in ranges)
    assert len({int(key) for rows in ranges for key in np.unique(rows.keys)}) == sum(
        len(np.unique(r.keys)) for r in ranges
    )


@given(st.lists(st.integers(0, 2**62)))
def test_sorting_is_stable_for_any_keys(keys: list[int]) -> None:
    rows = sort_rows(made(keys))
    assert rows.times.tolist() == sorted(range(len(keys)), key=lambda row: (keys[row], row))


def test_a_spool_leaves_no_file_and_is_private(tmp_path: Path) -> None:
    with Spool(tmp_path / "recsys.db") as spool:
        assert list(tmp_path.iterdir()) == []
        assert os.fstat(spool._file).st_mode & 0o777 == 0o600


@pytest.mark.parametrize("n", [1, 2, 909, 910, 911, 1820, 5000])
def test_an_image_is_a_sound_database(n: int) -> None:
    rng = np.random.default_rng(n)
    columns = [
        rng.integers(0, 2**31, n), rng.integers(0, 2**31, n), rng.normal(size=n), rng.integers(-(2**63), 2**63 - 1, n),
    ]  # fmt: skip
    with closing(sqlite3.connect(":memory:")) as db:
        for part in (1, n):  # the second image takes the place of the first
            pages.load(db, pages.image(*(column[:part] for column in columns)))
        found = db.execute("SELECT rowid, user, item, rating, at FROM staged.rows").fetchall()
        assert found == list(zip(range(1, n + 1), *(column.tolist() for column in columns), strict=True))
        problems = [row[0] for row in db.execute("PRAGMA staged.integrity_check")]
        assert all(text == "ok" or "Fragmentation" in text for text in problems)
        pages.unload(db)
        assert [name for _, name, _ in db.execute("PRAGMA database_list")] == ["main"]


ROWS = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from([1.0, 2.0, 4.0]), st.none() | st.integers(0, 3)), max_size=30
)


@given(ROWS, st.sampled_from(["latest", "first", "mean"]))
def test_reducing_agrees_with_the_definition(rows: list[tuple[int, float, int | None]], policy: str) -> None:
    rows.sort(key=lambda row: row[0])
    times = [NO_TIME if at is None else at for *_, at in rows]
    packed = Rows(
        np.array([row[0] for row in rows], np.int64),
        np.array([row[1] for row in rows], np.float64),
        np.array(times, np.int64),
    )
    expected = []
    for key in sorted({key for key, *_ in rows}):
        group = [(rating, at) for (found, rating, _), at in zip(rows, times, strict=True) if found == key]
        if policy == "first":
            expected.append((key, *group[0]))
        elif policy == "latest":
            latest = max(at for _, at in group)
            expected.append((key, *next(row for row in reversed(group) if row[1] == latest)))
        else:
            expected.append((key, sum(rating for rating, _ in group) / len(group), max(at for _, at in group)))
    reduced = reduce(packed, policy)
    assert list(zip(reduced.keys.tolist(), reduced.ratings.tolist(), reduced.times.tolist(), strict=True)) == [
        (key, pytest.approx(rating), at) for key, rating, at in expected
    ]
