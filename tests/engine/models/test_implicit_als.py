"""Implicit ALS: its fold-in, its solvers, its rules for what a rating is worth."""

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import EngineError, SettingRefused
from engine.models.base import State, TrainingFacts
from engine.models.feedback import confidences
from engine.models.implicit_als import ImplicitALS
from engine.models.implicit_ridge import Ridge, climbed, gain, latest, tried
from tests.data import checkerboard, planted, table

USERS = np.arange(60)


def trained(train, seed=42, **options):
    model = ImplicitALS(**options)
    epochs = list(model.fit_epochs(train, seed=seed))
    return model, epochs


@pytest.fixture(scope="module")
def liked():
    """Two tastes: each user rated half of the 20 even or odd items, as the user's parity is."""
    rng = np.random.default_rng(3)
    users, items = np.nonzero((np.arange(60)[:, None] + np.arange(40)) % 2 == 0)
    kept = rng.random(len(users)) < 0.5
    return table(users[kept], items[kept], np.full(kept.sum(), 4.0), n_users=60, n_items=40)


def loss(model, train):
    """The loss of the docstring, in float64, over everything."""
    config, p, q = model.config, model.user_vectors.astype(np.float64), model.design.astype(np.float64)
    seen = train.csr().toarray() != 0
    scores = p @ q.T
    n_users, n_items = (int((counts > 0).sum()) for counts in (train.user_counts, train.item_counts))
    ridges = [
        model.ridge.strength * (counts + config.unobserved_weight * n) ** config.frequency_exponent
        for counts, n in ((train.user_counts, n_items), (train.item_counts, n_users))
    ]
    penalty = ridges[0] @ (p**2).sum(1) + ridges[1] @ (q**2).sum(1)
    return (((1 - scores) ** 2)[seen].sum() + config.unobserved_weight * (scores**2).sum() + penalty) / seen.sum()


@pytest.mark.parametrize("solver", ["cholesky", "cg", "subspace"])
def test_the_loss_is_the_one_written_down_and_falls(solver):
    train, _ = planted()
    model = ImplicitALS(solver=solver, n_factors=20, epochs=5)
    losses = []
    for epoch in model.fit_epochs(train):
        assert epoch.losses["train"] == pytest.approx(loss(model, train), rel=1e-4)
        losses.append(epoch.losses["train"])
    assert losses == sorted(losses, reverse=True)
    assert losses[0] < 1


def test_solvers_agree(liked):
    options = {"n_factors": 20, "epochs": 60, "regularization": 0.05}
    found = {
        solver: trained(liked, solver=solver, **options)[0].score_users(USERS)
        for solver in ("cholesky", "cg", "subspace")
    }
    np.testing.assert_allclose(found["cg"], found["cholesky"], atol=1e-3)
    np.testing.assert_allclose(found["subspace"], found["cholesky"], atol=1e-3)


@settings(max_examples=100)
@given(
    solver=st.sampled_from(["cholesky", "cg", "subspace"]),
    n_factors=st.integers(1, 70),
    confidence=st.sampled_from(["equal", "rating", "liked"]),
    exponent=st.floats(0, 1),
    weight=st.floats(0.01, 3),
    seed=st.integers(0, 50),
)
def test_a_stored_vector_is_the_fold_in_of_the_users_ratings(solver, n_factors, confidence, exponent, weight, seed):
    train, _ = planted(60, 40, 900, seed=seed % 3)
    model, _ = trained(
        train,
        seed=seed,
        solver=solver,
        n_factors=n_factors,
        confidence=confidence,
        frequency_exponent=exponent,
        unobserved_weight=weight,
        regularization=0.5,
        epochs=2,
    )
    for user in range(0, train.n_users, 5):
        np.testing.assert_allclose(model.fold_in(*train.history(user)), model.user_vector(user), atol=1e-5)


def test_ranks_what_the_taste_says_first(liked):
    model, _ = trained(liked, n_factors=2, regularization=0.05)
    scores = model.score_users(USERS)
    parity = np.arange(60)[:, None] % 2 == np.arange(40) % 2
    assert scores[parity].min() > scores[~parity].max()


