"""The cold-start ladder: how much is known of a user decides what answers for them.

The stored vector, where it covers the user's whole history; a vector folded in from the history as it is now; the
genres of what they rated or say they like; popularity. Every answer names its rung.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.models.base import FoldsIn, Model, Vector
from engine.services.cache import ByteCache
from engine.services.folding import located
from engine.services.items import as_trained
from engine.services.manager import Snapshot
from engine.services.memory import Memory, Moment
from store import catalog, vectors
from store.database import Database

log = logging.getLogger(__name__)

STORED, FOLD_IN, CONTENT, POPULARITY = "stored", "fold-in", "content", "popularity"
VIEW_BYTES = 128 << 20
"""What the users remembered may take."""

_VIEW_SIZE = 1_024  # bytes, besides its arrays
_NOTHING = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32)


@dataclass(frozen=True, eq=False)
class View:
    """A user as a snapshot sees them at one revision of their ratings.

    Attributes:
        model: what scores the vector; the lower rungs have models of their own over the same items.
        items, ratings: the history that the model knows, dense indices of the model, oldest first.
        mean: the user's mean rating, the training mean where there is no history.
    """

    user: str
    revision: int
    rung: str
    model: Model
    vector: Vector
    items: NDArray[np.int64]
    ratings: NDArray[np.float32]
    mean: float
    n_ratings: int


class Ladder:
    """Finds the rung of a user, and remembers the users it has met until their ratings change."""

    def __init__(self, database: Database, memory: Memory) -> None:
        self._database = database
        self._memory = memory
        self.views: ByteCache[tuple[int, str], tuple[Moment, Snapshot, View]] = ByteCache(VIEW_BYTES)

    def view(self, snapshot: Snapshot, user: str, prefer: Sequence[str] = (), *, remember: bool = True) -> View:
        """Return the user as the snapshot sees them, on the highest rung that holds.

        Args:
            snapshot: the version that answers, asked for just before: that is when it was seen what has changed.
            user: text id; an unknown one stands on the lowest rungs.
            prefer: genres that a user without ratings likes.
            remember: keep the view for the next question, as long as the user's ratings stay as they are.
        """
        if prefer:
            return self._climb(snapshot, user, catalog.user_key(self._database, user), prefer)
        moment = self._memory.latest
        seen, loaded, view = self.views.get((snapshot.version.id, user)) or (None, None, None)
        if view is not None and loaded is snapshot and seen is moment:
            return view
        key = catalog.user_key(self._database, user)
        if view is None or loaded is not snapshot or view.revision != (key[1] if key else -1) or view.rung == CONTENT:
            view = self._climb(snapshot, user, key, ())  # the content rung may rest on the catalogue, which changes too
        if remember:
            size = _VIEW_SIZE + view.vector.nbytes + view.items.nbytes + view.ratings.nbytes
            self.views.put((snapshot.version.id, user), (moment, snapshot, view), size)
        return view

    def confirm(self, snapshot: Snapshot, user: str, revision: int, moment: Moment) -> None:
        """Take note that the ratings of a user were found at a revision in a moment: who asks next need not look."""
        _, loaded, view = self.views.get((snapshot.version.id, user)) or (None, None, None)
        if view is not None and loaded is snapshot and view.revision == revision and view.rung != CONTENT:
            size = _VIEW_SIZE + view.vector.nbytes + view.items.nbytes + view.ratings.nbytes
            self.views.put((snapshot.version.id, user), (moment, snapshot, view), size)

    def _climb(self, snapshot: Snapshot, user: str, key: tuple[int, int] | None, prefer: Sequence[str]) -> View:
        model = snapshot.model
        rated, positions, values = located(self._database, snapshot, key[0]) if key else _NOTHING
        known = positions >= 0
        items, given = positions[known], values[known]
        rung, scorer, vector = self._rung(snapshot, user, key, items, given, prefer)
        if rung == POPULARITY and len(rated) and not len(items):
            texts = dict(catalog.item_texts(self._database, rated.tolist()))
            rung, scorer, vector = self._by_genres_of(snapshot, [texts[item] for item in rated.tolist()], values)
        mean = float(values.mean()) if len(values) else model.facts.mean
        return View(user, key[1] if key else -1, rung, scorer, vector, items, given, mean, len(rated))

    def _rung(
        self,
        snapshot: Snapshot,
        user: str,
        key: tuple[int, int] | None,
        items: NDArray[np.int64],
        given: NDArray[np.float32],
        prefer: Sequence[str],
    ) -> tuple[str, Model, Vector]:
        """Return rung, scoring model and vector for a history that the model knows."""
        model, trained = snapshot.model, as_trained(snapshot) is snapshot
        index = model.facts.users.index(user) if key else None
        trained_on = int(model.facts.user_counts[index]) if index is not None else 0
        unchanged = key is not None and key[1] <= snapshot.version.training_data.get("revision", 0)
        if (
            index is not None
            and trained_on
            and (not isinstance(model, FoldsIn) or (trained and unchanged and trained_on == len(items)))
        ):
            return STORED, model, model.user_vector(index)
        if key is not None and len(items) and isinstance(model, FoldsIn):
            live = vectors.get(self._database, snapshot.version.id, *key) if trained else None
            try:
                return FOLD_IN, model, live if live is not None else model.fold_in(items, given)
            except (ArithmeticError, ValueError):  # LinAlgError among them
                log.exception("user %r cannot be folded in: their genres answer", user)
                return CONTENT, snapshot.content, snapshot.content.fold_in(items, given)
        if prefer:
            return CONTENT, snapshot.content, snapshot.content.preferences(dict.fromkeys(prefer, 1.0))
        return POPULARITY, snapshot.popular, snapshot.popular.cold_vector()

    def _by_genres_of(
        self, snapshot: Snapshot, rated: list[str], given: NDArray[np.float32]
    ) -> tuple[str, Model, Vector]:
        """Use the genres of rated items that the model has never seen, weighted by their ratings above the middle."""
        facts = snapshot.model.facts
        middle = (facts.scale.low + facts.scale.high) / 2
        weights: dict[str, float] = {}
        found = catalog.items_by_id(self._database, rated)
        for item, value in zip(rated, given, strict=True):
            for genre in found[item].genres:
                if genre in facts.features.genre_names:
                    weights[genre] = weights.get(genre, 0.0) + float(value) - middle
        if not any(weight > 0 for weight in weights.values()):
            return POPULARITY, snapshot.popular, snapshot.popular.cold_vector()
        return CONTENT, snapshot.content, snapshot.content.preferences(weights)
