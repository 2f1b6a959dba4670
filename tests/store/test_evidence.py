"""The numbers behind reasons, against hand-worked cases and a naive recomputation."""

import os
import tempfile
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.database import Database
from store.evidence import Crowd, GenreTaste, everybody, genre_tastes, genres_by_id, given_by, raters
from store.migrations import migrate

GENRES = {1: {"Drama"}, 2: {"Drama", "Comedy"}, 3: {"Comedy"}, 4: set(), 5: {"War", "Drama"}}
RATINGS = {
    (1, 1): 5.0, (1, 2): 4.0, (1, 3): 1.0, (1, 4): 3.0,
    (2, 1): 4.5, (2, 5): 4.0,
    (3, 1): 2.0, (3, 5): 1.0,
    (4, 3): 1.0, (4, 2): 4.0, (4, 5): 5.0,
}  # fmt: skip


def fill(database, ratings):
    with database.write() as db:
        db.executemany("INSERT INTO users (id, user) VALUES (?, ?)", ((n, f"u{n}") for n in range(1, 6)))
        db.executemany("INSERT INTO items (id, item) VALUES (?, ?)", ((n, f"i{n}") for n in GENRES))
        for name in sorted(set().union(*GENRES.values())):
            db.execute("INSERT INTO genres (name) VALUES (?)", (name,))
        for item, genres in GENRES.items():
            for name in genres:
                db.execute("INSERT INTO item_genres SELECT ?, id FROM genres WHERE name = ?", (item, name))
        db.executemany(
            "INSERT INTO ratings (user, item, rating) VALUES (?, ?, ?)", ((*k, v) for k, v in ratings.items())
        )


@pytest.fixture
def rated(database):
    fill(database, RATINGS)
    return database


class TestByHand:
    def test_tastes_count_each_genre_of_each_rated_item(self, rated):
        # user 1: Drama on 5 and 4, Comedy on 4 and 1; item 4 has no genre
        assert genre_tastes(rated, 1) == [GenreTaste("Comedy", 2, 2.5), GenreTaste("Drama", 2, 4.5)]
        assert genre_tastes(rated, 2) == [GenreTaste("Drama", 2, 4.25), GenreTaste("War", 1, 4.0)]
        assert genre_tastes(rated, 5) == []

    def test_raters_come_with_their_ratings_the_lowest_first(self, rated):
        found = raters(rated, [5, 1, 99])
        assert [found[item].users.tolist() for item in (5, 1, 99)] == [[3, 2, 4], [3, 2, 1], []]
        assert [found[item].ratings.tolist() for item in (5, 1, 99)] == [[1.0, 4.0, 5.0], [2.0, 4.5, 5.0], []]
        assert found[99].users.dtype == np.int64
        assert raters(rated, []) == {}

    def test_more_items_than_one_statement_takes(self, rated):
        assert {item for item, found in raters(rated, range(1, 1200)).items() if len(found.users)} == {1, 2, 3, 4, 5}
        assert genres_by_id(rated, range(1, 1200))[2] == genres_by_id(rated, [2])[2]

    def test_what_a_user_gave_and_the_genres_of_items(self, rated):
        assert given_by(rated, 1) == {1: 5.0, 2: 4.0, 3: 1.0, 4: 3.0}
        assert given_by(rated, 5) == {}
        found = genres_by_id(rated, [1, 2, 3, 4, 99])
        assert found[2] == found[1] | found[3]
        assert found[4] == found[99] == frozenset()

    def test_everybody_counts_all(self, rated):
        assert everybody(rated, 5) == Crowd(3, 10 / 3)
        assert everybody(rated, 4) == Crowd(1, 3.0)
        assert everybody(rated, 99) == Crowd(0, None)


def naive_tastes(ratings, user):
    by_genre = defaultdict(list)
    for (who, item), value in ratings.items():
        for genre in GENRES[item] if who == user else ():
            by_genre[genre].append(value)
    rows = [(genre, len(values), fmean(values)) for genre, values in by_genre.items()]
    return sorted(rows, key=lambda row: (-row[1], row[0]))


STARS = st.sampled_from([0.5, 1.0, 2.0, 3.5, 5.0])
IN_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # a hundred databases: no disk needs to see them
PAIRS = st.tuples(st.integers(1, 4), st.integers(1, 5))


@given(st.dictionaries(PAIRS, STARS, max_size=20), PAIRS)
def test_any_ratings_as_counted_naively(ratings, pair):
    with (
        tempfile.TemporaryDirectory(dir=IN_MEMORY) as folder,
        closing(Database(Path(folder) / "recsys.db")) as database,
    ):
        migrate(database)
        fill(database, ratings)
        user, item = pair
        assert genre_tastes(database, user) == [pytest.approx(row) for row in naive_tastes(ratings, user)]
        found = raters(database, [item])[item]
        wanted = {who: value for (who, seen), value in ratings.items() if seen == item}
        assert dict(zip(found.users.tolist(), found.ratings.tolist(), strict=True)) == wanted
        assert found.ratings.tolist() == sorted(wanted.values())
        values = list(wanted.values())
        assert everybody(database, item) == pytest.approx((len(values), fmean(values) if values else None))
