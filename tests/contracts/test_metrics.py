"""What holds for every metric in the table, those to come included."""

import numpy as np
import pytest

from engine.data import Interactions
from engine.metrics import METRICS, Evidence, metric

N_USERS, N_ITEMS, DEPTH = 40, 60, 12


def interactions(pairs):
    ids = [f"{number:02}" for number in range(N_ITEMS)]
    users, items = np.nonzero(pairs)
    return Interactions.build(ids[:N_USERS], ids, users, items, np.ones(len(users)))


def evidence(users, lists=None, seed=0):
    """Everything that a metric may need, for users with held-out rows, in any order."""
    rng = np.random.default_rng(seed)
    kinds = rng.random((N_USERS, N_ITEMS))
    train, test = interactions(kinds < 0.2), interactions(kinds > 0.8)
    drawn = np.array([rng.permutation(N_ITEMS)[:DEPTH] for _ in range(N_USERS)], np.int32)
    per_user = {name: rng.random(N_USERS)[users] for name in ("squared_error", "absolute_error", "auc")}
    inside = np.floor(rng.random(N_USERS) * (test.user_counts + 1))[users]
    predicted = rng.uniform(0.5, 5, len(test)).astype(np.float32)
    shown = drawn[users] if lists is None else lists
    return Evidence.of_lists(users, shown, train, test, inside=inside, predicted=predicted, **per_user)


@pytest.fixture(params=METRICS)
def measured(request):
    return metric(request.param)


def test_is_defined_in_words(measured):
    assert measured.name in METRICS
    assert measured.better in {"higher", "lower", "nearer"}
    assert measured.aim.startswith(measured.better)
    for text in (measured.sentence, measured.formula, measured.source, measured.empty_case):
        assert len(text) >= 10
        assert text == text.strip()
        assert "\n" not in text
    assert measured.sentence.endswith(".")
    assert measured.empty_case.endswith(".")


def test_gives_one_number_a_user_within_its_bounds(measured):
    found = measured.values(evidence(np.arange(N_USERS)))
    assert found.dtype == np.float64
    assert found.shape == ((N_USERS,) if measured.per_user else (1,))
    assert (found >= measured.bounds[0]).all()
    assert (found <= measured.bounds[1]).all()


def test_users_count_by_themselves(measured):
    users = np.arange(N_USERS)
    whole, turned = measured.values(evidence(users)), measured.values(evidence(users[::-1]))
    np.testing.assert_allclose(whole, turned[::-1], rtol=1e-12)
    if measured.per_user:
        np.testing.assert_allclose(whole[:5], measured.values(evidence(users[:5])), rtol=1e-12)


def test_the_mean_lies_between_the_users(measured):
    found = evidence(np.arange(N_USERS))
    values = measured.values(found)
    totals, weights = measured.terms(values, found.relevant)
    assert values.min() <= measured.mean(totals.sum(), weights.sum()) <= values.max()


def test_empty_lists_and_no_users_are_no_accident(measured):
    nothing = measured.values(evidence(np.arange(N_USERS), np.full((N_USERS, DEPTH), -1, np.int32)))
    assert nothing.shape == ((N_USERS,) if measured.per_user else (1,))
    for lists in (np.empty((0, DEPTH), np.int32), np.empty((0, 0), np.int32)):
        nobody = measured.values(evidence(np.arange(0), lists))
        assert nobody.shape == ((0,) if measured.per_user else (1,))


@pytest.mark.parametrize("name", ["precision", "recall", "ndcg", "map", "mrr", "hit_rate"])
def test_a_better_list_is_not_worse(name):
    users = np.arange(N_USERS)
    some = evidence(users)
    relevant_first = np.take_along_axis(some.lists, np.argsort(~some.hits, axis=1, kind="stable"), axis=1)
    assert (metric(name).values(evidence(users, relevant_first)) >= metric(name).values(some) - 1e-12).all()
