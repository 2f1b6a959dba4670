"""The time that `auto` gives its candidates: on a clock that the test turns."""

from types import SimpleNamespace

import pytest

from engine.services.auto_plan import Plan, Spent, shortest_fit


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def version(number):
    return SimpleNamespace(id=number, name=f"v{number}")


def test_without_a_limit_everything_is_trained_as_long_as_it_takes():
    plan = Plan(0.0, 1)
    assert plan.share(3, 1e9) == (0.0, "")
    plan.add(Spent(version(1), 1e9, 1.0), 1.0)
    plan.add(Spent(None, 5.0, 1.0), 1.0)
    assert [one.name for one in plan.members([])] == ["v1"]


@pytest.mark.parametrize("fits", [1, 2])
@pytest.mark.parametrize("slow", [1.0, 4.0])
def test_candidates_that_take_what_they_are_given_and_their_ensemble_end_in_time(fits, slow):
    clock = Clock()
    plan = Plan(120.0, fits, clock)
    for place in range(6):
        forecast = 2.0
        seconds, why = plan.share(6 - place, forecast)
        if why:
            continue
        fitting = max(seconds, forecast * slow)
        clock.now += fits * fitting + 1.5
        plan.add(Spent(version(place), fitting, 1.5), forecast)
    members = plan.members([version(0)])
    clock.now += 1.5 + sum(1.1 * one.fitting + 0.5 for one in plan.spent if one.version in members)
    assert len(members) >= 2
    assert clock.now - 100 <= 120


def test_what_the_first_candidate_loads_for_all_keeps_none_out():
    clock = Clock()
    plan = Plan(25.0, 1, clock)
    clock.now += 8.0
    plan.add(Spent(version(0), 0.1, 7.9), 0.0)
    for place in range(1, 6):
        seconds, why = plan.share(6 - place, 0.1)
        assert not why
        clock.now += seconds + 0.5
        plan.add(Spent(version(place), seconds, 0.5), 0.1)
    assert len(plan.members([])) == 6
    assert plan.left() > 0


def test_what_would_not_end_in_time_is_left_out_with_the_figures():
    plan = Plan(60.0, 1, Clock())
    seconds, why = plan.share(1, 500.0)
    assert seconds == 0
    assert "500 s" in why


def test_a_slow_machine_is_noticed():
    plan = Plan(1000.0, 1, Clock())
    assert not plan.share(2, 40.0)[1]
    plan.add(Spent(version(1), 50.0, 0.0), 5.0)
    assert "400 s" in plan.share(1, 40.0)[1]


def test_what_a_fresh_machine_compiles_keeps_no_candidate_out():
    clock = Clock()
    plan = Plan(120, 1, clock)
    clock.now += 23
    plan.add(Spent.of(None, 23, 19, 18, 1), 0.05)
    clock.now += 12
    plan.add(Spent.of(None, 12, 10, 9, 1), 1.0)
    assert [one.fitting for one in plan.spent] == [1, 1]
    seconds, none_left = plan.share(1, 15.0)
    assert seconds >= 15
    assert none_left == ""


def test_the_best_are_members_first_where_not_all_can_be():
    clock = Clock()
    plan = Plan(100.0, 1, clock)
    for number, fitting in enumerate([30.0, 1.0, 2.0, 40.0]):
        plan.add(Spent(version(number), fitting, 0.0), 0.0)
    clock.now += 55.0
    assert [one.name for one in plan.members([version(0)])] == ["v0", "v1", "v2"]


def test_forecasts_grow_with_the_data():
    for name in ("popularity", "mf", "ease", "next", "ials", "bayesian-mf", "ncf"):
        assert 0 < shortest_fit(name, 600, 9000, 100_000) < shortest_fit(name, 6000, 90_000, 10_000_000)
