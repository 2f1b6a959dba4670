"""The weekly training in words, as Jobs shows it."""

import pytest

from engine.services.timetable import Overview, Schedule
from recsys_tui.screens.schedulewords import scheduled

AT = 1_780_000_000.0
LAST = {"state": "refused", "version": "v7", "reason": "ndcg@10 is lower"}


@pytest.mark.parametrize(
    ("next_at", "due", "looked_at", "last", "wanted"),
    [
        (None, False, None, {}, ["next scheduled none: the schedule is off"]),
        (
            AT,
            False,
            None,
            {},
            ["next scheduled 2026-05-28 20:26 UTC  active, gate ndcg@10:-10% coverage:-10%", "nothing calls it yet"],
        ),
        (AT, True, AT, {}, ["next scheduled due now  active, gate ndcg@10:-10%"]),
        (AT, False, AT, LAST, ["2026-05-28 20:26 UTC", "the last one is refused v7: ndcg@10 is lower"]),
    ],
)
def test_next_and_last(next_at, due, looked_at, last, wanted):
    lines = scheduled(Overview(Schedule(on=next_at is not None), next_at, due, looked_at, last, ())).plain.split("\n")
    assert len(lines) == len(wanted)
    for line, part in zip(lines, wanted, strict=True):
        assert part in line
        assert len(line) <= 76
