"""EASE: both ways to the weights against the formula, and what is kept of them."""

import numpy as np
import pytest

from engine.errors import TrainingFailed
from engine.models import ease_steps
from engine.models.ease import Ease
from engine.models.item_weights import FactorWeights, SparseWeights
from tests.data import checkerboard, planted, table


def trained(train, **options):
    model = Ease(**options)
    list(model.fit_epochs(train))
    return model


def reference(train, penalty, exponent):
    """B, in float64."""
    seen = (train.csr().toarray() != 0).astype(np.float64)
    inverse = np.linalg.inv(seen.T @ seen + penalty * np.eye(train.n_items))
    weights = -penalty * inverse / (penalty * np.diag(inverse)) ** exponent
    np.fill_diagonal(weights, 0)
    return weights, seen @ weights


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("n_users", "n_items", "form"), [(300, 90, SparseWeights), (80, 300, FactorWeights)])
def test_scores_follow_the_formula(n_users, n_items, form, exponent):
    train, _ = planted(n_users, n_items, 5000)
    model = trained(train, regularization=20, diagonal=exponent)
    assert isinstance(model.between, form)
    weights, scores = reference(train, 20, exponent)
    np.testing.assert_allclose(model.score_users(np.arange(n_users)), scores, atol=1e-5)
    np.testing.assert_allclose(model.scores(model.user_vector(7)), scores[7], atol=1e-5)
    items = np.arange(n_items)
    some = np.array([5, 0, 2])
    np.testing.assert_allclose(model.between.towards(some, items), weights[:, some], atol=1e-6)


def test_with_the_full_exponent_it_is_the_published_closed_form():
    train, _ = planted(300, 90, 5000)
    seen = (train.csr().toarray() != 0).astype(np.float64)
    inverse = np.linalg.inv(seen.T @ seen + 20 * np.eye(90))
    published = np.eye(90) - inverse / np.diag(inverse)
    np.testing.assert_allclose(reference(train, 20, 1.0)[0], published, atol=1e-12)


def test_the_blocked_factor_and_inverse_are_those_of_numpy(monkeypatch):
    monkeypatch.setattr(ease_steps, "BLOCK", 16)
    rng = np.random.default_rng(0)
    half = rng.standard_normal((70, 75))
    matrix = half @ half.T
    expected = np.linalg.inv(matrix)
    ease_steps.factorize(matrix, 2)
    np.testing.assert_allclose(ease_steps.inverse_columns(matrix, 32, 48), expected[:, 32:48], rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(ease_steps.inverse_columns(matrix, 64, 70), expected[:, 64:], rtol=1e-8, atol=1e-10)


def test_the_weights_kept_are_the_largest():
    train, _ = planted(300, 90, 5000)
    whole, part = trained(train, regularization=20), trained(train, regularization=20, neighbours=10)
    exact, kept = (model.between.arrays()["weights"] for model in (whole, part))
    assert len(exact) == 90 * 89
    assert len(kept) == pytest.approx(900, rel=0.05)
    np.testing.assert_array_equal(np.sort(np.abs(exact))[-len(kept) :], np.sort(np.abs(kept)))


def test_fills_in_the_diagonal_of_the_checkerboard():
    """Users who rated the items of their parity only, but one, are given that one first."""
    board = checkerboard()
    model = trained(board.rows(board.ratings > 3), regularization=1.0)
    scores = model.score_users(np.arange(20))
    diagonal = np.arange(20)
    odd = (diagonal[:, None] + diagonal) % 2 == 1
    assert (scores[diagonal, diagonal] > np.where(odd, scores, -1).max(axis=1) + 0.5).all()


def test_items_without_rows_get_no_weights():
    rows = table([0, 0, 1, 1, 2], [1, 4, 1, 4, 4], [4] * 5, n_items=7)
    model = trained(rows)
    scores = model.score_users(np.arange(3))
    assert (scores[:, [0, 2, 3, 5, 6]] == 0).all()
    assert (scores[:, [1, 4]] > 0).all()


def test_ratings_can_weigh():
    train, _ = planted(300, 90, 5000)
    model = trained(train, confidence="rating", regularization=20)
    items, ratings = train.history(3)
    vector = model.fold_in(items, ratings)
    np.testing.assert_array_equal(vector, model.user_vector(3))
    np.testing.assert_allclose(vector[items], 0.2 + 0.8 * (ratings - 0.5) / 4.5, rtol=1e-6)


def test_what_does_not_fit_is_refused_with_figure_and_alternative(monkeypatch):
    train, _ = planted()
    model = Ease()
    monkeypatch.setattr(model, "memory_bytes", lambda *_: 2**50)
    with pytest.raises(TrainingFailed) as refused:
        list(model.fit_epochs(train))
    assert "GiB" in str(refused.value)
    assert "ials" in refused.value.hint


def test_the_forecast_counts_the_item_matrix():
    model = Ease()
    assert model.memory_bytes(100_000, 20_000, 10**6) > 4 * 20_000**2
    assert model.memory_bytes(500, 20_000, 10**5) < 4 * 20_000**2


@pytest.mark.parametrize(("n_users", "n_items"), [(300, 90), (80, 300)])
def test_with_the_most_rated_items_alone_it_is_the_formula_over_those(n_users, n_items):
    train, _ = planted(n_users, n_items, 5000)
    model = trained(train, regularization=20, most_items=40)
    most = np.sort(np.argsort(-train.item_counts, kind="stable")[:40])
    seen = (train.csr().toarray() != 0).astype(np.float64)[:, most]
    inverse = np.linalg.inv(seen.T @ seen + 20 * np.eye(40))
    weights = -20 * inverse / (20 * np.diag(inverse)) ** 0.5
    np.fill_diagonal(weights, 0)
    scores = model.score_users(np.arange(n_users))
    np.testing.assert_allclose(scores[:, most], seen @ weights, atol=1e-5)
    others = np.setdiff1d(np.arange(n_items), most)
    np.testing.assert_allclose(scores[:, others], np.tile(model.offsets[others], (n_users, 1)), atol=1e-7)
    assert model.memory_bytes(10**6, 10**6, 10**7) < 10**9 < Ease().memory_bytes(10**6, 10**6, 10**7)
