"""What comes next: the weights against the formula, pair by pair, and what order does to them."""

from dataclasses import replace

import numpy as np
import pytest

from engine.data import NO_TIME
from engine.models.next_item import NextItem
from tests.data import planted, table


def trained(train, **options):
    model = NextItem(**options)
    list(model.fit_epochs(train))
    return model


def timed(n_users=60, n_items=40, n=1500, seed=1):
    rows, _ = planted(n_users, n_items, n)
    return replace(rows, times=np.random.default_rng(seed).integers(0, 400, len(rows)))  # some at the same moment


def reference(train, recency, backward, penalty):
    """B and the histories, in float64, by the definition."""
    gram, followed = (np.zeros((train.n_items, train.n_items)) for _ in range(2))
    given = np.zeros((train.n_users, train.n_items))
    for user in range(train.n_users):
        items = train.history(user)[0]
        for newer, item in enumerate(items):
            given[user, item] = recency ** (len(items) - 1 - newer)
            for older, other in enumerate(items):
                weight = recency ** abs(newer - older)
                gram[other, item] += weight
                if older != newer:
                    followed[other, item] += weight * (1 if older < newer else backward)
    weights = np.linalg.solve(gram + penalty * np.eye(len(gram)), followed)
    np.fill_diagonal(weights, 0)
    return weights, given


@pytest.mark.parametrize(("recency", "backward"), [(0.8, 0.3), (0.5, 0.0), (0.95, 1.0)])
def test_scores_follow_the_formula(recency, backward):
    train = timed()
    model = trained(train, recency=recency, backward=backward, regularization=20)
    weights, given = reference(train, recency, backward, 20)
    np.testing.assert_allclose(model.score_users(np.arange(60)), given @ weights, atol=1e-4)
    np.testing.assert_allclose(model.user_vector(7), given[7], atol=1.1e-4)


def test_the_order_of_a_history_decides():
    chain = 12
    users, places = np.divmod(np.arange(40 * 6), 6)
    items = (users + places) % chain  # everybody goes round in one direction
    train = table(users, items, np.full(len(users), 4.0), n_items=chain)
    train = replace(train, times=((train.item_index - train.user_index) % chain).astype(np.int64))
    model = trained(train, regularization=1)
    scores = np.where(
        [model.user_vector(user) > 0 for user in range(chain)], -np.inf, model.score_users(np.arange(chain))
    )
    assert scores.argmax(axis=1).tolist() == [(user + 6) % chain for user in range(chain)]
    forth, back = (model.fold_in(np.array(some), np.ones(3)) for some in ([3, 4, 5], [5, 4, 3]))
    assert model.scores(forth)[6] > model.scores(back)[6]


def test_where_nothing_has_a_time_order_says_nothing():
    rows, _ = planted(60, 40, 1500)
    model = trained(replace(rows, times=np.full(len(rows), NO_TIME)), regularization=20)
    weights, _ = reference(rows, 1.0, 1.0, 20)
    np.testing.assert_allclose(model.between.towards(np.arange(40), np.arange(40)), weights, atol=1e-4)
    items, ratings = rows.history(5)
    np.testing.assert_array_equal(model.fold_in(items, ratings), model.fold_in(items[::-1], ratings[::-1]))


def test_rarely_rated_items_take_no_part_and_go_by_popularity():
    train = timed()
    model = trained(train, most_items=10)
    most = set(np.argsort(-train.item_counts, kind="stable")[:10].tolist())
    reached = set(np.flatnonzero(np.abs(model.between.towards(np.arange(40), np.arange(40))).sum(axis=0)).tolist())
    assert reached <= most
    assert len(reached) > 5
    rest = np.array(sorted(set(range(40)) - most))
    np.testing.assert_array_equal(model.scores(model.user_vector(3), rest), model.offsets[rest])


def test_the_newest_rating_weighs_one_and_old_ones_nothing():
    train = timed(n_users=4, n_items=300, n=1100)
    model = trained(train, recency=0.9)
    items, _ = train.history(0)
    vector = model.user_vector(0)
    assert vector[items[-1]] == 1
    assert vector[items[-3]] == np.float32(0.9**2)
    assert not vector[items[: max(len(items) - 90, 0)]].any()
