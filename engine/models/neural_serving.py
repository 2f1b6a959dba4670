"""How neural collaborative filtering is served: from stored arrays, by NumPy, with torch or without it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import UnknownItem
from engine.models.base import Model, Vector
from engine.models.features import decades_of, feature_columns
from engine.models.neural_scores import Head, fitted_to_choices, fitted_to_ratings, standard_deviation

HEADS = ("ratings", "ranking")
LEAST_SPREAD = 1e-6
"""Of users' vectors and of what the rating head leaves: what counts as nothing."""


class ServedNeural(Model):
    """Ranks by the ranking head and predicts by the rating head; with one head only, that one does what it can.

    A user's vector holds the vectors of the heads, one after the other, ratings first.

    Attributes:
        heads: what scores, by name.
        noise: mean square that the rating head leaves, in units of the ratings' variance.
    """

    folds_in_exactly = False

    heads: dict[str, Head]
    noise: float = 1.0
    _raw: dict[str, dict[str, NDArray[Any]]]
    _resume: dict[str, NDArray[Any]]
    _cold: dict[str, NDArray[np.float32]]
    _spread: dict[str, NDArray[np.float64]]

    def user_vector(self, user: int) -> Vector:
        """Return the stored vector of a user with training rows."""
        return np.concatenate([head.users[user] for head in self.heads.values()])

    def cold_vector(self) -> Vector:
        """Return the mean of all users' vectors."""
        return np.concatenate([self._cold[name] for name in self.heads])

    def scores(self, vector: Vector, items: NDArray[np.integer[Any]] | None = None) -> NDArray[np.float32]:
        """Return the scores of the ranking head; without one, unclipped predicted ratings."""
        if "ranking" in self.heads:
            return self.heads["ranking"].scores(self._part(vector, "ranking"), items)
        return self._unclipped(vector, items)

    def score_vectors(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the scores of all items for many users given by their vectors (n, d), as (n, n_items)."""
        if "ranking" not in self.heads:
            return super().score_vectors(vectors)
        head = self.heads["ranking"]
        return head.scores_of_many(vectors[:, -head.width :])

    def ratings(self, vector: Vector, items: NDArray[np.integer[Any]] | None = None) -> NDArray[np.float32]:
        """Return predicted ratings within the scale, by the rating head.

        Raises:
            EngineError: it was trained without one.
        """
        if not self.predicts_ratings:
            return super().ratings(vector, items)
        return self.facts.scale.clip(self._unclipped(vector, items))

    def rate_pairs(self, users: NDArray[np.integer[Any]], items: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Return predicted ratings of (user, item) pairs (n,); a user without training rows gets the cold vector."""
        known = self.facts.user_counts[users] > 0
        standard, head = np.empty(len(users), np.float32), self.heads["ratings"]
        standard[known] = head.pair_scores(users[known], items[known])
        if not known.all():
            standard[~known] = head.scores(self._cold["ratings"])[items[~known]]
        return self.facts.scale.clip(np.float32(self.facts.mean) + np.float32(self._deviation) * standard)

    def fold_in(self, items: NDArray[np.integer[Any]], ratings: NDArray[np.floating[Any]]) -> Vector:
        """Return the vector of a user with this history, by a few gradient steps on it alone; all else is fixed."""
        if not len(items):
            return self.cold_vector()
        parts = []
        for name, head in self.heads.items():
            start, ridge = self._cold[name], 1 / self._spread[name]
            if name == "ratings":
                targets = ((np.asarray(ratings, np.float64) - self.facts.mean) / self._deviation).astype(np.float32)
                parts.append(fitted_to_ratings(head, start, items, targets, self.noise * ridge))
            else:
                parts.append(fitted_to_choices(head, start, items, ridge))
        return np.concatenate(parts)

    def item_vectors(self) -> NDArray[np.float32]:
        """Return what the heads know of items side by side, (n_items, ·), each as large as its scores differ by it."""
        return np.concatenate([self._turned(name) for name in self.heads], axis=1)

    def get_user_embedding(self, user_id: str | int) -> NDArray[np.float32]:
        """Return the vector (embedding_dim,) of a user by text id in the first half of the first head."""
        user = self.facts.users.index(str(user_id))
        vector = self.cold_vector() if user is None else self.user_vector(user)
        return vector[1 : 1 + self.config.embedding_dim]

    def get_movie_embedding(self, movie_id: str | int) -> NDArray[np.float32]:
        """Return the vector (embedding_dim,) of an item by text id in the first half of the first head.

        Raises:
            UnknownItem: the item is not in the model.
        """
        item = self.facts.items.index(str(movie_id))
        if item is None:
            raise UnknownItem(f"{movie_id!r} is not in the model", hint="train again to include it")
        raw = next(iter(self._raw.values()))
        half: NDArray[np.float32] = raw["item_gmf" if "item_gmf" in raw else "item_mlp"][item]
        return half

    # --- persistence ----------------------------------------------------------------------------------------------

    def parameters(self) -> dict[str, NDArray[Any]]:
        """Return the parameters of the heads, and what a resumed training needs."""
        named = {f"{head}.{name}": array for head, raw in self._raw.items() for name, array in raw.items()}
        return named | {"noise": np.array(self.noise)} | {f"resume.{key}": one for key, one in self._resume.items()}

    def set_parameters(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take back what `parameters` gave; without the `resume.…` arrays the optimizer begins anew."""
        self.noise = float(arrays["noise"])
        self._resume = {name[7:]: array for name, array in arrays.items() if name.startswith("resume.")}
        raw: dict[str, dict[str, NDArray[Any]]] = {head: {} for head in self._names()}
        for name, array in arrays.items():
            head, _, parameter = name.partition(".")
            if head in raw:
                raw[head][parameter] = array
        self._serve(raw)

    def _serve(self, raw: dict[str, dict[str, NDArray[Any]]]) -> None:
        """Make the heads of their parameters."""
        self._raw, features = raw, self._features()
        self.heads = {name: Head.of(raw[name], features) for name in self._names()}
        self.predicts_ratings = "ratings" in self.heads
        known = self.facts.user_counts > 0
        self._cold, self._spread = {}, {}
        for name, head in self.heads.items():
            users = head.users[known].astype(np.float64)
            self._cold[name] = (users.mean(axis=0) if len(users) else np.zeros(head.width)).astype(np.float32)
            self._spread[name] = np.maximum(users.var(axis=0) if len(users) else np.ones(head.width), LEAST_SPREAD)

    # --- parts ----------------------------------------------------------------------------------------------------

    def _names(self) -> tuple[str, ...]:
        return HEADS if self.config.head == "both" else (self.config.head,)

    def _shape(self, name: str) -> tuple[str, int, tuple[int, ...], NDArray[np.float32]]:
        """Return what decides the form of a head's network besides the numbers of users and items."""
        config = self.config
        variant = config.ranking_variant if name == "ranking" else config.variant
        return variant, config.embedding_dim, tuple(config.hidden_layers), self._features()

    def _features(self) -> NDArray[np.float32]:
        features = self.facts.features
        return feature_columns(features.genres, features.years, decades_of(features.years))

    @property
    def _deviation(self) -> float:
        return standard_deviation(self.facts)

    def _part(self, vector: Vector, name: str) -> Vector:
        """Return the vector of one head."""
        begin = 0
        for other, head in self.heads.items():
            if other == name:
                return vector[begin : begin + head.width]
            begin += head.width
        raise KeyError(name)

    def _unclipped(self, vector: Vector, items: NDArray[np.integer[Any]] | None) -> NDArray[np.float32]:
        standard = self.heads["ratings"].scores(self._part(vector, "ratings"), items)
        scores: NDArray[np.float32] = np.float32(self.facts.mean) + np.float32(self._deviation) * standard
        return scores

    def _turned(self, name: str) -> NDArray[np.float32]:
        """Return the items' factors times how much users differ in each, and what they put into the first layer."""
        head = self.heads[name]
        d = head.factors.shape[1]
        parts = [head.factors * np.sqrt(self._spread[name][1 : 1 + d]).astype(np.float32)]
        if len(head.out):
            centred = head.before - head.before.mean(axis=0)
            parts.append(centred * np.float32(np.abs(head.out).mean() / max(len(head.out), 1) ** 0.5))
        return np.concatenate(parts, axis=1)
