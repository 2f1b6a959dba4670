"""Users and items by text: pages, search, near misses; whatever the text is, it is data and comes back as it was."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store import catalog, errors
from store.catalog import Genres, Item, User
from store.database import Database
from store.migrations import migrate
from tests.hostile import HOSTILE, names

TITLES = {
    "1": ("The Ferry (1995)", 1995, ("Drama",)),
    "2": ("Ferry Across (2001)", 2001, ("Comedy", "Drama")),
    "07": ("100% Wool (1999)", 1999, ("Comedy",)),
    "7": ("Under_Score", None, ()),
    "70": (None, None, ()),
    "é": ("Über den Fluss (2010)", 2010, ("Film|Noir", "Drama")),
}
STORABLE = [payload for payload in HOSTILE if not any("\ud800" <= char <= "\udfff" for char in payload.text)]
SURROGATES = [payload for payload in HOSTILE if payload not in STORABLE]


def add_items(database, titles):
    with database.write() as db:
        for item, (title, year, genres) in titles.items():
            row = db.execute("INSERT INTO items (item, title, year) VALUES (?, ?, ?)", (item, title, year)).lastrowid
            for genre in genres:
                db.execute("INSERT OR IGNORE INTO genres (name) VALUES (?)", (genre,))
                db.execute("INSERT INTO item_genres SELECT ?, id FROM genres WHERE name = ?", (row, genre))


@pytest.fixture
def filled(database):
    add_items(database, TITLES)
    with database.write() as db:
        for user in ("10", "9", "b", "B", "é", "010"):
            db.execute("INSERT INTO users (user, revision) VALUES (?, 4)", (user,))
        rows = [(1, 1, 4.0, 100), (1, 2, 5.0, 300), (1, 3, 3.0, None), (2, 1, 2.5, None)]
        db.executemany("INSERT INTO ratings (user, item, rating, at) VALUES (?, ?, ?, ?)", rows)
    return database


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A catalogue of nothing but attacks: each is the id of an item, its title, its genre, and a user."""
    database = Database(tmp_path_factory.mktemp("hostile") / "recsys.db")
    migrate(database)
    add_items(database, {f"#{p.text}": (p.text, 2000, (p.text,)) for p in STORABLE})
    with database.write() as db:
        db.executemany("INSERT INTO users (user) VALUES (?)", ((payload.text,) for payload in STORABLE))
    yield database
    database.close()


def found(database, text, **options):
    return [item.item for item in catalog.search_items(database, text, **options)]


class TestUsers:
    def test_one_is_found_with_what_the_ratings_say(self, filled):
        assert catalog.find_user(filled, "10") == User(1, "10", 4, 3, 4.0, 300)
        assert catalog.find_user(filled, "9") == User(2, "9", 4, 1, 2.5, None)
        assert catalog.find_user(filled, "b") == User(3, "b", 4, 0, None, None)

    def test_ids_are_text_to_the_last_zero(self, filled):
        assert catalog.find_user(filled, "010").id == 6
        assert catalog.find_user(filled, "10.0") is None
        assert catalog.find_user(filled, "B").id == 4

    def test_the_key_of_the_serving_path(self, filled):
        assert catalog.user_key(filled, "é") == (5, 4)
        assert catalog.user_key(filled, "e") is None

    @pytest.mark.parametrize("limit", [1, 2, 5, 6, 50])
    def test_pages_show_everyone_once_in_order(self, filled, limit):
        seen, after = [], ""
        while page := catalog.list_users(filled, after=after, limit=limit):
            assert len(page) <= limit
            seen += [user.user for user in page]
            after = seen[-1]
        assert seen == ["010", "10", "9", "B", "b", "é"]
        assert list(catalog.user_ids(filled, page=limit)) == seen

    def test_writers_are_not_kept_waiting_by_a_reader_of_all(self, filled):
        ids = catalog.user_ids(filled, page=2)
        assert next(ids) == "010"
        with Database(filled.path, busy_seconds=0.5).write() as db:
            db.execute("INSERT INTO users (user) VALUES ('éé')")
        assert list(ids)[-1] == "éé"


class TestItems:
    def test_one_is_found_with_its_genres_in_order(self, filled):
        assert catalog.find_item(filled, "2") == Item(2, "2", "Ferry Across (2001)", 2001, ("Comedy", "Drama"))
        assert catalog.find_item(filled, "70") == Item(5, "70", None, None, ())
        assert catalog.find_item(filled, "é").genres == ("Drama", "Film|Noir")  # a bar is no separator here
        assert catalog.find_item(filled, "007") is None

    def test_pages_show_everything_once_in_order(self, filled):
        first = catalog.list_items(filled, limit=4)
        rest = catalog.list_items(filled, after=first[-1].item, limit=4)
        assert [item.item for item in first + rest] == ["07", "1", "2", "7", "70", "é"]
        assert catalog.list_items(filled, after="é") == []

    def test_many_at_once_and_the_unknown_are_missing(self, filled):
        assert catalog.items_by_id(filled, []) == {}
        wanted = ["7", "nobody", *map(str, range(1000, 2700)), "1"]
        assert {item: row.id for item, row in catalog.items_by_id(filled, wanted).items()} == {"7": 4, "1": 1}

    def test_keys_pair_both_ids(self, filled):
        assert sorted(catalog.item_keys(filled)) == [(1, "1"), (2, "2"), (3, "07"), (4, "7"), (5, "70"), (6, "é")]


