"""The design's properties of models, over every model in the table that they apply to."""

import json
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from engine.data import Interactions, ItemFeatures, Scale
from engine.models import MODELS, model_class
from engine.models.base import State
from tests.data import table

RATING = [name for name in MODELS if model_class(name).predicts_ratings]
EMBEDDING = [name for name in MODELS if hasattr(model_class(name), "get_user_embedding")]
SMALL = {"n_factors": 3, "epochs": 2, "embedding_dim": 3, "hidden_layers": [4], "negatives": 8, "batch_size": 4096}
SCALES = [Scale(), Scale(1, 5, 1), Scale(0, 100, None), Scale(-1, 1, 0.01)]


@st.composite
def interactions(draw, least=1, most=60):
    """Any ratings on any scale: up to 12 users and 12 items, some without rows, with genres and years or without."""
    n_users, n_items = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    scale = draw(st.sampled_from(SCALES))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = min(draw(st.integers(least, most)), n_users * n_items)
    users, items = np.divmod(rng.permutation(n_users * n_items)[:n], n_items)
    ratings = rng.uniform(scale.low, scale.high, n)
    if draw(st.booleans()):
        ratings = np.round(ratings[rng.integers(0, n, n)])
    ratings = np.clip(ratings, scale.low, scale.high)
    n_genres = draw(st.integers(0, 3))
    years = rng.choice([0, 1931, 1999, 2004], n_items).astype(np.int16)
    genres = rng.integers(0, 2, (n_items, n_genres), dtype=np.uint8)
    features = ItemFeatures(genres, tuple("abc"[:n_genres]), years)
    return table(users, items, ratings, n_users=n_users, n_items=n_items, scale=scale, features=features)


def trained(name, rows: Interactions, **wanted):
    known = {declared.name for declared in fields(model_class(name).Config)}
    small = SMALL | wanted
    model = model_class(name)(**{key: value for key, value in small.items() if key in known})
    losses = [epoch.losses["train"] for epoch in model.fit_epochs(rows)]
    return model, losses


# Feature: ml-enhancement, Property 1: save then load gives equal predictions
@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=100)
@given(rows=interactions())
def test_what_is_saved_and_loaded_predicts_the_same(name, rows):
    model, _ = trained(name, rows)
    state = model.state()
    again = model_class(name)()
    again.restore(State(load(save(state.arrays)), json.loads(json.dumps(state.extra))))
    users = np.arange(rows.n_users)
    np.testing.assert_array_equal(again.score_users(users), model.score_users(users))
    if model.predicts_ratings:
        pairs = np.divmod(np.arange(rows.n_users * rows.n_items), rows.n_items)
        np.testing.assert_array_equal(again.rate_pairs(*pairs), model.rate_pairs(*pairs))


# Feature: ml-enhancement, Property 2: predicted ratings lie within the rating scale
@pytest.mark.parametrize("name", RATING)
@settings(max_examples=100)
@given(rows=interactions(), solver=st.sampled_from(["als", "sgd"]), probit=st.booleans())
def test_predicted_ratings_lie_within_the_scale(name, rows, solver, probit):
    graded = probit and len(np.unique(rows.ratings)) > 1
    likelihood = "probit" if graded else "gaussian"
    model, _ = trained(name, rows, solver=solver, epochs=4, likelihood=likelihood, head="ratings")
    pairs = np.divmod(np.arange(rows.n_users * rows.n_items), rows.n_items)
    low, high = np.float32([rows.scale.low, rows.scale.high])
    for predicted in (model.rate_pairs(*pairs), model.ratings(model.cold_vector())):
        assert ((predicted >= low) & (predicted <= high)).all()
    for user in (rows.users.text(0), "nobody"):
        for item in (rows.items.text(0), "nothing"):
            assert low <= model.predict(user, item) <= high


# Feature: ml-enhancement, Property 3: final training RMSE is below the initial one
@pytest.mark.parametrize("name", RATING)
@settings(max_examples=100)
@given(seed=st.integers(0, 2**32 - 1), solver=st.sampled_from(["als", "sgd"]), noise=st.floats(0, 1))
def test_training_lowers_the_error_on_the_training_rows(name, seed, solver, noise):
    rng = np.random.default_rng(seed)
    users, items = np.divmod(rng.permutation(30 * 20)[:400], 20)
    likes = rng.normal(0, 0.7, (30, 2)) @ rng.normal(0, 0.7, (2, 20)) + rng.normal(0, 0.3, 20)  # (30, 20)
    ratings = np.clip(3 + likes[users, items] + rng.normal(0, noise, 400), 0.5, 5)
    rows = table(users, items, ratings, n_users=30, n_items=20)
    _, losses = trained(name, rows, solver=solver, learning_rate=0.05, epochs=10, batch_size=64, head="ratings")
    untrained = float(np.std(rows.ratings))  # before training every model predicts the mean
    assert losses[-1] < untrained * (1.1 if name == "ensemble" else 1)  # noise can mislead weights of 40 held-out rows
    # an ensemble begins with one trained member, which may fit noise better than weights found on other rows do
    assert len(losses) == 1 or losses[-1] < losses[0] or name == "ensemble"


# Feature: ml-enhancement, Property 8: RMSE equals the hand calculation
@pytest.mark.parametrize("name", RATING)
@settings(max_examples=100)
@given(rows=interactions())
def test_the_loss_is_the_root_mean_square_error(name, rows):
    known = {declared.name for declared in fields(model_class(name).Config)}
    small = SMALL | {"head": "ratings"}
    model = model_class(name)(**{key: value for key, value in small.items() if key in known})
    for epoch in model.fit_epochs(rows, valid=rows):
        predicted = model.rate_pairs(rows.user_index, rows.item_index)
        squares = [(float(one) - float(rating)) ** 2 for one, rating in zip(predicted, rows.ratings, strict=True)]
        unit = rows.scale.high - rows.scale.low
        assert epoch.losses["valid"] == pytest.approx((sum(squares) / len(squares)) ** 0.5, rel=1e-4, abs=1e-5 * unit)


# Feature: ml-enhancement, Property 9: an embedding's dimension is n_factors
@pytest.mark.parametrize("name", EMBEDDING)
@settings(max_examples=100)
@given(rows=interactions(), n_factors=st.integers(1, 40))
def test_embeddings_have_the_dimension_that_was_asked_for(name, rows, n_factors):
    model, _ = trained(name, rows, n_factors=n_factors, embedding_dim=n_factors)
    for user in (*rows.users.texts(), "nobody"):
        assert model.get_user_embedding(user).shape == (n_factors,)
    for item in rows.items.texts():
        assert model.get_movie_embedding(item).shape == (n_factors,)


# Feature: ml-enhancement, Property 10: a top-N list holds N distinct items
@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=100)
@given(rows=interactions(), n=st.integers(0, 15))
def test_a_list_of_n_holds_n_distinct_items(name, rows, n):
    model, _ = trained(name, rows)
    for user in (*rows.users.texts(), "nobody"):
        picked = model.recommend(user, n)
        assert len(picked) == len(set(picked)) == min(n, rows.n_items)
        assert set(picked) <= set(rows.items.texts())
