"""Undoing imports: whatever was imported in whatever order, the store is as if the import had not been."""

import json
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import strategies as st

from store import errors
from store.database import Database
from store.importers.pipeline import import_source
from store.imports import get_import
from store.migrations import migrate
from store.undo import foresee_undo, undo_import
from tests.fuzz import fuzz
from tests.store.rows import stored


def content(database):
    """Everything that an import may change, by text ids."""
    with database.read() as db:
        items = db.execute(
            "SELECT i.item, i.title, i.year, (SELECT group_concat(name, '|') FROM (SELECT g.name FROM item_genres ig "
            "JOIN genres g ON g.id = ig.genre WHERE ig.item = i.id ORDER BY g.name)) FROM items i ORDER BY i.item"
        ).fetchall()
        users = db.execute("SELECT user FROM users ORDER BY user").fetchall()
        genres = db.execute("SELECT name FROM genres ORDER BY name").fetchall()
        scale = db.execute("SELECT key, value FROM meta WHERE key LIKE 'scale%' ORDER BY key").fetchall()
    return stored(database), items, users, genres, scale


def bring(database, folder, name, ratings, titles="", duplicates="latest"):
    """Import a folder with these ratings (user,item,rating,time) and titles (item,title,genres)."""
    inside = Path(folder) / name
    inside.mkdir()
    (inside / "ratings.csv").write_text("userId,movieId,rating,timestamp\n" + ratings)
    if titles:
        (inside / "movies.csv").write_text("movieId,title,genres\n" + titles)
    return import_source(database, str(inside), duplicates=duplicates).import_id


FIRST = "a,1,4,100\na,2,3,100\nb,1,5,100\n"
SECOND = "a,1,2,200\nc,3,1.5,200\nb,1,5,100\n"
THIRD = "a,1,3,300\nd,4,2,300\n"
TITLES = "1,One (1991),Drama\n2,Two (1992),War|Drama\n"


def test_the_last_import_goes_without_a_trace(database, tmp_path):
    first = bring(database, tmp_path, "1", FIRST, TITLES)
    before = content(database)
    second = bring(database, tmp_path, "2", SECOND, "1,Uno (1990),Comedy\n9,Nine (1999),Sci-Fi\n")
    assert content(database) != before
    preview = foresee_undo(database, second)
    assert content(database) != before
    done = undo_import(database, second)
    assert done == preview
    assert (done.removed, done.restored, done.kept, done.users, done.items, done.titles) == (1, 1, 0, 1, 2, 1)
    assert content(database) == before
    assert get_import(database, second).state == "undone"
    undo_import(database, first)
    assert content(database) == ({}, [], [], [], [])


def test_an_import_in_the_middle_goes_and_later_ones_stay(database, tmp_path):
    bring(database, tmp_path, "1", FIRST, TITLES)
    second = bring(database, tmp_path, "2", SECOND, "1,Uno (1990),Comedy\n3,Three (1993),Horror\n")
    third = bring(database, tmp_path, "3", THIRD, "1,Een (1989),Comedy\n")
    with closing(Database(tmp_path / "other.db")) as other:
        bring(other, tmp_path, "4", FIRST, TITLES)
        before_third = content(other)
        bring(other, tmp_path, "5", THIRD, "1,Een (1989),Comedy\n")
        expected = content(other)
    done = undo_import(database, second)
    assert (done.removed, done.restored, done.kept) == (1, 0, 1)
    assert content(database) == expected
    undo_import(database, third)
    assert content(database) == before_third


def test_what_a_person_rated_since_stays(database, tmp_path):
    from store.ratings import put

    bring(database, tmp_path, "1", FIRST)
    second = bring(database, tmp_path, "2", SECOND)
    put(database, "a", "1", 4.5, now=1000.0)
    put(database, "new", "3", 4.5, now=1000.0)
    assert undo_import(database, second).kept == 1
    assert stored(database) == {
        ("a", "1"): (4.5, 1000), ("a", "2"): (3.0, 100), ("b", "1"): (5.0, 100), ("new", "3"): (4.5, 1000),
    }  # fmt: skip


def test_versions_that_learned_from_it_are_marked(database, tmp_path):
    bring(database, tmp_path, "1", FIRST)
    columns = "model_type, state, trained_at, hyperparameters, training_data, protocol, lineage, files"
    values = "'mf', 'candidate', 1, '{}', json_object('revision', ?), '{}', '{}', '{}'"
    with database.write() as db:
        revision = db.execute("SELECT value FROM meta WHERE key = 'revision'").fetchone()[0]
        db.execute(f"INSERT INTO versions ({columns}) VALUES ({values})", (revision,))
    second = bring(database, tmp_path, "2", SECOND)
    with database.write() as db:
        db.execute(f"INSERT INTO versions ({columns}) VALUES ({values})", (revision + 1,))
    assert undo_import(database, second).versions == ["v2"]
    with database.read() as db:
        marks = [json.loads(text) for (text,) in db.execute("SELECT lineage FROM versions ORDER BY id")]
    assert marks == [{}, {"undone_imports": [2]}]


