"""When a training is due: instants that no change of clocks moves or loses, and once for each that has passed."""

import os
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.services.timetable import Schedule, overview, schedule_of, set_schedule
from store import timetable

WEEK = 7 * 86_400
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/St_Johns", "UTC")


def utc(*parts: int) -> float:
    return datetime(*parts, tzinfo=UTC).timestamp()


def written(instant: float) -> str:
    return f"{datetime.fromtimestamp(instant, UTC):%Y-%m-%d %H:%M}"


@pytest.fixture
def machine_zone():
    """Sets the time zone of the machine for a test."""
    before = os.environ.get("TZ")

    def set_zone(name: str) -> None:
        os.environ["TZ"] = name
        time.tzset()

    yield set_zone
    os.environ.pop("TZ")
    if before is not None:
        os.environ["TZ"] = before
    time.tzset()


class TestInstants:
    def test_sunday_at_two_by_default_in_the_zone_named(self):
        schedule = Schedule(zone="Europe/Berlin")
        wednesday = utc(2026, 11, 25, 12)
        assert written(schedule.after(wednesday)) == "2026-11-29 01:00"
        assert written(schedule.before(wednesday)) == "2026-11-22 01:00"
        assert schedule.words == "Sunday 02:00 Europe/Berlin"

    def test_the_time_itself_is_due_and_the_next_one_is_a_week_on(self):
        schedule = Schedule(zone="UTC")
        sunday = utc(2026, 11, 29, 2)
        assert (schedule.before(sunday), schedule.after(sunday)) == (sunday, sunday + WEEK)
        assert schedule.after(sunday - 1) == sunday

    def test_a_time_that_the_clock_jumps_over_comes_as_much_later(self):
        schedule = Schedule(zone="Europe/Berlin")  # on 28 March 2027 the clock goes from 02:00 to 03:00
        assert written(schedule.after(utc(2027, 3, 25))) == "2027-03-28 01:00"
        late = replace(schedule, minute=30)
        assert written(late.after(utc(2027, 3, 25))) == "2027-03-28 01:30"
        assert written(late.after(utc(2027, 3, 28, 1, 30))) == "2027-04-04 00:30"

    def test_a_time_that_the_clock_shows_twice_counts_once_the_first_time(self):
        schedule = Schedule(zone="Europe/Berlin")  # on 25 October 2026 the clock goes from 03:00 to 02:00
        first = schedule.after(utc(2026, 10, 22))
        assert written(first) == "2026-10-25 00:00"
        assert written(schedule.after(first)) == "2026-11-01 01:00"
        assert schedule.before(utc(2026, 10, 25, 1, 30)) == first

    def test_without_a_zone_the_clock_of_the_machine_counts(self, machine_zone):
        wednesday = utc(2026, 11, 25, 12)
        for name in ("America/New_York", "Asia/Kolkata"):
            machine_zone(name)
            assert Schedule().after(wednesday) == Schedule(zone=name).after(wednesday)
        machine_zone("Europe/Berlin")
        for day in (25, 28):
            instant = utc(2027, 3, day, 12)
            assert Schedule().after(instant) == Schedule(zone="Europe/Berlin").after(instant)

    @given(
        st.floats(0, 4e9),
        st.sampled_from(ZONES),
        st.integers(0, 6),
        st.integers(0, 23),
        st.integers(0, 59),
    )
    def test_every_instant_lies_between_two_times_a_week_apart_of_that_weekday(self, instant, zone, day, hour, minute):
        schedule = Schedule(day, hour, minute, zone)
        last, coming = schedule.before(instant), schedule.after(instant)
        assert last <= instant < coming
        assert abs(coming - last - WEEK) <= 2 * 3600  # the clock may have been moved in between
        assert schedule.after(last) == coming
        assert schedule.before(coming) == coming
        wall = datetime.fromtimestamp(coming, ZoneInfo(zone))
        meant = wall.replace(hour=hour, minute=minute, second=0, microsecond=0)
        assert timedelta() <= wall - meant <= timedelta(hours=1)
        assert meant.weekday() == day


class TestOverview:
    def test_nothing_is_due_without_ratings_and_the_next_time_is_told(self, database):
        found = overview(database, utc(2026, 11, 25))
        assert (found.due, found.last, found.looked_at, found.alerts) == (False, {}, None, ())
        assert found.next_at == Schedule().after(utc(2026, 11, 25))

    def test_due_once_a_time_has_passed_since_the_serving_version_was_trained(self, services):
        database = services.database
        trained = services.registry.resolve("active").trained_at
        set_schedule(database, Schedule(zone="UTC"), now=trained - 2 * WEEK)
        coming = Schedule(zone="UTC").after(trained)
        assert not overview(database, coming - 1).due
        assert overview(database, coming - 1).next_at == coming
        for now in (coming, coming + 3600, coming + 3 * WEEK):
            assert overview(database, now).due
        assert overview(database, coming + 3 * WEEK).next_at == coming + 3 * WEEK  # once, not once a week missed
        timetable.keep(database, timetable.STATE, {"done_for": coming})
        assert not overview(database, coming + 3600).due
        assert overview(database, coming + WEEK).due

    def test_a_new_schedule_begins_when_it_is_set_and_one_that_is_off_is_never_due(self, services):
        database = services.database
        now = services.registry.resolve("active").trained_at + 3 * WEEK
        kept = set_schedule(database, Schedule(2, 3, 4, "UTC", "auto", "rmse", ("recall:-1%",), 60.0), now=now)
        assert schedule_of(database) == kept
        assert not overview(database, now + 60).due
        set_schedule(database, replace(kept, on=False), now=now)
        assert overview(database, now + 2 * WEEK).next_at is None
