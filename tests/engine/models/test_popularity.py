"""Popularity: counts first, damped means as predictions."""

import numpy as np
import pytest

from engine.models.base import TrainingFacts
from engine.models.popularity import Popularity
from tests.data import planted, table


def test_more_ratings_come_first_and_equal_numbers_by_their_mean():
    train = table([0, 1, 2, 0, 1, 0, 1, 0], [0, 0, 0, 1, 1, 2, 2, 3], [1, 2, 1, 3, 3, 5, 4, 5], n_items=5)
    model = Popularity()
    list(model.fit_epochs(train))
    assert np.argsort(-model.scores(model.cold_vector())).tolist() == [0, 2, 1, 3, 4]


def test_predictions_are_means_drawn_towards_the_mean_of_all():
    train = table([0, 1, 0, 1, 2, 3], [0, 0, 1, 1, 1, 1], [5, 4.5, 1, 1.5, 1, 1.5], n_items=3)
    model = Popularity()
    list(model.fit_epochs(train))
    first, second, unrated = model.ratings(model.cold_vector())
    mean = train.ratings.mean()
    assert mean < first < 4.75
    assert 1.25 < second < mean
    assert unrated == pytest.approx(mean)


def test_the_facts_are_enough():
    train, _ = planted(n_users=40, n_items=30, n_ratings=500)
    fitted, made = Popularity(), Popularity.from_facts(TrainingFacts.of(train))
    list(fitted.fit_epochs(train))
    np.testing.assert_array_equal(fitted.scores(fitted.cold_vector()), made.scores(made.cold_vector()))
    np.testing.assert_array_equal(fitted.ratings(fitted.cold_vector()), made.ratings(made.cold_vector()))
