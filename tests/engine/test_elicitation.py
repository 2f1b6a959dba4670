"""What to ask: against the definition of information, and what it does on taste that is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.elicitation import CANDIDATES, Elicitation


def information(vectors, asked):
    """Mutual information of a taste and its ratings of the items: ½ log det(I + X Xᵀ)."""
    chosen = vectors[asked] / np.sqrt(np.mean(np.sum(vectors**2, axis=1)))
    return 0.5 * np.linalg.slogdet(np.eye(len(asked)) + chosen @ chosen.T)[1]


def conversation(found, n):
    asked = []
    for _ in range(n):
        item, _ = found.next()
        found.leave(item)
        found.learn([item])
        asked.append(item)
    return asked


def test_gains_add_up_to_the_information_of_all_answers():
    vectors = np.random.default_rng(0).standard_normal((30, 4))
    found, total, asked = Elicitation(vectors, np.ones(30)), 0.0, []
    for _ in range(6):
        item, gain = found.next()
        found.leave(item)
        found.learn([item])
        asked.append(item)
        total += gain
    assert total == pytest.approx(information(vectors, asked))


def test_better_known_items_come_first_where_all_else_is_equal():
    vectors = np.tile([1.0, 0.0], (5, 1))
    found = Elicitation(vectors, np.array([0.1, 0.3, 0.2, 0.0, 0.3]))
    assert conversation(found, 4) == [1, 4, 2, 0]  # ties to the lower index; nobody knows item 3
    assert found.next() is None


def test_each_direction_is_asked_about_before_one_is_asked_again():
    """Ten tastes, one far better known than the next: a question for each all the same."""
    vectors = np.repeat(np.eye(10), 12, axis=0) + 0.01 * np.random.default_rng(1).standard_normal((120, 10))
    known = np.repeat(0.9 * 0.5 ** np.arange(10), 12)
    asked = conversation(Elicitation(vectors, known), 10)
    assert [item // 12 for item in asked] == list(range(10))


def test_the_questions_tell_more_than_random_ones():
    rng = np.random.default_rng(2)
    vectors = rng.standard_normal((100, 6)) * np.array([3, 2, 1, 1, 0.5, 0.5])
    ours = information(vectors, conversation(Elicitation(vectors, np.ones(100)), 5))
    others = [information(vectors, rng.choice(100, 5, replace=False)) for _ in range(200)]
    assert ours > np.quantile(others, 0.95)


@given(st.integers(0, 300), st.integers(0, 3), st.integers(0, 2**32 - 1))
def test_any_catalogue_gives_distinct_known_items_until_none_is_left(n, d, seed):
    rng = np.random.default_rng(seed)
    known = rng.random(n) * (rng.random(n) < 0.7)
    found = Elicitation(rng.standard_normal((n, d)), known)
    for item in rng.choice(n, min(n, 3), replace=False) if n else ():
        found.leave(int(item))
    asked = []
    while (question := found.next()) is not None:
        item, gain = question
        assert known[item] > 0
        assert gain >= 0
        asked.append(item)
        found.leave(item)
        if rng.random() < 0.5:
            found.learn([item])
    assert len(set(asked)) == len(asked) <= min(CANDIDATES, int((known > 0).sum()))
