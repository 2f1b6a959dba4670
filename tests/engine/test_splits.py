"""Splits: each row on one side, the same for the same ratings and seed, and no peek into the future."""

import os
import time

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from engine.data import NO_TIME, Interactions
from engine.errors import DataTooSmall, DataUnsuited, EngineError, SettingRefused
from engine.splits import SPLITS, split, split_around, validation


def ratings(users, items, times=None):
    """Ratings of users and items given as numbers; the rating is 1 everywhere."""
    users, items = np.asarray(users), np.asarray(items)
    ids = [f"{number:03}" for number in range(1 + max([*users, *items]))]
    times = None if times is None else np.asarray(times)
    return Interactions.build(ids, ids, users, items, np.ones(len(users)), times)


@st.composite
def timed(draw, min_size=1):
    """Distinct pairs of few users and items with few distinct times, some of them unknown."""
    pairs = draw(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), unique=True, min_size=min_size))
    moments = st.integers(0, 6) | st.just(NO_TIME)
    times = draw(st.lists(moments, min_size=len(pairs), max_size=len(pairs)))
    return ratings([user for user, _ in pairs], [item for _, item in pairs], times)


def many(n=4000, seed=0):
    """A larger set with times over a day."""
    rng = np.random.default_rng(seed)
    pairs = rng.permutation(100 * 100)[:n]
    return ratings(pairs // 100, pairs % 100, rng.integers(0, 86400, n))


def pairs_of(part):
    return set(zip(part.user_index.tolist(), part.item_index.tolist(), strict=True))


@pytest.mark.parametrize("how", SPLITS)
class TestEverySplit:
    @given(data=timed(), share=st.floats(0.05, 0.95))
    def test_each_row_lies_on_one_side_and_neither_is_empty(self, how, data, share):
        try:
            parts = split(data, how, test=share)
        except EngineError:  # nothing to hold out, or no times
            return
        assert pairs_of(parts.train) | pairs_of(parts.test) == pairs_of(data)
        assert len(parts.train) + len(parts.test) == len(data)
        assert parts.protocol["train_rows"] == len(parts.train) > 0
        assert parts.protocol["test_rows"] == len(parts.test) > 0

    def test_the_same_in_every_time_zone_and_for_any_order_of_rows(self, how, monkeypatch):
        first = split(many(), how)
        data = many()
        order = np.random.default_rng(1).permutation(len(data))
        ids = data.users.texts()
        again = Interactions.build(
            ids, ids, data.user_index[order], data.item_index[order], data.ratings[order], data.times[order]
        )
        monkeypatch.setitem(os.environ, "TZ", "Pacific/Kiritimati")
        time.tzset()
        try:
            second = split(again, how)
        finally:
            monkeypatch.undo()
            time.tzset()
        assert first.test.fingerprint() == second.test.fingerprint()
        assert first.protocol == second.protocol

    def test_zero_holds_nothing_out(self, how):
        parts = split(many(), how, test=0)
        assert (len(parts.train), len(parts.test)) == (4000, 0)

    @pytest.mark.parametrize("share", [-0.1, 1.0, 2, float("nan")])
    def test_a_share_out_of_range_is_refused(self, how, share):
        with pytest.raises(SettingRefused, match="test = ") as refused:
            split(many(), how, test=share)
        assert "0 to below 1" in refused.value.hint

    def test_one_row_is_too_little(self, how):
        with pytest.raises(DataTooSmall) as refused:
            split(ratings([0], [0], [1]), how, test=0.5)
        assert "--test 0" in refused.value.hint


@pytest.mark.parametrize("how", ["random", "per-user"])
def test_another_seed_holds_other_rows_out(how):
    assert pairs_of(split(many(), how, seed=1).test) != pairs_of(split(many(), how, seed=2).test)


def test_random_takes_about_the_share():
    assert len(split(many(), "random", test=0.25).test) == pytest.approx(1000, abs=4 * np.sqrt(4000 * 0.25 * 0.75))


@given(timed(min_size=8), st.floats(0.2, 0.99))
def test_per_user_takes_the_share_of_each_and_leaves_one_in_training(data, share):
    try:
        parts = split(data, "per-user", test=share)
    except DataTooSmall:
        assume(False)
    wanted = np.clip(np.floor(data.user_counts * share + 0.5), 0, np.maximum(data.user_counts - 1, 0))
    np.testing.assert_array_equal(parts.test.user_counts, wanted)
    assert ((parts.train.user_counts > 0) == (data.user_counts > 0)).all()


class TestLast:
    def test_by_hand(self):
        # user 0: the latest is item 1; user 1: items 0 and 3 are equally late, the greater id goes out;
        # user 2 has one rating and user 3 no times: both stay
        users, items = [0, 0, 0, 1, 1, 1, 2, 3, 3], [0, 1, 2, 3, 0, 1, 0, 0, 1]
        times = [5, 9, 7, 4, 4, 2, 8, NO_TIME, NO_TIME]
        assert pairs_of(split(ratings(users, items, times), "last").test) == {(0, 1), (1, 3)}

    @given(timed())
    def test_against_a_plain_loop(self, data):
        try:
            found = pairs_of(split(data, "last").test)
        except EngineError:
            found = set()
        expected = set()
        for user in range(data.n_users):
            rows = np.flatnonzero(data.user_index == user)
            best = max(rows, key=lambda row: (data.times[row], data.item_index[row]), default=None)
            if len(rows) > 1 and data.times[best] != NO_TIME:
                expected.add((user, int(data.item_index[best])))
        assert found == expected


class TestTemporal:
    @given(timed(min_size=2), st.floats(0.05, 0.95))
    def test_the_future_is_tested_and_the_share_is_the_nearest_that_ties_allow(self, data, share):
        try:
            parts = split(data, "temporal", test=share)
        except EngineError:
            assert len(set(data.times)) == 1
            return
        assert parts.train.times.max() < parts.test.times.min() == parts.protocol["from"]
        wanted = min(max(round(len(data) * (1 - share)), 1), len(data) - 1)
        reachable = [(data.times < moment).sum() for moment in {*data.times} - {data.times.min()}]
        assert abs(len(parts.train) - wanted) == min(abs(n - wanted) for n in reachable)

    def test_all_at_one_moment_cannot_be_parted(self):
        with pytest.raises(DataTooSmall, match="temporal"):
            split(ratings([0, 1], [0, 1], [3, 3]), "temporal")


@pytest.mark.parametrize("how", ["last", "temporal"])
def test_without_times_the_error_names_the_way_out(how):
    with pytest.raises(DataUnsuited, match="no times") as refused:
        split(ratings([0, 0], [0, 1]), how)
    assert refused.value.code == "data_refused"
    assert "--split random" in refused.value.hint


def test_an_unknown_split_gets_a_guess():
    with pytest.raises(SettingRefused, match="'temporel'") as refused:
        split(many(), "temporel")
    assert refused.value.hint.startswith("did you mean temporal?")


class TestValidation:
    def test_is_independent_of_the_test_split_of_the_same_seed(self):
        data = many()
        held_out = pairs_of(split(data, "random", test=0.1, seed=3).test)
        parts = validation(data, 3)
        both = len(held_out & pairs_of(parts.test))
        assert len(parts.test) == pytest.approx(400, abs=80)
        assert both < 80  # 40 are expected by chance, 400 if the draw were the same

    def test_tiny_data_keeps_its_rows(self):
        for seed in range(40):
            assert len(validation(ratings([0], [0]), seed, share=0.9).train) == 1


class TestAround:
    """A later split that holds the rows of an earlier one out again."""

    @pytest.mark.parametrize("how", ["random", "per-user"])
    def test_keeps_all_of_them_and_draws_what_the_share_lacks(self, how):
        data = many()
        apart = np.zeros(len(data), bool)
        apart[::10] = True
        parts = split_around(data, apart, how, test=0.2, seed=1)
        assert len(parts.test) == 800
        assert pairs_of(data.rows(apart)) <= pairs_of(parts.test)
        assert not pairs_of(parts.train) & pairs_of(parts.test)
        again = split_around(data, apart, how, test=0.2, seed=1)
        assert pairs_of(again.test) == pairs_of(parts.test)
        assert (parts.protocol["split"], parts.protocol["test_rows"]) == (how, 800)

    def test_draws_nothing_where_the_share_is_reached(self):
        data = many()
        apart = np.arange(len(data)) % 2 == 0
        assert pairs_of(split_around(data, apart, "random", test=0.2, seed=1).test) == pairs_of(data.rows(apart))

    def test_by_time_what_is_latest_is_held_out_as_always(self):
        data = many()
        apart = np.arange(len(data)) % 2 == 0
        here, there = split_around(data, apart, "temporal", test=0.2, seed=1), split(data, "temporal", test=0.2, seed=1)
        assert pairs_of(here.test) == pairs_of(there.test)