def test_it_is_undone_once_and_must_exist(database, tmp_path):
    number = bring(database, tmp_path, "1", FIRST)
    undo_import(database, number)
    with pytest.raises(errors.DataRefused, match="undone before"):
        undo_import(database, number)
    with pytest.raises(errors.NotFound):
        foresee_undo(database, 7)


def test_what_a_later_import_had_too_is_left_to_it(database, tmp_path):
    first = bring(database, tmp_path, "1", FIRST, TITLES)
    bring(database, tmp_path, "2", FIRST + "e,1,4,100\n")
    third = bring(database, tmp_path, "3", FIRST, TITLES)
    before, catalogue = stored(database), content(database)[1]
    done = undo_import(database, first)
    assert (done.removed, done.left) == (3, 3)
    assert (stored(database), content(database)[1]) == (before, catalogue)
    with database.read() as db:
        assert {number for (number,) in db.execute("SELECT import FROM ratings")} == {2}
    undo_import(database, 2)
    assert set(stored(database)) == {("a", "1"), ("a", "2"), ("b", "1")}
    assert content(database)[1] == catalogue
    undo_import(database, third)
    assert content(database) == ({}, [], [], [], [])


def test_a_running_import_is_left_alone(database, tmp_path):
    number = bring(database, tmp_path, "1", FIRST)
    with database.write() as db:
        db.execute("UPDATE imports SET state = 'running' WHERE id = ?", (number,))
    with pytest.raises(errors.Busy):
        undo_import(database, number)


pairs = st.tuples(st.sampled_from("abc"), st.sampled_from("123"))
rows = st.tuples(st.sampled_from(["1", "2.5", "4"]), st.sampled_from(["", "1000", "2000", "3000"]))
policies = st.sampled_from(["latest", "latest", "first", "mean"])
imports = st.lists(st.tuples(st.dictionaries(pairs, rows, min_size=1, max_size=5), policies), min_size=1, max_size=5)


def assert_as_if_it_had_not_been(found, undone):
    """Import all parts and undo some in this order; then import only the others elsewhere, and compare."""
    texts = [
        ("".join(f"{user},{item},{rating},{at}\n" for (user, item), (rating, at) in part.items()), policy)
        for part, policy in found
    ]
    contents = []
    with tempfile.TemporaryDirectory() as folder:
        for name, chosen in (("all", range(len(texts))), ("without", sorted(set(range(len(texts))) - set(undone)))):
            with closing(Database(Path(folder) / f"{name}.db")) as database:
                migrate(database)
                for k in chosen:
                    bring(database, folder, f"{name}{k}", texts[k][0], duplicates=texts[k][1])
                for k in undone if name == "all" else ():
                    preview = foresee_undo(database, k + 1)
                    assert undo_import(database, k + 1) == preview
                contents.append(content(database))
    assert contents[0][:4] == contents[1][:4]


# Feature: ml-enhancement, Property: undoing imports leaves what the others would have left
@pytest.mark.faults
def test_undoing_any_of_several_leaves_what_the_others_would_have_left(cases):
    chosen = imports.flatmap(
        lambda found: st.tuples(
            st.just(found), st.lists(st.integers(0, len(found) - 1), min_size=1, max_size=2, unique=True)
        )
    )
    fuzz(cases(40), chosen, lambda drawn: assert_as_if_it_had_not_been(*drawn))


SPOKE_LATER = {
    "a value in the middle that an offer takes over": [
        ({("b", "1"): ("4", "3000")}, "latest"), ({("b", "1"): ("1", "1000")}, "latest"),
        ({("b", "1"): ("1", "")}, "latest"),
    ],
    "a later value that comes too late without it": [
        ({("b", "1"): ("1", "3000")}, "latest"), ({("b", "1"): ("4", "")}, "latest"),
        ({("b", "1"): ("2", "1000")}, "latest"),
    ],
    "an average of three": [
        ({("b", "1"): ("1", "3000")}, "latest"), ({("b", "1"): ("4", "1000")}, "mean"),
        ({("b", "1"): ("2.5", "2000")}, "mean"),
    ],
    "what stood is said again where its time is unknown by then": [
        ({("b", "1"): ("2.5", "1000")}, "latest"), ({("b", "1"): ("2.5", "")}, "latest"),
        ({("b", "1"): ("2.5", "1000")}, "latest"),
    ],
    "what stood is said again where something else does by then": [
        ({("b", "1"): ("2.5", "1000")}, "latest"), ({("b", "1"): ("4", "")}, "latest"),
        ({("b", "1"): ("4", "")}, "latest"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", SPOKE_LATER)
@pytest.mark.parametrize("undone", [[0], [1], [2], [0, 1], [1, 0], [0, 2]])
def test_what_later_imports_said_is_said_again(name, undone):
    assert_as_if_it_had_not_been(SPOKE_LATER[name], undone)
