"""The gate: what it reads, whom it lets pass and how often wrongly, and what it leaves behind."""

import os
import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from engine.errors import GateRefused, SettingRefused
from engine.services import Services
from engine.services.gate import Guard, activate, decide, read_gate
from engine.services.heldout import HELD_OUT, PER_USER
from store import errors
from store.artifacts import Bundle
from store.registry import MetricRow, NewVersion

USERS = 400
ROWS = np.arange(USERS) % 7 + 1
PROTOCOL = {"split": "random", "test": 0.2, "seed": 42, "test_rows": int(ROWS.sum())}


@pytest.fixture(scope="module")
def shelf():
    """Services over a database in memory where there is one, to which versions with made-up figures are added."""
    disk = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=disk) as folder:
        services = Services.open(Path(folder) / "shelf.db", create=True)
        with closing(services.database):
            yield services


def add(services, ndcg, *, squared=None, coverage=0.3, model="mf", fingerprint="f"):
    """Register a version by its NDCG of each user (U,), and the mean squared error of each."""
    per_user = {"users": np.arange(USERS), "rows": ROWS, "ndcg@10": np.asarray(ndcg, np.float64)}
    figures = {"ndcg@10": MetricRow(float(np.mean(ndcg))), "coverage": MetricRow(coverage)}
    if squared is not None:
        per_user["rmse"] = np.sqrt(squared)
        figures["rmse"] = MetricRow(float(np.sqrt(np.average(squared, weights=ROWS))))
    data = {"n_users": USERS, "n_movies": 9, "n_ratings": 99, "fingerprint": fingerprint}
    new = NewVersion(model, {}, data, PROTOCOL, {}, figures)
    held_out = Bundle({"users": np.repeat(np.arange(USERS), ROWS)}, {})
    return services.registry.save(new, {HELD_OUT: held_out, PER_USER: Bundle(per_user, {})})


def quality(rng):
    """How well each user is served: many not at all, as in a short list out of a long catalogue."""
    return np.where(rng.random(USERS) < 0.4, 0.0, rng.beta(2, 5, USERS))


def verdict(services, first, second, *guards, better="ndcg@10"):
    return decide(services, first, second, read_gate(better, guards))


class TestReading:
    @pytest.mark.parametrize(
        ("text", "metric", "loss"),
        [
            ("coverage:-5%", "coverage", 0.05),
            ("rmse:+1%", "rmse", 0.01),
            ("ndcg:-0%", "ndcg@10", 0.0),
            ("precision_at_5:-12.5%", "precision@5", 0.125),
            (" recall@20:-1% ", "recall@20", 0.01),
        ],
    )
    def test_a_guard_is_a_metric_and_a_loss(self, text, metric, loss):
        assert read_gate("", [text]).guards == (Guard(metric, loss, text.strip()),)

    @pytest.mark.parametrize(
        ("text", "said", "hint"),
        [
            ("coverage:5%", "says not how much worse coverage", "METRIC:-5%"),
            ("coverage", "says not", "METRIC:-5%"),
            ("", "says not", "METRIC:-5%"),
            ("coverage:-5", "says not", "METRIC:-5%"),
            ("coverage:-%", "says not", "METRIC:-5%"),
            ("coverage:--5%", "says not", "METRIC:-5%"),
            ("coverage:-5%%", "says not", "METRIC:-5%"),
            ("coverage:-nan%", "says not", "METRIC:-5%"),
            ("coverage:+5%", "coverage is worse when it is lower", "coverage:-5%"),
            ("rmse:-1%", "rmse is worse when it is higher", "rmse:+1%"),
            ("covrage:-5%", "unknown metric 'covrage'", "coverage"),
            ("ndcg@0:-5%", "no list to look at", "1"),
        ],
    )
    def test_what_is_no_guard_is_refused_with_what_to_write(self, text, said, hint):
        with pytest.raises(SettingRefused, match=said) as caught:
            read_gate("", [text])
        assert hint in caught.value.hint

    def test_a_gate_needs_a_metric_with_an_interval_and_a_direction(self):
        assert read_gate("ndcg", []).better_by == "ndcg@10"
        assert not read_gate("", [])
        assert read_gate("coverage", []).better_by == "coverage"
        with pytest.raises(SettingRefused, match="neither better when higher nor when lower"):
            read_gate("", ["popularity_lift:-5%"])


class TestErrorRates:
    def test_equally_good_versions_pass_in_at_most_one_of_twenty_comparisons(self, shelf):
        rng, passed = np.random.default_rng(1), 0
        for _ in range(200):
            users = quality(rng)
            pair = [add(shelf, np.clip(users + rng.normal(0, 0.1, USERS), 0, 1)) for _ in range(2)]
            passed += verdict(shelf, *pair).passed
        assert 0 < passed <= 10

    def test_a_planted_difference_is_found(self, shelf):
        """0.03 with a spread of 0.14 over 400 users is four standard errors: nine of ten are found and more."""
        rng, passed, wrongly = np.random.default_rng(2), 0, 0
        for _ in range(40):
            users = quality(rng)
            worse, better = (add(shelf, users + gain + rng.normal(0, 0.1, USERS)) for gain in (0.0, 0.03))
            passed += verdict(shelf, better, worse).passed
            wrongly += verdict(shelf, worse, better).passed
        assert passed >= 36
        assert wrongly == 0

    def test_a_guard_lets_no_planted_loss_pass(self, shelf):
        """A guard of 1 % against a loss of 4 % in RMSE; and one of 4 % lets a loss of 1 % pass."""
        rng, passed = np.random.default_rng(3), {0.04: 0, 0.01: 0}
        for _ in range(20):
            squared = rng.gamma(4, 0.2, USERS)
            before = add(shelf, quality(rng), squared=squared)
            for loss, guard in ((0.04, "rmse:+1%"), (0.01, "rmse:+4%")):
                after = add(shelf, np.ones(USERS), squared=squared * (1 + loss) ** 2 * rng.lognormal(0, 0.05, USERS))
                passed[loss] += verdict(shelf, after, before, guard).passed
        assert passed == {0.04: 0, 0.01: 20}


