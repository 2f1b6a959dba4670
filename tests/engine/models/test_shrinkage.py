"""Variances between and within groups, and what they make of a group's mean."""

import numpy as np
import pytest

from engine.models.shrinkage import Spread, shrunk_effects, spread


def test_two_groups_by_hand():
    # {1, 3} and {5, 7}: mean 4, SSB = 2·4 + 2·4 = 16, SSW = 4, within = 4/2, n₀ = 2, between = (16/1 - 2)/2
    parts = spread(np.array([2, 2]), np.array([4.0, 12.0]), 4.0, 5.0)
    assert parts == Spread(between=pytest.approx(7.0), within=pytest.approx(2.0))
    effects = shrunk_effects(np.array([2, 2, 0]), np.array([4.0, 12.0, 0.0]), 4.0, parts)
    np.testing.assert_allclose(effects, [-4 / (2 + 2 / 7), 4 / (2 + 2 / 7), 0], rtol=1e-6)


def test_finds_the_variances_that_made_the_data():
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 40, 2000)
    groups = np.repeat(np.arange(2000), sizes)
    ratings = 3 + rng.normal(0, 0.5, 2000)[groups] + rng.normal(0, 0.9, len(groups))
    parts = spread(sizes, np.bincount(groups, ratings), ratings.mean(), ratings.var())
    assert parts.between == pytest.approx(0.25, rel=0.1)
    assert parts.within == pytest.approx(0.81, rel=0.05)


@pytest.mark.parametrize(
    ("counts", "sums", "variance"),
    [([3], [9.0], 1.0), ([1, 1, 1], [1.0, 3.0, 5.0], 8 / 3), ([2, 2], [6.0, 6.0], 1.0)],
    ids=["one group", "groups of one", "equal means"],
)
def test_what_cannot_be_told_apart_counts_as_noise_but_for_a_hundredth(counts, sums, variance):
    parts = spread(np.array(counts), np.array(sums), 3.0, variance)
    assert parts.between == pytest.approx(variance / 100)
    assert parts.within >= variance


def test_no_members_and_no_variance():
    parts = spread(np.array([0, 0]), np.array([0.0, 0.0]), 3.0, 0.0)
    assert parts == (0, 0)
    assert (shrunk_effects(np.array([0, 4]), np.array([0.0, 12.0]), 3.0, parts) == 0).all()
