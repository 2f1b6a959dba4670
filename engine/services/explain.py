"""Why this item for this user: reasons with numbers that an operator can recompute, and the score taken apart."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.models.base import Contributions, Explains, HasItemVectors
from engine.services.ladder import View
from engine.services.recommend import Prediction, RecommendationList
from store import catalog, evidence, ratings

if TYPE_CHECKING:
    from engine.services import Services

_MOVIES = 3  # similar rated items in a reason
_LEAST_CROWD = 5  # smaller groups are not reported: a count of one or two could point at a person


@dataclass(frozen=True)
class Explanation:
    """The design's explanation object, with the score taken apart.

    Attributes:
        reasons: each with a "type" (similar_movies, genre_match, similar_users, popularity) and its data.
        contributions: what each of the user's ratings adds; with `method` "additive" baseline + Σ amount = score.
        text: the first reasons as a sentence.
    """

    user: str
    movie_id: str
    movie_title: str | None
    version: str
    predicted_rating: float | None
    lower: float | None
    upper: float | None
    confidence: float | None
    rung: str
    reasons: tuple[dict[str, Any], ...]
    contributions: tuple[dict[str, Any], ...]
    baseline: float | None
    score: float
    method: str
    text: str
    lower_95: float | None = None
    upper_95: float | None = None


class ExplainerService:
    """Explanations for any version; what a model cannot say is left out, never made up."""

    def __init__(self, services: "Services") -> None:
        self._services = services
        self._database = services.database

    def explain_recommendation(self, user: str, item: str, *, version: str = "active") -> Explanation:
        """Explain one item for one user.

        Raises:
            NotFound: the item is not in the catalogue, or no such version.
        """
        snapshot = self._services.manager.snapshot(version)
        view = self._services.recommender.ladder.view(snapshot, user)
        found = catalog.need_item(self._database, item)
        position = snapshot.position(found.id, found.item)
        prediction = self._services.recommender.predict(user, item, version=version)
        parts = self._contributions(view, position) if position >= 0 else None
        reasons = self._reasons(view, found, parts)
        score = self._score(view, position, prediction)
        return Explanation(
            user,
            found.item,
            found.title,
            snapshot.version.name,
            prediction.prediction,
            prediction.lower,
            prediction.upper,
            prediction.confidence,
            prediction.rung,
            tuple(reasons),
            self._listed(view, parts),
            parts.baseline if parts else None,
            score,
            parts.method if parts else "none",
            sentence(reasons),
            prediction.lower_95,
            prediction.upper_95,
        )

    def reasons_for(self, made: RecommendationList) -> list[tuple[dict[str, Any], ...]]:
        """Return the reasons of each item of a list, in its order."""
        snapshot = self._services.manager.snapshot(made.version)
        view = self._services.recommender.ladder.view(snapshot, made.user)
        found = self._services.memory.items([entry.item for entry in made.items])
        reasons = []
        for entry in made.items:
            item = found[entry.item]
            parts = self._contributions(view, snapshot.position(item.id, item.item))
            reasons.append(tuple(self._reasons(view, item, parts)))
        return reasons

    def find_similar_rated_movies(
        self, user: str, item: str, *, version: str = "active", n: int = _MOVIES
    ) -> list[dict[str, Any]]:
        """Return the user's own ratings that speak most for the item: [{id, title, your_rating, …}]."""
        snapshot = self._services.manager.snapshot(version)
        view = self._services.recommender.ladder.view(snapshot, user)
        found = catalog.need_item(self._database, item)
        parts = self._contributions(view, snapshot.position(found.id, found.item))
        return self._similar_movies(view, found, parts, n)

    def get_genre_match_score(self, user: str, item: str) -> float | None:
        """Return the share of what the user likes that has a genre of the item; None without likes or genres."""
        key = catalog.user_key(self._database, user)
        found = catalog.need_item(self._database, item)
        return evidence.liked_share(self._database, key[0], found.id) if key else None

    def get_similar_users_influence(self, user: str, item: str, *, version: str = "active") -> dict[str, Any] | None:
        """Return how many who agreed with the user rated the item, and their mean; None below five."""
        found = catalog.need_item(self._database, item)
        movies = self.find_similar_rated_movies(user, item, version=version)
        return self._similar_users(user, found, movies)

    # --- reasons --------------------------------------------------------------------------------------------------

    def _reasons(self, view: View, item: catalog.Item, parts: Contributions | None) -> list[dict[str, Any]]:
        """Return every reason that the data supports; there is always one, since every item has a number of raters."""
        movies = self._similar_movies(view, item, parts, _MOVIES)
        reasons: list[dict[str, Any]] = [{"type": "similar_movies", "movies": movies}] if movies else []
        share = self.get_genre_match_score(view.user, item.item)
        if share:
            reasons.append({"type": "genre_match", "genres": list(item.genres), "match_score": share})
        crowd = self._similar_users(view.user, item, movies)
        if crowd:
            reasons.append({"type": "similar_users"} | crowd)
        if not reasons:
            raters = evidence.everybody(self._database, item.id)
            reasons.append({"type": "popularity", "n_ratings": raters.count, "avg_rating": raters.mean})
        return reasons

    def _similar_movies(
        self, view: View, item: catalog.Item, parts: Contributions | None, n: int
    ) -> list[dict[str, Any]]:
        """Return the rated items that raise the score most; where the model cannot tell, the likest well-rated ones."""
        if not len(view.items):
            return []
        weights = self._weights(view, item, parts)
        liked = view.ratings >= view.mean  # a low rating can speak for an item too, but convinces nobody
        order = [index for index in np.lexsort((-weights, ~liked))[:n] if weights[index] > 0]
        texts = [view.model.facts.items.text(int(view.items[index])) for index in order]
        titles = self._services.memory.items(texts)
        return [
            {
                "id": text,
                "title": titles[text].title if text in titles else None,
                "your_rating": float(view.ratings[index]),
                "weight": float(weights[index]),
            }
            for text, index in zip(texts, order, strict=True)
        ]

    def _weights(self, view: View, item: catalog.Item, parts: Contributions | None) -> np.ndarray[Any, Any]:
        """Return how much each rating of the history speaks for the item (k,); the item itself speaks for nothing."""
        position = view.model.facts.items.index(item.item)
        if position is None:
            return np.zeros(len(view.items))
        if parts is not None and len(parts.items):
            amount = dict(zip(parts.items.tolist(), parts.amounts.tolist(), strict=True))
            weights = np.array([amount.get(int(rated), 0.0) for rated in view.items])
        else:
            source = view.model.item_vectors() if isinstance(view.model, HasItemVectors) else None
            vectors = (view.model.facts.features.genres if source is None else source).astype(np.float64)
            lengths = np.linalg.norm(vectors[view.items], axis=1) * np.linalg.norm(vectors[position])
            likeness = vectors[view.items] @ vectors[position] / np.maximum(lengths, 1e-12)
            weights = likeness * (view.ratings >= view.mean)
        return np.where(view.items == position, 0.0, weights)

    def _similar_users(self, user: str, item: catalog.Item, movies: list[dict[str, Any]]) -> dict[str, Any] | None:
        key = catalog.user_key(self._database, user)
        if key is None or not movies:
            return None
        shared = self._services.memory.items([movie["id"] for movie in movies])
        tolerance = ratings.scale(self._database).step or 0.5
        crowd = evidence.agreeing_raters(
            self._database, key[0], item.id, [found.id for found in shared.values()], tolerance
        )
        if crowd.count < _LEAST_CROWD:
            return None
        return {
            "similar_user_count": crowd.count,
            "avg_rating": crowd.mean,
            "agree_on": sorted(shared),
            "tolerance": tolerance,
        }

    # --- the score ------------------------------------------------------------------------------------------------

    def _contributions(self, view: View, position: int) -> Contributions | None:
        if position < 0 or not isinstance(view.model, Explains):
            return None
        return view.model.contributions(view.items, view.ratings, position)

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

    def _score(self, view: View, position: int, prediction: Prediction) -> float:
        if position < 0:
            return prediction.prediction or 0.0
        return float(view.model.scores(view.vector, np.array([position]))[0])


def sentence(reasons: list[dict[str, Any]]) -> str:
    """Put the reasons into words, the strongest first."""
    words = []
    for reason in reasons:
        if reason["type"] == "similar_movies":
            names = [f"{movie['your_rating']:g} to {movie['title'] or movie['id']}" for movie in reason["movies"]]
            words.append("you gave " + ", ".join(names))
        elif reason["type"] == "genre_match":
            words.append(f"{reason['match_score']:.0%} of what you like is {' or '.join(reason['genres'])}")
        elif reason["type"] == "similar_users":
            count, mean = reason["similar_user_count"], reason["avg_rating"]
            words.append(f"{count:,} people who agree with you on these give it {mean:.1f} on average")
        else:
            mean = reason["avg_rating"]
            words.append(f"{reason['n_ratings']:,} people rated it" + (f", {mean:.1f} on average" if mean else ""))
    return "; ".join(words)
