"""Bringing the vectors of users up to date with their ratings: reading in the writer's transaction, sums after it."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.models.base import FoldsIn, FoldsInMany
from engine.services.cache import ByteCache
from engine.services.items import as_trained
from engine.services.manager import MLModelManager, Snapshot
from store import errors, ratings
from store.catalog import item_texts
from store.database import Database
from store.registry import Registry
from store.vectors import Kept
from store.writes import Outcome, Step

log = logging.getLogger(__name__)

_HISTORY_BYTES = 32 << 20  # of users who are rating just now: who rates once soon rates again
_HISTORY_SIZE, _ROW_SIZE = 1_024, 20  # bytes
_MOST_STEPS = 32  # more changes of one user at once take longer than reading


class History(NamedTuple):
    """What a version knows of a user's ratings: dense indices of its items, ratings, times, each (k,), oldest first."""

    user: str
    user_id: int
    items: NDArray[np.int64]
    ratings: NDArray[np.float32]
    times: NDArray[np.int64]

    def after(self, item: int, rating: float | None, at: int) -> "History":
        """Return the history with another rating of an item in place of the one there, or without any."""
        rows = (self.items != item).nonzero()[0]
        place = len(rows)
        if rating is not None:
            times = self.times[rows]
            first, last = times.searchsorted(at, "left"), times.searchsorted(at, "right")
            place = int(first + self.items[rows[first:last]].searchsorted(item))
            rows = np.concatenate([rows[:place], [0], rows[place:]])
        found = [column[rows] if len(column) else np.zeros(len(rows), column.dtype) for column in self[2:]]
        if rating is not None:
            for column, value in zip(found, (item, rating, at), strict=True):
                column[place] = value
        return History(self.user, self.user_id, *found)


class Folding:
    """Folds whole stored histories into vectors of the active version. A user that fails is logged and counted.

    Attributes:
        failures: users whose vector could not be brought up to date. Their list is still right: who asks for it next
            finds no vector of their present ratings, and folds them in.
    """

    def __init__(self, database: Database, registry: Registry, manager: MLModelManager) -> None:
        self._database = database
        self._registry = registry
        self._manager = manager
        self._snapshot: Snapshot | None = None
        self._known: ByteCache[int, tuple[int, History]] = ByteCache(_HISTORY_BYTES)
        self.failures = 0

    def look(self) -> None:
        """Take the version that is active now; call it outside of transactions, since it may have to be loaded."""
        try:
            active = self._registry.active()
            if self._snapshot is None or self._snapshot.version.id != active:
                self._known.clear()
                self._snapshot = as_trained(self._manager.snapshot())  # kept vectors are of no process's own items
        except errors.NotFound:
            self._snapshot = None  # no version is active yet: nothing to bring up to date
        except Exception:
            self._snapshot = None
            self.failures += 1
            log.exception("the active version cannot be used, and no vector brought up to date")

    def read(self, outcome: Outcome) -> Callable[[], list[Kept]]:
        """Get the histories of the users touched, in the transaction that touched them.

        Returns what makes their vectors, for another thread, without the database.
        """
        snapshot = self._snapshot
        if snapshot is None or not snapshot.version.id or not isinstance(snapshot.model, FoldsIn):
            return list
        found = self._histories(snapshot, outcome)
        return partial(self._fold, snapshot, found, outcome.revision)

    def hasten(self) -> None:
        """Load the compiled loops, for the fold-ins of a stream: it takes as long as thousands of single ones."""
        if self._snapshot is not None and isinstance(self._snapshot.model, FoldsInMany):
            import engine.kernels  # noqa: F401

    def forget(self) -> None:
        """Drop the histories kept: the transaction that they were read in has failed."""
        self._known.clear()

    def _histories(self, snapshot: Snapshot, outcome: Outcome) -> list[History]:
        """Return the histories as they are now; those kept since the last rating of a user go on from there."""
        found, unread = {}, {}
        for user, touched in outcome.touched.items():
            kept = self._known.get(touched.id)
            if kept is None or kept[0] != touched.revision or len(touched.steps) > _MOST_STEPS:
                unread[user] = touched.id
            else:
                found[user] = self._after(snapshot, kept[1], touched.steps)
        found |= {one.user: one for one in histories(self._database, snapshot, unread)} if unread else {}
        for one in found.values():
            self._known.put(one.user_id, (outcome.revision, one), _HISTORY_SIZE + _ROW_SIZE * len(one.items))
        return [found[user] for user in outcome.touched]

    def _after(self, snapshot: Snapshot, history: History, steps: Sequence[Step]) -> History:
        """Return a history after changes, in the order of `located`."""
        for step in steps:
            position = snapshot.positions.get(step.item)
            if position is None:
                [position] = _positions(self._database, snapshot, [step.item]).tolist()
            if position >= 0:
                history = history.after(position, step.rating, step.at)
        return history

    def _fold(self, snapshot: Snapshot, histories: Sequence[History], revision: int) -> list[Kept]:
        vectors = []
        for one, vector in zip(histories, _together(snapshot, histories), strict=True):
            try:
                found = folded(snapshot, one) if vector is None else vector
                vectors.append(Kept(snapshot.version.id, one.user_id, revision, found))
            except Exception:
                self.failures += 1
                log.exception("the vector of user %r was not brought up to date", one.user)
        return vectors


