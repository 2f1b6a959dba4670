"""Ranking: min(k, eligible) distinct items, never a seen or filtered one, ties to the lower index."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import ranking
from engine.data import Interactions
from engine.ranking import ranked, score_batches, top_k, top_k_all, top_k_many, top_k_seen

SCORES = st.sampled_from([0.0, -0.0, 1.0, 1.5, -2.0, 1e30, np.inf, -np.inf, np.nan])


def expected(scores, k, excluded=(), allowed=None):
    """The definition, spelled out."""
    eligible = [
        item
        for item, score in enumerate(scores)
        if item not in excluded and (allowed is None or allowed[item]) and score > -np.inf
    ]
    return sorted(eligible, key=lambda item: (-scores[item], item))[: max(k, 0)]


@st.composite
def problems(draw):
    """Scores (B, n), the excluded items of each row, and a k that may exceed n."""
    n = draw(st.integers(1, 12))
    matrix = draw(st.lists(st.lists(SCORES, min_size=n, max_size=n), min_size=1, max_size=5))
    excluded = [draw(st.lists(st.integers(0, n - 1), max_size=n)) for _ in matrix]
    return np.array(matrix, np.float32), excluded, draw(st.integers(0, n + 3))


@pytest.fixture(params=["compiled", "arrays"])
def _way(request, monkeypatch):
    """Both ways to one list: in a process that has compiled loops at hand, and in one that has not."""
    loop = ranking._Loop()
    loop._first.acquire()  # nobody makes it ready beside the test
    if request.param == "compiled":
        loop.make_ready()
    monkeypatch.setattr(ranking, "_LOOP", loop)


def either_way(test):
    return pytest.mark.usefixtures("_way")(
        settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)(test)
    )


@either_way
@given(problems(), st.data())
def test_top_k_is_its_definition(problem, data):
    scores, excluded, k = problem
    allowed = np.array(data.draw(st.lists(st.booleans(), min_size=scores.shape[1], max_size=scores.shape[1])))
    for row, seen in zip(scores, excluded, strict=True):
        exclude = np.array(seen, np.int32)
        assert top_k(row, k).tolist() == expected(row, k)
        assert top_k(row, k, exclude=exclude).tolist() == expected(row, k, seen)
        assert top_k(row, k, exclude=exclude, allowed=allowed).tolist() == expected(row, k, seen, allowed)


@either_way
@given(problems(), st.data())
def test_percentages_count_every_score_eligible_or_not(problem, data):
    scores, excluded, k = problem
    allowed = np.array(data.draw(st.lists(st.booleans(), min_size=scores.shape[1], max_size=scores.shape[1])))
    for row, seen in zip(scores, excluded, strict=True):
        picked, shares = ranked(row, k, exclude=np.array(seen, np.int32), allowed=allowed)
        assert shares == pytest.approx([100 * np.mean(~(row > row[item])) for item in picked])


@pytest.mark.usefixtures("_way")
def test_long_rows_are_ranked_by_their_definition():
    rng = np.random.default_rng(0)
    for n, k, values in ((5_000, 10, 1_000_000), (5_000, 100, 40), (3_707, 10, 3), (700, 60, 9), (5_000, 5_000, 9)):
        scores = rng.integers(0, values, n).astype(np.float32)
        scores[rng.choice(n, n // 10)] = -np.inf
        scores[: n // 3] = np.nan  # groups without any score among them
        exclude = rng.choice(n, n // 2)
        picked, shares = ranked(scores, k, exclude=exclude)
        assert picked.tolist() == expected(scores, k, set(exclude.tolist()))
        assert shares == pytest.approx([100 * np.mean(~(scores > scores[item])) for item in picked])


@given(problems())
@settings(deadline=None)  # the first call compiles
def test_many_rows_are_ranked_like_one(problem):
    scores, excluded, k = problem
    indptr = np.concatenate([[0], np.cumsum([len(seen) for seen in excluded])])
    many = top_k_many(scores, k, indptr, np.array([item for seen in excluded for item in seen], np.int32))
    assert many.shape == (len(scores), k)
    for row, seen, found in zip(scores, excluded, many, strict=True):
        assert found[found >= 0].tolist() == top_k(row, k, exclude=np.array(seen, np.int32)).tolist()
        assert (found[(found >= 0).sum() :] == -1).all()


def test_the_scores_stay_as_they_were():
    scores = np.array([1, np.nan, 3], np.float32)
    before = scores.copy()
    top_k(scores, 2, exclude=np.array([2]))
    np.testing.assert_array_equal(scores, before)


def test_filters_come_before_the_cut():
    scores = np.arange(100, dtype=np.float32)
    only_low = scores < 10
    assert top_k(scores, 10, allowed=only_low, exclude=np.array([9])).tolist() == [8, 7, 6, 5, 4, 3, 2, 1, 0]


def test_a_negative_k_is_an_empty_list():
    assert top_k(np.ones(3), -1).tolist() == []
    assert top_k_many(np.ones((2, 3)), -1).shape == (2, 0)


def test_long_rows_by_threads_equal_short_ones():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 50, (500, 300)).astype(np.float32)  # many ties
    many = top_k_many(scores, 20)
    np.testing.assert_array_equal(many, [top_k(row, 20) for row in scores])


class Facts:
    """As much of `TrainingFacts` as ranking looks at."""

    def __init__(self, seen):
        self.items, self.user_counts = seen.items, seen.user_counts


class Table:
    """A model whose scores are given."""

    def __init__(self, scores, seen):
        self.table, self.facts, self.batches = scores, Facts(seen), []

    def score_users(self, users):
        assert (self.facts.user_counts[users] > 0).all(), "a user without training rows has no vector"
        self.batches.append(len(users))
        return self.table[users]

    def cold_vector(self):
        return np.zeros(0, np.float32)

    def scores(self, vector):
        return np.arange(self.table.shape[1], dtype=np.float32)


@pytest.fixture
def seen():
    """50 users, of whom every fifth has rated nothing, and 40 items."""
    rng = np.random.default_rng(0)
    dense = (rng.random((50, 40)) < 0.2) & (np.arange(50) % 5 > 0)[:, None]
    users, items = np.nonzero(dense)
    ids = [f"{number:02}" for number in range(50)]
    return Interactions.build(ids, ids[:40], users, items, np.ones(len(users)))


@pytest.mark.parametrize("byte_budget", [1, 12 * 40 * 7, 2**28])
def test_all_users_are_streamed_within_the_budget(seen, byte_budget):
    scores = np.random.default_rng(1).standard_normal((50, 40)).astype(np.float32)
    model = Table(scores, seen)
    users = np.arange(50)[::-1]
    batches = list(top_k_all(model, users, 10, seen, byte_budget))
    assert max(model.batches) <= max(1, byte_budget // (12 * 40))
    np.testing.assert_array_equal(np.concatenate([batch for batch, _, _ in batches]), users)
    for batch, items, best in batches:
        for user, found, found_scores in zip(batch, items, best, strict=True):
            known = seen.history(user)[0]
            row = scores[user] if len(known) else np.arange(40, dtype=np.float32)
            assert found.tolist() == top_k(row, 10, exclude=known).tolist()
            np.testing.assert_array_equal(found_scores, row[found])


def test_places_that_stay_empty_are_marked(seen):
    user = int(np.argmax(seen.user_counts))
    items, best = top_k_seen(np.zeros((1, 40), np.float32), 40, np.array([user]), seen)
    empty = seen.user_counts[user]
    assert (items[0, -empty:] == -1).all()
    assert np.isnan(best[0, -empty:]).all()
    assert sorted({*items[0, :-empty], *seen.history(user)[0]}) == list(range(40))


def test_no_users_give_no_batches(seen):
    assert list(score_batches(Table(np.zeros((50, 40)), seen), np.arange(0))) == []