class TestSearch:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("ferry", ["1", "2"]),
            ("FERRY", ["1", "2"]),
            ("erry a", ["2"]),
            ("the ferry (1995)", ["1"]),
            ("fe", ["1", "2"]),  # too short for the index
            ("rr", ["1", "2"]),
            ("F", ["1", "2", "é"]),
            ("nowhere", []),
            ("zz", []),
            ("%", ["07"]),
            ("0%", ["07"]),
            ("_", ["7"]),
            ("r_S", ["7"]),
            ("100%", ["07"]),
            ("1_0", []),
            ("\\", []),
            ("7", ["7"]),
            ("70", ["70"]),  # an id, though nothing has it in its title
            ("über", ["é"]),
            ("ÜBER", ["é"]),
            ('"', []),
            ("'", []),
            ('fer" OR "wool', []),
            ("ferry OR wool", []),
            ("ferry*", []),
            ("title:ferry", []),
            ("NEAR(ferry wool)", []),
            ("^the", []),
            ("-wool", []),
            ("wool\0", []),
            ("a\0", []),
        ],
    )
    def test_the_text_is_looked_for_as_it_stands(self, filled, text, expected):
        assert found(filled, text) == expected

    def test_an_id_comes_before_titles_and_the_shortest_title_first(self, filled):
        add_items(filled, {"ferry": ("Zebra", None, ()), "x": ("Ferry", None, ())})
        assert found(filled, "ferry") == ["ferry", "x", "1", "2"]
        assert found(filled, "ferry", limit=2) == ["ferry", "x"]

    @pytest.mark.parametrize("payload", STORABLE, ids=names)
    def test_every_title_is_found_by_its_own_text(self, hostile, payload):
        assert f"#{payload.text}" in found(hostile, payload.text, limit=1000)

    @pytest.mark.parametrize("payload", SURROGATES, ids=names)
    def test_text_that_no_database_holds_is_refused_not_a_crash(self, hostile, payload):
        for ask in (catalog.search_items, catalog.find_user, catalog.find_item, catalog.user_key, catalog.need_item):
            with pytest.raises(errors.UsageRefused):
                ask(hostile, payload.text)

    @given(st.text(st.sampled_from("abF(%_\\\"'*^:-+ \0é")))
    def test_any_text_finds_what_holds_it(self, hostile, text):
        """Compared with a plain search; the index ends at a zero character, so titles with one are left out."""
        titles = [payload.text for payload in STORABLE if "\0" not in payload.text]
        got = [item.title for item in catalog.search_items(hostile, text, limit=1000)]
        assert sorted(title for title in got if "\0" not in title) == sorted(
            title for title in titles if text.lower() in title.lower()
        )


class TestHostileText:
    @pytest.mark.parametrize("payload", STORABLE, ids=names)
    def test_it_comes_back_as_it_was(self, hostile, payload):
        item = catalog.need_item(hostile, f"#{payload.text}")
        assert (item.title, item.year, item.genres) == (payload.text, 2000, (payload.text,))
        assert catalog.find_user(hostile, payload.text).user == payload.text
        assert payload.text in catalog.genre_names(hostile)

    def test_the_tables_are_still_there(self, hostile):
        assert len(catalog.list_items(hostile, limit=1000)) == len(STORABLE)


class TestNearest:
    def test_titles_come_first_then_ids_that_begin_alike(self, filled):
        assert [item.item for item in catalog.nearest_items(filled, "ferry")] == ["1", "2"]
        assert [item.item for item in catalog.nearest_items(filled, "709")] == ["70", "7"]
        assert [item.item for item in catalog.nearest_items(filled, "0")] == ["07"]
        assert catalog.nearest_items(filled, "zzz") == []
        assert catalog.nearest_items(filled, "") == []

    def test_no_more_than_asked_and_none_twice(self, filled):
        add_items(filled, {f"70{n}": ("A Ferry", None, ()) for n in range(10)})
        near = catalog.nearest_items(filled, "7012", limit=5)
        assert len(near) == len({item.item for item in near}) == 5
        assert near[0].item == "701"

    def test_a_very_long_text_takes_no_time(self, filled):
        assert [item.item for item in catalog.nearest_items(filled, "7" * 1_000_000)] == ["7", "70"]

    def test_what_is_needed_and_missing_names_the_nearest(self, filled):
        with pytest.raises(errors.NotFound, match="unknown item '71'") as caught:
            catalog.need_item(filled, "71")
        assert caught.value.hint == "nearest: 7 (Under_Score); 70"
        with pytest.raises(errors.NotFound) as caught:
            catalog.need_item(filled, "nowhere")
        assert "items search" in caught.value.hint


class TestGenresOf:
    def test_arrays_follow_the_order_asked_for(self, filled):
        result = catalog.genres_of(filled, ["7", "2", "stranger", "é", "1"])
        assert isinstance(result, Genres)
        assert result.names == ("Comedy", "Drama", "Film|Noir")
        assert result.matrix.tolist() == [[0, 0, 0], [1, 1, 0], [0, 0, 0], [0, 1, 1], [0, 1, 0]]
        assert result.years.tolist() == [0, 2001, 0, 2010, 1995]
        assert (result.matrix.dtype, result.years.dtype) == (np.uint8, np.int16)

    def test_without_a_catalogue_there_are_no_columns(self, database):
        result = catalog.genres_of(database, ["1", "2"])
        assert (result.matrix.shape, result.names, result.years.tolist()) == ((2, 0), (), [0, 0])
        assert catalog.genre_names(database) == []
