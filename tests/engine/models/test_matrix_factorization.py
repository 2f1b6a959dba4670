"""Matrix factorization: what its two solvers find, when they stop, what it tells of users and items."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.data import ItemFeatures
from engine.errors import UnknownItem
from engine.models.factor_steps import Prepared, taste_variances
from engine.models.implied import expectation
from engine.models.matrix_factorization import MatrixFactorizationModel
from tests.data import planted, rmse, table


@pytest.fixture(scope="module")
def data():
    return planted(n_users=600, n_items=300, n_ratings=40_000)


def with_tastes(rows, strength, seed=1):
    """The same rows with genres and years, and ratings moved by each user's taste in the genres."""
    rng = np.random.default_rng(seed)
    genres = (rng.random((rows.n_items, 6)) < 0.3).astype(np.uint8)
    years = rng.choice([0, 1975, 1988, 1994], rows.n_items).astype(np.int16)
    moves = (
        rng.normal(0, strength, (rows.n_users, 6)) @ (genres / np.sqrt(np.maximum(genres.sum(1, keepdims=True), 1))).T
    )
    ratings = np.clip(rows.ratings + moves[rows.user_index, rows.item_index], 0.5, 5).astype(np.float32)
    return replace(rows, ratings=ratings, features=ItemFeatures(genres, tuple("abcdef"), years))


@pytest.fixture(scope="module")
def tastes(data):
    return [with_tastes(rows, 0.6) for rows in data]


def trained(train, valid=None, seed=42, **settings):
    model = MatrixFactorizationModel(**settings)
    losses = [epoch.losses for epoch in model.fit_epochs(train, valid=valid, seed=seed)]
    return model, losses


def test_als_comes_near_the_noise_whatever_the_rank_it_is_given(data):
    train, test = data
    noise = np.hypot(0.5, 0.5 / 12**0.5)  # planted, and rounding to half stars
    for n_factors in (3, 10, 50):
        model, _ = trained(train, n_factors=n_factors)
        assert rmse(model, test) < 1.12 * noise


@pytest.mark.parametrize("more", [{}, {"svd_plus_plus": True}])
def test_sweeps_come_as_far_as_whole_solves(tastes, more):
    whole, swept = (rmse(trained(tastes[0], updates=updates, **more)[0], tastes[1]) for updates in ("whole", "sweep"))
    assert swept < whole + 0.003


def test_much_data_is_swept_and_little_solved():
    few, many = MatrixFactorizationModel(), MatrixFactorizationModel(n_factors=128)
    for model in (few, many):
        model.facts = Prepared.of(planted(n_users=4000, n_items=500, n_ratings=20_000)[0], features=False).facts
    assert [model._sweeps(20_000) for model in (few, many)] == [False, True]


def test_a_run_that_was_stopped_is_settled_by_a_solve(tastes):
    train, _ = tastes
    model = MatrixFactorizationModel(updates="sweep", n_factors=7)
    for epoch in model.fit_epochs(train):
        if epoch.number == 4:
            break
    swept = model.user_vectors.copy()
    model.settle(train)
    assert np.abs(swept - model.user_vectors).max() > 1e-3
    for user in range(0, 600, 83):
        np.testing.assert_allclose(model.fold_in(*train.history(user)), model.user_vector(user), atol=2e-5)
    model.settle(train)  # has nothing left to do
    for epoch in model.fit_epochs(train):  # goes on from the sweeps
        if epoch.number == 6:
            break
    whole = MatrixFactorizationModel(updates="sweep", n_factors=7)
    for epoch in whole.fit_epochs(train):
        if epoch.number == 6:
            break
    np.testing.assert_array_equal(whole.user_vectors, model.user_vectors)


def test_sgd_finds_structure_too(data):
    train, test = data
    biases, _ = trained(train, epochs=1)
    model, _ = trained(train, solver="sgd", learning_rate=0.03, epochs=20, n_factors=10)
    assert rmse(model, test) < 0.9 * rmse(biases, test)


def test_the_first_epoch_is_the_biases_alone(data):
    model, _ = trained(data[0], epochs=1, n_factors=5)
    assert not model.item_vectors().any()
    assert not model.user_vectors[:, 1:].any()


def test_factors_that_the_data_do_not_support_fade():
    rng = np.random.default_rng(5)
    users, items = np.divmod(np.arange(120 * 80), 80)
    ratings = np.clip(np.round(2 * rng.normal(3, 1, len(users))) / 2, 0.5, 5)
    model, _ = trained(table(users, items, ratings), epochs=40, n_factors=8)
    products = model.user_vectors[:, 1:] @ model.item_vectors().T
    assert np.std(products) < 0.1


def test_stops_when_the_validation_part_is_predicted_no_better(data):
    train, test = data
    _, losses = trained(
        train.rows(np.arange(len(train)) < 3000), valid=test, epochs=100, solver="sgd", learning_rate=0.1
    )
    valid = [loss["valid"] for loss in losses]
    assert len(valid) < 100
    assert min(valid) < min(valid[-3:])


