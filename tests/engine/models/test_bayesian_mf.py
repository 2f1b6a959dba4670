"""Bayesian matrix factorization: what it recovers, what it says of its own doubt, and the algebra of its samples."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from engine.data import ItemFeatures, Scale
from engine.errors import TrainingFailed
from engine.models.abilities import Uncertain
from engine.models.bayesian_mf import BayesianMFModel
from engine.models.gibbs import Prior
from engine.models.samples import Sample, thinned
from engine.models.self_check import SelfCheck
from tests.data import checkerboard, planted, rmse, table


def trained(train, *, seed=1, **settings):
    model = BayesianMFModel(**settings)
    for _ in model.fit_epochs(train, seed=seed):
        pass
    return model


@pytest.fixture(scope="module")
def data():
    return planted()


@pytest.fixture(scope="module")
def model(data):
    return trained(data[0], n_factors=4, epochs=60, samples=8)


# --- what it learns ---------------------------------------------------------------------------------------------------


def test_recovers_what_was_planted(model, data):
    """Noise of 0.5 and rounding to half stars leave an error of √(0.25 + 0.25 / 12) to whoever knows everything."""
    assert rmse(model, data[1]) < 1.15 * (0.25 + 0.25 / 12) ** 0.5


def test_a_rank_that_is_too_large_costs_nothing(data):
    narrow, wide = (rmse(trained(data[0], n_factors=k, epochs=40), data[1]) for k in (4, 31))
    assert wide < 1.02 * narrow


def test_a_rank_beyond_the_number_of_users_is_cut_to_it_and_embeddings_keep_their_length():
    """All samples side by side are a matrix whose eigenvectors are wanted: with 1,024 factors that takes hours."""
    model = trained(table([0, 1, 2] * 40, range(120), [1, 2, 3, 4, 5, 3] * 20), n_factors=1024, epochs=3)
    assert model.samples[0].items.shape == (120, 4)
    assert np.isfinite(model.score_users(np.arange(3))).all()
    assert model.get_user_embedding("0000001").shape == model.get_movie_embedding("0000001").shape == (1024,)


def test_who_rated_what_tells_apart_without_any_difference_in_value():
    """Two groups rate items of their own, and one of them likes a shared item: others are told by what they rate."""
    rng = np.random.default_rng(0)
    group = np.arange(200) % 2
    users, items, values = [], [], []
    for user in range(200):
        for item in rng.permutation(20)[:8] + 20 * group[user]:
            users.append(user), items.append(item), values.append(3.0 + 0.25 * rng.standard_normal())
        if user < 160:
            users.append(user), items.append(40), values.append(5.0 if group[user] else 1.0)
    model = trained(table(users, items, np.round(np.clip(values, 0.5, 5) * 2) / 2), n_factors=3, epochs=60)
    rest = np.arange(160, 200)
    shared = model.rate_pairs(rest, np.full(40, 40))
    assert shared[group[rest] == 1].mean() > shared[group[rest] == 0].mean() + 1.5


def test_genres_speak_for_items_that_few_have_rated():
    rng = np.random.default_rng(1)
    genre = np.arange(120) % 2
    users, items = np.divmod(np.flatnonzero(rng.random(60 * 120) < 0.4), 120)
    kept = (items < 100) | (rng.random(len(items)) < 0.03)
    users, items = users[kept], items[kept]
    liked = users % 2 == genre[items]
    features = ItemFeatures(np.stack([genre == 0, genre == 1], 1).astype(np.uint8), ("a", "b"), np.zeros(120, np.int16))
    rows = table(users, items, np.where(liked, 4.5, 2.0), n_users=60, n_items=120, features=features)
    pairs = np.repeat(np.arange(60), 20), np.tile(np.arange(100, 120), 60)
    truth = np.where(pairs[0] % 2 == genre[pairs[1]], 4.5, 2.0)
    errors = []
    for known in (True, False):
        model = trained(rows, n_factors=3, epochs=40, side_features=known)
        errors.append(np.sqrt(np.mean((model.rate_pairs(*pairs) - truth) ** 2)))
    assert errors[0] < 0.8 * errors[1]


def test_the_average_is_better_than_its_last_sample(data):
    many, one = (rmse(trained(data[0], n_factors=8, epochs=40, samples=kept), data[1]) for kept in (16, 1))
    assert many < one


# --- doubt ------------------------------------------------------------------------------------------------------------


def test_intervals_cover_what_they_say():
    train, test = planted(n_ratings=20_000, seed=3)
    model = trained(train, n_factors=3, epochs=60)
    assert isinstance(model, Uncertain)
    for level, tolerance in ((0.8, 0.03), (0.95, 0.015)):
        assert covered(model, train, test, level) == pytest.approx(level, abs=tolerance)
    scores = np.concatenate([model.score_users(np.array([user]))[0][items] for user, items in by_user(test)])
    spread = np.concatenate([model.spread(int(train.user_counts[user]), items) for user, items in by_user(test)])
    narrower = 0.9**0.5  # a rating counts for 0.9: for data that the model made itself the spread is that much too wide
    assert np.std((test.ratings - scores) / spread) == pytest.approx(narrower, abs=0.06)


def test_intervals_follow_the_shape_of_the_residuals():
    """Three in four ratings are nearly exact and the rest far off: the middle is narrow, the tails are long."""
    rng = np.random.default_rng(4)
    users, items = np.divmod(np.flatnonzero(rng.random(300 * 100) < 0.5), 100)
    noise = np.where(rng.random(len(users)) < 0.25, 12.0, 2.0) * rng.standard_normal(len(users))
    rows = table(users, items, 50 + 8 * rng.standard_normal(300)[users] + noise, scale=Scale(-100, 200, None))
    held_out = rng.random(len(rows)) < 0.1
    train, test = rows.rows(~held_out), rows.rows(held_out)
    model = trained(train, n_factors=2, epochs=40)
    for level in (0.8, 0.95):
        assert covered(model, train, test, level) == pytest.approx(level, abs=0.03)


def covered(model, train, test, level):
    """The share of held-out ratings within their interval."""
    inside = 0
    for user, items in by_user(test):
        scores, ratings = model.score_users(np.array([user]))[0][items], test.history(user)[1]
        low, high = model.interval(scores, int(train.user_counts[user]), items, level)
        inside += np.sum((low <= ratings) & (ratings <= high))
    return inside / len(test)


def by_user(rows):
    for user in np.unique(rows.user_index):
        yield user, rows.history(user)[0]


def test_left_out_residuals_are_those_of_a_model_that_was_not_given_the_rating():
    """For one user's bias under a flat prior: the mean of the others."""
    ratings = np.array([1.0, 2.0, 4.0, 5.0, 3.5])
    rows = table([0] * 5, range(5), ratings)
    check, rng = SelfCheck(rows, 0.0, 1.0), np.random.default_rng(0)
    for number in range(1, 40_000):
        bias = np.array([[rng.normal(ratings.mean(), 5**-0.5), 0.0]], np.float32)
        check.add(number, bias, np.zeros((5, 2), np.float32))
    wanted = ratings - (ratings.sum() - ratings) / 4
    np.testing.assert_allclose(ratings - check.left_out(1.0, lambda _: ratings), wanted, atol=0.3)


