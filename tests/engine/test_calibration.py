"""Intervals judged on other users than they were fitted to, and the reliability curve."""

import numpy as np
import pytest

from engine.calibration import beside, inside_intervals
from engine.confidence import Calibration
from engine.metrics import Evidence, metric
from engine.metrics.rating import reliability
from tests.data import planted, table


@pytest.fixture(scope="module")
def parts():
    return planted(400, 150, 30_000, noise=0.7, seed=2)


def means_of_items(train, test):
    sums = np.bincount(train.item_index, train.ratings, train.n_items)
    return (sums / np.maximum(train.item_counts, 1)).astype(np.float32)[test.item_index]


def test_honest_intervals_hold_what_they_promise(parts):
    train, test = parts
    inside = inside_intervals(means_of_items(train, test), train, test)
    assert inside.mean() == pytest.approx(0.8, abs=0.04)


def test_intervals_of_another_model_are_seen_through(parts):
    train, test = parts
    predicted = means_of_items(train, test)
    noisy = predicted + np.random.default_rng(0).normal(0, 1.5, len(test)).astype(np.float32)
    sure = Calibration.fit(beside(predicted, train, test), test.scale)
    assert inside_intervals(noisy, train, test, sure).mean() < 0.7
    assert inside_intervals(predicted, train, test, sure).mean() == pytest.approx(0.8, abs=0.04)


def test_intervals_are_never_fitted_to_the_users_that_they_judge(parts):
    """A rating that is far off for one user changes whether others' are inside, never by its own interval."""
    train, test = parts
    predicted = means_of_items(train, test)
    before = inside_intervals(predicted, train, test)
    user = int(test.user_index[0])
    mine = test.user_index == user
    moved = test.rows(np.ones(len(test), bool))
    moved.ratings[mine] = np.where(test.ratings[mine] > 2.75, 0.5, 5.0)
    after = inside_intervals(predicted, train, moved)
    half = np.random.default_rng([0, 3]).permutation(test.n_users) % 2 == 0
    same_half = (half[test.user_index] == half[user]) & ~mine
    np.testing.assert_array_equal(before[same_half], after[same_half])


def test_too_few_rows_say_nothing():
    data = table([0, 1, 2], [0, 1, 2], [3, 4, 5])
    assert inside_intervals(np.array([3, 3, 3], np.float32), data, data) is None


class TestReliability:
    def evidence(self, predicted, ratings):
        n = len(ratings)
        rows = table(np.arange(n), np.zeros(n), ratings, n_items=2)
        lists = np.zeros((n, 1), np.int32)
        return Evidence.of_lists(np.arange(n), lists, rows, rows, predicted=np.asarray(predicted, np.float32))

    def test_by_hand(self):
        found = self.evidence([2, 2, 4, 4], [1, 2, 4, 5])
        assert reliability(found) == [(2, 2.0, 1.5), (2, 4.0, 4.5)]
        # (2 * |2 - 1.5| + 2 * |4 - 4.5|) / 4
        assert metric("calibration_error").values(found).tolist() == [0.5]

    def test_what_is_right_on_average_is_calibrated(self):
        rng = np.random.default_rng(1)
        predicted = rng.uniform(1, 5, 50_000)
        given = predicted + rng.normal(0, 1, 50_000)
        (error,) = metric("calibration_error").values(self.evidence(predicted, given))
        assert error < 0.03
        (off,) = metric("calibration_error").values(self.evidence(predicted + 0.5, given))
        assert off == pytest.approx(0.5, abs=0.03)

    def test_bins_are_of_equal_size_and_hold_every_row(self):
        predicted = np.random.default_rng(2).exponential(1, 1000)
        bins = reliability(self.evidence(predicted, np.ones(1000)))
        assert [found.rows for found in bins] == [100] * 10
        assert np.all(np.diff([found.predicted for found in bins]) > 0)

    def test_one_prediction_for_all_is_one_bin(self):
        (found,) = reliability(self.evidence(np.full(9, 3), np.arange(1, 10)))
        assert found == (9, 3.0, 5.0)

    def test_a_model_that_only_ranks_has_none(self):
        found = self.evidence([3.0], [3])
        bare = Evidence.of_lists(found.users, found.lists, found.train, found.test)
        assert reliability(bare) == []
        assert np.isnan(metric("calibration_error").values(bare)).all()
