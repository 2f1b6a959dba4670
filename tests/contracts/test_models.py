"""What holds for every model in the table, those to come included."""

import json
import sys
from dataclasses import asdict, fields, replace

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load, save

from engine.data import Interactions, ItemFeatures, Scale
from engine.errors import SettingRefused, TrainingFailed
from engine.models import MODELS, model_class
from engine.models.base import Contributions, Explains, FoldsIn, FoldsInMany, HasItemVectors, State
from engine.resources import thread_limit
from engine.services.curve import HeldOutCurve
from engine.splits import Split
from tests.data import checkerboard, in_threads_of, planted, rmse, table

SMALL = {"n_factors": 4, "epochs": 4, "embedding_dim": 4, "hidden_layers": [8, 4], "negatives": 16}
VARIANTS = [
    ("mf", {"solver": "sgd", "learning_rate": 0.05}),
    ("mf", {"early_stopping": True}),
    ("mf", {"svd_plus_plus": True}),
    ("mf", {"updates": "sweep"}),
    ("mf", {"updates": "sweep", "svd_plus_plus": True}),
    ("bayesian-mf", {"likelihood": "probit", "epochs": 8}),
]
CASES = [(name, {}) for name in MODELS] + VARIANTS


def settings_of(name, extra):
    known = {declared.name for declared in fields(model_class(name).Config)}
    return {key: value for key, value in SMALL.items() if key in known} | extra


@pytest.fixture(params=CASES, ids=[" ".join([name, *map(str, extra.values())]) for name, extra in CASES])
def make(request):
    """A maker of untrained models; settings by name override the small ones."""
    name, extra = request.param

    def made(**more):
        known = {declared.name for declared in fields(model_class(name).Config)}
        return model_class(name)(**settings_of(name, extra) | {key: more[key] for key in more if key in known})

    return made


@pytest.fixture(scope="session")
def data():
    """Training and test rows with times, so that what a user vector holds may hang on the order of their ratings."""
    rng = np.random.default_rng(5)
    return tuple(replace(rows, times=rng.integers(0, 50, len(rows))) for rows in planted())


def trained(model, train, **options):
    for _ in model.fit_epochs(train, **options):
        pass
    return model


def through_files(state):
    """What comes back when a state is written as safetensors and JSON."""
    return State(load(save(state.arrays)), json.loads(json.dumps(state.extra)))


def copied(model):
    again = type(model)()
    again.restore(through_files(model.state()))
    return again


def same(first, second):
    assert first.extra == second.extra
    assert first.arrays.keys() == second.arrays.keys()
    for name, array in first.arrays.items():
        np.testing.assert_array_equal(array, second.arrays[name], err_msg=name)


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_table_and_class_agree_on_the_name(name):
    assert model_class(name).name == name


@pytest.mark.parametrize("name", MODELS)
def test_every_setting_has_a_sentence_and_a_default_in_its_range(name):
    config = model_class(name).Config
    for declared in fields(config):
        assert declared.metadata["sentence"].endswith(".")
    assert config.from_settings(asdict(config())) == config()


@pytest.mark.parametrize("name", MODELS)
def test_unknown_settings_are_refused_with_the_names_there_are(name):
    with pytest.raises(SettingRefused) as refused:
        model_class(name)(colour="blue")
    assert "colour" in str(refused.value)
    assert refused.value.hint


# --- training ---------------------------------------------------------------------------------------------------------


def test_epochs_count_up_and_losses_are_finite(make, data):
    train, test = data
    epochs = list(make().fit_epochs(train, valid=test))
    assert [epoch.number for epoch in epochs] == list(range(1, len(epochs) + 1))
    for epoch in epochs:
        assert epoch.of >= len(epochs)
        assert epoch.ratings > 0
        assert {"train", "valid"} <= epoch.losses.keys()
        assert all(np.isfinite(loss) for loss in epoch.losses.values())


