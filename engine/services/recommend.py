"""Lists and predicted ratings for one user: filters before the cut, bounds, and the rung that answered."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.confidence import LEVEL, WIDE
from engine.diversity import Wish, rerank
from engine.errors import UnknownItem
from engine.ranking import top_k
from engine.services.answers import Prediction, Recommendation, RecommendationList
from engine.services.cache import ByteCache
from engine.services.filters import Filters, allowed_items, why_short
from engine.services.ladder import CONTENT, POPULARITY, Ladder, View
from engine.services.manager import Snapshot
from engine.services.memory import Moment
from store import catalog

if TYPE_CHECKING:
    from engine.services import Services

__all__ = ["LIST_BYTES", "Filters", "Prediction", "Recommendation", "RecommendationList", "Recommender", "Wish"]


LIST_BYTES = 64 << 20
"""What the lists kept for the next question may take."""

_LIST_SIZE, _ITEM_SIZE = 2_048, 1_024  # bytes, measured and rounded up

_Rated = tuple[float | None, float | None, float | None, float | None]  # prediction, lower, upper, confidence


class _Question(NamedTuple):
    """What a list depends on, besides the version and the user's ratings."""

    version: int
    user: str
    n: int
    filters: Filters
    wish: Wish
    prefer: tuple[str, ...]


class _Kept(NamedTuple):
    """An answer, and what it was true of: the moment it was given in, the loaded version, the state of the user."""

    moment: Moment
    snapshot: Snapshot
    revision: int
    made: RecommendationList


LEAST_KNOWN = 5
"""Ratings that an item has to have to be called similar to one that has as many."""


_ALL, _PLAIN = Filters(), Wish()


