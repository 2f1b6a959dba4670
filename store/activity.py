"""When people rated: ratings by day, of all or of an even sample, without loading what a full count needs."""

from collections import Counter
from typing import NamedTuple

from store.database import Database

_DAY = 86_400
_MOST = 400_000
_BLOCKS = 200
_ROWS = 4096


class Activity(NamedTuple):
    """Ratings by day.

    Attributes:
        days: number of ratings by day since 1970-01-01 UTC, ascending; days without are left out.
        counted: ratings that were looked at.
        undated: those of them without a time.
        sampled: not all were looked at.
    """

    days: dict[int, int]
    counted: int
    undated: int
    sampled: bool


def activity(database: Database, *, most: int = _MOST) -> Activity:
    """Count ratings by day: all of them up to `most`, beyond that the same number from each part of the users."""
    found = _count(database, 0, most + 1)
    sampled = found.total() > most
    if sampled:
        with database.read() as db:
            last: int = db.execute("SELECT coalesce(max(user), 0) FROM ratings").fetchone()[0]
        found = Counter()
        for block in range(_BLOCKS):
            found += _count(database, last * block // _BLOCKS, most // _BLOCKS)
    undated = found.pop(None, 0)
    days = {day: found[day] for day in sorted(day for day in found if day is not None)}
    return Activity(days, sum(days.values()) + undated, undated, sampled)


def _count(database: Database, user: int, most: int) -> Counter[int | None]:
    """Count by day the first ratings of the users from a dense id on, in short reads: writers wait for none long."""
    found: Counter[int | None] = Counter()
    after = (user, -1)
    query = "SELECT user, item, at FROM ratings WHERE (user, item) > (?, ?) ORDER BY user, item LIMIT ?"
    while most > 0:
        with database.read() as db:
            rows = db.execute(query, (*after, min(_ROWS, most))).fetchall()
        found.update(None if at is None else at // _DAY for _, _, at in rows)
        if len(rows) < min(_ROWS, most):
            break
        most -= len(rows)
        after = rows[-1][:2]
    return found