def test_doubt_shrinks_with_what_is_known(model, data):
    spreads = [model.spread(n) for n in (0, 5, 50, 500)]
    for wider, narrower in pairwise(spreads):
        assert (narrower < wider).all()
    counts = data[0].item_counts
    assert spreads[2][counts <= 3].mean() > spreads[2][counts >= 100].mean()
    np.testing.assert_allclose(model.spread(5, np.array([3, 1])), spreads[1][[3, 1]], rtol=1e-6)


# --- algebra ----------------------------------------------------------------------------------------------------------


def test_folding_in_is_the_conditional_mean_in_every_sample(model, data):
    items, ratings = data[0].history(7)
    score = np.zeros(data[0].n_items)
    for sample in model.samples:
        z = sample.items[items].astype(np.float64)
        t = (ratings - model.mean) / model.deviation - z[:, 0]
        z[:, 0] = 1
        prior = sample.level + sample.effects[items].sum(axis=0) / np.sqrt(len(items))
        system = sample.precision + sample.noise_precision * z.T @ z
        x = np.linalg.solve(system, sample.precision @ prior + sample.noise_precision * z.T @ t)
        all_items = sample.expected.astype(np.float64)
        score += (all_items[:, 0] + x[0] + all_items[:, 1:] @ x[1:]) / len(model.samples)
    folded = model.scores(model.fold_in(items, ratings))
    np.testing.assert_allclose(folded, model.mean + model.deviation * score, atol=2e-5)
    np.testing.assert_allclose(folded, model.scores(model.user_vector(7)), atol=2e-5)


