"""Intervals and likelihoods: that they hold what they say on rows that they were not made of."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.confidence import WIDE, Calibration, Measured, not_negative
from engine.data import Scale
from engine.models import model_class
from engine.models.frames import interactions_of
from engine.splits import split

HALVES = Scale(0.5, 5.0, 0.5)


def rows(n=20_000, seed=0, *, noise=1.0):
    """Ratings around predictions, with a deviation of noise · √(0.3 + 2/√(1 + user's) + 1/√(1 + item's))."""
    rng = np.random.default_rng(seed)
    users, items = rng.integers(0, 300, n), rng.integers(0, 300, n)
    predictions, means = rng.uniform(1.5, 4.5, n), rng.uniform(2.5, 4.0, n)
    deviation = noise * np.sqrt(0.3 + 2 / np.sqrt(1 + users) + 1 / np.sqrt(1 + items))
    return Measured(predictions, predictions + deviation * rng.standard_t(5, n), users, items, means)


def calibration_error(likely, happened, bins=10):
    """Expected calibration error: |mean probability - share that happened| of each bin, weighed by its rows."""
    place = np.minimum((likely * bins).astype(int), bins - 1)
    found = [(place == k) for k in range(bins) if (place == k).any()]
    return sum(k.mean() * abs(likely[k].mean() - happened[k].mean()) for k in found)


def likely_of(found, measured):
    return np.array(
        [
            found.probability_at_least(mean, np.array([predicted]), np.array([user]), np.array([item]))[0]
            for predicted, _, user, item, mean in zip(*measured, strict=True)
        ]
    )


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95])
def test_intervals_hold_as_often_as_they_say_for_those_with_much_and_with_little_data(level):
    found, fresh = Calibration.fit(rows(), Scale(-99, 99, None)), rows(seed=1)
    low, high = found.interval(fresh.predictions, fresh.user_counts, fresh.item_counts, level)
    inside = (low <= fresh.ratings) & (fresh.ratings <= high)
    assert inside.mean() == pytest.approx(level, abs=0.01)
    for some in (fresh.user_counts < 20, fresh.item_counts < 20, (fresh.user_counts > 200) & (fresh.item_counts > 200)):
        assert inside[some].mean() == pytest.approx(level, abs=0.03)


def test_intervals_are_wider_where_less_is_known():
    found = Calibration.fit(rows(), Scale(-99, 99, None))
    counts = np.array([0, 1, 5, 20, 100, 1000])
    for user, item in ((counts, np.full(6, 50)), (np.full(6, 50), counts)):
        low, high = found.interval(np.full(6, 3.0), user, item)
        assert (np.diff(high - low) < 0).all()


def test_a_small_sample_is_answered_with_caution():
    """The quantiles of n scores are taken outwards at rank p (n + 1): over many draws the level holds exactly."""
    inside = []
    for seed in range(300):
        found, fresh = Calibration.fit(rows(60, seed), Scale(-99, 99, None)), rows(200, seed + 1000)
        low, high = found.interval(fresh.predictions, fresh.user_counts, fresh.item_counts)
        inside.append(((low <= fresh.ratings) & (fresh.ratings <= high)).mean())
    assert 0.785 <= np.mean(inside) <= 0.84


def test_the_threshold_is_the_next_step_and_the_curve_is_monotone():
    found = Calibration.fit(rows(), HALVES)
    one, counts = np.array([3.4]), np.array([40])
    chances = [found.probability_at_least(mean, one, counts, counts)[0] for mean in (3.01, 3.3, 3.5, 3.51, 4.0, 4.2)]
    assert chances[0] == chances[1] == chances[2] > chances[3] == chances[4] > chances[5]
    exact = float(np.float32(0.1) * 35)  # 3.5 as float32 arithmetic gives it
    assert found.probability_at_least(exact, one, counts, counts)[0] == chances[2]
    higher = found.probability_at_least(3.5, np.linspace(0.5, 5, 20), np.full(20, 40), np.full(20, 40))
    assert (np.diff(higher) > 0).all()


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.floats(0.5, 5.0), st.integers(0, 10**6)), min_size=1, max_size=12),
    st.integers(0, 10**6),
    st.floats(0.5, 5.0),
    st.sampled_from([HALVES, Scale(0.5, 5.0, None)]),
)
def test_a_list_is_judged_as_rows_are(asked, user_count, mean, scale):
    found = Calibration.fit(rows(500), scale)
    predictions, counts = np.array([value for value, _ in asked]), np.array([count for _, count in asked])
    users = np.full(len(asked), user_count)
    judged = found.judged(mean, user_count, predictions.tolist(), counts.tolist(), scale)
    expected = [
        *found.interval(predictions, users, counts),
        found.probability_at_least(mean, predictions, users, counts),
        *found.interval(predictions, users, counts, WIDE),
    ]
    for place, column in enumerate(expected):
        within = column if place == 2 else np.clip(column, scale.low, scale.high)
        np.testing.assert_allclose([one[place] for one in judged], within, rtol=1e-12, atol=1e-12)


def test_too_few_rows_say_nothing():
    assert Calibration.fit(rows(49), HALVES) is None
    assert Calibration.fit(rows(50), HALVES) is not None


@settings(max_examples=100)
@given(st.sampled_from([0.0, 1e-9, 1.0, 1e3]), st.booleans(), st.integers(50, 400), st.sampled_from([None, 0.5]))
def test_any_rows_give_finite_numbers(noise, constant, n, step):
    measured = rows(n, noise=noise)
    if constant:
        measured = measured._replace(ratings=np.full(n, 3.0), user_means=np.full(n, 3.0))
    found = Calibration.fit(measured, Scale(0.5, 5.0, step))
    counts = np.array([0, 10**9])
    bounds = found.interval(np.array([1.0, 5.0]), counts, counts, WIDE)
    assert np.isfinite(bounds).all()
    assert (bounds[0] <= bounds[1]).all()
    likely = found.probability_at_least(3.0, np.array([1.0, 5.0]), counts, counts)
    assert ((likely >= 0) & (likely <= 1)).all()


@settings(max_examples=50)
@given(st.integers(0, 2**32), st.integers(3, 60), st.booleans())
def test_weights_that_are_not_negative_are_those_of_scipy(seed, n, twice):
    from scipy.optimize import nnls

    random = np.random.default_rng(seed)
    design, targets = random.uniform(0, 1, (n, 3)), random.normal(size=n)
    if twice:  # users all alike: a column that says nothing new
        design[:, 1] = design[:, 0]
    found, expected = not_negative(design, targets), nnls(design, targets)[0]
    assert found.min() >= 0
    np.testing.assert_allclose(design @ found, design @ expected, atol=1e-8)


def test_it_comes_back_from_its_arrays():
    found, arrays = Calibration.fit(rows(), HALVES), {"design": np.zeros(3)}
    back = Calibration.restored(arrays | found.arrays())
    for name, array in found.arrays().items():
        np.testing.assert_array_equal(back.arrays()[name], array)
    assert Calibration.restored(arrays) is None


# --- real ratings -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["mf", "bayesian-mf"])
def measured(request, movielens):
    """Predictions of a model for the fifth of the ratings that it was not trained on."""
    parts = split(interactions_of(pd.read_csv(movielens / "ratings.csv")), "random", test=0.2, seed=7)
    train, test = parts.train, parts.test
    model = model_class(request.param)(**({"epochs": 60} if request.param == "bayesian-mf" else {}))
    for _ in model.fit_epochs(train):
        pass
    sums = np.bincount(train.user_index, train.ratings, train.n_users)
    means = sums / np.maximum(train.user_counts, 1)
    return Measured(
        model.rate_pairs(test.user_index, test.item_index),
        test.ratings,
        train.user_counts[test.user_index],
        train.item_counts[test.item_index],
        means[test.user_index],
    )


def halves(measured):
    """Split rows at random: the first half is measured on, the second is predicted."""
    first = np.random.default_rng(3).random(len(measured.ratings)) < 0.5
    return Measured(*(c[first] for c in measured)), Measured(*(c[~first] for c in measured))


def test_real_ratings_lie_within_the_bounds_as_often_as_stated(measured):
    some, fresh = halves(measured)
    found = Calibration.fit(some, HALVES)
    for level, tolerance in ((0.8, 0.02), (0.95, 0.01)):
        low, high = (
            HALVES.clip(bound)
            for bound in found.interval(fresh.predictions, fresh.user_counts, fresh.item_counts, level)
        )
        assert np.mean((low <= fresh.ratings) & (fresh.ratings <= high)) == pytest.approx(level, abs=tolerance)
    widths = found.interval(np.zeros(2), np.array([20, 500]), np.array([2, 200]))
    assert widths[1][0] - widths[0][0] > widths[1][1] - widths[0][1]


def test_confidence_is_the_share_that_comes_true(measured):
    some, fresh = halves(measured)
    likely = likely_of(Calibration.fit(some, HALVES), fresh)
    happened = fresh.ratings >= fresh.user_means - 1e-6
    assert calibration_error(likely, happened) <= 0.03
    assert np.mean((likely - happened) ** 2) < 0.9 * happened.mean() * (1 - happened.mean())  # it knows something
    assert likely.min() < 0.2
    assert likely.max() > 0.85
