"""The evaluator: one pass gives what separate ones would, knows an oracle from chance, and bounds its memory."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.comparison import student
from engine.data import IdMap, Interactions, ItemFeatures
from engine.errors import DataTooSmall, EngineError, LeakRefused, SettingRefused, TrainingFailed
from engine.evaluation import evaluate
from engine.intervals import GROUPS, bootstrap, interval
from engine.metrics import METRICS, Evidence
from engine.models.base import Model, TrainingFacts
from engine.models.config import Config
from engine.splits import split


class Given(Model):
    """A model whose scores and ratings are the entries of a matrix; the cold vector is nobody's row."""

    name = "given"
    Config = Config

    def __init__(self, table, train, cold=None):
        super().__init__()
        self.table = np.asarray(table, np.float32)
        self.facts = TrainingFacts.of(train)
        self.cold = np.zeros(self.table.shape[1], np.float32) if cold is None else np.asarray(cold, np.float32)

    def fit_epochs(self, train, *, valid=None, seed=42):
        return iter(())

    def user_vector(self, user):
        assert self.facts.user_counts[user], "a user without training rows has no vector"
        return self.table[user]

    def scores(self, vector, items=None):
        return vector if items is None else vector[items]

    def cold_vector(self):
        return self.cold

    def parameters(self):
        return {}

    def set_parameters(self, arrays):
        pass


def ratings(n_users=120, n_items=80, share=0.25, seed=0):
    """Random ratings with times and genres."""
    rng = np.random.default_rng(seed)
    users, items = np.nonzero(rng.random((n_users, n_items)) < share)
    ids = [f"{number:03}" for number in range(max(n_users, n_items))]
    features = ItemFeatures((rng.random((n_items, 6)) < 0.3).astype(np.uint8), tuple("abcdef"), np.zeros(n_items, "i2"))
    drawn, times = rng.integers(1, 11, len(users)) / 2, rng.integers(0, 1000, len(users))
    return Interactions.build(ids[:n_users], ids[:n_items], users, items, drawn, times, features=features)


@pytest.fixture
def parts():
    return split(ratings(), "random")


def noise(train, seed=1):
    return np.random.default_rng(seed).standard_normal((train.n_users, train.n_items))


def keys(data):
    return data.user_index * data.n_items + data.item_index


def dense(part):
    return part.csr().toarray()


def value(report, name):
    return report.metrics[name].value


class TestKnownAnswers:
    def test_an_oracle_is_perfect(self, parts):
        report = evaluate(Given(dense(parts.test), parts.train), parts.train, parts.test, k=3)
        assert value(report, "rmse") == value(report, "mae") == 0
        assert value(report, "ndcg@3") == value(report, "map@3") == value(report, "auc") == 1
        assert value(report, "hit_rate@3") == value(report, "mrr@3") == 1

    def test_its_opposite_finds_nothing(self, parts):
        report = evaluate(Given(-dense(parts.test), parts.train), parts.train, parts.test, k=3)
        assert [value(report, f"{name}@3") for name in ("precision", "recall", "ndcg", "map", "mrr")] == [0] * 5
        assert value(report, "auc") == 0

    def test_on_shuffled_labels_the_oracle_falls_to_chance(self, parts):
        """The canary for leaks: what is known of the test rows helps nobody whose test rows are others."""
        users = np.random.default_rng(2).permutation(parts.test.n_users)
        report = evaluate(Given(dense(parts.test)[users], parts.train), parts.train, parts.test)
        chance = [
            evaluate(Given(noise(parts.train, seed), parts.train), parts.train, parts.test, metrics=["ndcg", "auc"])
            for seed in range(20)
        ]
        for name in ("ndcg@10", "auc"):
            drawn = [value(one, name) for one in chance]
            assert value(report, name) == pytest.approx(np.mean(drawn), abs=3 * np.std(drawn) + 0.01)

    def test_a_constant_rating_has_the_error_worked_by_hand(self, parts):
        report = evaluate(Given(np.full((120, 80), 3), parts.train), parts.train, parts.test, metrics=["rmse", "mae"])
        error = parts.test.ratings.astype(float) - 3
        assert value(report, "rmse") == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-12)
        assert value(report, "mae") == pytest.approx(np.mean(np.abs(error)), rel=1e-12)

    def test_training_items_are_never_recommended(self, parts):
        report = evaluate(Given(100 * dense(parts.train) + dense(parts.test), parts.train), parts.train, parts.test)
        assert value(report, "auc") == 1
        assert value(report, "ndcg@10") == 1

    @pytest.mark.parametrize("broken", [np.nan, -np.inf])
    def test_items_without_a_score_are_not_recommended(self, parts, broken):
        table = noise(parts.train)
        table[:, 40:] = broken
        report = evaluate(Given(table, parts.train), parts.train, parts.test, metrics=["coverage@80", "auc"])
        assert value(report, "coverage@80") == 0.5
        assert 0 < value(report, "auc") < 1


