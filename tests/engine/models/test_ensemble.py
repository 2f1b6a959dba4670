"""The ensemble: weights where the answer is known, members that count for nothing, and what is refused."""

import json

import numpy as np
import pytest
from safetensors.numpy import load, save

from engine.data import Interactions
from engine.errors import EngineError, ResumeRefused, SettingRefused
from engine.models import model_class
from engine.models.base import State
from engine.models.ensemble import Ensemble, Recipe
from engine.models.ensemble_fit import inner_parts
from engine.models.ensemble_weights import Stacking, Wanted, blended, standardized, support
from tests.data import planted, rmse

RNG = np.random.default_rng(4)


QUICK = {"mf": {"n_factors": 4, "epochs": 4}}


def trained(name, rows, **settings):
    model = model_class(name)(**settings)
    for _ in model.fit_epochs(rows, seed=3):
        pass
    return model


@pytest.fixture(scope="module")
def data():
    return planted()


@pytest.fixture(scope="module")
def made(data):
    return trained("ensemble", data[0])


# --- weights where the answer is known --------------------------------------------------------------------------------


def test_stacking_finds_the_planted_weights():
    truth = RNG.normal(0, 1, 4000)
    signals = truth[:, None] + RNG.normal(0, [0.5, 1.0, 2.0], (4000, 3))
    targets = signals @ [0.7, 0.2, 0.0]
    weights = Stacking.fit(signals, targets, np.ones((4000, 1))).weights[:, 0]
    np.testing.assert_allclose(weights, [0.7, 0.2, 0.0], atol=0.02)


def test_who_predicts_the_opposite_gets_no_weight():
    truth = RNG.normal(0, 1, 2000)
    predictions = np.stack([truth + RNG.normal(0, 0.3, 2000), -truth, RNG.normal(0, 1, 2000)], axis=1)
    weights = Stacking.fit(predictions, truth, np.ones((2000, 1))).weights[:, 0]
    assert weights[0] > 0.8
    assert (weights >= 0).all()
    assert weights[1] == 0
    assert weights[2] < 0.02


def test_support_is_used_where_it_helps_and_left_where_it_does_not():
    counts = RNG.integers(0, 200, (3000, 2))
    basis = support(counts[:, 0], counts[:, 1], use=True)
    np.testing.assert_allclose(basis[:, 1], 20 / (20 + counts[:, 0]))
    known, mean = RNG.normal(0, 1, 3000), RNG.normal(0, 1, 3000)
    predictions = np.stack([known, mean], axis=1)
    depends = known * 0.2 + mean * 2 * basis[:, 1] + RNG.normal(0, 0.1, 3000)
    assert Stacking.chosen(predictions, depends, basis).weights.shape == (2, 3)
    plain = predictions @ [0.5, 0.5] + RNG.normal(0, 1.0, 3000)
    found = Stacking.chosen(predictions, plain, basis)
    np.testing.assert_allclose(found.weights[:, 0], 0.5, atol=0.1)
    assert Stacking.chosen(predictions, plain, basis[:, :1]).weights.shape == (2, 1)


def test_the_blend_picks_who_ranks_the_held_out_items_first():
    users, items = 400, 60
    wanted_items = RNG.integers(0, items, users)
    good = RNG.normal(0, 1, (users, items)).astype(np.float32)
    good[np.arange(users), wanted_items] += 4
    noise = RNG.normal(0, 1, (users, items)).astype(np.float32)
    wanted = Wanted(np.arange(users), wanted_items, np.zeros((users, items), np.bool_))
    weights = blended([noise, good, -good], wanted)
    assert weights.sum() == pytest.approx(1)
    assert weights[1] > 0.7
    assert weights[2] == 0


def test_two_that_know_different_users_are_blended_to_both():
    users, items = 60, 50
    wanted_items = RNG.integers(0, items, users)
    halves = [RNG.normal(0, 1, (users, items)).astype(np.float32) for _ in range(2)]
    halves[0][np.arange(0, 30), wanted_items[:30]] += 5
    halves[1][np.arange(30, 60), wanted_items[30:]] += 5
    wanted = Wanted(np.arange(users), wanted_items, np.zeros((users, items), np.bool_))
    weights = blended(halves, wanted)
    assert (weights > 0.2).all()
    assert wanted.gain(weights[0] * halves[0] + weights[1] * halves[1]) > max(map(wanted.gain, halves))