@pytest.mark.parametrize("confidence", ["rating", "liked"])
def test_ratings_count_where_the_rule_says_so(confidence):
    """On the checkerboard everybody rated everything but the diagonal: only the ratings tell tastes apart."""
    board = checkerboard()
    model, _ = trained(board, n_factors=2, confidence=confidence, unobserved_weight=0.5, regularization=0.05)
    scores = model.score_users(np.arange(20))
    diagonal = np.arange(20)
    assert (scores[diagonal, diagonal] > scores[diagonal, (diagonal + 1) % 20]).all()


def test_weights_of_ratings():
    ratings, scale = np.array([0.5, 2.75, 5.0]), table([0], [0], [1]).scale
    np.testing.assert_allclose(confidences("equal", ratings, 3.0, scale), [1, 1, 1])
    np.testing.assert_allclose(confidences("rating", ratings, 3.0, scale), [0.2, 0.6, 1])
    np.testing.assert_allclose(confidences("liked", ratings, 2.75, scale), [0, 1, 1])


def test_a_user_of_whom_nothing_is_known_gets_what_is_popular():
    train, _ = planted()
    model, _ = trained(train, n_factors=4, epochs=1)
    scores = model.scores(model.cold_vector())
    assert train.item_counts[np.argmax(scores)] == train.item_counts.max()
    assert scores.max() <= np.float32(1e-6)


def test_predicts_no_ratings():
    train, _ = planted()
    model, _ = trained(train, n_factors=4, epochs=1)
    with pytest.raises(EngineError, match="ranks"):
        model.ratings(model.user_vector(0))


def test_settings_out_of_range_are_refused_by_name():
    with pytest.raises(SettingRefused) as refused:
        ImplicitALS(solver="magic")
    assert "subspace" in refused.value.hint


def test_a_large_model_is_solved_by_gradients_and_a_small_one_exactly():
    from engine.models.implicit_steps import chosen_solver

    assert chosen_solver(ImplicitALS(n_factors=32).config, 100_000, 10_000) == "cholesky"
    assert chosen_solver(ImplicitALS(n_factors=64).config, 1_000_000, 10_000) == "cg"
    assert chosen_solver(ImplicitALS(n_factors=64, solver="subspace").config, 1_000_000, 10_000) == "subspace"


def test_the_more_ratings_the_fewer_users_are_looked_at_before_the_last_epochs():
    from engine.models.implicit_steps import share_of_users

    assert [share_of_users(n) for n in (100_000, 1_000_000, 5_000_000, 25_000_000)] == [1.0, 1 / 3, 1 / 3, 0.1]


