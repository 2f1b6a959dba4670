"""What is exported comes back as it was: ratings and catalogue, in every format, whatever the ids and titles hold."""

import shutil
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import strategies as st

from store.database import Database
from store.migrations import migrate
from tests.cli import call
from tests.fuzz import fuzz
from tests.store.rows import stored

# a carriage return inside a CSV cell becomes a line feed, as everywhere; the other formats keep it
LETTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0\r")
WORDS = st.one_of(
    st.text(LETTERS, min_size=1, max_size=8),
    st.sampled_from(["=1+1", "'=1", "''@x", "-5", "+a", "@b", "007", "1e5", "a,b", 'q"q', "x\ny", "5", "\u2028", "'"]),
).filter(lambda text: (text.strip() == text and text.isprintable()) or text in {"=1+1", "x\ny"})
RATINGS = st.dictionaries(
    st.tuples(WORDS, WORDS),
    st.tuples(st.sampled_from([0.5, 1.0, 2.5, 5.0]), st.one_of(st.none(), st.integers(0, 2**31))),
    min_size=1,
    max_size=8,
)


def fill(database, ratings, titles):
    with database.write() as db:
        for table, column, names in (
            ("users", "user", {user for user, _ in ratings}),
            ("items", "item", {item for _, item in ratings}),
        ):
            db.executemany(f"INSERT INTO {table} ({column}) VALUES (?)", [(name,) for name in sorted(names)])
        for (user, item), (rating, at) in ratings.items():
            db.execute(
                "INSERT INTO ratings (user, item, rating, at) SELECT u.id, i.id, ?, ? FROM users u, items i "
                "WHERE u.user = ? AND i.item = ?",
                (rating, at, user, item),
            )
        for (_, item), title in zip(ratings, titles, strict=False):
            db.execute("UPDATE items SET title = ?, year = 1999 WHERE item = ?", (title, item))
            db.execute("INSERT OR IGNORE INTO genres (name) VALUES ('=War'), ('Drama')")
            db.execute(
                "INSERT OR IGNORE INTO item_genres SELECT i.id, g.id FROM items i, genres g WHERE i.item = ?", (item,)
            )
        db.executemany(
            "INSERT INTO meta (key, value) VALUES (?, ?)",
            [("scale_low", 0.5), ("scale_high", 5.0), ("scale_step", 0.5), ("scale_stated", 0)],
        )


def catalogue(database):
    with database.read() as db:
        return db.execute(
            "SELECT i.item, i.title, i.year, (SELECT group_concat(name, '|') FROM (SELECT g.name FROM item_genres ig "
            "JOIN genres g ON g.id = ig.genre WHERE ig.item = i.id ORDER BY g.name)) FROM items i ORDER BY i.item"
        ).fetchall()


@pytest.mark.faults
@pytest.mark.parametrize("suffix", ["csv", "ndjson", "parquet"])
def test_export_then_import_gives_the_same_store(suffix, tmp_path, cases):
    empty = tmp_path / "empty.db"
    with closing(Database(empty)) as database:
        migrate(database)

    def check(drawn):
        ratings, titles = drawn
        with tempfile.TemporaryDirectory(dir=tmp_path) as name:
            folder = Path(name)
            source, target = (Database(shutil.copy(empty, folder / f"{one}.db")) for one in ("source", "target"))
            with closing(source), closing(target):
                fill(source, ratings, titles)
                (out := folder / "out").mkdir()
                for what in ("ratings", "items"):
                    call(source.path, "export", what, "--out", out / f"{what}.{suffix}")
                call(target.path, "import", out, "--scale", "0.5:5:0.5")
                assert stored(target) == stored(source) == {key: (rating, at) for key, (rating, at) in ratings.items()}
                assert catalogue(target) == catalogue(source)

    fuzz(cases(12), st.tuples(RATINGS, st.lists(WORDS, max_size=3)), check)


def test_cells_that_a_spreadsheet_would_run_are_guarded_unless_asked(tmp_path):
    database = Database(tmp_path / "x.db")
    migrate(database)
    fill(database, {("=1+1", "@x"): (4.0, None)}, ["=HYPERLINK(1)"])
    database.close()
    for what, cells in (("ratings", ["'=1+1", "'@x"]), ("items", ["'@x", "'=HYPERLINK(1)"])):
        call(database.path, "export", what, "--out", tmp_path / "guarded.csv")
        assert all(cell in (tmp_path / "guarded.csv").read_text() for cell in cells)
        call(database.path, "export", what, "--out", tmp_path / "raw.csv", "--raw")
        assert "'" not in (tmp_path / "raw.csv").read_text()