def test_is_usable_after_every_epoch(make, data):
    train, _ = data
    model = make()
    for epoch in model.fit_epochs(train):
        assert model.epochs_done == epoch.number
        again = copied(model)
        users = np.arange(5)
        np.testing.assert_array_equal(again.score_users(users), model.score_users(users))


def test_a_state_is_not_changed_by_the_epochs_after_it(make, data):
    states = []
    for _ in (model := make()).fit_epochs(data[0]):
        state = model.state()
        states.append((state, through_files(state)))
    for held, written in states:
        same(held, written)


def test_the_same_seed_gives_the_same_model_and_threads_change_nothing(make, data):
    states = []
    for threads in (1, 2, 4):
        with thread_limit(threads), in_threads_of(threads):
            states.append(trained(make(), data[0], seed=7).state())
    same(states[0], states[1])
    same(states[1], states[2])


def test_a_resumed_run_equals_an_uninterrupted_one(make, data):
    """And a curve that is measured between the epochs of one of them changes nothing."""
    train, test = data
    whole = trained(make(), train, valid=test, seed=3)
    for stop in range(1, whole.epochs_done):
        half, curve = make(), HeldOutCurve(Split(train, test, {"seed": 3}))
        for epoch in half.fit_epochs(train, valid=test, seed=3):
            assert curve.after(half, seconds=60.0)
            if epoch.number == stop:
                break
        same(trained(copied(half), train, valid=test, seed=3).state(), whole.state())


def test_a_finished_run_has_nothing_left_to_do(make, data):
    model = trained(make(), data[0])
    if model.epochs_done == getattr(model.config, "epochs", 1):
        assert list(copied(model).fit_epochs(data[0])) == []


def test_beats_the_mean_on_ratings_it_has_not_seen(make, data):
    train, test = data
    model = make(epochs=8)
    if not model.predicts_ratings:
        pytest.skip("ranks only")
    trained(model, train)
    assert rmse(model, test) < 0.97 * np.std(test.ratings)


def test_memory_forecast_grows_with_the_data(make):
    model = make()
    assert 0 < model.memory_bytes(10, 10, 100) < model.memory_bytes(1000, 1000, 100_000)


# --- scores -----------------------------------------------------------------------------------------------------------


