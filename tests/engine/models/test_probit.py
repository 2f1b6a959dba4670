"""Bayesian matrix factorization with an ordered probit: levels that are no even steps, and what follows from them."""

import numpy as np
import pytest
from scipy.stats import norm

from engine.data import Scale
from engine.errors import SettingRefused
from engine.models.bayesian_mf import BayesianMFModel
from engine.models.levels import places_of
from tests.data import rmse, table

CUTS = np.array([-2.2, -1.6, 0.2, 0.6])  # of ratings 1 to 5: a wide 3, narrow 2 and 4
NOISE = 0.7


def drawn(n_users=250, n_items=120, share=0.3, seed=0):
    """Ratings from the model itself with the probabilities of their levels (n, 5); a fifth is held out."""
    rng = np.random.default_rng(seed)
    users, items = np.divmod(np.flatnonzero(rng.random(n_users * n_items) < share), n_items)
    p, q = rng.normal(0, 0.8, (n_users, 2)), rng.normal(0, 0.8, (n_items, 2))
    biases = rng.normal(0, 0.5, n_users)[users] + rng.normal(0, 0.5, n_items)[items]
    scores = biases + np.einsum("nk,nk->n", p[users], q[items])
    ratings = 1 + np.searchsorted(CUTS, scores + rng.normal(0, NOISE, len(scores)))
    rows = table(users, items, ratings, n_users=n_users, n_items=n_items, scale=Scale(1, 5, 1))
    held_out = rng.random(len(rows)) < 0.2
    return rows.rows(~held_out), rows.rows(held_out), scores[held_out]


def trained(train, **settings):
    model = BayesianMFModel(**{"likelihood": "probit", "n_factors": 3, "epochs": 80, "burn_in": 0.3} | settings)
    for _ in model.fit_epochs(train, seed=1):
        pass
    return model


@pytest.fixture(scope="module")
def data():
    return drawn()


@pytest.fixture(scope="module")
def model(data):
    return trained(data[0])


def test_cuts_are_found_up_to_origin_and_scale(model):
    found = np.mean([sample.cuts for sample in model.samples], axis=0)
    gaps, wanted = np.diff(found) / np.ptp(found), np.diff(CUTS) / np.ptp(CUTS)
    np.testing.assert_allclose(gaps, wanted, atol=0.03)
    noise = np.mean([sample.noise_precision**-0.5 for sample in model.samples]) / np.ptp(found)
    assert noise == pytest.approx(NOISE / np.ptp(CUTS), rel=0.08)


def test_cuts_move_from_sample_to_sample(model):
    """The chain is no good if most proposals are refused."""
    assert len({sample.cuts.tobytes() for sample in model.samples}) > 0.8 * len(model.samples)


def test_expected_ratings_are_nearer_than_those_of_a_line(model, data):
    train, test, scores = data
    best = 1 + norm.cdf((scores[:, None] - CUTS) / NOISE).sum(axis=1)
    floor = np.sqrt(np.mean((best - test.ratings) ** 2))
    line = trained(train, likelihood="gaussian")
    assert rmse(model, test) < rmse(line, test) - 0.004
    assert rmse(model, test) < 1.1 * floor


@pytest.mark.parametrize(("level", "tolerance"), [(0.8, 0.03), (0.95, 0.022)])
def test_intervals_cover_what_they_say(model, data, level, tolerance):
    train, test, _ = data
    inside = 0
    for user in np.unique(test.user_index):
        items, ratings = test.history(int(user))
        low, high = model.interval(
            model.scores(model.user_vector(int(user)), items), int(train.user_counts[user]), items, level
        )
        inside += np.sum((low <= ratings) & (ratings <= high))
    assert inside / len(test) == pytest.approx(level, abs=tolerance)


def test_ratings_rise_with_scores_and_stay_within_the_levels(model):
    rated = model.as_ratings(np.linspace(-20, 30, 500).astype(np.float32))
    assert (np.diff(rated) >= 0).all()
    assert rated[0] == pytest.approx(1, abs=1e-5)
    assert rated[-1] == pytest.approx(5, abs=1e-5)
    scores = model.score_users(np.arange(20))
    rated = model.as_ratings(scores)
    np.testing.assert_array_equal(np.argsort(-rated[:, :40], kind="stable"), np.argsort(-scores[:, :40], kind="stable"))


def test_an_item_that_follows_its_ratings_follows_what_they_stand_for(model):
    raters = np.stack([model.user_vector(user) for user in range(30)])
    moved = model.refitted(2, raters, np.full(30, 5.0))
    assert np.mean([moved.ratings(rater, np.array([2]))[0] for rater in raters]) > 4.5


@pytest.mark.parametrize(("values", "cuts"), [([1, 5], [4.5]), ([1, 2.5, 5], [2.5, 4.5])])
def test_few_levels_are_enough(data, values, cuts):
    train, test, _ = data
    graded = [np.asarray(values)[np.searchsorted(cuts, rows.ratings)] for rows in (train, test)]
    rows = table(train.user_index, train.item_index, graded[0], n_users=250, n_items=120, scale=Scale(1, 5, None))
    found = trained(rows, epochs=60)
    assert found.grades.tolist() == values
    predicted = found.rate_pairs(test.user_index, test.item_index)
    assert np.sqrt(np.mean((predicted - graded[1]) ** 2)) < 0.92 * np.std(graded[1])


def test_what_is_no_level_is_refused(data):
    train, _, _ = data
    for ratings in (np.full(len(train), 3.0), np.random.default_rng(0).uniform(1, 5, len(train))):
        rows = table(train.user_index, train.item_index, ratings, scale=Scale(1, 5, None))
        with pytest.raises(SettingRefused, match="2 to 100 different rating values") as refused:
            trained(rows, epochs=1)
        assert "gaussian" in refused.value.hint


def test_a_version_from_before_there_were_levels_is_read(data):
    model = trained(data[0], likelihood="gaussian", epochs=3)
    state = model.state()
    newer = {"grades", "curve", "centres", "samples.cuts", "samples.centres"}
    again = BayesianMFModel()
    again.restore(state._replace(arrays={name: a for name, a in state.arrays.items() if name not in newer}))
    pairs = np.arange(50), np.arange(50)
    np.testing.assert_array_equal(again.rate_pairs(*pairs), model.rate_pairs(*pairs))


def test_ratings_between_levels_count_as_the_nearest():
    found = places_of(np.array([1.0, 2.0, 4.0]), np.array([0.0, 1.4, 1.6, 2.9, 3.1, 9.0]))
    assert found.tolist() == [0, 0, 1, 1, 2, 2]
