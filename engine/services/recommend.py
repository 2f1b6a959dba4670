"""Lists and predicted ratings for one user: filters before the cut, bounds, and the rung that answered."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.confidence import LEVEL, WIDE
from engine.diversity import diversify
from engine.errors import UnknownItem
from engine.models.base import Model
from engine.ranking import top_k
from engine.services.ladder import CONTENT, POPULARITY, Ladder, View
from engine.services.manager import Snapshot
from store import catalog

if TYPE_CHECKING:
    from engine.services import Services


class Filters(NamedTuple):
    """What may be in a list; the number of items asked for is cut after this, never before."""

    include_seen: bool = False
    only_genres: tuple[str, ...] = ()
    exclude_genres: tuple[str, ...] = ()
    since_year: int | None = None


_Rated = tuple[float | None, float | None, float | None, float | None]  # prediction, lower, upper, confidence
_NO_FILTERS = (Filters(), Filters(include_seen=True))


@dataclass(frozen=True)
class Prediction:
    """A predicted rating; bounds hold the true one with 80 % probability, None where they were never measured.

    `confidence` is the probability that the rating is at or above the user's own mean; `lower_95` and `upper_95` hold
    the rating with 95 % probability.
    """

    prediction: float | None
    lower: float | None
    upper: float | None
    confidence: float | None
    rung: str
    version: str
    lower_95: float | None = None
    upper_95: float | None = None


@dataclass(frozen=True)
class Recommendation:
    """One item of a list. `percentile` says where the score lies among all items: a score has no unit of its own."""

    rank: int
    item: str
    title: str | None
    year: int | None
    genres: tuple[str, ...]
    score: float
    percentile: float
    prediction: float | None
    lower: float | None
    upper: float | None
    confidence: float | None
    rung: str
    reasons: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class RecommendationList:
    """A user's list and what the operator must know about it."""

    user: str
    version: str
    rung: str
    items: tuple[Recommendation, ...]
    notes: tuple[str, ...] = ()


class Recommender:
    """Answers for users by text id, from the active version or any other."""

    def __init__(self, services: "Services") -> None:
        self._services = services
        self._database = services.database
        self.ladder = Ladder(services.database, services.memory)

    def recommend(
        self,
        user: str,
        n: int = 10,
        *,
        version: str = "active",
        filters: Filters | None = None,
        diversity: float = 0.0,
        prefer: Sequence[str] = (),
    ) -> RecommendationList:
        """Return the best `n` items of a user, exactly min(n, eligible).

        Args:
            user: text id; an unknown one is answered from the lower rungs.
            n: at least 1.
            version: `v7`, active, latest, best or previous.
            filters: what may be in the list.
            diversity: 0 ranks by score alone, 1 by difference from what is already in the list.
            prefer: genres that a user without ratings likes.

        Raises:
            NotFound: no such version.
            SettingRefused: a genre that the catalogue does not have.
        """
        snapshot = self._services.manager.snapshot(version)
        view = self.ladder.view(snapshot, user, prefer)
        chosen = filters or Filters()
        scores = view.model.scores(view.vector)
        picked: NDArray[np.integer[Any]] = top_k(
            scores,
            n if not diversity else 10 * n,
            exclude=None if chosen.include_seen else view.items,
            allowed=allowed_items(view.model, chosen),
        )
        if diversity:
            picked = diversify(view.model, scores, picked, n, diversity)
        items = self._describe(snapshot, view, picked, scores)
        notes = (*snapshot.notes, *self._why_short(view, chosen, len(items), n))
        return RecommendationList(user, snapshot.version.name, view.rung, items, notes)

    def predict(self, user: str, item: str, *, version: str = "active") -> Prediction:
        """Return one predicted rating.

        Raises:
            NotFound: the item is not in the catalogue; the hint names the nearest.
        """
        snapshot = self._services.manager.snapshot(version)
        view = self.ladder.view(snapshot, user)
        found = catalog.need_item(self._database, item)
        position = snapshot.position(found.id, found.item)
        if position < 0:
            return self.predict_new_item(snapshot, view, found)
        return self.predictions(snapshot, view, np.array([position]))[0]

    def similar(self, item: str, n: int = 10, *, version: str = "active") -> list[tuple[str, float]]:
        """Return the items nearest to one by the cosine of the model's item vectors, as (item, likeness).

        Raises:
            NotFound: the item is not in the catalogue.
            UnknownItem: the model has never seen it and it has no genres.
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
        lengths = np.linalg.norm(vectors, axis=1)
        likeness = vectors @ vectors[position] / np.maximum(lengths * lengths[position], 1e-12)
        return [
            (model.facts.items.text(int(other)), float(likeness[other]))
            for other in top_k(likeness, n, exclude=np.array([position]))
        ]

    # --- describing -----------------------------------------------------------------------------------------------

    def _describe(
        self, snapshot: Snapshot, view: View, picked: NDArray[np.integer[Any]], scores: NDArray[np.float32]
    ) -> tuple[Recommendation, ...]:
        texts = [view.model.facts.items.text(int(index)) for index in picked]
        found = self._services.memory.items(texts)
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
        support = np.full(len(items), len(view.items)), facts.item_counts[items]
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
        support = np.full(len(items), len(view.items)), facts.item_counts[items]
        low, high = snapshot.calibration.interval(predicted, *support)
        chance = snapshot.calibration.probability_at_least(view.mean, predicted, *support)
        bounds = facts.scale.clip(low), facts.scale.clip(high)
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

    def _why_short(self, view: View, filters: Filters, found: int, wanted: int) -> list[str]:
        """Say which filter leaves fewer items than asked for."""
        if found >= wanted:
            return []
        total = view.model.facts.items
        parts = [f"{len(total)} items in the model"]
        if not filters.include_seen:
            parts.append(f"{len(view.items)} already rated")
        for name, value in (("--only-genre", filters.only_genres), ("--exclude-genre", filters.exclude_genres)):
            if value:
                parts.append(f"{name} {', '.join(value)}")
        if filters.since_year is not None:
            parts.append(f"--since-year {filters.since_year}")
        return [f"only {found} of {wanted} items are eligible: " + "; ".join(parts)]


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


def allowed_items(model: Model, filters: Filters) -> NDArray[np.bool_] | None:
    """Return which items pass the filters (n_items,), or None where all do.

    Raises:
        SettingRefused: a genre that no item has; the hint lists those there are.
    """
    from engine.errors import SettingRefused

    if filters in _NO_FILTERS:
        return None
    features = model.facts.features
    column = {name.casefold(): index for index, name in enumerate(features.genre_names)}
    for name in (*filters.only_genres, *filters.exclude_genres):
        if name.casefold() not in column:
            known = ", ".join(features.genre_names) or "none: the catalogue has no genres"
            raise SettingRefused(f"no item has the genre {name!r}", hint=f"genres: {known}")
    allowed = np.ones(len(model.facts.items), bool)
    if filters.only_genres:
        wanted = [column[name.casefold()] for name in filters.only_genres]
        allowed &= features.genres[:, wanted].any(axis=1)
    if filters.exclude_genres:
        unwanted = [column[name.casefold()] for name in filters.exclude_genres]
        allowed &= ~features.genres[:, unwanted].any(axis=1)
    if filters.since_year is not None:
        allowed &= features.years >= filters.since_year
    return allowed