def test_who_is_worth_little_has_no_part_and_all_have_the_same_where_nobody_finds_anything():
    users, items = 400, 60
    wanted_items = RNG.integers(0, items, users)
    good = RNG.normal(0, 1, (users, items)).astype(np.float32)
    good[np.arange(users), wanted_items] += 3
    others = [RNG.normal(0, 1, (users, items)).astype(np.float32) for _ in range(4)]
    wanted = Wanted(np.arange(users), wanted_items, np.zeros((users, items), np.bool_))
    weights = blended([good, *others], wanted)
    assert weights[0] > 0.7
    assert ((weights == 0) | (weights >= 0.05)).all()
    out_of_reach = Wanted(wanted.rows, wanted.items, wanted.seen | (np.arange(items) == wanted_items[:, None]))
    np.testing.assert_allclose(blended(others, out_of_reach), 0.25)


def test_two_as_good_as_each_other_share_the_weight():
    users, items = 300, 80
    wanted_items = RNG.integers(0, items, users)
    both = [RNG.normal(0, 1, (users, items)).astype(np.float32) for _ in range(2)]
    for scores in both:
        scores[np.arange(users), wanted_items] += 1.5
    wanted = Wanted(np.arange(users), wanted_items, np.zeros((users, items), np.bool_))
    np.testing.assert_allclose(blended(both, wanted), 0.5, atol=0.2)


def test_the_gain_by_hand():
    scores = np.array([[5.0, 4, 3, 2], [1, 2, 3, 4]], np.float32)
    seen = np.array([[True, False, False, False], [False] * 4])
    wanted = Wanted(np.array([0, 1, 1]), np.array([2, 3, 0]), seen)
    first = 1 / np.log2(3)  # second of the unseen
    second = (1 + 1 / np.log2(5)) / (1 + 1 / np.log2(3))  # first and last of four
    assert wanted.gain(scores) == pytest.approx((first + second) / 2)
    short = Wanted(wanted.rows, wanted.items, seen, places=1)
    assert short.gain(scores) == pytest.approx((0 + 1) / 2)


def test_equal_scores_are_worth_the_middle_of_their_places():
    wanted = Wanted(np.array([0]), np.array([1]), np.zeros((1, 5), np.bool_))
    assert wanted.gain(np.zeros((1, 5), np.float32)) == pytest.approx(1 / np.log2(4))  # third of five


def test_scores_are_put_on_one_scale():
    scores = np.array([[1.0, 2, 3], [7, 7, 7]], np.float32)
    found = standardized(scores)
    np.testing.assert_allclose(found[0], [-(1.5**0.5), 0, 1.5**0.5], rtol=1e-6)
    np.testing.assert_array_equal(found[1], 0)


# --- the model --------------------------------------------------------------------------------------------------------


def test_is_better_than_each_of_its_members(data, made):
    train, test = data
    own = rmse(made, test)
    for member in ("popularity", "mf", "content"):
        assert own < rmse(trained(member, train), test) + 1e-3
    assert own < rmse(trained("popularity", train), test)


def test_weights_are_not_negative_and_are_told(made):
    told = made.weights()
    assert [row["member"] for row in told] == ["popularity", "mf", "ease"]
    assert all(weight >= 0 for row in told for weight in [*row["rating"], row["ranking"]])
    assert sum(row["ranking"] for row in told) == pytest.approx(1)
    assert not any(next(row for row in told if row["member"] == "ease")["rating"])


def test_ratings_are_the_weighted_sum_of_what_the_members_say(data, made):
    train, _ = data
    users, items = np.array([0, 5, 9]), np.array([3, 100, 7])
    expected = np.full(3, made.facts.mean)
    basis = support(train.user_counts[users], train.item_counts[items], use=True)
    for member in made.members:
        if any(member.rating):
            weights = basis[:, : len(member.rating)] @ member.rating
            expected += weights * (member.model.rate_pairs(users, items) - made.facts.mean)
    np.testing.assert_allclose(made.rate_pairs(users, items), np.clip(expected, 0.5, 5), rtol=1e-5)


