"""Counts by day as counts by year, month or day, few enough for a screen."""

from collections import Counter
from collections.abc import Mapping
from datetime import date

_MOST = 20
_EPOCH = date(1970, 1, 1).toordinal()
_UNITS = ((3 * 366, 4), (3 * 31, 7), (0, 10))  # days that the whole must cover; letters of an ISO date that name a span


def by_time(days: Mapping[int, int]) -> dict[str, int]:
    """Return counts by year, by month where all lie within three years, by day where all lie within three months.

    Spans without any are left out; beyond twenty, neighbours are joined.

    Args:
        days: number by day since 1970-01-01, ascending.
    """
    if not days:
        return {}
    covered = max(days) - min(days)
    letters = next(letters for least, letters in _UNITS if covered >= least)
    counts: Counter[str] = Counter()
    for day, count in days.items():
        counts[date.fromordinal(_EPOCH + day).isoformat()[:letters]] += count
    names = list(counts)
    each = -(-len(names) // _MOST)
    groups = [names[start : start + each] for start in range(0, len(names), each)]
    return {_joined(group): sum(counts[name] for name in group) for group in groups}


def _joined(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
