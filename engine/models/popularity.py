"""Popularity: what most people rate comes first; the predicted rating is the item's damped mean.

It is the last rung of the cold-start ladder, so it can be made from the facts that every model keeps.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from engine.data import Interactions
from engine.models.base import Contributions, Epoch, Model, TrainingFacts, Vector
from engine.models.config import Config
from engine.models.shrinkage import shrunk_effects, spread


@dataclass(frozen=True)
class PopularityConfig(Config):
    """Popularity has no settings: its damping follows from the data."""


class Popularity(Model):
    """Ranks by the number of ratings, equal numbers by the damped mean; the same list for everybody."""

    name = "popularity"
    Config = PopularityConfig

    @classmethod
    def from_facts(cls, facts: TrainingFacts) -> Self:
        """Make the model without training, from what another model knows of its training data."""
        model = cls()
        model._take(facts)
        return model

    def fit_epochs(self, train: Interactions, *, valid: Interactions | None = None, seed: int = 42) -> Iterator[Epoch]:
        """Count, in one epoch; `seed` changes nothing. Losses are the RMSE of the damped means."""
        del seed
        if self.epochs_done:
            return
        self._take(TrainingFacts.of(train))
        self.epochs_done = 1
        losses = {"train": self._rmse(train)}
        if valid is not None:
            losses["valid"] = self._rmse(valid)
        yield Epoch(1, 1, losses, len(train))

    def user_vector(self, user: int) -> Vector:
        """Return the empty vector (0,): popularity knows nothing of a user."""
        del user
        return np.zeros(0, np.float32)

    def cold_vector(self) -> Vector:
        """Return the empty vector (0,)."""
        return np.zeros(0, np.float32)

    def fold_in(self, items: NDArray[np.integer[Any]], ratings: NDArray[np.floating[Any]]) -> Vector:
        """Return the empty vector (0,): a history changes nothing."""
        del items, ratings
        return np.zeros(0, np.float32)

    def scores(self, vector: Vector, items: NDArray[np.integer[Any]] | None = None) -> NDArray[np.float32]:
        """Return the number of ratings, and after the point the damped mean as a share of the scale."""
        del vector
        return self._scores if items is None else self._scores[items]

    def score_users(self, users: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Return the same scores for each user, (len(users), n_items), as one read-only row repeated."""
        return np.broadcast_to(self._scores, (len(users), len(self._scores)))

    def ratings(self, vector: Vector, items: NDArray[np.integer[Any]] | None = None) -> NDArray[np.float32]:
        """Return the damped means of the items."""
        del vector
        return self._means if items is None else self._means[items]

    def rate_pairs(self, users: NDArray[np.integer[Any]], items: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Return the damped mean of each pair's item (n,)."""
        del users
        means: NDArray[np.float32] = self._means[items]
        return means

    def contributions(
        self, items: NDArray[np.integer[Any]], ratings: NDArray[np.floating[Any]], targets: NDArray[np.integer[Any]]
    ) -> list[Contributions]:
        """Return the scores as baselines: none of them comes from the user's ratings."""
        del items, ratings
        return Contributions.additive(self._scores[targets], np.zeros(0, np.int32), np.zeros((0, len(targets))))

    def parameters(self) -> dict[str, NDArray[Any]]:
        """Return nothing: all that popularity knows are the facts."""
        return {}

    def set_parameters(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Make the scores again from the facts."""
        del arrays
        self._take(self.facts)

    def _take(self, facts: TrainingFacts) -> None:
        self.facts = facts
        parts = spread(facts.item_counts, facts.item_sums, facts.mean, facts.variance)
        effects = shrunk_effects(facts.item_counts, facts.item_sums, facts.mean, parts)
        self._means = facts.scale.clip(facts.mean + effects)  # (n_items,)
        share = (self._means - facts.scale.low) / max(facts.scale.high - facts.scale.low, 1e-12)
        self._scores = (facts.item_counts + 0.5 * share).astype(np.float32)  # (n_items,)

    def _rmse(self, rows: Interactions) -> float:
        errors = self._means[rows.item_index] - rows.ratings
        return float(np.sqrt(np.mean(errors**2, dtype=np.float64))) if len(rows) else 0.0
