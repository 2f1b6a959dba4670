"""Why this item for this user: reasons with numbers that an operator can recompute, and the score taken apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.models.base import Contributions
from engine.ranking import percentile
from engine.services.ladder import View
from engine.services.manager import Snapshot
from engine.services.reasons import Reasons, Target, contributions, sentence
from engine.services.recommend import Prediction, RecommendationList
from store import catalog

if TYPE_CHECKING:
    from engine.services import Services

__all__ = ["ExplainerService", "Explanation", "sentence"]


@dataclass(frozen=True)
class Explanation:
    """The design's explanation object, with the score taken apart.

    Attributes:
        reasons: each with a "type" (similar_movies, genre_match, similar_users, popularity) and its data.
        contributions: what each of the user's ratings adds; with `method` "additive" baseline + Σ amount = score, with
            "removal" each amount is what the score loses without that rating.
        percentile: share of all items, in per cent, whose score is not above this one; a score has no unit of its own.
        text: the reasons as a sentence.
    """

    user: str
    movie_id: str
    movie_title: str | None
    version: str
    predicted_rating: float | None
    lower: float | None
    upper: float | None
    lower_95: float | None
    upper_95: float | None
    confidence: float | None
    rung: str
    reasons: tuple[dict[str, Any], ...]
    contributions: tuple[dict[str, Any], ...]
    baseline: float | None
    score: float
    percentile: float | None
    method: str
    text: str


class ExplainerService:
    """Explanations for any version; what a model cannot say is left out, never made up."""

    def __init__(self, services: "Services") -> None:
        self._services = services
        self._database = services.database
        self._reasons = Reasons(services)

    def explain_recommendation(self, user: str, item: str, *, version: str = "active") -> Explanation:
        """Explain one item for one user.

        Raises:
            NotFound: the item is not in the catalogue, or no such version.
        """
        snapshot, view = self._view(user, version)
        target = self._target(snapshot, item)
        prediction = self._services.recommender.predict(user, item, version=version)
        [parts] = _parts(view, [target])
        [reasons] = self._reasons.of(view, [target], [parts])
        score, percentile = _score(view, target, prediction)
        return Explanation(
            user,
            target.item.item,
            target.item.title,
            snapshot.version.name,
            prediction.prediction,
            prediction.lower,
            prediction.upper,
            prediction.lower_95,
            prediction.upper_95,
            prediction.confidence,
            prediction.rung,
            tuple(reasons),
            self._listed(view, parts),
            parts.baseline if parts else None,
            score,
            percentile,
            parts.method if parts else "none",
            sentence(reasons),
        )

    def reasons_for(self, made: RecommendationList) -> list[tuple[dict[str, Any], ...]]:
        """Return the reasons of each item of a list, in its order."""
        snapshot, view = self._view(made.user, made.version)
        entries = self._services.memory.items([entry.item for entry in made.items])
        found = [entries[entry.item] for entry in made.items]
        targets = [Target(item, snapshot.position(item.id, item.item)) for item in found]
        return [tuple(reasons) for reasons in self._reasons.of(view, targets, _parts(view, targets))]

    def find_similar_rated_movies(
        self, user: str, item: str, *, version: str = "active", n: int = 3
    ) -> list[dict[str, Any]]:
        """Return the user's own ratings that speak most for the item: [{id, title, your_rating, …}]."""
        snapshot, view = self._view(user, version)
        targets = [self._target(snapshot, item)]
        return self._reasons.similar_movies(view, targets, _parts(view, targets), n)[0]

    def get_genre_match_score(self, user: str, item: str) -> float | None:
        """Return the share of what the user likes that has a genre of the item; None without likes or genres.

        Liked is what the user rates at or above their own mean.
        """
        found = catalog.need_item(self._database, item)
        self._services.memory.now()
        return self._reasons.genre_match(user, found)

    def get_similar_users_influence(self, user: str, item: str, *, version: str = "active") -> dict[str, Any] | None:
        """Return how many who agreed with the user rated the item, and their mean; None below five."""
        snapshot, view = self._view(user, version)
        target = self._target(snapshot, item)
        return self._reasons.crowd(view, target, _parts(view, [target])[0])

    def _view(self, user: str, version: str) -> tuple[Snapshot, View]:
        snapshot = self._services.manager.snapshot(version, user)
        return snapshot, self._services.recommender.ladder.view(snapshot, user)

    def _target(self, snapshot: Snapshot, item: str) -> Target:
        found = catalog.need_item(self._database, item)
        return Target(found, snapshot.position(found.id, found.item))

    def _listed(self, view: View, parts: Contributions | None) -> tuple[dict[str, Any], ...]:
        """Return the contributions as rows, largest first."""
        if parts is None:
            return ()
        given = dict(zip(view.items.tolist(), view.ratings.tolist(), strict=True))
        texts = [view.model.facts.items.text(int(index)) for index in parts.items]
        titles = self._services.memory.items(texts)
        rows = [
            {
                "item": text,
                "title": titles[text].title if text in titles else None,
                "your_rating": given[int(index)],
                "amount": float(amount),
            }
            for text, index, amount in zip(texts, parts.items, parts.amounts, strict=True)
        ]
        return tuple(sorted(rows, key=lambda row: -abs(row["amount"])))


def _parts(view: View, targets: Sequence[Target]) -> list[Contributions | None]:
    """Take the scores apart of those that the model knows."""
    known = [at for at, target in enumerate(targets) if target.position >= 0]
    found: list[Contributions | None] = [None] * len(targets)
    if known:
        positions = np.array([targets[at].position for at in known])
        for at, parts in zip(known, contributions(view, positions), strict=True):
            found[at] = parts
    return found


def _score(view: View, target: Target, prediction: Prediction) -> tuple[float, float | None]:
    """Return the score and its percentile; an item that the model lacks has its prediction for a score."""
    if target.position < 0:
        return prediction.prediction or 0.0, None
    scores = view.model.scores(view.vector)
    return float(scores[target.position]), percentile(scores, target.position)
