"""Figures of groups: each as if only the rows of the group were there, and every row in its groups."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data import Interactions, ItemFeatures
from engine.metrics import Evidence, metric
from engine.segments import SEGMENT_METRICS, popularity_bands, restricted, segments

N_USERS, N_ITEMS = 60, 40
GENRES = ("Drama", "Action [2007]", "nobody's")


@pytest.fixture(scope="module")
def evidence():
    rng = np.random.default_rng(0)
    ids = [f"{number:03}" for number in range(N_USERS)]
    genres = np.zeros((N_ITEMS, 3), np.uint8)
    genres[:20, 0] = genres[10:30, 1] = 1
    features = ItemFeatures(genres, GENRES, np.zeros(N_ITEMS, np.int16))
    chance = np.outer(np.linspace(0, 1, N_USERS), np.linspace(1, 0.02, N_ITEMS))
    kinds = rng.random((N_USERS, N_ITEMS))

    def ratings(pairs):
        users, items = np.nonzero(pairs)
        values = rng.integers(1, 11, len(users)) / 2
        return Interactions.build(ids, ids[:N_ITEMS], users, items, values, features=features)

    train = ratings(kinds < chance)
    test = ratings((kinds >= chance) & (rng.random(kinds.shape) < 0.2))
    users = np.flatnonzero(test.user_counts)
    lists = np.array([rng.permutation(N_ITEMS)[:12] for _ in users], np.int32)
    predicted = rng.uniform(0.5, 5, len(test)).astype(np.float32)
    error = predicted.astype(float) - test.ratings
    sums = [np.bincount(test.user_index, one, N_USERS)[users] for one in (error**2, np.abs(error))]
    return Evidence.of_lists(
        users, lists, train, test, predicted=predicted, squared_error=sums[0], absolute_error=sums[1]
    )


def test_a_group_is_measured_as_if_only_its_rows_were_there(evidence):
    """The slow way round: user by user, with sets."""
    test = evidence.test
    for part, rows in ((part, rows_of(evidence, part)) for part in segments(evidence)):
        users = sorted(set(test.user_index[rows].tolist()))
        assert (part.users, part.rows) == (len(users), int(rows.sum()))
        recalls, hits = [], []
        for user in users:
            relevant = set(test.item_index[rows & (test.user_index == user)].tolist())
            row = evidence.lists[np.flatnonzero(evidence.users == user)[0]][:10].tolist()
            recalls.append(len(relevant & set(row)) / len(relevant))
            hits.append(bool(relevant & set(row)))
        assert part.metrics["recall@10"][0] == pytest.approx(np.mean(recalls))
        assert part.metrics["hit_rate@10"][0] == pytest.approx(np.mean(hits))
        error = evidence.predicted[rows].astype(float) - test.ratings[rows]
        assert part.metrics["rmse"][0] == pytest.approx(np.sqrt(np.mean(error**2)))


def rows_of(evidence, part):
    """The held-out rows of a group, by its name alone."""
    train, test = evidence.train, evidence.test
    if part.by == "genre":
        return train.features.genres[test.item_index, GENRES.index(part.name)] > 0
    if part.by == "activity":
        words = part.name.split()
        low, high = (0, 0) if words[0] == "no" else (int(words[0]), int(words[2]) if words[1] == "to" else 10**9)
        counts = train.user_counts[test.user_index]
        return (counts >= low) & (counts <= high)
    band = ["head", "middle", "tail", "never"].index(part.name.split()[0])
    return popularity_bands(train.item_counts)[test.item_index] == band


def test_every_row_is_in_one_group_of_users_and_one_of_items(evidence):
    found = segments(evidence)
    for by in ("activity", "popularity"):
        assert sum(part.rows for part in found if part.by == by) == len(evidence.test)
    assert {part.name for part in found if part.by == "genre"} == set(GENRES[:2])  # empty groups are left out
    assert any(part.name == "no ratings: cold" for part in found)


def test_intervals_hold_the_figure_and_stay_in_bounds(evidence):
    for part in segments(evidence):
        for name, (value, low, high) in part.metrics.items():
            bounds = metric(name).bounds
            if part.users > 1:
                assert bounds[0] <= low <= value + 1e-12
                assert value - 1e-12 <= high <= bounds[1]
            else:
                assert np.isnan([low, high]).all()


def test_all_rows_together_are_the_whole(evidence):
    whole = restricted(evidence, np.ones(len(evidence.test), bool))
    np.testing.assert_array_equal(whole.hits, evidence.hits)
    for name in SEGMENT_METRICS:
        np.testing.assert_allclose(metric(name).values(whole), metric(name).values(evidence))


class TestBands:
    def test_by_hand(self):
        # 12 ratings: the first third are the 4 of item 0; up to 8 items 1 and 2; then the rest
        assert popularity_bands(np.array([4, 2, 2, 1, 1, 1, 1, 0])).tolist() == [0, 1, 1, 2, 2, 2, 2, 3]

    @given(st.lists(st.integers(0, 30), min_size=1, max_size=30))
    def test_more_ratings_never_a_lower_band_and_equals_together(self, counts):
        bands = popularity_bands(np.array(counts))
        for a, one in zip(counts, bands, strict=True):
            for b, other in zip(counts, bands, strict=True):
                assert a != b or one == other
                assert a <= b or one <= other
        assert [count == 0 for count in counts] == (bands == 3).tolist()
