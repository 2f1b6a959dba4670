"""Differences of two models: against scipy, against the bootstrap, and as often wrong as they say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from engine.comparison import SURE, Figures, holm, paired, rows_of_pairs, spread
from engine.data import Interactions
from engine.intervals import bootstrap, interval
from engine.metrics import Evidence, by_name, metric
from engine.services.verdict import power_of, verdict_of

NDCG, RMSE = metric("ndcg"), metric("rmse")
SHARES = arrays(np.float64, 12, elements=st.floats(0, 1))
ROWS = np.arange(1, 13)


def users(n, seed, shift=0.0, alike=0.6):
    """Values between 0 and 1 of two models that find the same users hard."""
    rng = np.random.default_rng(seed)
    hard = rng.beta(2, 3, n)
    sides = [np.clip(alike * hard + (1 - alike) * rng.beta(2, 3, n), 0, 1) for _ in range(2)]
    return np.clip(sides[0] + shift, 0, 1), sides[1]


class TestAgainstScipy:
    def test_a_mean_is_compared_by_the_paired_t_test(self):
        first, second = users(80, 1, shift=0.03)
        found = paired(NDCG, first, second, np.ones(80, int))
        expected = stats.ttest_rel(first, second)
        low, high = expected.confidence_interval(0.95)
        assert (found.first, found.second) == pytest.approx((first.mean(), second.mean()))
        assert (found.low, found.high, found.p) == pytest.approx((low, high, expected.pvalue), abs=1e-12)
        assert found.effect == pytest.approx((first - second).mean() / (first - second).std(ddof=1))
        assert found.users == 80

    def test_one_model_alone_has_the_interval_of_a_mean(self):
        values, _ = users(60, 2)
        value, low, high = spread(NDCG, values, np.ones(60, int))
        expected = stats.t.interval(0.95, 59, values.mean(), values.std(ddof=1) / np.sqrt(60))
        assert (value, low, high) == pytest.approx((values.mean(), *expected))

    def test_undefined_users_are_left_out_of_both(self):
        first, second = users(50, 3)
        first[:5], second[3:9] = np.nan, np.nan
        found = paired(NDCG, first, second, np.ones(50, int))
        assert found.users == 41
        assert found.p == pytest.approx(stats.ttest_rel(first[9:], second[9:]).pvalue)


def test_a_pooled_root_is_compared_as_by_the_bootstrap():
    rng = np.random.default_rng(4)
    rows = rng.integers(1, 60, 500)
    first, second = (np.abs(rng.normal(level, 0.2, 500)) for level in (0.9, 0.93))
    found = paired(RMSE, first, second, rows)
    terms = [RMSE.terms(side, rows) for side in (first, second)]
    drawn = bootstrap(*(np.stack([one[part] for one in terms], axis=1) for part in (0, 1)), seed=0, draws=4000)
    means = RMSE.mean(*drawn)
    low, high = interval(means[:, 0] - means[:, 1])
    assert found.first == pytest.approx(np.sqrt((rows * first**2).sum() / rows.sum()))
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.05 * (high - low))


class TestHowOftenItIsWrong:
    def test_equal_models_have_a_winner_in_at_most_5_of_100_comparisons(self):
        found = [paired(NDCG, *users(120, seed), np.ones(120, int)) for seed in range(400)]
        wrong = sum(one.p < SURE for one in found)
        assert 4 <= wrong <= 32  # 5 of 100, within three standard deviations
        assert sum(one.low > 0 for one in found) <= 20  # what the gate asks: 2.5 of 100

    def test_corrected_for_many_metrics_no_winner_in_95_of_100(self):
        names = by_name(["ndcg", "map", "mrr", "recall", "precision", "hit_rate", "auc"])
        families = 0
        for seed in range(200):
            rng = np.random.default_rng([seed, 9])
            sides = {
                who: Figures({name: rng.random(60) for name in names}, {}, np.ones(60, int), {}) for who in ("v1", "v2")
            }
            families += any(row.winner for row in rows_of_pairs(names.values(), [sides]))
        assert families <= 20

    def test_a_planted_difference_is_found_as_often_as_the_number_of_users_promises(self):
        first, second = users(4000, 5, shift=0.02)
        needed = paired(NDCG, first, second, np.ones(4000, int)).users_needed
        assert needed is not None
        seen = sum(paired(NDCG, *users(needed, seed, shift=0.02), np.ones(needed, int)).p < SURE for seed in range(200))
        assert 0.68 <= seen / 200 <= 0.92  # 80 of 100


class TestListsTogether:
    """Two models over groups of the same users, drawn from many: one shows what is known, one half of it at random."""

    N_ITEMS, N_USERS, GROUP = 300, 12_000, 120

    def lists(self, rng, spread):
        fame = np.log(np.random.default_rng(5).lognormal(0, 1.2, self.N_ITEMS))
        keys = rng.gumbel(size=(self.N_USERS, self.N_ITEMS)).astype(np.float32) + spread * fame
        return np.argpartition(-keys, 5, axis=1)[:, :5].astype(np.int32)

    def rows(self, name, sides):
        found = metric(f"{name}@5")
        ids = [f"{number:03}" for number in range(self.N_ITEMS)]
        rated = np.arange(self.GROUP)
        rows = Interactions.build(ids[: self.GROUP], ids, rated, rated, np.full(self.GROUP, 3.0))
        for start in range(0, self.N_USERS, self.GROUP):
            measured = {}
            for who, lists in sides.items():
                evidence = Evidence.of_lists(rated, lists[start : start + self.GROUP], rows, rows)
                (value,) = found.values(evidence)
                influence = found.influence(evidence, 5)
                measured[who] = figures({"x": np.ones(self.GROUP)}, {found.key: influence}, **{found.key: value})
            yield rows_of_pairs([found], [measured])[0]

    @pytest.mark.parametrize("name", ["coverage", "gini"])
    def test_the_interval_of_the_difference_holds_what_other_users_give(self, name):
        rng = np.random.default_rng(3)
        found = list(self.rows(name, {"v2": self.lists(rng, 1.0), "v1": self.lists(rng, 0.6)}))
        truth = np.mean([row.difference for row in found])
        assert 0.9 <= np.mean([row.low <= truth <= row.high for row in found]) <= 1
        assert np.mean([row.high - row.low for row in found]) < 1.6 * 2 * 1.96 * np.std([r.difference for r in found])
        assert np.mean([row.winner is not None for row in found]) > 0.9

    @pytest.mark.parametrize("name", ["coverage", "gini"])
    def test_of_equally_good_models_at_most_5_of_100_have_a_winner(self, name):
        rng = np.random.default_rng(4)
        sides = {who: self.lists(rng, 1.0) for who in ("v2", "v1")}
        assert sum(row.winner is not None for row in self.rows(name, sides)) <= 11  # 5 of 100, three deviations


class TestBounds:
    @given(SHARES, SHARES)
    def test_the_other_way_round_only_the_sign_changes(self, first, second):
        here, there = paired(NDCG, first, second, ROWS), paired(NDCG, second, first, ROWS)
        assert here.difference == pytest.approx(-there.difference, abs=1e-12)
        assert (here.low, here.high) == pytest.approx((-there.high, -there.low), abs=1e-12)
        assert here.p == pytest.approx(there.p, abs=1e-9)
        assert here.low <= here.difference + 1e-12
        assert here.difference <= here.high + 1e-12
        assert 0 <= here.p <= 1

    @given(SHARES, SHARES, st.permutations(range(12)))
    def test_the_order_of_users_does_not_matter(self, first, second, order):
        here, there = paired(RMSE, first, second, ROWS), paired(RMSE, first[order], second[order], ROWS[order])
        assert (here.first, here.low, here.high) == pytest.approx((there.first, there.low, there.high), abs=1e-9)

    @given(SHARES)
    def test_a_model_does_not_differ_from_its_twin(self, values):
        for found in (paired(one, values, values.copy(), ROWS) for one in (NDCG, RMSE)):
            assert (found.difference, found.low, found.high, found.p, found.effect) == (0, 0, 0, 1, 0)
            assert found.users_needed is None

    def test_one_user_or_none_says_nothing(self):
        one = paired(NDCG, np.array([0.5]), np.array([0.2]), np.array([1]))
        assert (one.difference, one.users) == (pytest.approx(0.3), 1)
        assert np.isnan([one.low, one.high, one.p]).all()
        none = paired(NDCG, np.array([np.nan]), np.array([0.2]), np.array([1]))
        assert none.users == 0
        assert np.isnan([none.first, none.low, none.p]).all()

    def test_the_same_gain_for_everybody_is_certain(self):
        values = np.linspace(0.25, 0.5, 9)
        found = paired(NDCG, values + 0.25, values, np.ones(9, int))
        assert found.p < 1e-9
        assert (found.low, found.high) == pytest.approx((0.25, 0.25))


class TestHolm:
    def test_by_hand(self):
        assert holm([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.09, 0.09, 0.5])
        assert holm([0.03]) == [0.03]
        assert holm([]) == []

    def test_what_was_not_tested_does_not_count(self):
        assert holm([np.nan, 0.02, 0.03]) == pytest.approx([np.nan, 0.04, 0.04], nan_ok=True)

    @given(st.lists(st.floats(0, 1), max_size=8))
    def test_order_stays_and_nothing_becomes_surer(self, probabilities):
        corrected = holm(probabilities)
        assert all(p <= q <= 1 for p, q in zip(probabilities, corrected, strict=True))
        order = np.argsort(probabilities, kind="stable")
        assert (np.diff(np.array(corrected)[order]) >= 0).all()


def figures(values, influences=None, **whole):
    return Figures(values, whole, np.ones(len(next(iter(values.values()))), int), influences or {})


class TestRows:
    def test_winners_know_which_way_is_better(self):
        first, second = users(200, 6, shift=0.1)
        sides = {"v2": figures({"ndcg@10": first, "rmse": first}), "v1": figures({"ndcg@10": second, "rmse": second})}
        rows = {row.metric: row for row in rows_of_pairs([NDCG, RMSE], [sides])}
        assert (rows["ndcg@10"].winner, rows["rmse"].winner) == ("v2", "v1")
        assert (rows["ndcg@10"].sign, rows["rmse"].sign) == (1, -1)

    @pytest.mark.parametrize(("here", "there", "winner"), [(0.4, 0.6, "v1"), (0.9, 0.99, "v2"), (0.75, 0.85, None)])
    def test_towards_a_target_the_nearer_one_wins_where_both_are_on_one_side(self, here, there, winner):
        noise = np.random.default_rng(7).normal(0, 0.01, 100)
        sides = {
            name: figures({"interval_coverage": value + turn * noise})
            for name, value, turn in (("v2", here, 1), ("v1", there, -1))
        }
        (row,) = rows_of_pairs([metric("interval_coverage")], [sides])
        assert row.winner == winner

    def test_metrics_of_the_whole_catalogue_are_compared_by_how_much_each_user_moves_them(self):
        rng = np.random.default_rng(8)
        moved = {name: rng.normal(0, 0.5, 400) for name in ("v2", "v1")}
        moved = {name: values - values.mean() for name, values in moved.items()}
        sides = {
            name: figures({"ndcg@10": np.ones(400)}, {"coverage": moved[name]}, coverage=value)
            for name, value in (("v2", 0.5), ("v1", 0.2))
        }
        (row,) = rows_of_pairs([metric("coverage")], [sides])
        error = (moved["v2"] - moved["v1"]).std(ddof=1) / 20
        assert (row.difference, row.high - row.low) == pytest.approx((0.3, 2 * stats.t.ppf(0.975, 399) * error))
        assert (row.winner, row.users) == ("v2", 400)

    def test_without_that_they_have_a_difference_and_no_interval(self):
        sides = {
            "v2": figures({"ndcg@10": np.ones(3)}, coverage=0.5),
            "v1": figures({"ndcg@10": np.ones(3)}, coverage=0.2),
        }
        (row,) = rows_of_pairs([metric("coverage")], [sides])
        assert row.difference == pytest.approx(0.3)
        assert (row.low, row.high, row.p, row.winner) == (None, None, None, None)

    def test_a_figure_that_one_side_lacks_is_shown_of_the_other(self):
        sides = {
            "v2": figures({"ndcg@10": np.ones(3)}),
            "v1": figures({"ndcg@10": np.ones(3), "rmse": np.full(3, 0.9)}),
        }
        (row,) = rows_of_pairs([RMSE], [sides])
        assert row.values == {"v2": None, "v1": pytest.approx(0.9)}
        assert row.difference is None
        neither = {name: figures({"ndcg@10": np.ones(3)}) for name in ("v1", "v2")}
        assert rows_of_pairs([RMSE], [neither]) == []


class TestVerdict:
    def rows(self, shift, names=("ndcg", "map")):
        chosen = by_name(names)
        first, second = users(150, 8, shift=shift)
        sides = {"v2": figures(dict.fromkeys(chosen, first)), "v1": figures(dict.fromkeys(chosen, second))}
        return rows_of_pairs(chosen.values(), [sides])

    def test_names_the_better_one_and_what_else_it_wins(self):
        said = verdict_of(self.rows(0.1), "ndcg@10")
        assert said.startswith("v2 is better than v1 by ndcg@10, 0.")
        assert "p < 0.001 corrected for 2 tests, 150 users" in said
        assert said.endswith("; v2 also wins by map@10.")

    def test_says_what_it_would_take_where_it_cannot_tell(self):
        rows = self.rows(0.0)
        said = verdict_of(rows, "ndcg@10")
        assert said.startswith("v2 and v1 cannot be told apart by ndcg@10")
        assert f"you would need about {rows[0].users_needed:,} users to see this difference" in said
        assert said.count(".") - said.count("0.") <= 1 + said.count("1.0")

    def test_with_several_opponents_it_says_something_of_each(self):
        chosen = by_name(["ndcg"])
        first, second = users(150, 8, shift=0.1)
        sides = {
            "v3": figures({"ndcg@10": first}),
            "v2": figures({"ndcg@10": second}),
            "v1": figures({"ndcg@10": first}),
        }
        pairs = [{name: sides[name] for name in ("v3", other)} for other in ("v2", "v1")]
        said = verdict_of(rows_of_pairs(chosen.values(), pairs), "ndcg@10")
        assert said.startswith("v3 is better than v2 by ndcg@10")
        assert "; v3 and v1 cannot be told apart by ndcg@10" in said

    def test_says_so_where_nothing_was_tested(self):
        assert "Nothing can be said" in verdict_of([], "ndcg@10")
        (row,) = rows_of_pairs(
            [metric("coverage")], [{name: figures({"auc": np.ones(1)}, coverage=1) for name in "ab"}]
        )
        assert power_of(row) == ""