def test_early_stopping_holds_out_rows_of_its_own(data):
    train, _ = data
    model = MatrixFactorizationModel(early_stopping=True, epochs=3)
    epochs = list(model.fit_epochs(train))
    assert "valid" in epochs[-1].losses
    assert 0.88 * len(train) < epochs[-1].ratings < 0.92 * len(train)
    assert model.facts.user_counts.sum() == epochs[-1].ratings


def test_more_regularization_shrinks_more(data):
    sizes = [np.std(trained(data[0], regularization=r)[0].user_vectors[:, 1:]) for r in (0.5, 1, 2, 4)]
    assert sizes == sorted(sizes, reverse=True)


def test_goes_on_without_the_arrays_for_resuming(data):
    half, _ = trained(data[0], epochs=5, n_factors=6)
    arrays, extra = half.state()
    model = MatrixFactorizationModel()
    kept = {name: array for name, array in arrays.items() if not name.startswith("resume.")}
    model.restore(type(half.state())(kept, extra | {"config": extra["config"] | {"epochs": 8}}))
    losses = [epoch.losses["train"] for epoch in model.fit_epochs(data[0])]
    assert len(losses) == 3
    assert np.isfinite(losses).all()


def test_embeddings_by_text_id(data):
    model, _ = trained(data[0], n_factors=7)
    user = model.get_user_embedding("0000003")
    assert user.shape == (7,)
    assert not model.get_user_embedding("nobody").any()
    with pytest.raises(UnknownItem):
        model.get_movie_embedding("nothing")
    with pytest.raises(UnknownItem):
        model.get_movie_embedding(5)
    item = model.get_movie_embedding("0000005")
    score = model.offsets[5] + model.user_vectors[3, 0] + user @ item
    assert score == pytest.approx(float(model.scores(model.user_vector(3))[5]), abs=1e-5)


# --- features ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["als", "sgd"])
def test_tastes_in_genres_are_learned(tastes, solver):
    train, test = tastes
    errors = [rmse(trained(train, n_factors=10, solver=solver, features=f)[0], test) for f in (True, False)]
    assert errors[0] < 0.97 * errors[1]


def test_genres_that_say_nothing_do_no_harm(data):
    train, test = (with_tastes(rows, 0) for rows in data)
    with_features, without = (rmse(trained(train, n_factors=10, features=f)[0], test) for f in (True, False))
    assert with_features < without + 0.002


def test_without_features_the_setting_changes_nothing(data):
    first, second = (trained(data[0], n_factors=4, epochs=4, features=f)[0] for f in (True, False))
    np.testing.assert_array_equal(first.user_vectors, second.user_vectors)
    assert first.design.shape == (300, 5)


@pytest.mark.parametrize("settings", [{}, {"solver": "sgd"}, {"svd_plus_plus": True}, {"updates": "sweep"}])
def test_with_features_too_vectors_fold_in_and_contributions_are_exact(tastes, settings):
    train, _ = tastes
    model, _ = trained(train, n_factors=7, epochs=5, **settings)
    assert model.get_user_embedding("0000003").shape == model.get_movie_embedding("0000003").shape == (7,)
    for user in range(0, 600, 83):
        history = train.history(user)
        vector = model.fold_in(*history)
        np.testing.assert_allclose(vector, model.user_vector(user), atol=2e-5)
        parts = model.contributions(*history, np.array([11]))[0]
        assert parts.baseline + parts.amounts.sum() == pytest.approx(float(model.scores(vector)[11]), abs=1e-5)


@pytest.mark.parametrize("settings", [{}, {"solver": "sgd"}, {"svd_plus_plus": True}, {"updates": "sweep"}])
def test_with_features_too_a_resumed_run_equals_an_uninterrupted_one(tastes, settings):
    whole, _ = trained(tastes[0], n_factors=4, epochs=6, **settings)
    for stop in (1, 2, 4):
        half, _ = trained(tastes[0], n_factors=4, epochs=stop, **settings)
        arrays, extra = half.state()
        model = MatrixFactorizationModel()
        model.restore(type(half.state())(arrays, extra | {"config": whole.state().extra["config"]}))
        assert len(list(model.fit_epochs(tastes[0]))) == 6 - stop
        for name, array in whole.state().arrays.items():
            np.testing.assert_array_equal(array, model.state().arrays[name], err_msg=name)


def test_item_vectors_weigh_features_by_how_much_users_differ_in_them(tastes):
    model, _ = trained(tastes[0], n_factors=5)
    vectors, sizes = model.item_vectors(), np.sqrt(np.mean(model.user_vectors**2, axis=0))
    assert vectors.shape == (300, 5 + 6 + 3)
    np.testing.assert_array_equal(vectors[:, :5], model.design[:, 1:6])
    typical = np.sqrt(np.mean(sizes[1:6] ** 2))
    np.testing.assert_allclose(vectors[:, 5:], model.design[:, 6:] * sizes[6:] / typical, rtol=1e-5)


