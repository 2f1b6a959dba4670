"""The item side of learning in real time: items follow the ratings that came in after the training, in this process.

What an item becomes depends on the version and the ratings alone, not on the order in which they came or were taken
back: it is worked out from the item as trained and all its late ratings, the users held as trained.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.models.base import RefitsItems
from engine.services.manager import Snapshot
from store import arrivals, catalog

if TYPE_CHECKING:
    from engine.services import Services

log = logging.getLogger(__name__)

MOST_WAITING = 1_000  # items; where more come, those that wait longest are left for the next training
_RATERS = 10_000  # of an item: the latest
_TOGETHER = 64  # items that are brought up to date before the next snapshot takes over
_GATHER_SECONDS = 0.05
_IDLE_SECONDS = 1.0


@dataclass(frozen=True, eq=False)
class Refitted(Snapshot):
    """A version some of whose items have followed their ratings; the users' kept vectors are not of these items.

    Attributes:
        base: the version as trained.
    """

    base: Snapshot | None = None


def as_trained(snapshot: Snapshot) -> Snapshot:
    """Return the version as it was trained."""
    return snapshot.base if isinstance(snapshot, Refitted) and snapshot.base is not None else snapshot


def refit(services: "Services", items: Sequence[str], *, version: str = "active") -> list[str]:
    """Let items follow the ratings that came in after the training, and serve them so in this process.

    Returns those that have such ratings by users whom the version knows; the others are as trained.

    Raises:
        NotFound: no such version, or an item that is not in the catalogue.
    """
    snapshot = services.manager.snapshot(version)
    trained, model = as_trained(snapshot), snapshot.model
    if not isinstance(model, RefitsItems):
        return []
    facts, moved = trained.model.facts, []
    for found in (catalog.need_item(services.database, item) for item in items):
        position = snapshot.position(found.id, found.item)
        if position < 0:
            continue
        revision = snapshot.version.training_data["revision"]
        raters = arrivals.late_raters(services.database, found.id, revision, limit=_RATERS)
        known = [(facts.users.index(user), rating) for user, rating in raters]
        given = [(index, rating) for index, rating in known if index is not None and facts.user_counts[index]]
        vectors = np.array([trained.model.user_vector(index) for index, _ in given], np.float32)
        vectors = vectors.reshape(len(given), len(trained.model.cold_vector()))
        values = np.array([rating for _, rating in given], np.float32)
        assert isinstance(model, RefitsItems)  # noqa: S101  a refitted model is of the same kind
        model = model.refitted(position, vectors, values, trained.model)
        moved += [found.item] if given else []
    services.manager.put_in_place(
        Refitted(
            snapshot.version,
            model,
            snapshot.calibration,
            snapshot.notes,
            snapshot.positions,
            snapshot.names,
            base=trained,
        )
    )
    return moved


class ItemQueue:
    """Items whose ratings have changed, each once, before a thread that brings them up to date.

    Args:
        update: takes some items at a time; what it raises is logged and counted.
        most: items that may wait.

    Attributes:
        failures: batches that failed.
        dropped: items that were left for the next training because too many waited.
    """

    def __init__(self, update: Callable[[list[str]], object], *, most: int = MOST_WAITING) -> None:
        self._update = update
        self._most = most
        self._waiting: dict[str, None] = {}
        self._running = self._working = False
        lock = threading.Lock()
        self._arrived, self._quiet = threading.Condition(lock), threading.Condition(lock)
        self.failures = self.dropped = 0

    def offer(self, item: str) -> None:
        """Take an item, never waiting."""
        with self._arrived:
            self._waiting.pop(item, None)
            self._waiting[item] = None
            if len(self._waiting) > self._most:
                self._waiting.pop(next(iter(self._waiting)))
                self.dropped += 1
            if not self._running:
                self._running = True
                threading.Thread(target=self._work, name="items", daemon=True).start()
            self._arrived.notify()

    def flush(self) -> None:
        """Wait until all that was offered is done."""
        with self._quiet:
            self._quiet.wait_for(lambda: not self._waiting and not self._working)

    def _work(self) -> None:
        while some := self._next():
            try:
                self._update(some)
            except Exception:
                self.failures += 1
                log.exception("%d items were not brought up to date", len(some))
            with self._quiet:
                self._working = False
                self._quiet.notify_all()

    def _next(self) -> list[str]:
        """Wait for items, and a moment for more; empty where none come."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: self._waiting, _IDLE_SECONDS):
                self._running = False
                return []
            self._arrived.wait_for(lambda: len(self._waiting) >= _TOGETHER, _GATHER_SECONDS)
            some = list(self._waiting)[:_TOGETHER]
            for item in some:
                del self._waiting[item]
            self._working = True
            return some
