"""Lists ranked again: worked examples, the ends of each knob, and against the formulas spelled out."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.diversity import WAYS, Wish, divergence, genre_shares, rerank
from engine.models.base import HasItemVectors

NOBODY = np.array([], np.int64), np.array([], np.float32)


def plain_model(genres, counts=None, users=100):
    """What `rerank` asks of a model without item vectors."""
    genres = np.asarray(genres, np.uint8)
    counts = np.zeros(len(genres), np.int64) if counts is None else np.asarray(counts)
    facts = SimpleNamespace(features=SimpleNamespace(genres=genres), item_counts=counts, users=range(users))
    return SimpleNamespace(facts=facts)


class Vectors(SimpleNamespace):
    """A model with item vectors."""

    def item_vectors(self):
        return self.rows


def chosen(model, scores, k, wish, history=NOBODY):
    scores = np.asarray(scores, np.float32)
    return rerank(model, scores, np.argsort(-scores, kind="stable"), k, wish, history).tolist()


def test_without_a_wish_the_score_decides():
    assert chosen(plain_model(np.eye(3)), [1, 3, 2], 2, Wish()) == [1, 2]
    assert Wish().candidates(10) == 10


def test_difference_alone_takes_one_of_each_kind_first():
    model = Vectors(rows=np.array([[1, 0], [1, 0], [0, 1], [1, 0.1]], np.float32), facts=None)
    assert isinstance(model, HasItemVectors)
    model.facts = plain_model(np.ones((4, 1))).facts
    assert chosen(model, [4, 3, 2, 1], 3, Wish(diversity=1.0))[:2] == [0, 2]
    assert chosen(model, [4, 3, 2, 1], 3, Wish(diversity=0.1)) == [0, 1, 2]


def test_genres_stand_in_where_a_model_has_no_vectors():
    assert chosen(plain_model([[1, 0], [1, 0], [0, 1]]), [3, 2.9, 1], 2, Wish(diversity=0.9)) == [0, 2]


def test_calibration_gives_genres_their_share_of_the_taste():
    genres = [[1, 0]] * 6 + [[0, 1]] * 6  # the last two are the history: one of each kind
    model = plain_model(genres)
    scores = [10, 9, 8, 7, -99, -99, 2, 1.9, 1.8, 1.7, -99, -99]
    history = np.array([4, 10]), np.array([5, 5], np.float32)
    picked = chosen(model, scores, 4, Wish(0.9, way="genres"), history)
    assert sum(item >= 6 for item in picked) == 2
    assert chosen(model, scores, 4, Wish(0.0, way="genres"), history) == [0, 1, 2, 3]


def test_what_is_liked_is_at_or_above_the_own_mean():
    model = plain_model([[1, 0], [1, 1], [0, 1]])
    shares = genre_shares(model, np.array([0, 1, 2]), np.array([5, 5, 1], np.float32))
    assert shares.tolist() == [0.75, 0.25]
    assert genre_shares(model, *NOBODY) is None
    assert genre_shares(plain_model(np.zeros((3, 2))), np.array([0]), np.array([3.0])) is None


def test_divergence_by_hand():
    taste = np.array([0.5, 0.5, 0.0])
    assert divergence(taste, taste) == pytest.approx(0)
    one_sided = divergence(taste, np.array([1.0, 0, 0]))  # smoothed to 0.995, 0.005, 0
    assert one_sided == pytest.approx(0.5 * np.log2(0.5 / 0.995) + 0.5 * np.log2(0.5 / 0.005))


def test_novelty_goes_by_the_number_of_raters():
    model = plain_model(np.eye(4), counts=[50, 10, 0, 30])
    assert chosen(model, [4, 3, 2, 1], 4, Wish(novelty=1.0)) == [2, 1, 3, 0]
    assert chosen(model, [4, 3, 2, 1], 1, Wish(novelty=0.1)) == [0]


@given(data=st.data(), diversity=st.floats(0, 1), novelty=st.floats(0, 1), way=st.sampled_from(WAYS))
def test_a_list_is_of_candidates_each_once_and_as_long_as_they_last(data, diversity, novelty, way):
    n = data.draw(st.integers(1, 30))
    draw = np.random.default_rng(data.draw(st.integers(0, 99)))
    model = plain_model(draw.integers(0, 2, (n, 4)), counts=draw.integers(0, 100, n))
    scores = draw.normal(size=n).astype(np.float32)
    candidates = draw.permutation(n)[: draw.integers(0, n + 1)]
    history = draw.integers(0, n, 3), draw.integers(1, 6, 3).astype(np.float32)
    picked = rerank(model, scores, candidates, 7, Wish(diversity, novelty, way), history)
    assert len(set(picked.tolist())) == len(picked) == min(7, len(candidates))
    assert set(picked.tolist()) <= set(candidates.tolist())


@given(seed=st.integers(0, 999), diversity=st.floats(0.05, 1))
def test_each_step_takes_the_best_by_the_formula(seed, diversity):
    draw = np.random.default_rng(seed)
    rows, scores = draw.normal(size=(12, 3)).astype(np.float32), draw.normal(size=12)
    model = Vectors(rows=rows, facts=plain_model(np.ones((12, 1))).facts)
    picked = chosen(model, scores, 6, Wish(diversity))
    relevance = (scores - scores.min()) / np.ptp(scores)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    taken = []
    for item in picked:
        worth = {
            other: (1 - diversity) * relevance[other] - diversity * max([0, *(unit[other] @ unit[t] for t in taken)])
            for other in range(12)
            if other not in taken
        }
        assert worth[item] == pytest.approx(max(worth.values()), abs=1e-6)
        taken.append(item)