class TestReport:
    def test_holds_every_metric_with_its_users(self, parts):
        report = evaluate(Given(noise(parts.train), parts.train), parts.train, parts.test)
        assert [name.partition("@")[0] for name in report.metrics] == list(METRICS)
        assert report.n_users == np.count_nonzero(parts.test.user_counts)
        np.testing.assert_array_equal(report.rows, parts.test.user_counts[report.users])
        for name, found in report.metrics.items():
            assert found.low <= found.value <= found.high
            if METRICS[name.partition("@")[0]].per_user:
                assert len(report.per_user[name]) == report.n_users
            else:
                assert name not in report.per_user
            assert found.users + found.excluded == np.count_nonzero(parts.train.user_counts)

    def test_users_without_held_out_rows_are_excluded_and_counted(self, parts):
        some = parts.test.rows(parts.test.user_index < 30)
        report = evaluate(Given(noise(parts.train), parts.train), parts.train, some, metrics=["ndcg"])
        assert report.metrics["ndcg@10"][3:] == (np.count_nonzero(some.user_counts), 120 - report.n_users)

    @pytest.mark.parametrize("byte_budget", [1, 12 * 80 * 7])
    def test_is_the_same_for_any_batch(self, parts, byte_budget):
        model = Given(noise(parts.train), parts.train)
        whole = evaluate(model, parts.train, parts.test)
        pieces = evaluate(model, parts.train, parts.test, byte_budget=byte_budget)
        assert whole.metrics == pieces.metrics
        for name, values in whole.per_user.items():
            np.testing.assert_array_equal(values, pieces.per_user[name])

    def test_a_part_of_the_metrics_is_as_in_the_whole(self, parts):
        model = Given(noise(parts.train), parts.train)
        whole = evaluate(model, parts.train, parts.test)
        for name, found in whole.metrics.items():
            one = evaluate(model, parts.train, parts.test, metrics=[name])
            assert list(one.metrics) == [name]
            assert one.metrics[name][:2] == pytest.approx(found[:2])

    def test_a_model_that_only_ranks_has_no_rating_metrics(self, parts):
        class Ranks(Given):
            predicts_ratings = False

            def rate_pairs(self, users, items):
                raise AssertionError

        report = evaluate(Ranks(noise(parts.train), parts.train), parts.train, parts.test)
        assert not {"rmse", "mae"} & set(report.metrics)
        assert "ndcg@10" in report.metrics

    def test_lists_as_long_as_the_catalogue_and_longer_ones(self, parts):
        model, n_items = Given(noise(parts.train), parts.train), parts.train.n_items
        report = evaluate(model, parts.train, parts.test, metrics=[f"recall@{n_items}", f"precision@{n_items}"])
        assert value(report, f"recall@{n_items}") == 1
        assert value(report, f"precision@{n_items}") == pytest.approx(report.rows.mean() / n_items)
        with pytest.raises(SettingRefused, match="more places than the catalogue has items") as refused:
            evaluate(model, parts.train, parts.test, metrics=["rmse", f"ndcg@{n_items + 1}"])
        assert f"{n_items} at most" in refused.value.hint


class TestUnusualRows:
    def test_a_user_without_training_rows_gets_the_cold_vector(self):
        data = ratings()
        cold = data.user_index >= 100
        train, test = data.rows(~cold), data.rows(cold)
        popular = data.item_counts.astype(float)
        report = evaluate(Given(noise(train), train, cold=popular), train, test)
        twin = evaluate(Given(np.tile(popular, (120, 1)), data), train, test)
        lift = report.metrics.pop("popularity_lift"), twin.metrics.pop("popularity_lift")
        assert report.metrics == twin.metrics
        assert [found.users for found in lift] == [0, 0]  # nobody has training ratings to compare with
        assert report.metrics["ndcg@10"].excluded == 100

    def test_warm_and_cold_users_mix(self):
        data = ratings()
        held_out = (data.user_index >= 100) | (np.arange(len(data)) % 5 == 0)
        train, test = data.rows(~held_out), data.rows(held_out)
        table = np.clip(noise(train), 0.5, 5)
        table[100:] = 2
        report = evaluate(Given(table, train, cold=np.full(80, 2)), train, test, metrics=["rmse"])
        expected = table[test.user_index, test.item_index] - test.ratings
        assert value(report, "rmse") == pytest.approx(np.sqrt(np.mean(expected**2)), rel=1e-6)


