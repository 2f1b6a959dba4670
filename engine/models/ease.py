"""EASE: the score of an item is the sum of the weights that lead to it from the items a user has rated, in closed form.

    score(u, i) = Σ_j x_uj B_ji,    B_ij = -λP_ij / (λP_jj)^γ for i ≠ j, B_jj = 0,    P = (XᵀX + λI)⁻¹

With γ = 1 this B minimizes |X - XB|² + λ|B|² under a zero diagonal, as published; with γ = 0 it is ridge regression
without its diagonal. Between the two the items that many have rated are pushed less, which ranks better on held-out
rows of every kind tried.

x_uj is the weight of a rating by the rule `confidence`. Where all of B would be large only its largest weights are
kept. What the model knows of a user is their history itself, so folding in is reading it, and the weights are the
explanation.

Source: Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.data import Interactions
from engine.errors import TrainingFailed
from engine.models.base import Epoch
from engine.models.config import Config, setting
from engine.models.feedback import CONFIDENCES, history_confidences, training_confidences
from engine.models.item_to_item import ItemToItem
from engine.models.item_weights import FactorWeights, ItemWeights, SparseWeights


@dataclass(frozen=True)
class EaseConfig(Config):
    """Settings of EASE."""

    regularization: float = setting(
        300.0, "λ: larger trusts pairs that occur together rarely less.", low=1e-3, high=1e9
    )
    diagonal: float = setting(
        0.5, "γ: how far the diagonal is held at zero; 1 is EASE as published, 0 ridge regression.", low=0.0, high=1.0
    )
    neighbours: int = setting(
        500, "How many weights are kept for each item on average, the largest, where not all are.", low=1, high=10**6
    )
    most_items: int = setting(
        0, "Items that have weights, the most rated ones; 0 for all. The others go by popularity.", low=0, high=10**6
    )
    confidence: str = setting(
        "equal",
        "Weight of a rating as an interaction: equal counts each as 1, rating from 0.2 to 1 by its place on the scale, "
        "liked 1 where it is not below the user's mean and 0 otherwise.",
        choices=CONFIDENCES,
    )


class Ease(ItemToItem):
    """Ranks by weights between items in closed form; a history's weights go by the rule `confidence`."""

    name = "ease"
    Config = EaseConfig

    def fit_epochs(self, train: Interactions, *, valid: Interactions | None = None, seed: int = 42) -> Iterator[Epoch]:
        """Solve in one epoch, in closed form; `seed` changes nothing. Losses are the mean of (1 - score)² over rows.

        Raises:
            TrainingFailed: the matrices do not fit in memory, or the weights are not finite.
        """
        del seed
        if self.epochs_done:
            return
        self._check_memory(train)
        self.take_histories(train, training_confidences(self.config.confidence, train))
        yield self.solved_epoch(train, valid, self._solved)

    def memory_bytes(self, n_users: int, n_items: int, n_ratings: int) -> int:
        """Return a forecast of the peak memory of training: items or users squared, the rows, what is kept."""
        from engine.models.ease_steps import memory_of
        from engine.resources import processors

        rated = min(n_items, self._most(n_items))
        matrix, work = memory_of(n_users, rated, n_items, self.config.neighbours, processors())
        # rows grouped both ways are gone when the blocks are worked on
        return matrix + max(56 * n_ratings, 36 * n_ratings + work) + 64 * (n_users + n_items)

    def _most(self, n_items: int) -> int:
        """Return how many items have weights at most."""
        most: int = self.config.most_items
        return most or n_items

    def _check_memory(self, train: Interactions) -> None:
        """Refuse data whose matrices do not fit, and name the model that takes them."""
        from engine.resources import check_memory

        n_users, n_items = (int(np.count_nonzero(counts)) for counts in (train.user_counts, train.item_counts))
        try:
            check_memory(self.memory_bytes(n_users, n_items, len(train)), f"ease over {n_items:,} items")
        except TrainingFailed as refused:
            refused.hint = (
                f"keep the most rated items alone (--set most_items={max(n_items // 4, 1)}), or train ials: its memory "
                "grows with the ratings, not with the items squared"
            )
            raise

    def _solved(self, train: Interactions) -> ItemWeights:
        """Return the weights between the items that have rows, numbered as all items are."""
        from engine import resources
        from engine.models import ease_steps

        penalty = self.config.regularization
        most = np.argsort(-train.item_counts, kind="stable")[: self._most(train.n_items)]
        rated, raters = np.sort(most[train.item_counts[most] > 0]), np.flatnonzero(train.user_counts)
        ratings = self.histories(raters)[:, rated]  # X
        if ease_steps.has_factors(*ratings.shape):
            factors = ease_steps.user_factors(ratings, penalty, rated, train.n_items)
            return FactorWeights.of(factors, self.config.diagonal)
        gram = ease_steps.item_gram(ratings)
        threads = resources.threads()
        columns = ease_steps.through_items(gram, ratings, penalty, self.config.diagonal, threads)
        found = ease_steps.largest_weights(columns, len(rated), self.config.neighbours, threads)
        return SparseWeights.spread(found, rated, train.n_items)

    def history_of(self, ratings: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Return the weights x (k,) of the ratings (k,) of one user."""
        return history_confidences(self.config.confidence, ratings, self.facts.scale)
