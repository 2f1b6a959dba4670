"""Pages laid out by NumPy are a table that SQLite itself finds whole and reads back row by row."""

import os
import sqlite3
import struct
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.loading import tree
from store.loading.spool import Rows
from store.loading.tree import TreeWriter, Widths, integer_width

TABLE = (
    "CREATE TABLE ratings (user INTEGER NOT NULL, item INTEGER NOT NULL, rating REAL NOT NULL, at INTEGER, "
    "import INTEGER, PRIMARY KEY (user, item)) WITHOUT ROWID"
)
Row = tuple[int, int, float, int | None, int]


def laid_out(path: Path, parts: list[Rows], widths: Widths, *, page: int, number: int = 1) -> list[Row]:
    """Write the rows into a new database and read them back, after SQLite has checked the file."""
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA page_size = {page}")
        db.execute(TABLE)
        db.execute("CREATE TABLE other (x)")
        root, after = (
            db.execute(query).fetchone()[0]
            for query in ("SELECT rootpage FROM sqlite_master WHERE name = 'ratings'", "PRAGMA page_count")
        )
    file = os.open(path, os.O_RDWR)
    writer = TreeWriter(file, after=after, page=page, widths=widths, number=number)
    for part in parts:
        writer.add(part)
    writer.finish(root)
    os.pwrite(file, struct.pack(">I", writer.last_page), 28)
    os.close(file)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return db.execute("SELECT * FROM ratings").fetchall()


@given(
    n=st.one_of(st.integers(1, 60), st.integers(1, 5_000)),
    cuts=st.lists(st.floats(0, 1), max_size=4),
    page=st.sampled_from([512, 1024, 4096]),
    seed=st.integers(0, 10),
)
def test_any_number_of_rows_in_any_parts(n: int, cuts: list[float], page: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    keys = np.unique((rng.integers(1, 1 << 20, 2 * n) << 32) | rng.integers(1, 1 << 20, 2 * n))[:n]
    rows = Rows(keys, rng.integers(1, 11, len(keys)) / 2, rng.integers(0, 2**31, len(keys)))
    bounds = [0, *sorted(round(cut * len(keys)) for cut in cuts), len(keys)]
    parts = [rows.part(start, end) for start, end in pairwise(bounds)]
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"tree-test-{os.getpid()}.db"
    found = laid_out(path, parts, Widths(user=3, item=3, rating=8, at=4, number=1), page=page)
    path.unlink()
    assert found == [
        (key >> 32, key & 0xFFFFFFFF, rating, at, 1)
        for key, rating, at in zip(keys.tolist(), rows.ratings.tolist(), rows.times.tolist(), strict=True)
    ]


def test_every_size_around_the_edges_of_pages(tmp_path: Path) -> None:
    widths = Widths(user=1, item=2, rating=1, at=0, number=1)
    for n in (*range(1, 120), *range(700, 760)):  # pages of 512 bytes hold 36 rows; 700 rows need two levels more
        rows = Rows((np.int64(5) << 32) | np.arange(n), np.ones(n), np.zeros(n, np.int64))
        assert len(laid_out(tmp_path / "edges.db", [rows], widths, page=512)) == n


@pytest.mark.parametrize(
    ("widths", "user", "item", "rating", "at", "number"),
    [
        (Widths(1, 1, 1, 0, 1), 127, 127, -128.0, None, 127),
        (Widths(2, 2, 8, 4, 2), 32_767, 32_767, 3.3, -(2**31), 32_767),
        (Widths(3, 3, 8, 4, 3), 2**23 - 1, 2**23 - 1, 0.5, 2**31 - 1, 2**23 - 1),
        (Widths(4, 4, 8, 8, 4), 2**31 - 1, 2**31 - 1, 1e300, -(2**62), 2**31 - 1),
    ],
)
def test_the_ends_of_each_width(
    tmp_path: Path, widths: Widths, user: int, item: int, rating: float, at: int | None, number: int
) -> None:
    rows = Rows(np.array([user << 32 | item]), np.array([rating]), np.array([at or 0]))
    found = laid_out(tmp_path / "widths.db", [rows], widths, page=4096, number=number)
    assert found == [(user, item, rating, at, number)]


@given(st.integers(-(2**62), 2**62), st.integers(0, 2**33))
def test_a_width_holds_its_range_and_no_smaller_one_does(low: int, extent: int) -> None:
    width = integer_width(low, low + extent)
    assert -(1 << (8 * width - 1)) <= low
    assert low + extent < 1 << (8 * width - 1)
    smaller = {2: 1, 3: 2, 4: 3, 8: 4}.get(width)
    if smaller:
        assert low < -(1 << (8 * smaller - 1)) or low + extent >= 1 << (8 * smaller - 1)


@pytest.fixture
def pending_byte_at_page_20(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(tree, "_PENDING_BYTE", 19 * 512)
    return 20


def test_the_page_of_the_locks_is_left_out(pending_byte_at_page_20: int, tmp_path: Path) -> None:
    """SQLite's own place is at one gigabyte; here only the numbers are looked at."""
    path = tmp_path / "pages"
    file = os.open(path, os.O_RDWR | os.O_CREAT)
    for after in (5, 18, 19, 20):
        writer = TreeWriter(file, after=after, page=512, widths=Widths(1, 1, 1, 0, 1), number=1)
        numbers = [*writer._write(np.ones((3, 512), np.uint8)), *writer._write(np.ones((20, 512), np.uint8))]
        expected = [page for page in range(after + 1, after + 30) if page != pending_byte_at_page_20][:23]
        assert numbers == expected
        assert writer.last_page == expected[-1]
    assert path.read_bytes()[19 * 512 : 20 * 512] == bytes(512)
    os.close(file)
