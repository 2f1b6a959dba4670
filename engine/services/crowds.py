"""Who rated an item, kept in memory: how many who agree with a user rated it, and what they gave on average.

The answer is that of a query over the ratings, which an operator can repeat by hand; it is counted here over arrays,
because a list of ten needs ten of these queries. What is kept ends with the revision of the ratings it was read at.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from engine.services.memory import Memory, Moment
from store import evidence, ratings
from store.database import Database

BYTES = 64 * 2**20
"""What the raters kept in memory may take; those asked for longest ago go first."""


class Agreement(NamedTuple):
    """Of those who agree with a user and rated an item: how many, and their mean rating (None where nobody)."""

    n_raters: int
    mean: float | None


class Crowds:
    """Counts over the raters of items, for any thread."""

    def __init__(self, database: Database, memory: Memory) -> None:
        self._database = database
        self._memory = memory
        self._lock = threading.Lock()
        self._raters: OrderedDict[int, evidence.Raters] = OrderedDict()
        self._bytes = 0
        self._most = 0  # greatest dense id of a user met
        self._moment: Moment | None = None
        self._revision = -1

    def agreeing(
        self, user_id: int, own: Mapping[int, float], about: Mapping[int, Iterable[int]], tolerance: float
    ) -> dict[int, Agreement]:
        """Count, for each item, its raters who rated one of some other items as this user did, within `tolerance`.

        Args:
            user_id: dense id in the database.
            own: the user's rating by dense item id, of all items that occur in `about`.
            about: by the item asked about, dense ids of items that the user has rated.
            tolerance: largest difference that counts as agreement, in rating units.
        """
        needed = {*about, *own}
        raters = self._of(needed)
        agree = {item: raters[item].between(value - tolerance, value + tolerance) for item, value in own.items()}
        marks = np.zeros((len(about), max(self._most, user_id) + 1), np.bool_)  # who agrees, for each item
        counted = {}
        for agreeing, (item, shared) in zip(marks, about.items(), strict=True):
            for other in shared:
                agreeing[agree[other]] = True
            agreeing[user_id] = False
            users, given, *_ = raters[item]
            theirs = given[agreeing[users]]
            counted[item] = Agreement(len(theirs), float(np.add.reduce(theirs)) / len(theirs) if len(theirs) else None)
        return counted

    def _of(self, items: set[int]) -> dict[int, evidence.Raters]:
        """Return the raters of items, reading those that are not kept in one query."""
        with self._lock:
            self._follow_the_ratings()
            found = {item: self._raters[item] for item in items if item in self._raters}
            for item in found:
                self._raters.move_to_end(item)
            missing = [item for item in items if item not in found]
            if missing:
                read = evidence.raters(self._database, missing)
                found |= read
                self._raters.update(read)
                self._bytes += sum(map(_size, read.values()))
                self._most = max(self._most, *(int(found.users.max(initial=0)) for found in read.values()))
            while self._bytes > BYTES and self._raters:
                self._bytes -= _size(self._raters.popitem(last=False)[1])
        return found

    def _follow_the_ratings(self) -> None:
        """Drop everything where ratings have changed since it was read."""
        moment = self._memory.latest
        if moment is self._moment:
            return
        revision = ratings.revision(self._database)
        if revision != self._revision:
            self._raters.clear()
            self._bytes = 0
        self._moment, self._revision = moment, revision


def _size(found: evidence.Raters) -> int:
    return found.users.nbytes + found.ratings.nbytes + 200