class TestRefusals:
    def test_nothing_to_test_on(self, parts):
        with pytest.raises(DataTooSmall) as refused:
            evaluate(
                Given(noise(parts.train), parts.train), parts.train, parts.test.rows(np.zeros(len(parts.test), bool))
            )
        assert refused.value.hint

    def test_training_rows_among_the_test_rows(self, parts):
        model, data = Given(noise(parts.train), parts.train), ratings()
        leaky = data.rows(np.isin(keys(data), np.concatenate([keys(parts.test), keys(parts.train)[:50]])))
        with pytest.raises(LeakRefused, match=f"50 of {len(leaky)} test ratings are training ratings") as refused:
            evaluate(model, parts.train, leaky)
        assert refused.value.hint

    def test_training_rows_from_the_future_of_the_test_rows(self):
        by_time = split(ratings(), "temporal")
        model = Given(noise(by_time.train), by_time.train)
        evaluate(model, by_time.train, by_time.test, metrics=["ndcg"], temporal=True)
        early = by_time.test.rows(by_time.test.times > by_time.test.times.min())
        late = by_time.train.rows(np.arange(len(by_time.train)) > 0)
        late.times[7] = early.times.min()
        with pytest.raises(LeakRefused, match=f"1 of {len(late):,} training ratings are as late"):
            evaluate(model, late, early, metrics=["ndcg"], temporal=True)
        evaluate(model, late, early, metrics=["ndcg"])  # of a random split that is how it is

    def test_ids_that_differ(self, parts):
        model = Given(noise(parts.train), parts.train)
        object.__setattr__(parts.test, "items", IdMap.from_sorted([f"x{number:02}" for number in range(80)]))
        with pytest.raises(EngineError, match="differently"):
            evaluate(model, parts.train, parts.test)

    def test_ratings_that_are_not_finite(self, parts):
        with pytest.raises(TrainingFailed, match="not finite"):
            evaluate(Given(np.full((120, 80), np.nan), parts.train), parts.train, parts.test)

    def test_an_unknown_metric(self, parts):
        with pytest.raises(SettingRefused, match="ngcd"):
            evaluate(Given(noise(parts.train), parts.train), parts.train, parts.test, metrics=["ngcd"])


class TestIntervals:
    def test_cover_the_mean_of_a_large_sample_as_the_normal_does(self):
        values = np.random.default_rng(0).exponential(size=(400, 1))
        totals, weights = bootstrap(values, np.ones_like(values), seed=1)
        low, high = interval(totals[:, 0] / weights[:, 0])
        error = values.std() / np.sqrt(400)
        assert [low, high] == pytest.approx(values.mean() + np.array([-1.96, 1.96]) * error, abs=0.3 * error)

    def test_groups_of_users_give_the_same_width(self):
        values = np.random.default_rng(0).exponential(size=(3 * GROUPS + 1, 1))
        totals, weights = bootstrap(values, np.ones_like(values), seed=1, draws=400)
        means = totals[:, 0] / weights[:, 0]
        assert means.mean() == pytest.approx(values.mean(), abs=0.002)
        assert means.std() == pytest.approx(values.std() / np.sqrt(len(values)), rel=0.15)

    def test_equal_seeds_draw_equal_users_for_all_columns(self):
        values = np.random.default_rng(0).random((30, 1))
        twice = np.hstack([values, values])
        totals, weights = bootstrap(twice, np.ones_like(twice), seed=3, draws=120)
        np.testing.assert_array_equal(totals[:, 0], totals[:, 1])
        assert (weights == 30).all()
        np.testing.assert_array_equal(totals, bootstrap(twice, np.ones_like(twice), seed=3, draws=120)[0])

    @pytest.mark.parametrize("name", ["coverage", "gini", "calibration_error"])
    def test_of_all_lists_together_hold_what_other_users_would_give(self, name):
        """Reports of groups of users drawn from many: their figures vary as the interval of each says."""
        rng = np.random.default_rng(0)
        n_items, n_users, group = 300, 12_000, 120
        fame = rng.permutation(rng.lognormal(0, 1.2, n_items))
        keys = rng.gumbel(size=(n_users, n_items)).astype(np.float32) + np.log(fame)
        lists = np.argsort(-keys, axis=1)[:, :5].astype(np.int32)
        level = rng.normal(0, 0.5, n_users)  # users differ in how far they are off, which the interval must know
        figures, intervals = [], []
        for start in range(0, n_users, group):
            here = np.arange(start, start + group)
            pairs = [(user, item) for user in range(group) for item in lists[here[user], :3]]
            users, items = np.array(pairs).T
            given = np.clip(3 + level[here][users] + rng.normal(0, 0.5, len(users)), 0.5, 5)
            ids = [f"{number:03}" for number in range(n_items)]
            rows = Interactions.build(ids[:group], ids, users, items, given)
            predicted = (3.2 + 0.3 * np.sin(rows.item_index)).astype(np.float32)
            evidence = Evidence.of_lists(np.arange(group), lists[here], rows, rows, predicted=predicted)
            (value,) = METRICS[name].values(evidence)
            influence = METRICS[name].influence(evidence, 5)
            assert influence.sum() == pytest.approx(0, abs=1e-9)
            figures.append(value)
            intervals.append(student(value, influence.std(ddof=1), group)[:2])
        held = np.mean([low <= np.mean(figures) <= high for low, high in intervals])
        assert 0.86 <= held <= 1
        assert np.mean([high - low for low, high in intervals]) < 1.6 * 2 * 1.96 * np.std(figures)

    def test_nothing_defined(self):
        assert np.isnan(interval(np.full(10, np.nan))).all()


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.sampled_from(["random", "per-user", "last", "temporal"]))
def test_values_stay_in_their_bounds_on_any_data(seed, how):
    parts = split(ratings(12, 9, 0.4, seed), how)
    report = evaluate(Given(noise(parts.train, seed), parts.train), parts.train, parts.test, k=4)
    for name, found in report.metrics.items():
        low, high = METRICS[name.partition("@")[0]].bounds
        assert np.isnan(found.value) or low <= found.value <= high