def test_what_was_rated_is_not_forgotten_by_an_item_that_follows_its_ratings(model, data):
    users = np.flatnonzero(data[0].user_counts > 10)[:5]
    raters = np.stack([model.user_vector(int(user)) for user in users])
    before = model.scores(raters[0])
    moved = model.refitted(3, raters, np.full(5, 5.0))
    after = moved.scores(raters[0])
    assert before[3] < after[3] < 6
    np.testing.assert_allclose(np.delete(after, 3), np.delete(before, 3), rtol=1e-6)


def test_kept_samples_are_even_and_without_the_first():
    kept = []
    for number in range(1, 201):
        blank = np.zeros((0, 1), np.float32)
        kept = thinned([*kept, Sample(number, blank, blank, np.zeros(1), np.eye(1), 1.0, 1.0)], 8, 0.25)
        assert len(kept) == min(8, number - number // 4)
        assert kept[-1].number == number
    gaps = np.diff([sample.number for sample in kept])
    assert kept[0].number > 50
    assert gaps.max() <= 3 * gaps.mean()


def test_priors_find_the_spread_of_the_vectors():
    rng = np.random.default_rng(0)
    covariance = np.array([[4.0, 1.0], [1.0, 0.01 + 0.25]])
    x = rng.multivariate_normal(np.zeros(2), covariance, 5000)
    prior, found = Prior.start(2), []
    for _ in range(300):
        prior.draw(x.T @ x, len(x), rng)
        found.append(np.linalg.inv(prior.precision))
    np.testing.assert_allclose(np.mean(found, axis=0), covariance, rtol=0.08)


# --- runs -------------------------------------------------------------------------------------------------------------


def test_a_time_limit_ends_the_run_between_samples(data):
    assert 1 <= trained(data[0], n_factors=2, epochs=100_000, time_limit=0.2).epochs_done < 100_000


def test_without_the_state_of_the_chain_training_begins_a_new_one(data):
    half = trained(data[0], n_factors=2, epochs=3)
    state = half.state()
    lean = state._replace(arrays={name: a for name, a in state.arrays.items() if not name.startswith("resume.")})
    again = BayesianMFModel()
    again.restore(lean)
    np.testing.assert_array_equal(again.score_users(np.arange(5)), half.score_users(np.arange(5)))
    np.testing.assert_array_equal(again.fold_in(*data[0].history(3)), half.fold_in(*data[0].history(3)))
    again.config = half.config.from_settings({"n_factors": 2, "epochs": 6})
    assert [epoch.number for epoch in again.fit_epochs(data[0])] == [4, 5, 6]
    assert np.isfinite(again.score_users(np.arange(5))).all()


def test_numbers_that_are_not_finite_are_an_error(data, monkeypatch):
    monkeypatch.setattr("engine.models.gibbs.Side.squares", lambda *_: float("nan"))
    with pytest.raises(TrainingFailed) as failed:
        trained(data[0], n_factors=2, epochs=3)
    assert failed.value.hint


@pytest.mark.parametrize("implicit", ["both", "users", "items", "none"])
def test_every_choice_of_sides_tells_the_checkerboard(implicit):
    board = checkerboard()
    model = trained(board, n_factors=3, epochs=30, implicit=implicit, side_features=False)
    diagonal = np.arange(20)
    assert (model.rate_pairs(diagonal, diagonal) > 3.5).all()


def test_serving_needs_no_compiler():
    code = "import sys, engine.models.bayesian_mf; sys.exit('numba' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_chain_starts_near_where_it_is_going():
    """From small random factors these data take more than a hundred iterations to be told from their biases."""
    train, test = planted(1500, 800, 150_000, rank=12, noise=0.75, scale=Scale(1, 5, 1))
    early, late = (rmse(trained(train, n_factors=15, epochs=epochs), test) for epochs in (10, 50))
    assert early < 1.02 * late
