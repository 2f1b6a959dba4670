"""Content: tastes in genres and decades, from ratings or from wishes."""

import numpy as np
import pytest

from engine.data import ItemFeatures
from engine.errors import SettingRefused
from engine.models.base import TrainingFacts
from engine.models.content import ContentModel
from engine.models.popularity import Popularity
from engine.ranking import top_k
from tests.data import checkerboard, planted, table


@pytest.fixture(scope="module")
def board():
    return checkerboard()


@pytest.fixture(scope="module")
def model(board):
    fitted = ContentModel()
    list(fitted.fit_epochs(board))
    return fitted


@pytest.mark.parametrize(("wishes", "parity"), [({"even": 1.0}, 0), ({"ODD": 0.2}, 1), ({"even": -3.0}, 1)])
def test_wishes_lead_to_items_of_the_genre(model, wishes, parity):
    best = top_k(model.scores(model.preferences(wishes)), 10)
    assert (best % 2 == parity).all()


def test_the_strongest_wish_is_worth_one_deviation(model, board):
    vector = model.preferences({"even": 4.0, "odd": -2.0})
    deviation = board.ratings.std()
    np.testing.assert_allclose(vector, [0, deviation, -deviation / 2, 0], rtol=1e-5)


def test_no_wishes_are_the_cold_vector(model):
    np.testing.assert_array_equal(model.preferences({}), model.cold_vector())
    np.testing.assert_array_equal(model.preferences({"even": 0.0}), model.cold_vector())


def test_an_unknown_genre_is_refused_with_the_nearest(model):
    with pytest.raises(SettingRefused) as refused:
        model.preferences({"evne": 1.0})
    assert "did you mean even?" in refused.value.hint


def test_an_item_that_nobody_has_rated_is_predicted_by_its_features(model):
    lover_of_even = model.user_vector(0)
    assert model.rating_of(lover_of_even, ["even"], 1990) > 3.5
    assert model.rating_of(lover_of_even, ["odd"], 1990) < 2.5
    assert model.rating_of(lover_of_even, ["unheard of"], None) == pytest.approx(3, abs=0.7)


def test_what_all_think_of_a_genre_reaches_items_without_ratings():
    genres = np.repeat(np.eye(2, dtype=np.uint8), 10, axis=0)
    users, items = np.divmod(np.arange(20 * 20), 20)
    keep = ~np.isin(items, [9, 19])
    ratings = np.where(items < 10, 4.5, 1.5) + np.resize([0.5, -0.5, 0], len(items))
    features = ItemFeatures(genres, ("good", "bad"), np.zeros(20, np.int16))
    train = table(users[keep], items[keep], ratings[keep], n_items=20, features=features)
    model = ContentModel.from_facts(TrainingFacts.of(train))
    scores = model.scores(model.cold_vector())
    assert scores[9] > 3.5
    assert scores[19] < 2.5


def test_without_features_it_is_a_damped_mean_of_item_and_user():
    train, _ = planted(n_users=60, n_items=40, n_ratings=900)
    model, popular = ContentModel(), Popularity()
    list(model.fit_epochs(train))
    list(popular.fit_epochs(train))
    np.testing.assert_allclose(model.scores(model.cold_vector()), popular.ratings(popular.cold_vector()), atol=0.1)
    assert model.cold_vector().shape == (1,)


def test_the_facts_are_enough_to_fold_in(model, board):
    made = ContentModel.from_facts(model.facts)
    np.testing.assert_allclose(made.fold_in(*board.history(3)), model.user_vector(3), atol=1e-5)