class TestSampled:
    def test_only_drawn_and_held_out_items_are_ranked(self, parts):
        report = evaluate(Given(noise(parts.train), parts.train), parts.train, parts.test, k=80, negatives=5)
        lists, counts = report.evidence.lists, report.rows
        np.testing.assert_array_equal((lists >= 0).sum(axis=1), counts + 5)
        np.testing.assert_array_equal(report.evidence.hits.sum(axis=1), counts)
        for row, user in zip(lists, report.users, strict=True):
            assert not set(row[row >= 0].tolist()) & set(parts.train.history(user)[0].tolist())
        assert "auc" not in report.metrics

    def test_figures_are_higher_than_those_of_the_whole_catalogue(self, parts):
        model = Given(noise(parts.train), parts.train)
        whole = evaluate(model, parts.train, parts.test, metrics=["ndcg"])
        few = evaluate(model, parts.train, parts.test, metrics=["ndcg"], negatives=10)
        assert value(few, "ndcg@10") > value(whole, "ndcg@10") + 0.1

    def test_with_every_unseen_item_drawn_it_is_the_whole_catalogue(self, parts):
        model = Given(noise(parts.train), parts.train)
        whole = evaluate(model, parts.train, parts.test, metrics=["ndcg", "coverage"])
        assert (
            evaluate(model, parts.train, parts.test, metrics=["ndcg", "coverage"], negatives=80).metrics
            == whole.metrics
        )

    def test_batches_do_not_change_what_is_drawn(self, parts):
        model = Given(noise(parts.train), parts.train)
        found = [
            evaluate(model, parts.train, parts.test, metrics=["ndcg"], negatives=9, byte_budget=budget).metrics
            for budget in (1, 10**9)
        ]
        assert found[0] == found[1]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_ties_go_to_the_lower_index_whatever_the_batch(seed, levels):
    parts = split(ratings(20, 15, 0.4, seed), "random", seed=seed)
    table = np.random.default_rng(seed).integers(0, levels, (20, 15))
    untied = table - np.arange(15) / 1000
    kept = ["precision", "recall", "ndcg", "map", "mrr", "hit_rate", "coverage", "gini"]
    first, second = (
        evaluate(Given(one, parts.train), parts.train, parts.test, metrics=kept, k=4, byte_budget=budget)
        for one, budget in ((table, 1), (untied, 10**9))
    )
    np.testing.assert_array_equal(first.evidence.lists, second.evidence.lists)
    assert first.metrics == second.metrics


@settings(deadline=None, max_examples=30)
@given(st.permutations(range(14)), st.integers(0, 10**6))
def test_the_order_of_users_does_not_matter(order, seed):
    data, table = ratings(14, 9, 0.5, seed), np.random.default_rng(seed).standard_normal((14, 9))
    held_out = np.random.default_rng([seed, 1]).random(len(data)) < 0.3
    assume(held_out.any())
    ids = [f"{number:03}" for number in range(14)]

    def renamed(rows):
        return Interactions.build(
            ids, ids[:9], np.array(order)[rows.user_index], rows.item_index, rows.ratings, features=rows.features
        )

    train, test = data.rows(~held_out), data.rows(held_out)
    here = evaluate(Given(table, train), train, test, k=4)
    there = evaluate(Given(table[np.argsort(order)], renamed(train)), renamed(train), renamed(test), k=4)
    for name, found in here.metrics.items():
        assert there.metrics[name].value == pytest.approx(found.value, rel=1e-9, nan_ok=True), name