def test_variances_of_tastes_are_found():
    rng = np.random.default_rng(3)
    tastes, noise = rng.normal(0, [0.1, 1.0], (4000, 2)), np.array([0.5, 0.5])
    seen, found = tastes + rng.normal(0, noise**0.5, (4000, 2)), np.full(2, 0.3)
    for _ in range(40):
        variances = 1 / (1 / found + 1 / noise)
        means = seen * found / (found + noise)
        counts = np.ones(4000, int)
        found = taste_variances(means.astype(np.float32), np.tile(variances, (4000, 1)), found, counts)
    np.testing.assert_allclose(found, [0.01, 1.0], rtol=0.1, atol=0.02)


# --- who rated what ---------------------------------------------------------------------------------------------------


def test_expectation_comes_to_the_ridge_regression_on_who_is_in(data):
    prepared = Prepared.of(data[0], features=False)
    present = data[0].csr().toarray() != 0
    x = present / np.sqrt(np.maximum(present.sum(axis=1, keepdims=True), 1))  # (600, 300)
    vectors = np.random.default_rng(4).normal(size=(600, 3)).astype(np.float32)
    effects = None
    for _ in range(20):
        effects, means = expectation(prepared.by_user, prepared.by_item, vectors, effects)
    wanted = np.linalg.solve(x.T @ x + 5 * np.eye(300), x.T @ vectors)
    np.testing.assert_allclose(effects, wanted, atol=1e-4)
    np.testing.assert_allclose(means, x @ effects, atol=1e-5)


def test_choices_that_tell_of_tastes_help():
    """Users rate what they like, so that who rated what says something before any rating does."""
    rng = np.random.default_rng(6)
    likes = rng.normal(0, 0.5, (1500, 4)) @ rng.normal(0, 0.5, (4, 600))
    users, items = np.nonzero(rng.random((1500, 600)) < 0.03 * np.exp(2 * likes - 1))
    ratings = np.clip(3 + 0.7 * likes[users, items] + rng.normal(0, 1, len(users)), 0.5, 5)
    rows = table(users, items, np.round(2 * ratings) / 2, n_users=1500, n_items=600)
    kept = rng.random(len(rows)) < 0.8
    plain, plus = (
        rmse(trained(rows.rows(kept), n_factors=10, svd_plus_plus=s)[0], rows.rows(~kept)) for s in (False, True)
    )
    assert plus < plain


# --- memory -----------------------------------------------------------------------------------------------------------

_PEAK = """
import sys
from pathlib import Path
import numpy as np
from engine.data import Interactions, ItemFeatures, Scale
from engine.ids import IdMap
from engine.models.matrix_factorization import MatrixFactorizationModel

def resident(which):
    return int(Path("/proc/self/status").read_text().split(which + ":")[1].split()[0]) * 1024

def rows(n_users, n_items, each):
    ids = [IdMap.from_sorted(f"{number:08}" for number in range(n)) for n in (n_users, n_items)]
    users = np.repeat(np.arange(n_users, dtype=np.int32), each)
    items = np.tile(np.arange(each, dtype=np.int32) * (n_items // each), n_users)
    items += users % (n_items // each)
    ratings = ((users * 7 + items * 13) % 10 + 1).astype(np.float32) / 2
    genres, years = np.ones((n_items, 24), np.uint8), np.full(n_items, 1990, np.int16)
    features = ItemFeatures(genres, tuple(map(str, range(24))), years)
    return Interactions(*ids, users, items, ratings, np.zeros(len(users), np.int64), Scale(), features)

model = MatrixFactorizationModel(epochs=2, **eval(sys.argv[4]))
for _ in model.fit_epochs(rows(50, 40, 5)):
    pass
before, model.epochs_done = resident("VmRSS"), 0
train = rows(*map(int, sys.argv[1:4]))
Path("/proc/self/clear_refs").write_text("5")  # the peak is measured from here
for _ in model.fit_epochs(train):
    pass
print(resident("VmHWM") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak cannot be measured here")
@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "size"),
    [
        ({}, (5_000, 4_000, 200)),
        ({"solver": "sgd"}, (40_000, 5_000, 10)),
        ({"svd_plus_plus": True}, (5_000, 4_000, 200)),
    ],
)
def test_the_forecast_of_memory_is_near_the_peak(settings, size):
    """Within 20 % where it was measured; the test leaves slack for other allocators and libraries."""
    command = [sys.executable, "-c", _PEAK, *map(str, size), repr(settings)]
    peak = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    n_users, n_items, each = size
    forecast = MatrixFactorizationModel(**settings).memory_bytes(n_users, n_items, n_users * each)
    assert 0.7 * peak < forecast < 1.5 * peak


# --- real data --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_movielens_with_default_settings(movielens):
    """The goal is 0.875 as the mean of three seeds; biases alone have 0.8965, Surprise's SVD 0.9032, myFM 0.8469."""
    from tests.benchmarks.bench_mf import latest_small

    train, test = latest_small(movielens, seed=0)
    assert rmse(trained(train)[0], test) < 0.846
    assert rmse(trained(train, solver="sgd")[0], test) < 0.853
    assert rmse(trained(train, svd_plus_plus=True)[0], test) < 0.836