def _together(snapshot: Snapshot, histories: Sequence[History]) -> Sequence[NDArray[np.float32] | None]:
    """Return the vectors (d,) of users from one loop; None where one has to be looked at by itself."""
    if not isinstance(snapshot.model, FoldsInMany):
        return [None] * len(histories)
    try:
        vectors = snapshot.model.fold_in_many([(one.items, one.ratings) for one in histories])
    except (ArithmeticError, ValueError):  # LinAlgError among them
        return [None] * len(histories)
    return [vector if np.isfinite(vector).all() else None for vector in vectors]


def histories(database: Database, snapshot: Snapshot, users: Mapping[str, int]) -> list[History]:
    """Read all ratings of users, by text and dense id, that a version can use, in the order of `located`."""
    read = ratings.timed(database, list(users.values()))
    found = []
    for user, user_id in users.items():
        rows, positions = _ordered(database, snapshot, read.get(user_id))
        known = positions >= 0
        given = rows.ratings[known].astype(np.float32)
        found.append(History(user, user_id, positions[known], given, rows.times[known]))
    return found


def located(
    database: Database, snapshot: Snapshot, user_id: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Read a user's ratings: dense ids of the database (k,), indices of the version, -1 for what it lacks, ratings.

    They are in the order that fold-in takes them in: oldest first, those without a time before all others.
    """
    read = ratings.timed(database, [user_id])
    rows, positions = _ordered(database, snapshot, read.get(user_id))
    return rows.items, positions, rows.ratings.astype(np.float32)


def _ordered(
    database: Database, snapshot: Snapshot, rows: ratings.Timed | None
) -> tuple[ratings.Timed, NDArray[np.int64]]:
    """Return ratings in the order of `located`, and the indices of their items in the version (k,)."""
    if rows is None:
        return _NO_RATINGS, np.zeros(0, np.int64)
    positions = _positions(database, snapshot, rows.items.tolist())
    order = np.lexsort((rows.items, positions, rows.times))
    return ratings.Timed(rows.items[order], rows.ratings[order], rows.times[order]), positions[order]


def _positions(database: Database, snapshot: Snapshot, items: Sequence[int]) -> NDArray[np.int64]:
    """Return the indices in a version of items by dense id, -1 for what it lacks."""
    known = snapshot.positions
    if unmet := {item for item in items if item not in known}:
        for item, text in item_texts(database, list(unmet)):
            snapshot.position(item, text)
    return np.array([known.get(item, -1) for item in items], np.int64)


_NO_RATINGS = ratings.Timed(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64))


def folded(snapshot: Snapshot, one: History) -> NDArray[np.float32]:
    """Return the vector (d,) of a user with this history.

    Raises:
        ArithmeticError: it is not finite.
    """
    assert isinstance(snapshot.model, FoldsIn)  # noqa: S101  asked before the history was read
    vector = snapshot.model.fold_in(one.items, one.ratings)
    if not np.isfinite(vector).all():
        raise ArithmeticError("the vector is not finite")
    return vector
