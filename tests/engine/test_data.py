"""Canonical order: whatever the order of rows and ids in the source, the same ratings give the same arrays."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data import NO_TIME, IdMap, Interactions, ItemFeatures, Scale
from engine.errors import EngineError
from engine.models.frames import interactions_of

IDS = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
AWKWARD = ["", "007", "7", "70", "12345678901234567890", "é", "e\u0301", "Ünï", "日本", "🎬", "a b", "\x00", "\x7f"]


class TestIdMap:
    @given(st.lists(IDS, unique=True))
    def test_each_id_finds_its_place_and_back(self, ids):
        ids = sorted(ids, key=str.encode)
        found = IdMap.from_sorted(ids)
        assert found.texts() == [found.text(place) for place in range(len(found))] == ids
        assert [found.index(text) for text in ids] == list(range(len(ids)))

    @given(st.lists(IDS, unique=True), IDS)
    def test_an_unknown_id_is_none(self, ids, stranger):
        known = [text for text in ids if text != stranger]
        assert IdMap.from_sorted(sorted(known)).index(stranger) is None

    def test_ids_are_text_to_the_last_zero(self):
        ids = sorted(AWKWARD)
        found = IdMap.from_sorted(ids)
        assert found.texts() == ids
        assert found.index("007") != found.index("7")
        assert found.index("12345678901234567890") == ids.index("12345678901234567890")
        assert found.index("1234567890123456789") is None

    def test_input_that_no_encoding_holds_is_unknown(self):
        assert IdMap.from_sorted(["a"]).index("\udcff") is None

    def test_empty(self):
        empty = IdMap.from_sorted([])
        assert len(empty) == 0
        assert empty.index("a") is None
        assert empty.texts() == []

    def test_equality_is_by_content(self):
        assert IdMap.from_sorted(["a", "bc"]) == IdMap.from_sorted(["a", "bc"])
        assert IdMap.from_sorted(["a", "bc"]) != IdMap.from_sorted(["ab", "c"])
        assert IdMap.from_sorted(["a"]) != ["a"]


@st.composite
def rated(draw):
    """Distinct (user, item) pairs by text, each with a rating and a time."""
    pairs = draw(st.lists(st.tuples(st.sampled_from(AWKWARD), st.sampled_from(AWKWARD)), unique=True))
    return [(user, item, draw(st.integers(1, 10)) / 2, draw(st.integers(-9, 9))) for user, item in pairs]


def built(rows, user_ids=AWKWARD, item_ids=AWKWARD):
    """Build from rows (user, item, rating, time), with codes by the order of the given ids."""
    user_codes = np.array([user_ids.index(row[0]) for row in rows], np.int64)
    item_codes = np.array([item_ids.index(row[1]) for row in rows], np.int64)
    ratings = np.array([row[2] for row in rows], np.float32)
    genres = np.array([[len(text) % 2, 1] for text in item_ids], np.uint8)
    years = np.array([1900 + len(text) for text in item_ids], np.int16)
    features = ItemFeatures(genres, ("odd", "any"), years)
    times = np.array([row[3] for row in rows], np.int64)
    return Interactions.build(user_ids, item_ids, user_codes, item_codes, ratings, times, features=features)


class TestBuild:
    @given(rated(), st.randoms())
    def test_neither_the_order_of_rows_nor_that_of_ids_matters(self, rows, random):
        first = built(rows)
        shuffled, users, items = list(rows), list(AWKWARD), list(AWKWARD)
        for part in (shuffled, users, items):
            random.shuffle(part)
        second = built(shuffled, users, items)
        assert first.fingerprint() == second.fingerprint()
        np.testing.assert_array_equal(first.features.genres, second.features.genres)
        np.testing.assert_array_equal(first.features.years, second.features.years)

    @given(rated())
    def test_nothing_is_lost_and_rows_are_sorted(self, rows):
        data = built(rows)
        keys = [(data.users.text(u), data.items.text(i)) for u, i in zip(data.user_index, data.item_index, strict=True)]
        assert keys == sorted(keys)
        assert sorted(rows) == [
            (*key, float(rating), int(time)) for key, rating, time in zip(keys, data.ratings, data.times, strict=True)
        ]
        assert (data.user_index.dtype, data.item_index.dtype, data.ratings.dtype) == (np.int32, np.int32, np.float32)

    @given(rated())
    def test_history_counts_and_csr_agree(self, rows):
        data = built(rows)
        dense = data.csr().toarray()
        assert dense.shape == (data.n_users, data.n_items) == (len(AWKWARD), len(AWKWARD))
        np.testing.assert_array_equal(data.user_counts, (dense > 0).sum(axis=1))
        np.testing.assert_array_equal(data.item_counts, (dense > 0).sum(axis=0))
        for user in range(data.n_users):
            items, ratings = data.history(user)
            assert sorted(items) == np.flatnonzero(dense[user]).tolist()
            np.testing.assert_array_equal(ratings, dense[user][items])
            mine = slice(data.indptr[user], data.indptr[user + 1])
            when = dict(zip(data.item_index[mine], data.times[mine], strict=True))
            aged = [(int(when[item]), int(item)) for item in items]
            assert aged == sorted(aged)
            here = data.oldest_first[mine]
            np.testing.assert_array_equal(data.item_index[here], items)

    def test_features_follow_their_items(self):
        data = built([("7", "日本", 3.0, 0)])
        for place, text in enumerate(data.items.texts()):
            assert data.features.years[place] == 1900 + len(text)

    def test_without_times_they_are_unknown(self):
        data = Interactions.build(["a"], ["x", "y"], np.array([0, 0]), np.array([1, 0]), np.array([1.0, 2.0]))
        assert data.times.tolist() == [NO_TIME, NO_TIME]
        assert data.ratings.tolist() == [2, 1]

    def test_a_pair_that_occurs_twice_is_refused(self):
        with pytest.raises(EngineError, match="1 pairs") as refused:
            built([("7", "70", 3.0, 0), ("7", "70", 4.0, 1)])
        assert refused.value.hint

    def test_rows_keep_the_maps(self):
        data = built([("7", "70", 3.0, 0), ("007", "70", 4.0, 1)])
        part = data.rows(data.ratings > 3)
        assert (len(part), part.users, part.n_items) == (1, data.users, data.n_items)
        assert part.user_counts.sum() == 1


def test_scale_clips_to_float32():
    clipped = Scale(1, 5).clip(np.array([0.0, 3.3, 9.0]))
    assert clipped.dtype == np.float32
    np.testing.assert_allclose(clipped, [1, 3.3, 5], rtol=1e-6)


class TestFrames:
    def test_the_last_duplicate_wins_and_ids_become_text(self):
        frame = pd.DataFrame({"userId": [7, 8, 7], "movieId": ["x", "x", "x"], "rating": [1, 2, 3]})
        data = interactions_of(frame)
        assert data.users.texts() == ["7", "8"]
        assert data.ratings.tolist() == [3, 2]
        assert (data.times == NO_TIME).all()

    def test_a_number_and_its_text_are_one_id(self):
        frame = pd.DataFrame({"user_id": [7, "7", 7.0], "movie_id": [1, 2, 3], "rating": [1.0, 2.0, 3.0]})
        assert interactions_of(frame).users.texts() == ["7"]

    @pytest.mark.parametrize(
        "times",
        [
            [0, 86400, None],
            pd.to_datetime(["1970-01-01", "1970-01-02", None]),
            pd.to_datetime(["1970-01-01 02:00", "1970-01-02 02:00", None]).tz_localize("Europe/Helsinki"),
        ],
        ids=["seconds", "datetimes", "with a zone"],
    )
    def test_times_are_utc_seconds(self, times):
        frame = pd.DataFrame({"user_id": [1, 2, 3], "movie_id": [1, 1, 1], "rating": [1, 2, 3], "timestamp": times})
        assert interactions_of(frame).times.tolist() == [0, 86400, NO_TIME]

    def test_a_wider_scale_is_taken_from_the_ratings(self):
        frame = pd.DataFrame({"user_id": [1, 2], "movie_id": [1, 1], "rating": [1, 10]})
        assert interactions_of(frame).scale == Scale(1, 10, None)
        assert interactions_of(frame, scale=Scale(0, 10, 1)).scale == Scale(0, 10, 1)
        assert interactions_of(frame[:1]).scale == Scale()

    def test_an_empty_frame_is_empty_data(self):
        assert len(interactions_of(pd.DataFrame({"user_id": [], "movie_id": [], "rating": []}))) == 0

    @pytest.mark.parametrize(
        ("columns", "message"),
        [
            ({"user_id": [1], "rating": [1]}, "no column movie_id"),
            ({"user_id": [None], "movie_id": [1], "rating": [1]}, "1 rows have no user_id"),
            ({"user_id": [1], "movie_id": [1], "rating": [np.nan]}, "1 ratings"),
            ({"user_id": [1], "movie_id": [1], "rating": ["good"]}, "rating holds"),
            ({"user_id": [1], "movie_id": [1], "rating": [1], "timestamp": ["noon"]}, "timestamp holds"),
        ],
    )
    def test_what_is_refused_says_why(self, columns, message):
        with pytest.raises(EngineError, match=message) as refused:
            interactions_of(pd.DataFrame(columns))
        assert refused.value.hint