def test_given_members_are_referred_to_and_put_in_again(data):
    train, _ = data
    members = {"v1": trained("mf", train, n_factors=4), "v2": trained("popularity", train)}
    model = Ensemble()
    model.recipes = tuple(
        Recipe(label, one.name, {"n_factors": 4} if one.name == "mf" else {}, one, f"sum of {label}")
        for label, one in members.items()
    )
    for _ in model.fit_epochs(train, seed=3):
        pass
    state = model.state()
    assert not any(name.startswith("member.") for name in state.arrays)
    again = Ensemble()
    again.restore(State(load(save(state.arrays)), json.loads(json.dumps(state.extra))))
    used = [member for member in again.members if member.counts]
    assert sorted(again.needed()) == sorted(member.sha256 for member in used)
    with pytest.raises(EngineError) as alone:
        again.user_vector(0)
    assert used[0].label in str(alone.value)
    for member in used:
        again.attach(member.sha256, members[member.label])
    assert again.needed() == []
    np.testing.assert_array_equal(again.score_users(np.arange(5)), model.score_users(np.arange(5)))
    np.testing.assert_array_equal(
        again.rate_pairs(np.arange(5), np.arange(5)), model.rate_pairs(np.arange(5), np.arange(5))
    )


def test_a_run_goes_on_with_the_members_it_began_with_or_not_at_all(data):
    train, _ = data
    one, two, other = (trained(name, train, **QUICK.get(name, {})) for name in ("mf", "popularity", "mf"))

    def recipes(*given):
        return tuple(Recipe(label, model.name, QUICK.get(model.name, {}), model, label) for label, model in given)

    whole = Ensemble()
    whole.recipes = recipes(("v1", one), ("v2", two))
    epochs = whole.fit_epochs(train, seed=3)
    next(epochs)
    state = whole.state()
    list(epochs)
    resumed, changed = Ensemble(), Ensemble()
    for model in (resumed, changed):
        model.restore(state)
    resumed.recipes, changed.recipes = recipes(("v1", one), ("v2", two)), recipes(("v3", other), ("v2", two))
    list(resumed.fit_epochs(train, seed=3))
    assert resumed.weights() == whole.weights()
    with pytest.raises(ResumeRefused, match="v3 in place of v1"):
        next(changed.fit_epochs(train, seed=3))


def test_members_without_weight_are_not_kept(data):
    train, _ = data

    class Contrary(model_class("popularity")):
        """Says the opposite of what the data say."""

        def score_users(self, users):
            return -super().score_users(users)

        def rate_pairs(self, users, items):
            return 2 * np.float32(self.facts.mean) - super().rate_pairs(users, items)

    good, bad = trained("mf", train), Contrary()
    list(bad.fit_epochs(train))
    model = Ensemble()
    model.recipes = (Recipe("v1", "mf", {}, good, "a"), Recipe("v2", "popularity", {}, bad, "b"))
    epochs = model.fit_epochs(train, seed=3)
    next(epochs)
    learned, held_out = inner_parts(train, "random", 3)
    assert not np.isin(
        held_out.user_index * 1000 + held_out.item_index, learned.user_index * 1000 + learned.item_index
    ).any()
    list(epochs)
    for member in model.members:
        assert (member.found is None) == (not member.counts)


def test_a_time_limit_leaves_members_that_know_all_rows(data):
    train, _ = data
    given = [trained("mf", train, n_factors=4), trained("popularity", train), trained("ease", train)]
    model = Ensemble()
    model.recipes = tuple(
        Recipe(f"v{place}", one.name, {"n_factors": 4} if one.name == "mf" else {}, one, f"sum {place}")
        for place, one in enumerate(given)
    )
    for epoch in model.fit_epochs(train, seed=3):
        if epoch.number == 2:
            break
    model.settle(train)
    for member, one in zip(model.members, given, strict=False):
        assert member.found is (one if member.counts else None)


@pytest.mark.parametrize("how", ["random", "per-user", "last", "temporal"])
def test_the_inner_rows_never_overlap(data, how):
    train = data[0]
    times = np.arange(len(train), dtype=np.int64)
    dated = Interactions(
        train.users, train.items, train.user_index, train.item_index, train.ratings, times, train.scale, train.features
    )
    learned, held_out = inner_parts(dated, how, 1)
    assert len(learned) + len(held_out) == len(train)
    pairs = [set(zip(rows.user_index.tolist(), rows.item_index.tolist(), strict=True)) for rows in (learned, held_out)]
    assert not pairs[0] & pairs[1]
    assert len(held_out)


@pytest.mark.parametrize(
    ("members", "said"),
    [("mf", "at least two"), ("mf,mf", "each member once"), ("mf,ensemble", "its members"), (" , ", "at least two")],
)
def test_impossible_members_are_refused(members, said):
    with pytest.raises(SettingRefused) as refused:
        Ensemble(members=members)
    assert said in refused.value.hint


def test_unknown_members_are_refused_by_name(data):
    with pytest.raises(SettingRefused) as refused:
        list(Ensemble(members="mf,mff").fit_epochs(data[0]))
    assert "mff" in str(refused.value)
