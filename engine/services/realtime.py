"""`RealtimeLearner`: a rating is durable first, then folded into the user's vector; the next list reflects it."""

import logging
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from engine.models.base import FoldsIn, RefitsItems
from store import catalog, evidence, ratings, vectors
from store import errors as store_errors

if TYPE_CHECKING:
    from engine.services import Services

log = logging.getLogger(__name__)

_RATERS = 10_000  # of an item that is brought up to date: the latest ones


@dataclass(frozen=True)
class Rated:
    """What a new rating did.

    Attributes:
        stored: the rating is on the disk.
        previous: what it replaced, None where there was nothing.
        version: the version whose vector was brought up to date, None where there is none.
        changed: the user's best ten are not the same items, in the same order, as before.
        entered, left: items that came into the ten and that left them.
    """

    user: str
    item: str
    rating: float | None
    stored: bool
    previous: float | None
    version: str | None
    changed: bool
    entered: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


class RealtimeLearner:
    """Takes ratings one by one. A failed fold-in is logged and never blocks the rating."""

    def __init__(self, services: "Services") -> None:
        self._services = services
        self._database = services.database
        self.failures = 0

    def rate(self, user: str, item: str, value: float, *, now: float | None = None) -> Rated:
        """Store a rating, fold it in, and say what it changed.

        Raises:
            NotFound: unknown item.
            DataRefused: the value is outside the scale or between its steps.
        """
        before = self._best(user)
        put = ratings.put(self._database, user, item, value, now=now or time.time())
        return self._after(user, item, value, put.previous, before)

    def unrate(self, user: str, item: str) -> Rated:
        """Take a rating back, as if it had never been made.

        Raises:
            NotFound: there is no such rating.
        """
        before = self._best(user)
        previous = ratings.remove(self._database, user, item)
        return self._after(user, item, None, previous, before)

    def update_user_embedding(self, user: str, *, version: str = "active") -> bool:
        """Fold the user's whole stored history into their vector under a version; False where the model cannot.

        Two processes at once lose nothing: each computes from a history and its revision, and the newer revision stays.
        """
        snapshot = self._services.manager.snapshot(version)
        key = catalog.user_key(self._database, user)
        if key is None or not isinstance(snapshot.model, FoldsIn):
            return False
        history = ratings.history(self._database, user)
        positions = np.array([snapshot.position(row.item_id, row.item) for row in history], np.int64)
        values = np.array([row.rating for row in history], np.float32)
        vector = snapshot.model.fold_in(positions[positions >= 0], values[positions >= 0])
        vectors.put(self._database, snapshot.version.id, key[0], key[1], vector)
        return True

    def update_movie_embedding(self, item: str, *, version: str = "active") -> bool:
        """Bring an item up to date with its latest ratings, in this process; False where the model cannot.

        The users who rated it keep their vectors. A later training replaces all of it.

        Raises:
            NotFound: the item is not in the catalogue.
        """
        snapshot = self._services.manager.snapshot(version)
        found, model = catalog.need_item(self._database, item), snapshot.model
        position = snapshot.position(found.id, found.item)
        if position < 0 or not isinstance(model, RefitsItems):
            return False
        raters = evidence.latest_raters(self._database, found.id, limit=_RATERS)
        known = [(model.facts.users.index(user), rating) for user, rating in raters]
        trained = [(index, rating) for index, rating in known if index is not None and model.facts.user_counts[index]]
        if not trained:
            return False
        own = np.stack([model.user_vector(index) for index, _ in trained])
        given = np.array([rating for _, rating in trained], np.float32)
        self._services.manager.put_in_place(replace(snapshot, model=model.refitted(position, own, given)))
        return True

    def apply_updates(self, updates: list[tuple[str, str, float]]) -> int:
        """Store many ratings in one transaction, then fold each touched user in once; return the number stored."""
        ratings.put_many(self._database, [ratings.Entry(*update) for update in updates], now=time.time())
        for user in dict.fromkeys(user for user, _, _ in updates):
            self._fold_in_quietly(user)
        return len(updates)

    def _after(
        self, user: str, item: str, value: float | None, previous: float | None, before: list[str] | None
    ) -> Rated:
        self._fold_in_quietly(user)
        after = self._best(user)
        if before is None or after is None:
            return Rated(user, item, value, True, previous, None, False)
        entered = tuple(entry for entry in after if entry not in before)
        left = tuple(entry for entry in before if entry not in after)
        version = self._services.registry.resolve("active").name
        return Rated(user, item, value, True, previous, version, before != after, entered, left)

    def _fold_in_quietly(self, user: str) -> None:
        """Bring the vector up to date; whatever goes wrong is logged and counted, since the rating is already safe."""
        try:
            self.update_user_embedding(user)
        except store_errors.NotFound:
            return  # no version is active yet: nothing to bring up to date
        except Exception:
            self.failures += 1
            log.exception("the vector of user %r was not brought up to date", user)

    def _best(self, user: str) -> list[str] | None:
        """Return the user's best ten now, or None where no version can say."""
        try:
            return [entry.item for entry in self._services.recommender.recommend(user).items]
        except store_errors.StoreError:
            return None
