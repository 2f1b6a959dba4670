"""Whether training again is worth it: by the share of users folded in, and by what a full training would gain."""

from dataclasses import replace

import numpy as np
import pytest

from engine.errors import DataTooSmall
from engine.services import Services
from engine.services import freshness as module
from engine.services.freshness import Gap, _advice, freshness, measure_gap
from store import ratings
from tests.cli import call


def test_without_a_version_there_is_nothing_to_say(tmp_path):
    assert freshness(Services.open(tmp_path / "x.db", create=True), 0) is None


def test_users_and_ratings_since_the_training_are_counted(services):
    assert freshness(services, 30).users == 0
    for user in ("u1", "u2", "new"):
        services.realtime.record(user, "i1", 2.5)
        services.realtime.record(user, "i2", 2.5)
    services.realtime.record("u3", services_item(services, "u3"), None)
    found = freshness(services, 31)
    assert (found.users, found.ratings, found.share) == (4, 6, pytest.approx(4 / 31))
    assert found.retrain is False
    services.training.train_model("mf", {"epochs": 1}, test=0, activate=True)
    assert freshness(services, 31).users == 0


def services_item(services, user):
    return ratings.history(services.database, user)[0].item


def test_many_users_are_reason_enough_until_it_is_measured():
    gap = Gap("v1", 1, 0.0, 50, 0.2, 0.3, 0.01, 0.2, 1.0)
    assert _advice(0.1, None)[0] is False
    assert _advice(0.3, None)[0] is True
    assert _advice(0.01, gap)[0] is True
    assert _advice(0.3, replace(gap, low=-0.1))[0] is False


def test_too_few_new_ratings_are_not_measured(services):
    services.realtime.record("u1", "i1", 2.5)
    with pytest.raises(DataTooSmall, match="1 users"):
        measure_gap(services)


def test_a_change_of_taste_is_a_gap_that_is_found_and_kept(services, monkeypatch):
    """Everybody turns to items that the version believes to be of the others: a full training learns it."""
    monkeypatch.setattr(module, "_LEAST_USERS", 20)
    before = ratings.count(services.database), len(services.registry.versions())
    draw = np.random.default_rng(0)
    for user in range(30):
        seen = {row.item for row in ratings.history(services.database, f"u{user}")}
        unseen = [f"i{item}" for item in range(40) if f"i{item}" not in seen]
        services.realtime.apply_updates([(f"u{user}", item, 5.0) for item in draw.permutation(unseen)[:4]])
    gap = measure_gap(services)
    assert gap.users == 30
    assert gap.low <= gap.retrained - gap.folded <= gap.high
    assert 0 <= gap.folded <= 1
    assert freshness(services, 30).gap == gap
    assert ratings.count(services.database) == before[0] + 120
    assert len(services.registry.versions()) == before[1]
    shown = call(services.database.path, "stats", "--json").json["since_training"]
    assert (shown["version"], shown["users"], shown["share"]) == ("v1", 30, 1.0)
    assert shown["gap"]["folded"] == gap.folded
    assert shown["why"]


def test_ratings_that_came_after_the_training_are_marked(services):
    user = "u4"
    known = services_item(services, user)
    unseen = next(f"i{item}" for item in range(40) if ratings.get(services.database, user, f"i{item}") is None)
    services.realtime.record(user, unseen, 2.5, at=5)  # long ago by its time
    shown = call(services.database.path, "users", "show", user, "--limit", "100", "--json").json["history"]
    marks = {row["item"]: row["new"] for row in shown}
    assert (marks[unseen], marks[known]) == (True, False)
    assert sum(marks.values()) == 1