class TestRidge:
    """Where λ is left open, held-out ratings choose it; of very many ratings their number does."""

    @pytest.mark.parametrize("shape", [(60, 40, 900), (600, 30, 4_000), (30, 400, 2_000)])
    @pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
    def test_an_average_user_and_item_are_shrunk_alike_at_any_size(self, shape, exponent):
        train, _ = planted(*shape)
        facts = TrainingFacts.of(train)
        n_users, n_items = ((counts > 0).sum() for counts in (train.user_counts, train.item_counts))
        for average in (None, 4.0):
            ridge = Ridge.of_settings(ImplicitALS(frequency_exponent=exponent).config, facts, average)
            ridges = ridge.of(len(train) / n_users, n_items), ridge.of(len(train) / n_items, n_users)
            assert float(ridges[0] * ridges[1]) ** 0.5 == pytest.approx(average or 8, rel=1e-4)

    def test_what_is_stated_is_taken(self):
        train, _ = planted(600, 30, 4_000)
        assert tried(train, ImplicitALS(regularization=0.25).config, 42) is None
        assert trained(train, n_factors=4, epochs=1, regularization=0.25)[0].ridge.strength == 0.25

    @pytest.mark.parametrize(("best", "asked"), [(4.0, 4), (8.0, 3), (11.3, 4), (16.0, 4)])
    def test_the_better_side_is_followed_to_its_top(self, best, asked):
        seen = []

        def gain(average):
            seen.append(average)
            return -abs(np.log(average / best))

        assert climbed(gain) == best
        assert len(seen) == len(set(seen)) == asked

    def test_the_latest_tenth_of_each_user_is_held_out(self):
        rng = np.random.default_rng(2)
        users = np.repeat([0, 1, 2], [40, 4, 16])
        items, times = np.concatenate([rng.permutation(50)[:n] for n in (40, 4, 16)]), rng.permutation(60)
        rows = replace(table(users, items, np.ones(60), n_users=3, n_items=50), times=times)
        held_out = latest(rows, 0)
        for user, n in enumerate((4, 0, 2)):
            mine = rows.user_index == user
            assert held_out[mine].sum() == n
            if n:
                assert rows.times[mine & held_out].min() > rows.times[mine & ~held_out].max()

    def test_it_ranks_what_was_held_out_at_least_as_well_as_the_usual_one(self):
        train, _ = planted(200, 60, 4_000)
        config = ImplicitALS(n_factors=8).config
        held_out = latest(train, 42)
        parts = train.rows(~held_out), train.rows(held_out)
        average = tried(train, config, 42)
        assert gain(*parts, config, average, 42) >= gain(*parts, config, 8.0, 42)
        assert average == tried(train, config, 42)

    def test_the_operator_is_told_what_was_chosen(self):
        train, _ = planted(200, 60, 4_000)
        model, epochs = trained(train, n_factors=4, epochs=2)
        assert f"λ {model.ridge.strength:.3g}" in epochs[0].note
        assert not epochs[1].note

    def test_it_is_kept_for_a_run_that_goes_on_and_for_folding_in(self):
        train, _ = planted(200, 60, 4_000)
        options = {"n_factors": 8, "epochs": 3}
        whole, _ = trained(train, **options)
        first, second = ImplicitALS(**options), ImplicitALS(**options)
        next(iter(first.fit_epochs(train)))
        second.restore(first.state())
        assert second.ridge == whole.ridge
        list(second.fit_epochs(train))
        assert (second.user_vectors == whole.user_vectors).all()

    def test_versions_without_it_have_the_one_of_their_size(self):
        train, _ = planted(60, 40, 900)
        model, _ = trained(train, n_factors=8, epochs=1)
        arrays, extra = model.state()
        again = ImplicitALS()
        again.restore(State({name: array for name, array in arrays.items() if name != "strength"}, extra))
        assert again.ridge == model.ridge


def test_vectors_are_longer_where_the_ratings_are_many():
    assert [ImplicitALS().config.sized(n).n_factors for n in (100_000, 1_000_000)] == [96, 192]
    assert ImplicitALS(n_factors=5).config.sized(1_000_000).n_factors == 5


class TestSampledEpochs:
    """Most epochs may look at some users only; what is served is of everybody."""

    OPTIONS: ClassVar = {"n_factors": 8, "epochs": 6, "sample": 0.3}

    def test_every_stored_vector_is_a_fold_in(self):
        train, _ = planted(60, 40, 900)
        model, epochs = trained(train, **self.OPTIONS)
        assert [epoch.ratings < len(train) for epoch in epochs] == [True] * 4 + [False] * 2
        assert "of the users" in epochs[0].note
        assert not epochs[-1].note
        for user in range(train.n_users):
            np.testing.assert_allclose(model.fold_in(*train.history(user)), model.user_vector(user), atol=1e-5)

    def test_the_loss_ends_near_that_of_all_epochs_with_everybody(self):
        train, _ = planted()
        options = self.OPTIONS | {"regularization": 0.05}
        whole, sampled = (trained(train, **options | {"sample": share})[0] for share in (1.0, 0.3))
        assert loss(sampled, train) < 1.02 * loss(whole, train)

    def test_a_run_that_is_stopped_early_is_settled(self):
        train, _ = planted(60, 40, 900)
        model = ImplicitALS(**self.OPTIONS)
        next(iter(model.fit_epochs(train)))
        model.settle(train)
        for user in range(train.n_users):
            np.testing.assert_allclose(model.fold_in(*train.history(user)), model.user_vector(user), atol=1e-5)

    @pytest.mark.parametrize("stop", range(1, 6))
    def test_resumed_it_ends_the_same(self, stop):
        train, _ = planted(60, 40, 900)
        whole, _ = trained(train, **self.OPTIONS)
        first, second = ImplicitALS(**self.OPTIONS), ImplicitALS(**self.OPTIONS)
        for epoch in first.fit_epochs(train):
            if epoch.number == stop:
                break
        second.restore(first.state())
        list(second.fit_epochs(train))
        assert (second.user_vectors == whole.user_vectors).all()
        assert (second.design == whole.design).all()