class Recommender:
    """Answers for users by text id, from the active version or any other.

    Lists are kept for the next question, within `LIST_BYTES`, until the user's ratings change, the loaded version does,
    or the catalogue says something else of an item in them.
    """

    def __init__(self, services: "Services") -> None:
        self._services = services
        self._database = services.database
        self._memory = services.memory
        self.ladder = Ladder(services.database, services.memory)
        self.lists: ByteCache[_Question, _Kept] = ByteCache(LIST_BYTES)

    def recommend(
        self,
        user: str,
        n: int = 10,
        *,
        version: str = "active",
        filters: Filters | None = None,
        diversity: float = 0.0,
        wish: Wish | None = None,
        prefer: Sequence[str] = (),
    ) -> RecommendationList:
        """Return the best `n` items of a user, exactly min(n, eligible).

        Args:
            user: text id; an unknown one is answered from the lower rungs.
            n: at least 1.
            version: `v7`, active, latest, best or previous.
            filters: what may be in the list.
            diversity: 0 ranks by score alone, 1 by difference from what is already in the list.
            wish: all that a list shall be besides good, in place of `diversity`.
            prefer: genres that a user without ratings likes.

        Raises:
            NotFound: no such version.
            SettingRefused: a genre that the catalogue does not have.
        """
        snapshot = self._services.manager.snapshot(version, user)
        moment = self._memory.latest
        plain = _PLAIN if not diversity else Wish(diversity)
        question = _Question(snapshot.version.id, user, n, filters or _ALL, wish or plain, tuple(prefer))
        kept = self.lists.get(question)
        if kept is not None and kept.snapshot is snapshot and (kept.moment is moment or self._holds(kept)):
            made = kept.made
        else:
            view = self.ladder.view(snapshot, user, prefer)
            made, kept = self._list(snapshot, view, question), None
        if kept is None or kept.moment is not moment:
            revision = view.revision if kept is None else kept.revision
            size = _LIST_SIZE + _ITEM_SIZE * len(made.items)
            self.lists.put(question, _Kept(moment, snapshot, revision, made), size)
        return made

    def _holds(self, kept: _Kept) -> bool:
        """Tell whether an answer of an earlier moment is what would be answered now."""
        made = kept.made
        if made.rung == CONTENT:  # it may rest on what the catalogue said of the items they rated
            return False
        key = catalog.user_key(self._database, made.user)
        if (key[1] if key else -1) != kept.revision:
            return False
        cards = self._memory.items([entry.item for entry in made.items])
        return all(_card(cards.get(entry.item)) == (entry.title, entry.year, entry.genres) for entry in made.items)

    def _list(self, snapshot: Snapshot, view: View, question: _Question) -> RecommendationList:
        n, filters, wish = question.n, question.filters, question.wish
        scores = view.model.scores(view.vector)
        picked: NDArray[np.integer[Any]] = top_k(
            scores,
            wish.candidates(n),
            exclude=None if filters.include_seen else view.items,
            allowed=allowed_items(view.model, filters),
        )
        picked = rerank(view.model, scores, picked, n, wish, (view.items, view.ratings))
        items = self._describe(snapshot, view, picked, scores)
        notes = (*snapshot.notes, *why_short(view, filters, len(items), n))
        return RecommendationList(view.user, snapshot.version.name, view.rung, items, notes)

    def predict(self, user: str, item: str, *, version: str = "active") -> Prediction:
        """Return one predicted rating.

        Raises:
            NotFound: the item is not in the catalogue; the hint names the nearest.
        """
        snapshot = self._services.manager.snapshot(version, user)
        view = self.ladder.view(snapshot, user)
        found = catalog.need_item(self._database, item)
        position = snapshot.position(found.id, found.item)
        if position < 0:
            return self.predict_new_item(snapshot, view, found)
        return self.predictions(snapshot, view, np.array([position]))[0]

    def similar(self, item: str, n: int = 10, *, version: str = "active") -> list[tuple[str, float]]:
        """Return the items nearest to one by the cosine of the model's item vectors, as (item, likeness).

        Of an item that few have rated a model knows little: those with fewer ratings than `LEAST_KNOWN` are near to
        nothing but each other. Where the model has no vector of the item, genres and years decide.

        Raises:
            NotFound: the item is not in the catalogue.
            UnknownItem: the model has never seen it, or it has neither ratings nor genres.
        """
        from engine.models.base import HasItemVectors

        snapshot = self._services.manager.snapshot(version)
        found = catalog.need_item(self._database, item)
        position = snapshot.position(found.id, found.item)
        model = snapshot.model
        if position < 0:
            raise UnknownItem(
                f"{item!r} came after {snapshot.version.name} was trained", hint="train again to include it"
            )
        source = model if isinstance(model, HasItemVectors) else snapshot.content
        vectors = source.item_vectors()
        if not vectors[position].any():
            vectors = snapshot.content.item_vectors()
        lengths = np.linalg.norm(vectors, axis=1)
        if not lengths[position]:
            raise UnknownItem(f"nothing is known of {item!r}: it has neither ratings nor genres", hint="rate it first")
        likeness = vectors @ vectors[position] / np.maximum(lengths * lengths[position], 1e-12)
        counts = model.facts.item_counts
        known = (counts >= min(LEAST_KNOWN, int(counts[position]))) & (lengths > 0)
        return [
            (model.facts.items.text(int(other)), float(likeness[other]))
            for other in top_k(likeness, n, exclude=np.array([position]), allowed=known)
        ]

    # --- describing -----------------------------------------------------------------------------------------------

    def _describe(
        self, snapshot: Snapshot, view: View, picked: NDArray[np.integer[Any]], scores: NDArray[np.float32]
    ) -> tuple[Recommendation, ...]:
        texts = [snapshot.name(index) for index in picked.tolist()]
        found = self._memory.items(texts)
        percentiles = _percentiles(scores, picked)
        rated = self._rated(snapshot, view, picked)
        return tuple(
            Recommendation(rank, text, *_card(found.get(text)), score, percentile, *numbers, view.rung)
            for rank, text, score, percentile, numbers in zip(
                range(1, len(texts) + 1), texts, scores[picked].tolist(), percentiles, rated, strict=True
            )
        )

    def predictions(self, snapshot: Snapshot, view: View, items: NDArray[np.integer[Any]]) -> list[Prediction]:
        """Return predicted ratings with bounds; a model that only ranks has none."""
        name, facts = snapshot.version.name, view.model.facts
        rated = self._rated(snapshot, view, items)
        if not len(items) or rated[0][1] is None or snapshot.calibration is None:
            return [Prediction(*numbers, view.rung, name) for numbers in rated]
        predicted = np.array([numbers[0] for numbers in rated], np.float64)
        support = len(view.items), facts.item_counts[items]
        low, high = (
            facts.scale.clip(bound).tolist() for bound in snapshot.calibration.interval(predicted, *support, WIDE)
        )
        return [
            Prediction(*numbers, view.rung, name, lowest, highest)
            for numbers, lowest, highest in zip(rated, low, high, strict=True)
        ]

    def _rated(self, snapshot: Snapshot, view: View, items: NDArray[np.integer[Any]]) -> list[_Rated]:
        """Return the numbers of predicted ratings; a model that only ranks has none."""
        facts = view.model.facts
        if not view.model.predicts_ratings:
            return [(None, None, None, None)] * len(items)
        predicted = view.model.ratings(view.vector, items).astype(np.float64)
        if snapshot.calibration is None:
            return [(value, None, None, None) for value in predicted.tolist()]
        support = len(view.items), facts.item_counts[items]
        low, high = snapshot.calibration.interval(predicted, *support)
        bounds = facts.scale.clip(low), facts.scale.clip(high)
        chance = snapshot.calibration.probability_at_least(view.mean, predicted, *support)
        return list(zip(*(column.tolist() for column in (predicted, *bounds, chance)), strict=True))

    def predict_new_item(self, snapshot: Snapshot, view: View, found: catalog.Item | None) -> Prediction:
        """Predict an item that the model has never seen: by its genres where it has any, else the user's level."""
        facts = snapshot.model.facts
        vector = snapshot.content.fold_in(view.items, view.ratings)
        value = snapshot.content.rating_of(vector, found.genres if found else (), found.year if found else None)
        rung = CONTENT if found and found.genres else POPULARITY
        if snapshot.calibration is None:
            return Prediction(value, None, None, None, rung, snapshot.version.name)
        predicted, support = np.array([value]), (np.array([len(view.items)]), np.array([0]))
        low, high, lowest, highest = (
            float(facts.scale.clip(bound)[0])
            for level in (LEVEL, WIDE)
            for bound in snapshot.calibration.interval(predicted, *support, level)
        )
        likely = float(snapshot.calibration.probability_at_least(view.mean, predicted, *support)[0])
        return Prediction(value, low, high, likely, rung, snapshot.version.name, lowest, highest)


def _card(found: catalog.Item | None) -> tuple[str | None, int | None, tuple[str, ...]]:
    """Return title, year and genres; nothing of an item that has left the catalogue."""
    return (None, None, ()) if found is None else (found.title, found.year, found.genres)


def _percentiles(scores: NDArray[np.float32], picked: NDArray[np.integer[Any]]) -> list[float]:
    """Return the percentage of all scores that are not above that of each picked item, sorting only those higher."""
    if not len(picked):
        return []
    chosen = scores[picked]
    higher = np.sort(scores[scores > chosen.min()])
    above = len(higher) - higher.searchsorted(chosen, "right")
    percentiles: list[float] = (100 - 100 * above / len(scores)).tolist()
    return percentiles