def test_shapes_types_and_agreement_of_the_ways_to_score(make, data):
    train, _ = data
    model = trained(make(), train)
    users, items = np.array([3, 0, 299]), np.array([5, 1, 0, 199])
    table_of = model.score_users(users)
    assert table_of.shape == (3, train.n_items)
    assert table_of.dtype == np.float32
    for user, row in zip(users, table_of, strict=True):
        vector = model.user_vector(int(user))
        assert vector.dtype == np.float32
        assert model.scores(vector).dtype == np.float32
        np.testing.assert_allclose(model.scores(vector), row, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(model.scores(vector, items), row[items], rtol=1e-5, atol=1e-5)
    if model.predicts_ratings:
        pairs = model.rate_pairs(np.repeat(users, 4), np.tile(items, 3)).reshape(3, 4)
        one_by_one = [model.ratings(model.user_vector(int(user)), items) for user in users]
        np.testing.assert_allclose(pairs, one_by_one, rtol=1e-5, atol=1e-5)
        assert model.rate_pairs(users[:0], items[:0]).shape == (0,)


def test_tells_tastes_apart_on_the_checkerboard(make):
    board = checkerboard()
    model = trained(make(epochs=20), board)
    if not (model.predicts_ratings and isinstance(model, HasItemVectors)):
        pytest.skip("the same for everybody")
    diagonal = np.arange(board.n_users)
    assert (model.rate_pairs(diagonal, diagonal) > 3.5).all()
    assert (model.rate_pairs(diagonal, (diagonal + 1) % board.n_items) < 2.5).all()


def test_likeness_on_the_checkerboard_is_parity(make):
    model, board = make(epochs=20), checkerboard()
    if not isinstance(model, HasItemVectors):
        pytest.skip("no item vectors")
    # who rated what says nothing on a full board: a model that only ranks is told what was liked
    trained(model, board if model.predicts_ratings else board.rows(board.ratings > 3))
    vectors = model.item_vectors().astype(np.float64)
    likeness = vectors @ vectors.T
    for item in range(0, 20, 3):
        nearest = np.argsort(-likeness[item])[:10]
        assert (nearest % 2 == item % 2).all()


# --- abilities --------------------------------------------------------------------------------------------------------


def test_stored_vectors_are_the_fold_in_of_the_training_rows(make, data):
    train, test = data
    model = trained(make(), train, valid=test)
    if not isinstance(model, FoldsIn) or getattr(model.config, "early_stopping", False) or not model.folds_in_exactly:
        pytest.skip("does not fold in, trained on a part, or learns more of a user than folding in finds")
    for user in range(0, train.n_users, 7):
        folded = model.fold_in(*train.history(user))
        assert folded.dtype == np.float32
        np.testing.assert_allclose(folded, model.user_vector(user), atol=1e-5)


def test_an_empty_history_folds_into_the_cold_vector(make, data):
    model = trained(make(), data[0])
    if not isinstance(model, FoldsIn):
        pytest.skip("does not fold in")
    nothing = np.zeros(0, np.int64)
    np.testing.assert_array_equal(model.fold_in(nothing, nothing.astype(np.float32)), model.cold_vector())


def test_many_histories_fold_in_as_each_does(make, data, monkeypatch):
    train, _ = data
    model = trained(make(), train)
    if not isinstance(model, FoldsInMany):
        pytest.skip("folds in one by one")
    some = [(items[:k], given[:k]) for k, (items, given) in ((k, train.history(k % 7)) for k in (0, 1, 5, 500))]
    together = model.fold_in_many(some)
    monkeypatch.delitem(sys.modules, "engine.kernels")
    np.testing.assert_array_equal(model.fold_in_many(some), [model.fold_in(*one) for one in some])
    np.testing.assert_allclose(together, [model.fold_in(*one) for one in some], atol=1e-5)
    assert together.dtype == np.float32


def test_contributions_sum_to_the_score(make, data):
    train, _ = data
    model = trained(make(), train)
    if not (isinstance(model, Explains) and isinstance(model, FoldsIn)):
        pytest.skip("does not explain")
    for user in (0, 17, 131):
        history = train.history(user)
        scores = model.scores(model.fold_in(*history))
        targets = np.array([0, 50, 199])
        for item, parts in zip(targets, model.contributions(*history, targets), strict=True):
            assert parts.method in {"additive", "removal"}
            if parts.method == "additive":
                assert parts.baseline + parts.amounts.sum() == pytest.approx(parts.score, abs=1e-9)
                assert parts.score == pytest.approx(scores[item], abs=1e-5)


def test_without_a_history_the_score_is_the_baseline(make, data):
    model = trained(make(), data[0])
    if not isinstance(model, Explains):
        pytest.skip("does not explain")
    [parts] = model.contributions(np.zeros(0, np.int64), np.zeros(0, np.float32), np.array([3]))
    assert isinstance(parts, Contributions)
    assert parts.baseline == parts.score == pytest.approx(float(model.scores(model.cold_vector())[3]), abs=1e-5)


def test_item_vectors_have_a_row_for_each_item(make, data):
    model = trained(make(), data[0])
    if not isinstance(model, HasItemVectors):
        pytest.skip("no item vectors")
    assert model.item_vectors().shape[0] == data[0].n_items
    assert np.isfinite(model.item_vectors()).all()


# --- bad data ---------------------------------------------------------------------------------------------------------

RNG = np.random.default_rng(11)
GRID = np.divmod(np.arange(120), 12)
BAD = {
    "one rating": table([0], [0], [4.0]),
    "one user": table([0] * 6, range(6), [1, 2, 3, 4, 5, 3]),
    "one item": table(range(6), [0] * 6, [1, 2, 3, 4, 5, 3]),
    "all ratings equal": table(*GRID, np.full(120, 3.0)),
    "everyone their own item": table(range(8), range(8), [1, 2, 3, 4, 5, 4, 3, 2]),
    "users and items without rows": table([1, 1, 4, 6], [2, 5, 2, 7], [1, 5, 4, 2], n_users=9, n_items=11),
    "pure noise": table(*GRID, RNG.integers(1, 11, 120) / 2),
    "only the ends of the scale": table(*GRID, RNG.choice([0.5, 5.0], 120)),
    "a wide scale without steps": table(*GRID, RNG.uniform(-1e6, 1e6, 120), scale=Scale(-1e6, 1e6, None)),
    "a narrow scale": table(*GRID, RNG.uniform(0, 1e-3, 120), scale=Scale(0.0, 1e-3, None)),
    "genres that nobody has": table(
        *GRID,
        RNG.integers(1, 6, 120),
        features=ItemFeatures(np.zeros((12, 3), np.uint8), ("a", "b", "c"), np.zeros(12, np.int16)),
    ),
}


@pytest.mark.parametrize("rows", BAD.values(), ids=BAD)
@pytest.mark.parametrize("n_factors", [1, 30])
def test_trains_sensibly_on_bad_data(make, rows: Interactions, n_factors):
    model = make(n_factors=n_factors, epochs=6, learning_rate=0.001)
    if getattr(model.config, "likelihood", "") == "probit" and not 2 <= len(np.unique(rows.ratings)) <= 100:
        with pytest.raises(SettingRefused, match="different rating values") as refused:
            trained(model, rows)
        assert refused.value.hint
        return
    trained(model, rows)
    scores = model.score_users(np.arange(rows.n_users))
    assert np.isfinite(scores).all()
    assert np.isfinite(model.scores(model.cold_vector())).all()
    for array in model.state().arrays.values():
        assert array.dtype.kind != "f" or np.isfinite(array[~np.isinf(array)]).all()
    if model.predicts_ratings:
        predicted = model.rate_pairs(rows.user_index, rows.item_index)
        assert (predicted >= np.float32(rows.scale.low)).all()
        assert (predicted <= np.float32(rows.scale.high)).all()


def test_divergence_is_an_error_that_says_what_to_do(data):
    model = model_class("mf")(solver="sgd", learning_rate=1.0, epochs=30, n_factors=8)
    with pytest.raises(TrainingFailed) as failed:
        trained(model, table(*GRID, RNG.uniform(-1e6, 1e6, 120), scale=Scale(-1e6, 1e6, None)))
    assert "learning_rate" in failed.value.hint


# --- the design's interface -------------------------------------------------------------------------------------------


def frame(rows):
    return pd.DataFrame(
        {
            "user_id": [rows.users.text(user) for user in rows.user_index],
            "movie_id": [rows.items.text(item) for item in rows.item_index],
            "rating": rows.ratings,
        }
    )


def test_data_frames_in_and_text_ids_out(make, data):
    model = make()
    losses = model.fit(frame(data[0]), epochs=3) if hasattr(model.config, "epochs") else model.fit(frame(data[0]))
    assert losses["train"]
    assert np.isfinite(losses["train"]).all()
    picked = model.recommend("0000003", n=7)
    assert len(set(picked)) == 7
    assert all(model.facts.items.index(item) is not None for item in picked)
    for user, item in (("0000003", "0000005"), ("nobody", "0000005"), ("0000003", "nothing"), ("nobody", "nothing")):
        if model.predicts_ratings:
            assert 0.5 <= model.predict(user, item) <= 5.0
    assert len(model.recommend("nobody", n=10_000)) == len(model.facts.items)


def test_fitting_again_starts_afresh(make, data):
    model = make()
    first = model.fit(frame(data[0]))
    assert model.fit(frame(data[0])) == first
