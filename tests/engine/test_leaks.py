"""The canary for leaks: on test rows drawn by lot every honest pipeline is at chance, and one that peeks is not."""

import numpy as np
import pytest

from engine.data import NO_TIME, Interactions
from engine.errors import LeakRefused
from engine.evaluation import evaluate
from engine.leaks import refuse_future, refuse_future_training, refuse_overtrained, refuse_seen
from engine.models import MODELS, model_class
from engine.splits import Split, split
from tests.data import planted, table

QUICK = {
    "mf": {"n_factors": 8, "epochs": 3},
    "bayesian-mf": {"n_factors": 7, "epochs": 12, "samples": 4},
    "ials": {"n_factors": 8, "epochs": 3},
    "ncf": {"epochs": 2},
}


def drawn_by_lot(seed=0):
    """Training rows with structure, and test rows that are ten unseen items a user, each as likely as another."""
    train, _ = planted(200, 120, 6000, seed=3)
    train = train.rows(train.user_counts[train.user_index] <= 100)
    rng = np.random.default_rng([seed, 5])
    pairs = [
        (user, item)
        for user in np.flatnonzero(train.user_counts)
        for item in rng.permutation(np.setdiff1d(np.arange(train.n_items), train.history(user)[0]))[:10]
    ]
    users, items = np.array(pairs).T
    test = table(users, items, rng.integers(1, 11, len(users)) / 2, n_users=train.n_users, n_items=train.n_items)
    return Split(
        train, Interactions(train.users, train.items, test.user_index, test.item_index, test.ratings, test.times)
    )


def chance(parts):
    """Mean and deviation of precision@10 and of the area under the curve, of lists drawn by lot: exact formulas."""
    users = np.flatnonzero(parts.test.user_counts)
    m = parts.test.user_counts[users]
    unseen = parts.train.n_items - parts.train.user_counts[users]
    share = m / unseen  # hits of ten draws without putting back: hypergeometric
    variance = 10 * share * (1 - share) * (unseen - 10) / (unseen - 1) / 100
    ranks = (unseen + 1) / (12 * m * (unseen - m))  # Mann, Whitney 1947
    return {
        "precision@10": (share.mean(), np.sqrt(variance.sum()) / len(users)),
        "auc": (0.5, np.sqrt(ranks.sum()) / len(users)),
    }


def off_chance(model, parts):
    """How many standard deviations the metrics are away from what chance gives."""
    report = evaluate(model, parts.train, parts.test, metrics=["precision@10", "auc"])
    expected = chance(parts)
    return {name: (report.metrics[name].value - mean) / sigma for name, (mean, sigma) in expected.items()}


def trained(name, parts, valid=None, **options):
    model = model_class(name)(**QUICK.get(name, {}) | options)
    for _ in model.fit_epochs(parts.train, valid=valid, seed=1):
        pass
    return model


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_at_chance_on_labels_drawn_by_lot(name):
    lots = [drawn_by_lot(seed) for seed in range(9)]  # of the same training rows
    model = trained(name, lots[0])
    found = [off_chance(model, parts) for parts in lots]
    for metric in found[0]:
        assert abs(np.mean([one[metric] for one in found])) < 3 / np.sqrt(len(lots)), metric


def test_the_canary_finds_training_on_the_test_rows():
    parts = drawn_by_lot()
    everything = np.concatenate([parts.train.user_index, parts.test.user_index])
    items = np.concatenate([parts.train.item_index, parts.test.item_index])
    values = np.concatenate([parts.train.ratings, parts.test.ratings])
    leaky = Split(table(everything, items, values, n_users=200, n_items=120), parts.test)
    model = trained("ials", leaky, regularization=0.008)  # so little that it learns by heart
    assert off_chance(model, parts)["auc"] > 10
    with pytest.raises(LeakRefused, match="trained on more ratings"):
        refuse_overtrained(model.facts.user_counts, parts.train, parts.test, "v1")


def test_the_canary_finds_a_planted_future_feature():
    """An item's popularity is harmless as of training; counted with the test rows it knows who will be asked for."""
    parts = drawn_by_lot()
    future = parts.test.item_counts.astype(np.float32)

    class Peeks(model_class("popularity")):
        def score_users(self, users):
            return np.tile(future, (len(users), 1))

    honest, peeking = trained("popularity", parts), Peeks()
    list(peeking.fit_epochs(parts.train))
    assert abs(off_chance(honest, parts)["auc"]) < 3
    assert off_chance(peeking, parts)["auc"] > 5


class TestRefusals:
    @pytest.fixture
    def rows(self):
        data = table([0, 0, 1, 1, 2], [0, 1, 0, 2, 1], [3, 4, 5, 2, 1])
        data.times[:] = [100, 200, 300, 400, 500]
        return data

    def mask(self, *places):
        return np.isin(np.arange(5), places)

    def test_training_rows_among_the_test_rows(self, rows):
        refuse_seen(rows.rows(self.mask(0, 1)), rows.rows(self.mask(2, 3)))
        with pytest.raises(LeakRefused, match="1 of 2 test ratings are training ratings of v3") as refused:
            refuse_seen(rows.rows(self.mask(0, 1)), rows.rows(self.mask(1, 3)), "v3")
        assert refused.value.hint
        assert refused.value.code == "data_refused"

    def test_test_rows_from_before_the_end_of_training(self, rows):
        refuse_future(300, rows.rows(self.mask(2, 3, 4)))
        with pytest.raises(LeakRefused, match=r"2 of 3 test ratings are from before 1970-01-01 00:05:01 UTC"):
            refuse_future(301, rows.rows(self.mask(1, 2, 3)), "v3")

    def test_rows_without_a_time_cannot_be_judged(self, rows):
        rows.times[0] = NO_TIME
        refuse_future(100, rows)
        refuse_future_training(rows.rows(self.mask(0, 1)), rows.rows(self.mask(2)))

    def test_training_rows_as_late_as_a_test_row(self, rows):
        refuse_future_training(rows.rows(self.mask(0, 1)), rows.rows(self.mask(2, 3)))
        with pytest.raises(LeakRefused, match="1 of 3 training ratings are as late"):
            refuse_future_training(rows.rows(self.mask(0, 1, 3)), rows.rows(self.mask(2)))

    def test_a_model_that_counted_more_than_there_is(self, rows):
        train, test = rows.rows(self.mask(0, 2, 4)), rows.rows(self.mask(1, 3))
        refuse_overtrained(np.array([1, 1, 1]), train, test, "v3")
        refuse_overtrained(np.array([1, 1, 9]), train, test, "v3")  # of a user without test rows
        with pytest.raises(LeakRefused, match="of users with 1 of 2 test ratings"):
            refuse_overtrained(np.array([2, 1, 1]), train, test, "v3")

    @pytest.mark.parametrize("how", ["random", "per-user", "last", "temporal"])
    def test_no_split_leaks(self, how):
        train, test = planted(60, 40, 900, seed=8)
        data = table(
            np.concatenate([train.user_index, test.user_index]),
            np.concatenate([train.item_index, test.item_index]),
            np.concatenate([train.ratings, test.ratings]),
        )
        data.times[:] = np.random.default_rng(1).integers(0, 500, len(data))
        parts = split(data, how)
        refuse_seen(parts.train, parts.test)
        if how == "temporal":
            refuse_future_training(parts.train, parts.test)
            refuse_future(parts.protocol["from"], parts.test)
