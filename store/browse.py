"""The users as numbered rows in the order of their ids: what a list on a screen scrolls over, however long it is.

Nothing is read whole. A row is found from the nearest row whose id is known (a mark), so that a page costs what is
skipped in between: at most half the list the first time, next to nothing once `survey` has set its marks.
"""

import sys
from bisect import bisect_right, insort
from collections.abc import Callable
from heapq import nlargest
from typing import NamedTuple

from store.catalog import SELECT_USER, User
from store.database import Database

_END = b""  # SQLite sorts bytes after all text
_MARKS = 4096  # remembered at most; those of `survey` are a few hundred in a million
_SURVEY_STEP = 4096
_FOUND_INSIDE = 200
_PART = 50_000  # users whose ratings are counted at a time

_COUNTED = "SELECT u.id, u.user, u.revision, count(r.rating), avg(r.rating), max(r.at) FROM ("
_PAGE_OF = "SELECT id, user, revision FROM users WHERE user >= ? AND user < ? ORDER BY user"
_JOINED = ") u LEFT JOIN ratings r ON r.user = u.id GROUP BY u.id"
_FORWARDS = f"{_COUNTED}{_PAGE_OF} LIMIT ? OFFSET ?{_JOINED}"
_BACKWARDS = f"{_COUNTED}{_PAGE_OF} DESC LIMIT ? OFFSET ?{_JOINED}"


class Mark(NamedTuple):
    """The row `row` of the list has the id `user`; the last mark is where the list ends, and may be `_END`."""

    row: int
    user: str | bytes


class UserPages:
    """The users whose ids begin with `prefix`, as rows numbered from 0 in the order of their ids (by code point).

    Numbers hold for the moment at which the object was made: others may add users meanwhile, and then a page can
    begin some rows early or late. Make a new one where the database has changed.

    Args:
        database: the store.
        prefix: what the ids begin with; "" for everyone.
        descending: from the last id to the first.
    """

    def __init__(self, database: Database, *, prefix: str = "", descending: bool = False) -> None:
        self._database = database
        self._bounds = (prefix, _after_prefix(prefix))
        self._descending = descending
        with database.read() as db:
            self._count: int = db.execute(
                "SELECT count(*) FROM users WHERE user >= ? AND user < ?" if prefix else "SELECT count(*) FROM users",
                self._bounds if prefix else (),  # SQLite counts a whole index without looking at its rows
            ).fetchone()[0]
        self._marks = [Mark(0, self._bounds[0]), Mark(self._count, self._bounds[1])]  # in ascending order of ids

    def __len__(self) -> int:
        return self._count

    def rows(self, first: int, n: int) -> list[User]:
        """Return the rows `first` to `first + n - 1`, as many of them as there are."""
        first, end = max(first, 0), min(first + n, self._count)
        if first >= end:
            return []
        if self._descending:
            return self._ascending(self._count - end, self._count - first)[::-1]
        return self._ascending(first, end)

    def row_of(self, user: str) -> int:
        """Return the number of the row at which the user stands, or would stand."""
        at = bisect_right(self._marks[:-1], user, key=lambda mark: str(mark.user)) - 1
        mark = self._marks[max(at, 0)]
        with self._database.read() as db:
            between: int = db.execute(
                "SELECT count(*) FROM users WHERE user >= ? AND user < ?", (mark.user, user)
            ).fetchone()[0]
        row = min(mark.row + between, self._count)
        return max(self._count - 1 - row, 0) if self._descending else row

    def survey(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Set marks over the whole list in one pass of its index, until `stop` says so: for a thread of its own."""
        query = "SELECT user FROM users WHERE user >= ? AND user < ? ORDER BY user LIMIT 1 OFFSET ?"
        row, user = 0, self._marks[0].user
        while row + _SURVEY_STEP < self._count and not stop():
            with self._database.read() as db:
                found = db.execute(query, (user, self._bounds[1], _SURVEY_STEP)).fetchone()
            if found is None:
                return
            row, user = row + _SURVEY_STEP, found[0]
            self._remember(Mark(row, user))

    def _ascending(self, first: int, end: int) -> list[User]:
        """Return rows by their number in ascending order, read from the nearer of the marks around them."""
        at = bisect_right(self._marks, first, key=lambda mark: mark.row) - 1
        below = self._marks[at]
        above = next(mark for mark in self._marks[at:] if mark.row >= end)
        low, high = self._bounds
        with self._database.read() as db:
            if first - below.row <= above.row - end:
                found = db.execute(_FORWARDS, (below.user, high, end - first, first - below.row)).fetchall()
            else:
                found = db.execute(_BACKWARDS, (low, above.user, end - first, above.row - end)).fetchall()
        page = sorted((User(*row) for row in found), key=lambda row: row.user)
        if page and len(self._marks) < _MARKS:
            self._remember(Mark(first, page[0].user))
        return page

    def _remember(self, mark: Mark) -> None:
        at = bisect_right(self._marks, mark.row, key=lambda known: known.row)
        if self._marks[at - 1].row != mark.row:
            insort(self._marks, mark)


def _after_prefix(prefix: str) -> str | bytes:
    """Return the least value that sorts after everything beginning with the prefix (by code point, as UTF-8 does)."""
    for at in range(len(prefix) - 1, -1, -1):
        following = ord(prefix[at]) + 1
        if following <= sys.maxunicode:
            return prefix[:at] + chr(0xE000 if following == 0xD800 else following)  # no surrogate is text
    return _END


def users_holding(database: Database, text: str, *, limit: int = _FOUND_INSIDE) -> list[User]:
    """Return users whose ids hold the text anywhere but at their beginning, in order: a walk over all ids."""
    with database.read() as db:
        found = db.execute(
            f"{SELECT_USER} WHERE instr(user, ?) > 1 ORDER BY user LIMIT ?",
            (text, limit),
        ).fetchall()
    return [User(*row) for row in found]


def most_active(database: Database, *, limit: int, stop: Callable[[], bool] = lambda: False) -> list[User]:
    """Return the users with the most ratings, first the one with most: a walk over all ratings.

    It goes in parts, so that writers wait for none of them long, and ends early, with nobody, where `stop` says so.
    """
    query = (
        "SELECT count(*), -user FROM ratings WHERE user > ? AND user <= ? "
        "GROUP BY user ORDER BY count(*) DESC, user LIMIT ?"
    )
    with database.read() as db:
        last: int = db.execute("SELECT coalesce(max(user), 0) FROM ratings").fetchone()[0]
    best: list[tuple[int, int]] = []
    for low in range(0, last, _PART):
        if stop():
            return []
        with database.read() as db:
            best = nlargest(limit, [*best, *db.execute(query, (low, low + _PART, limit))])
    with database.read() as db:
        found = [db.execute(f"{SELECT_USER} WHERE id = ?", (-negative,)).fetchone() for _, negative in best]
    return [User(*row) for row in found if row]
