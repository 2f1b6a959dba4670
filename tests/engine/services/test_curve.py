"""The curve of held-out rows: what it measures, what it costs, and that nothing depends on it."""

import time

import numpy as np
import pytest

from engine.errors import EngineError
from engine.evaluation import evaluate
from engine.models import model_class
from engine.models.popularity import Popularity
from engine.services import curve as curves
from engine.services.curve import FREE_SECONDS, SHARE, HeldOutCurve
from engine.splits import Split
from tests.data import planted


@pytest.fixture(scope="module")
def parts():
    train, test = planted(n_users=120, n_items=80, n_ratings=3000)
    return Split(train, test, {"seed": 7})


def fitted(name, parts, **settings):
    model = model_class(name)(**settings)
    for _ in model.fit_epochs(parts.train):
        pass
    return model


@pytest.mark.parametrize(
    ("name", "metric"), [("mf", "rmse"), ("popularity", "rmse"), ("ials", "ndcg@10"), ("ease", "ndcg@10")]
)
def test_where_every_user_is_drawn_it_is_the_figure_of_the_report(parts, name, metric):
    model = fitted(name, parts)
    found = HeldOutCurve(parts).after(model, seconds=60.0)
    report = evaluate(model, parts.train, parts.test, metrics=[metric])
    known = report.n_users == np.count_nonzero(parts.train.user_counts[report.users])
    assert known, "the data have changed: users without training rows are not drawn"
    assert found == {metric: pytest.approx(report.metrics[metric].value, abs=2e-6)}


def test_some_users_are_drawn_by_the_seed_of_the_split(parts, monkeypatch):
    monkeypatch.setattr(curves, "_MOST_USERS", 30)
    monkeypatch.setattr(curves, "_LEAST_USERS", 30)
    model = fitted("mf", parts)
    found = [
        HeldOutCurve(Split(parts.train, parts.test, {"seed": seed})).after(model, seconds=60.0)["rmse"]
        for seed in (1, 1, 2)
    ]
    assert found[0] == found[1] != found[2]


def test_the_average_of_samples_is_seen_nearly_as_it_is_served(parts):
    model = fitted("bayesian-mf", parts, epochs=12)
    users, items = parts.test.user_index, parts.test.item_index
    served, seen = model.rate_pairs(users, items), model.glimpse(users, items)
    assert np.abs(served - seen).max() < 0.1
    assert np.abs(served - seen).mean() < 0.01


class Slow(Popularity):
    """Takes its time to predict."""

    def glimpse(self, users, items):
        time.sleep(0.004)
        return super().glimpse(users, items)


def test_epochs_are_passed_over_so_that_measuring_takes_its_share_at_most(parts):
    model = Slow()
    list(model.fit_epochs(parts.train))
    curve, epochs, seconds = HeldOutCurve(parts), 400, 0.05
    found = [curve.after(model, seconds) for _ in range(epochs)]
    assert curve.spent <= FREE_SECONDS + SHARE * seconds * epochs + 0.1  # a measurement may take longer than the last
    measured = sum(map(bool, found))
    assert 20 < measured < epochs
    assert not all(found[-50:])


class Faulty(Popularity):
    """Cannot predict."""

    error: Exception = EngineError("no")

    def glimpse(self, users, items):
        raise self.error


@pytest.mark.parametrize("error", [EngineError("no"), MemoryError()])
def test_a_figure_that_cannot_be_had_ends_no_run(parts, error):
    model = Faulty()
    model.error = error
    list(model.fit_epochs(parts.train))
    assert HeldOutCurve(parts).after(model, 60.0) == {}


def test_not_finite_and_nothing_held_out_are_no_figures(parts):
    model = fitted("mf", parts)
    model.offsets[:] = np.nan
    assert HeldOutCurve(parts).after(model, 60.0) == {}
    nothing = Split(parts.train, parts.test.rows(np.zeros(len(parts.test), bool)), {"seed": 7})
    assert HeldOutCurve(nothing).after(fitted("mf", parts), 60.0) == {}
