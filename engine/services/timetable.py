"""When a training is due: once a week at a time of day, told by instants, so that no change of clocks loses one.

A schedule is a wall time in a time zone. Where the clock jumps over it, the run comes as much later as the clock was
moved; where the clock shows it twice, the first time counts. A run that was missed is made up for once, not once a week
that was missed.
"""

import re
import time
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from engine.errors import SettingRefused
from engine.services.request import LEAST_RATINGS
from store import timetable

if TYPE_CHECKING:
    from store.database import Database

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True)
class Schedule:
    """What is done once a week; see `docs/registry.md`.

    Attributes:
        weekday: 0 Monday to 6 Sunday.
        hour, minute: wall time in the zone.
        zone: a name of the time zone database, "" for that of the machine.
        model: what is trained: "active" for the model of the active version, "auto", or a name of the table of models.
        better_by: metric by which the new version must be better to serve, "" for none: newer ratings are a reason.
        guards: what it may lose, such as "coverage:-10%".
        time_limit: seconds for the training, 0 for none.
        on: False while nothing is to be done.
        since: when it was set, in seconds since 1970; 0 for the one that stands where nothing was set.
    """

    weekday: int = 6
    hour: int = 2
    minute: int = 0
    zone: str = ""
    model: str = "active"
    better_by: str = ""
    guards: tuple[str, ...] = ("ndcg@10:-10%", "coverage:-10%")
    time_limit: float = 0.0
    on: bool = True
    since: float = 0.0

    @property
    def words(self) -> str:
        """When it is, for people: `Sunday 02:00 Europe/Berlin`."""
        return f"{DAYS[self.weekday]} {self.hour:02}:{self.minute:02} {self.zone or 'local time'}"

    def after(self, instant: float) -> float:
        """Return the first time after an instant, both in seconds since 1970."""
        return min(found for found in self._around(instant) if found > instant)

    def before(self, instant: float) -> float:
        """Return the last time up to an instant, both in seconds since 1970."""
        return max(found for found in self._around(instant) if found <= instant)

    def _around(self, instant: float) -> list[float]:
        """Return the times of the weeks around an instant."""
        zone = ZoneInfo(self.zone) if self.zone else None
        today = datetime.fromtimestamp(instant, zone)
        wall = today.replace(hour=self.hour, minute=self.minute, second=0, microsecond=0, fold=0)
        if zone is None:
            wall = wall.replace(tzinfo=None)  # the machine's rules, read anew for each day
        first = self.weekday - today.weekday()
        return [(wall + timedelta(days=first + 7 * week)).timestamp() for week in (-2, -1, 0, 1, 2)]


@dataclass(frozen=True)
class Overview:
    """What there is to say of a schedule.

    Attributes:
        schedule: as it stands.
        next_at: when the next training is to begin, in seconds since 1970; None while it is off.
        due: one should have begun by now.
        looked_at: when `schedule run-due` last looked, None where it never did: nothing calls it.
        last: what came of the last scheduled training, empty before the first: due_at, started_at, finished_at, state
            (done | refused | unchanged | failed | cancelled), job, version, active, deleted, reason.
        alerts: sentences that stand as of the last look.
    """

    schedule: Schedule
    next_at: float | None
    due: bool
    looked_at: float | None
    last: dict[str, Any]
    alerts: tuple[str, ...]


def overview(database: "Database", now: float | None = None) -> Overview:
    """Return the schedule of a database, when it is next, and what came of the last run; a few cheap queries.

    Args:
        database: with a schema.
        now: seconds since 1970, the clock's by default.
    """
    now = time.time() if now is None else now
    schedule, state = schedule_of(database), timetable.kept(database, timetable.STATE)
    begin = due_since(database, schedule, state, now)
    return Overview(
        schedule,
        (schedule.after(now) if begin is None else begin) if schedule.on else None,
        begin is not None,
        state.get("looked_at"),
        state.get("last", {}),
        tuple(state.get("alerts", ())),
    )


def schedule_of(database: "Database") -> Schedule:
    """Return the schedule that was set, else the one that stands where nothing was."""
    known = {field.name for field in fields(Schedule)}
    found = {key: value for key, value in timetable.kept(database, timetable.PLAN).items() if key in known}
    if "guards" in found:
        found["guards"] = tuple(found["guards"])
    return Schedule(**found)


def set_schedule(database: "Database", schedule: Schedule, now: float | None = None) -> Schedule:
    """Keep a schedule; what was due by the one before is not made up for."""
    kept = replace(schedule, since=time.time() if now is None else now)
    timetable.keep(database, timetable.PLAN, asdict(kept))
    return kept


def read_time(text: str) -> tuple[int, int, int]:
    """Read `sun 02:00`; return weekday, hour and minute.

    Raises:
        SettingRefused: it is none.
    """
    found = re.fullmatch(r"([a-z]{3,9})\s+(\d{1,2}):(\d{2})", text.strip().lower())
    days = [number for number, day in enumerate(DAYS) if found and day.lower().startswith(found[1])]
    if found is None or len(days) != 1 or int(found[2]) > 23 or int(found[3]) > 59:
        raise SettingRefused(f"{text!r} is no day of the week and time", hint="write --at 'sun 02:00'")
    return days[0], int(found[2]), int(found[3])


def read_zone(text: str) -> str:
    """Read the name of a time zone; `local` is "", the machine's.

    Raises:
        SettingRefused: there is no such zone.
    """
    if text in {"", "local"}:
        return ""
    try:
        return ZoneInfo(text).key
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise SettingRefused(f"no time zone {text!r}", hint="write it as Europe/Berlin, UTC, or local") from error


def due_since(database: "Database", schedule: Schedule, state: dict[str, Any], now: float) -> float | None:
    """Return since when a training is due, None where none is.

    It is where a time of the schedule has passed since the version that serves was trained, and since the schedule was
    set; the first import counts as a beginning too. Nothing is due where there is too little to train on.
    """
    if not schedule.on or not timetable.enough(database, LEAST_RATINGS):
        return None
    begun = (schedule.since, state.get("done_for", 0.0), timetable.trained_at(database), timetable.filled_at(database))
    last = schedule.before(now)
    return last if last > max(begun) else None
