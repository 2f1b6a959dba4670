"""Neural collaborative filtering in NumPy: scores from stored arrays, and a new user's vector by gradient steps.

A host without torch serves and explains with this. Names and formulas are those of `neural_torch`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.models.facts import TrainingFacts

Array = NDArray[np.float32]
_AT_ONCE = 2**24  # numbers of a hidden layer that are held together
_PAIRS = 8_192  # that are scored together: more take memory and no less time
_STEPS = 6
_LEAST_GAIN = 1e-6
_ENOUGH = 1_000  # items that a new user's are told apart from


@dataclass(frozen=True, eq=False)
class Head:
    """One head, made ready to score.

    Attributes:
        level: what every score begins with.
        users: (n_users, 1 + d + e), bias, vector of the product, vector of the perceptron.
        bias: (n_items,).
        factors: (n_items, d), already multiplied by the weights of the product.
        before: (n_items, h), what an item puts into the first layer, the layer's offset included.
        first: (e, h), what turns a user's vector into that layer's.
        layers: weights (h, h') and offsets (h',) of the further layers.
        out: (h_last,).
    """

    level: float
    users: Array
    bias: Array
    factors: Array
    before: Array
    first: Array
    layers: tuple[tuple[Array, Array], ...]
    out: Array

    @classmethod
    def of(cls, arrays: dict[str, NDArray[Any]], features: Array) -> "Head":
        """Make a head of the parameters of a network, as `neural_torch` names them.

        Args:
            arrays: by name; those of a half that the variant lacks are missing.
            features: (n_items, f).
        """
        bias = arrays["item_bias"][:, 0] + features @ arrays["feature_bias"][:, 0]
        nothing = np.zeros((len(bias), 0), np.float32)
        users, factors, before = [arrays["user_bias"]], nothing, nothing
        first, out = np.zeros((0, 0), np.float32), np.zeros(0, np.float32)
        layers: list[tuple[Array, Array]] = []
        if "user_gmf" in arrays:
            users.append(arrays["user_gmf"])
            factors = (arrays["item_gmf"] + features @ arrays["feature_gmf"]) * arrays["gmf_out"]
        if "user_mlp" in arrays:
            users.append(arrays["user_mlp"])
            items = arrays["item_mlp"] + features @ arrays["feature_mlp"]
            before = items @ arrays["first_item"] + arrays["offset_0"]
            first, out = arrays["first_user"], arrays["mlp_out"]
            places = range(1, sum(name.startswith("offset_") for name in arrays))
            layers = [(arrays[f"weight_{place}"], arrays[f"offset_{place}"]) for place in places]
        level = float(arrays["level"][0])
        return cls(level, np.concatenate(users, axis=1), bias, factors, before, first, tuple(layers), out)

    @property
    def width(self) -> int:
        """Length of a user's vector."""
        width: int = self.users.shape[1]
        return width

    def scores(self, vector: Array, items: NDArray[np.integer[Any]] | None = None) -> Array:
        """Return the scores of all items (n_items,), or of those given, for a user's vector."""
        chosen: Any = slice(None) if items is None else items
        d = self.factors.shape[1]
        scores: Array = self.bias[chosen] + self.factors[chosen] @ vector[1 : 1 + d]
        scores += np.float32(self.level) + vector[0]
        if len(self.out):
            step = max(1, _AT_ONCE // self.before.shape[1])
            before, towards = self.before[chosen], vector[1 + d :] @ self.first
            for start in range(0, len(scores), step):
                span = slice(start, start + step)
                scores[span] += self._activations(before[span] + towards)[-1] @ self.out
        return scores

    def scores_of_many(self, vectors: Array) -> Array:
        """Return the scores of all items for many users' vectors (n, width), as (n, n_items)."""
        if len(self.out):
            return np.stack([self.scores(vector) for vector in vectors])
        scores: Array = vectors[:, 1:] @ self.factors.T
        scores += self.bias + np.float32(self.level) + vectors[:, :1]
        return scores

    def pair_scores(self, users: NDArray[np.integer[Any]], items: NDArray[np.integer[Any]]) -> Array:
        """Return the scores of (user, item) pairs (n,) of users with stored vectors."""
        scores = np.empty(len(users), np.float32)
        d, step = self.factors.shape[1], _PAIRS
        for start in range(0, len(users), step):
            span = slice(start, start + step)
            vectors, what = self.users[users[span]], items[span]
            found = self.bias[what] + np.einsum("nd,nd->n", vectors[:, 1 : 1 + d], self.factors[what])
            found += np.float32(self.level) + vectors[:, 0]
            if len(self.out):
                found += self._activations(self.before[what] + vectors[:, 1 + d :] @ self.first)[-1] @ self.out
            scores[span] = found
        return scores

    def _activations(self, before: Array) -> list[Array]:
        """Return the hidden layers after their rectifiers, the first (n, h) to the last."""
        layers = [np.maximum(before, np.float32(0))]
        for weight, offset in self.layers:
            layers.append(np.maximum(layers[-1] @ weight + offset, np.float32(0)))
        return layers

    def slopes(self, vector: Array, items: NDArray[np.integer[Any]]) -> tuple[Array, Array]:
        """Return scores (n,) of items and their derivatives by the user's vector (n, 1 + d + e)."""
        d = self.factors.shape[1]
        scores = self.scores(vector, items)
        parts = [np.ones((len(items), 1), np.float32), self.factors[items]]
        if len(self.out):
            layers = self._activations(self.before[items] + vector[1 + d :] @ self.first)
            back = np.where(layers[-1] > 0, self.out, np.float32(0))
            for (weight, _), layer in zip(reversed(self.layers), reversed(layers[:-1]), strict=True):
                back = np.where(layer > 0, back @ weight.T, np.float32(0))
            parts.append(back @ self.first.T)
        return scores, np.concatenate(parts, axis=1)


def fitted_to_ratings(
    head: Head, start: Array, items: NDArray[np.integer[Any]], targets: Array, ridge: NDArray[np.float64]
) -> Array:
    """Return the user's vector that predicts their ratings, near `start`, all else fixed.

    Minimizes Σ_j (y_j - score_j)² + Σ_a ridge_a (x_a - start_a)² by a few steps of Gauss and Newton, each as far as
    it helps.

    Args:
        head: of ratings.
        start: (d,), the vector of a user of whom nothing is known.
        items: (n,), rated ones.
        targets: (n,), their ratings in the units of the head.
        ridge: (d,).
    """

    def loss(vector: Array) -> float:
        left = targets - head.scores(vector, items)
        return float(left @ left + ridge @ (vector - start) ** 2)

    vector, now = start, loss(start)
    for _ in range(_STEPS):
        scores, slopes = head.slopes(vector, items)
        right = slopes.T @ (targets - scores) - ridge * (vector - start)
        step = np.linalg.solve(slopes.T @ slopes + np.diag(ridge), right)
        vector, now, helped = _along(loss, vector, step.astype(np.float32), now)
        if not helped:
            break
    return vector


def fitted_to_choices(head: Head, start: Array, items: NDArray[np.integer[Any]], ridge: NDArray[np.float64]) -> Array:
    """Return the user's vector that ranks what they chose above the rest of the catalogue, near `start`.

    Minimizes -Σ_j log softmax(scores)_j + ½ Σ_a ridge_a (x_a - start_a)² over the rated items j by a few Newton steps.
    Of a large catalogue the same evenly spaced part stands for all of it.
    """
    rest = np.arange(0, len(head.bias), max(1, len(head.bias) // _ENOUGH))
    every = np.union1d(items, rest)
    chosen = np.isin(every, items)
    weights = np.where(chosen, 1.0, (len(head.bias) - len(items)) / max(1, len(every) - len(items)))

    def loss(vector: Array) -> float:
        scores = head.scores(vector, every).astype(np.float64)
        top = scores.max()
        normal = top + np.log(weights @ np.exp(scores - top))
        return float(len(items) * normal - scores[chosen].sum() + 0.5 * ridge @ (vector - start) ** 2)

    vector, now = start, loss(start)
    for _ in range(_STEPS):
        scores, slopes = head.slopes(vector, every)
        chances = weights * np.exp(scores.astype(np.float64) - scores.max())
        chances /= chances.sum()
        mean = chances @ slopes
        spread = (slopes * chances[:, None]).T @ slopes - np.outer(mean, mean)
        right = slopes[chosen].sum(axis=0) - len(items) * mean - ridge * (vector - start)
        step = np.linalg.solve(len(items) * spread + np.diag(ridge), right)
        vector, now, helped = _along(loss, vector, step.astype(np.float32), now)
        if not helped:
            break
    return vector


def standard_deviation(facts: TrainingFacts) -> float:
    """Return the unit of the rating head: the ratings' deviation, or a little of the scale where they are all equal."""
    least = 1e-3 * (facts.scale.high - facts.scale.low)
    return float(max(facts.variance**0.5, least))


def _along(loss: Any, vector: Array, step: Array, now: float) -> tuple[Array, float, bool]:
    """Return the vector after as much of a step as lowers the loss, that loss, and whether it was worth it."""
    share = np.float32(1)
    for _ in range(8):
        there = vector + share * step
        then = loss(there)
        if then < now:
            return there, then, now - then > _LEAST_GAIN * abs(now)
        share /= 2
    return vector, now, False
