"""Lists and predicted ratings for one user: filters before the cut, bounds, and the rung that answered."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import count, repeat
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.confidence import Judged
from engine.diversity import Wish, rerank
from engine.errors import UnknownItem
from engine.ranking import percentile, ranked, top_k
from engine.services.answers import Prediction, Recommendation, RecommendationList
from engine.services.cache import ByteCache
from engine.services.filters import Filters, allowed_items, why_short
from engine.services.ladder import CONTENT, POPULARITY, Ladder, View
from engine.services.manager import Snapshot
from engine.services.memory import Moment, described
from store import catalog

if TYPE_CHECKING:
    from engine.services import Services

__all__ = ["LIST_BYTES", "Filters", "Prediction", "Recommendation", "RecommendationList", "Recommender", "Wish"]


LIST_BYTES = 64 << 20
"""What the lists kept for the next question may take."""

_LIST_SIZE, _ITEM_SIZE = 2_048, 1_024  # bytes, measured and rounded up

_Sure = Judged | tuple[None, None, None, None, None]
_UNSURE = None, None, None, None, None  # nothing was measured
_recommendation = partial(tuple.__new__, Recommendation)  # of all its fields; `_make` takes longer than the arithmetic


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
            if kept is not None and not prefer:
                self.ladder.confirm(snapshot, user, revision, moment)
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
        return all(described(cards.get(entry.item)) == (entry.title, entry.year, entry.genres) for entry in made.items)

    def _list(self, snapshot: Snapshot, view: View, question: _Question) -> RecommendationList:
        n, filters, wish = question.n, question.filters, question.wish
        scores = view.model.scores(view.vector)
        best, shares = ranked(
            scores,
            wish.candidates(n),
            exclude=None if filters.include_seen else view.items,
            allowed=allowed_items(view.model, filters),
        )
        picked = rerank(view.model, scores, best, n, wish, (view.items, view.ratings))
        if picked is not best:
            of = dict(zip(best.tolist(), shares, strict=True))
            shares = [of[item] for item in picked.tolist()]
        items = self._describe(snapshot, view, picked, scores[picked], shares)
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
        [told] = self.predictions(snapshot, view, np.array([position]))
        if view.model.predicts_ratings:
            return told
        return replace(told, percentile=percentile(view.model.scores(view.vector), position))

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
        vectors, counts = source.item_vectors(), model.facts.item_counts
        if not vectors[position].any():
            vectors = snapshot.content.item_vectors()
        lengths = np.linalg.norm(vectors, axis=1)
        if not lengths[position]:
            raise _unlike(item, snapshot.version.name, rated=bool(counts[position]))
        likeness = vectors @ vectors[position] / np.maximum(lengths * lengths[position], 1e-12)
        known = (counts >= min(LEAST_KNOWN, int(counts[position]))) & (lengths > 0)
        return [
            (model.facts.items.text(int(other)), float(likeness[other]))
            for other in top_k(likeness, n, exclude=np.array([position]), allowed=known)
        ]

    # --- describing -----------------------------------------------------------------------------------------------

    def _describe(
        self,
        snapshot: Snapshot,
        view: View,
        picked: NDArray[np.integer[Any]],
        scores: NDArray[np.float32],
        shares: list[float],
    ) -> tuple[Recommendation, ...]:
        """Return the items of a list, from their indices, scores and percentiles, each (n,)."""
        if not shares:
            return ()
        texts, titles, years, genres = zip(*self._memory.cards(snapshot, picked.tolist()), strict=True)
        predicted, judged = self._rated(snapshot, view, picked, scores)
        lower, upper, likely, _, _ = zip(*judged, strict=True)
        known = texts, titles, years, genres, scores.tolist(), shares, predicted, lower, upper, likely
        rows = zip(count(1), *known, repeat(view.rung), repeat(()))
        return tuple(map(_recommendation, rows))

    def predictions(self, snapshot: Snapshot, view: View, items: NDArray[np.integer[Any]]) -> list[Prediction]:
        """Return predicted ratings with bounds; a model that only ranks has none."""
        name, rung = snapshot.version.name, view.rung
        return [
            Prediction(predicted, lower, upper, likely, rung, name, lowest, highest)
            for predicted, (lower, upper, likely, lowest, highest) in zip(
                *self._rated(snapshot, view, items), strict=True
            )
        ]

    def _rated(
        self,
        snapshot: Snapshot,
        view: View,
        items: NDArray[np.integer[Any]],
        scores: NDArray[np.float32] | None = None,
    ) -> tuple[Sequence[float | None], Sequence[_Sure]]:
        """Return predicted ratings of items (n,), and how sure each is; a model that only ranks has none.

        Scores (n,) that are at hand are used where they stand for ratings.
        """
        model, calibration = view.model, snapshot.calibration
        if not model.predicts_ratings:
            return [None] * len(items), [_UNSURE] * len(items)
        if scores is None or not model.rates_by_score:
            predicted = model.ratings(view.vector, items).tolist()
        else:
            predicted = model.as_ratings(scores).tolist()
        if calibration is None:
            return predicted, [_UNSURE] * len(items)
        counts = model.facts.item_counts[items].tolist()
        return predicted, calibration.judged(view.mean, len(view.items), predicted, counts, model.facts.scale)

    def predict_new_item(self, snapshot: Snapshot, view: View, found: catalog.Item | None) -> Prediction:
        """Predict an item that the model has never seen: by its genres where it has any, else the user's level."""
        facts = snapshot.model.facts
        vector = snapshot.content.fold_in(view.items, view.ratings)
        value = snapshot.content.rating_of(vector, found.genres if found else (), found.year if found else None)
        rung = CONTENT if found and found.genres else POPULARITY
        sure: _Sure = _UNSURE
        if snapshot.calibration is not None:
            [sure] = snapshot.calibration.judged(view.mean, len(view.items), [value], [0], facts.scale)
        lower, upper, likely, lowest, highest = sure
        return Prediction(value, lower, upper, likely, rung, snapshot.version.name, lowest, highest)


def _unlike(item: str, version: str, *, rated: bool) -> UnknownItem:
    """Return the error of asking what is like an item of which nothing is known."""
    if rated:
        return UnknownItem(
            f"{version} found nothing in the ratings of {item!r}, and it has no genres",
            hint="ask a version of another model (--version …), or import titles with genres",
        )
    return UnknownItem(f"nothing is known of {item!r}: it has neither ratings nor genres", hint="rate it first")
