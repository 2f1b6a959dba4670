"""The numbers behind reasons, against hand-worked cases and a naive recomputation."""

import os
import tempfile
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.database import Database
from store.evidence import Crowd, GenreTaste, agreeing_raters, everybody, genre_tastes, liked_share
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

    def test_liked_is_at_or_above_the_users_own_mean(self, rated):
        # user 1: mean 3.25, liked are items 1 and 2, both Drama, one of them Comedy
        assert liked_share(rated, 1, 5) == 1.0
        assert liked_share(rated, 1, 3) == 0.5
        assert liked_share(rated, 1, 1) == 1.0  # item 2 alone: an item is no reason for itself
        assert liked_share(rated, 1, 4) is None  # no genres, no match
        assert liked_share(rated, 5, 1) is None  # nothing rated

    def test_a_user_who_rates_all_alike_likes_all(self, database):
        fill(database, {(1, item): 3.3 for item in (1, 2, 3)} | {(2, item): 0.1 for item in (1, 2, 3)})
        assert liked_share(database, 1, 5) == pytest.approx(2 / 3)
        assert liked_share(database, 2, 5) == pytest.approx(2 / 3)  # 0.1 + 0.1 + 0.1 is more than 0.3

    def test_agreeing_raters_rated_something_like_this_user(self, rated):
        # raters of item 5: user 2 (4.0; agrees on item 1 within 0.5), 3 (1.0; does not), 4 (5.0; agrees on 2 and 3)
        assert agreeing_raters(rated, 1, 5, [1, 2, 3], 0.5) == Crowd(2, 4.5)
        assert agreeing_raters(rated, 1, 5, [1], 0.5) == Crowd(1, 4.0)
        assert agreeing_raters(rated, 1, 5, [1], 3.0) == Crowd(2, 2.5)
        assert agreeing_raters(rated, 1, 5, [2, 3], 0.0) == Crowd(1, 5.0)
        assert agreeing_raters(rated, 1, 5, [4], 5.0) == Crowd(0, None)
        assert agreeing_raters(rated, 1, 5, [], 5.0) == Crowd(0, None)

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


def naive_share(ratings, user, item):
    mine = {i: value for (who, i), value in ratings.items() if who == user}
    if not mine or not GENRES[item]:
        return None
    mean = fmean(mine.values())
    liked = [i for i, value in mine.items() if value >= mean and i != item]
    return fmean(bool(GENRES[i] & GENRES[item]) for i in liked) if liked else None


def naive_crowd(ratings, user, item, shared, tolerance):
    agreeing = {
        other
        for (other, seen), value in ratings.items()
        if other != user
        and seen in shared
        and (user, seen) in ratings
        and abs(ratings[user, seen] - value) <= tolerance
    }
    values = [value for (who, seen), value in ratings.items() if seen == item and who in agreeing]
    return (len(values), fmean(values) if values else None)


STARS = st.sampled_from([0.5, 1.0, 2.0, 3.5, 5.0])
IN_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # a hundred databases: no disk needs to see them
PAIRS = st.tuples(st.integers(1, 4), st.integers(1, 5))


@given(st.dictionaries(PAIRS, STARS, max_size=20), PAIRS, st.sets(st.integers(1, 5)), STARS)
def test_any_ratings_as_counted_naively(ratings, pair, shared, tolerance):
    with (
        tempfile.TemporaryDirectory(dir=IN_MEMORY) as folder,
        closing(Database(Path(folder) / "recsys.db")) as database,
    ):
        migrate(database)
        fill(database, ratings)
        user, item = pair
        assert genre_tastes(database, user) == [pytest.approx(row) for row in naive_tastes(ratings, user)]
        assert liked_share(database, user, item) == pytest.approx(naive_share(ratings, user, item))
        assert agreeing_raters(database, user, item, sorted(shared), tolerance) == pytest.approx(
            naive_crowd(ratings, user, item, shared, tolerance)
        )
        values = [value for (_, seen), value in ratings.items() if seen == item]
        assert everybody(database, item) == pytest.approx((len(values), fmean(values) if values else None))