class TestDeciding:
    def test_the_interval_decides_and_not_the_figures(self, shelf):
        """Better by a hair on average, but not surely so."""
        rng = np.random.default_rng(4)
        users = quality(rng)
        before = add(shelf, users)
        noise = rng.normal(0, 0.3, USERS)
        after = add(shelf, users + noise - noise.mean() + 0.01)
        found = verdict(shelf, after, before)
        [check] = found.checks
        assert not found.passed
        assert check.difference == pytest.approx(0.01)
        assert check.low < 0 < check.high
        assert found.against == before.name
        assert found.reason.startswith(f"{after.name} is not shown to be better than {before.name}: ndcg@10 ")

    def test_a_guard_on_the_whole_catalogue_goes_by_its_figures(self, shelf):
        before = add(shelf, np.zeros(USERS), coverage=0.2)
        for coverage, passes in ((0.19, True), (0.1899, False), (0.5, True)):
            after = add(shelf, np.full(USERS, 0.1) + np.arange(USERS) / 1e4, coverage=coverage)
            found = verdict(shelf, after, before, "coverage:-5%")
            assert found.passed is passes
            assert found.checks[1].passed is passes
            if not passes:
                assert "coverage" in found.reason
                assert "may fall by 5% at most" in found.reason

    def test_nothing_can_be_lost_of_nothing(self, shelf):
        before = add(shelf, np.zeros(USERS), coverage=0.0)
        after = add(shelf, np.arange(USERS) / 1e3, coverage=0.0)
        assert verdict(shelf, after, before, "coverage:-0%", "ndcg:-0%").passed

    def test_a_metric_that_one_of_them_lacks_is_a_refusal(self, shelf):
        before = add(shelf, np.zeros(USERS), squared=np.ones(USERS))
        ranker = add(shelf, np.arange(USERS) / 1e3, model="ials")
        found = verdict(shelf, ranker, before, "rmse:+1%")
        assert not found.passed
        assert found.reason == f"guard rmse:+1%: {ranker.name} has no rmse"

    def test_other_data_without_a_row_in_common_is_a_refusal(self, services):
        services.registry.delete(2)
        one = services.registry.get(1)
        other = add(services, np.zeros(USERS), fingerprint="another")
        found = decide(services, other, one, read_gate("ndcg", ()))
        assert not found.passed
        assert "cannot be compared" in found.reason

    def test_itself_is_nothing_to_compare_with(self, shelf):
        version = add(shelf, np.zeros(USERS))
        found = verdict(shelf, version, version)
        assert not found.passed
        assert "active already" in found.reason

    def test_where_nothing_serves_anything_is_better(self, shelf):
        assert verdict(shelf, add(shelf, np.zeros(USERS)), None).passed


class TestActivating:
    @pytest.fixture
    def trained(self, services):
        return services, services.registry.get(1), services.registry.get(2)

    def test_a_refused_version_stays_a_candidate_and_the_decision_is_kept(self, trained):
        services, _, other = trained
        with pytest.raises(GateRefused, match="v2 cannot be compared with v1: ") as caught:
            activate(services, other, who="cron", gate=read_gate("ndcg@10", ["coverage:-5%"]))
        assert "v1 stays active" in caught.value.hint
        assert (services.registry.active(), services.registry.get(2).state) == (1, "candidate")
        change = services.registry.audit()[0]
        assert (change.version, change.action, change.who, change.why) == (2, "refuse", "cron", str(caught.value))
        assert change.figures["against"] == "v1"
        assert change.figures["passed"] is False

    def test_one_that_passes_serves_and_says_by_what(self, trained):
        services, active, _ = trained
        per_user = services.registry.load(active, PER_USER).arrays
        arrays = dict(per_user) | {"ndcg@10": per_user["ndcg@10"] + 1.0 + np.arange(len(per_user["users"])) / 100}
        held_out, model = (services.registry.load(active, name) for name in (HELD_OUT, "model"))
        figures = active.metrics
        new = NewVersion("mf", {}, active.training_data, active.protocol, {}, figures)
        better = services.registry.save(new, {"model": model, HELD_OUT: held_out, PER_USER: Bundle(arrays, {})})
        served, decision = activate(services, better, who="cron", gate=read_gate("ndcg", ["coverage:-5%"]))
        assert served.active
        assert decision.passed
        change = services.registry.audit()[0]
        assert (change.action, change.previous, change.why) == ("activate", 1, decision.reason)
        assert change.figures["checks"][0]["low"] > 0
        assert services.manager.snapshot().version.id == better.id

    def test_files_that_make_no_model_are_refused_before_anything_else(self, trained):
        services, _, _ = trained
        new = NewVersion("mf", {}, {"n_users": 1, "n_movies": 1, "n_ratings": 1}, {}, {})
        empty = services.registry.save(new, {"model": Bundle({"nothing": np.zeros(1)}, {"config": {}})})
        with pytest.raises(errors.Damaged, match=f"{empty.name} makes no model"):
            activate(services, empty, who="ann")
        assert services.registry.active() == 1
