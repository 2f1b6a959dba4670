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
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.data import Interactions
from engine.errors import TrainingFailed
from engine.models.base import Contributions, Epoch, Model, TrainingFacts, Vector
from engine.models.config import Config, setting
from engine.models.feedback import CONFIDENCES, history_confidences, popularity_offsets, training_confidences
from engine.models.item_weights import FactorWeights, ItemWeights, SparseWeights, restored

if TYPE_CHECKING:
    from scipy.sparse import csr_array


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
    confidence: str = setting(
        "equal",
        "Weight of a rating as an interaction: equal counts each as 1, rating from 0.2 to 1 by its place on the scale, "
        "liked 1 where it is not below the user's mean and 0 otherwise.",
        choices=CONFIDENCES,
    )


class Ease(Model):
    """Ranks by weights between items; a user's vector (n_items,) holds the weights x of what they rated.

    Attributes:
        between: B.
        history_starts, history_items, history_weights: X by user: int64 (n_users + 1,), int32 (n,), float32 (n,).
        offsets: float32 (n_items,), below 1e-6: equal scores go by popularity.
    """

    name = "ease"
    Config = EaseConfig
    predicts_ratings = False

    def fit_epochs(self, train: Interactions, *, valid: Interactions | None = None, seed: int = 42) -> Iterator[Epoch]:
        """Solve in one epoch, in closed form; `seed` changes nothing. Losses are the mean of (1 - score)² over rows.

        Raises:
            TrainingFailed: the matrices do not fit in memory, or the weights are not finite.
        """
        del seed
        if self.epochs_done:
            return
        from threadpoolctl import threadpool_limits

        self._check_memory(train)
        self.facts = TrainingFacts.of(train)
        self.offsets = popularity_offsets(self.facts)
        self.history_starts, self.history_items = train.indptr, train.item_index
        self.history_weights = training_confidences(self.config.confidence, train)
        with threadpool_limits(1, user_api="blas"):  # the order of sums must not depend on the number of threads
            try:
                self.between = self._solved(train)
            except np.linalg.LinAlgError as error:
                raise _ill_conditioned() from error
        if not all(np.isfinite(array).all() for array in self.between.arrays().values()):
            raise _ill_conditioned()
        self.epochs_done = 1
        parts = {"train": train} | ({"valid": valid} if valid is not None and len(valid) else {})
        yield Epoch(1, 1, {name: self._misses(rows) for name, rows in parts.items()}, len(train))

    def memory_bytes(self, n_users: int, n_items: int, n_ratings: int) -> int:
        """Return a forecast of the peak memory of training: items or users squared, what is kept, the rows."""
        from engine.models.ease_steps import memory_of
        from engine.resources import processors

        matrices = memory_of(n_users, n_items, self.config.neighbours, processors())
        return matrices + 60 * n_ratings + 64 * (n_users + n_items)

    def _check_memory(self, train: Interactions) -> None:
        """Refuse data whose matrices do not fit, and name the model that takes them."""
        from engine.resources import check_memory

        n_users, n_items = (int(np.count_nonzero(counts)) for counts in (train.user_counts, train.item_counts))
        try:
            check_memory(self.memory_bytes(n_users, n_items, len(train)), f"ease over {n_items:,} items")
        except TrainingFailed as refused:
            refused.hint = "train ials instead: its memory grows with the ratings, not with the items squared"
            raise

    def _solved(self, train: Interactions) -> ItemWeights:
        """Return the weights between the items that have rows, numbered as all items are."""
        from engine import resources
        from engine.models import ease_steps

        penalty = self.config.regularization
        rated, raters = np.flatnonzero(train.item_counts), np.flatnonzero(train.user_counts)
        ratings = self._matrix(raters)[:, rated]  # X
        if ease_steps.has_factors(*ratings.shape):
            factors = np.zeros((train.n_items, len(raters)), np.float32)
            factors[rated] = ease_steps.user_factors(ratings, penalty)
            return FactorWeights.of(factors, self.config.diagonal)
        gram = ease_steps.item_gram(ratings)
        threads = resources.threads()
        columns = ease_steps.through_items(gram, ratings, penalty, self.config.diagonal, threads)
        found = ease_steps.largest_weights(columns, len(rated), self.config.neighbours, threads)
        return SparseWeights.spread(found, rated, train.n_items)

    # --- use ------------------------------------------------------------------------------------------------------

    def user_vector(self, user: int) -> Vector:
        """Return the weights of a user's training rows (n_items,), zero for what they did not rate."""
        rows = slice(self.history_starts[user], self.history_starts[user + 1])
        vector = self.cold_vector()
        vector[self.history_items[rows]] = self.history_weights[rows]
        return vector

    def cold_vector(self) -> Vector:
        """Return zeros (n_items,), whose scores go by popularity."""
        return np.zeros(len(self.offsets), np.float32)

    def fold_in(self, items: NDArray[np.integer[Any]], ratings: NDArray[np.floating[Any]]) -> Vector:
        """Return the weights of a history (n_items,)."""
        vector = self.cold_vector()
        vector[items] = history_confidences(self.config.confidence, ratings, self.facts.scale)
        return vector

    def scores(self, vector: Vector, items: NDArray[np.integer[Any]] | None = None) -> NDArray[np.float32]:
        """Return Σ_j x_j B_ji of all items (n_items,), or of those given."""
        history = np.flatnonzero(vector)
        scores = self.offsets + self.between.scores(history, vector[history])
        return scores if items is None else scores[items]

    def score_users(self, users: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Return the scores of all items for many users (len(users), n_items), by one product."""
        scores = self.between.scores_of_many(self._matrix(users))
        scores += self.offsets
        return scores

    def contributions(
        self, items: NDArray[np.integer[Any]], ratings: NDArray[np.floating[Any]], targets: NDArray[np.integer[Any]]
    ) -> list[Contributions]:
        """Return what each rating adds to the score of items: amount_j = x_j B_ji, which sum to it exactly."""
        given = history_confidences(self.config.confidence, ratings, self.facts.scale).astype(np.float64)
        amounts = given[:, None] * self.between.towards(targets, items)
        return Contributions.additive(self.offsets[targets], items, amounts)

    def parameters(self) -> dict[str, NDArray[Any]]:
        """Return the weights between items, and the histories."""
        return self.between.arrays() | {name: getattr(self, name) for name in _HISTORY}

    def set_parameters(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take the weights and the histories, and make the rest from the facts."""
        self.offsets, self.between = popularity_offsets(self.facts), restored(arrays)
        for name in _HISTORY:
            setattr(self, name, arrays[name])

    def _matrix(self, users: NDArray[np.integer[Any]]) -> "csr_array":
        """Return the histories of some users as a sparse matrix (len(users), n_items)."""
        from scipy.sparse import csr_array

        shape = (len(self.history_starts) - 1, len(self.offsets))
        return csr_array((self.history_weights, self.history_items, self.history_starts), shape=shape)[users]

    def _misses(self, rows: Interactions) -> float:
        """Return the mean of (1 - score)² over rows, in batches of users that fit a byte budget."""
        from engine.ranking import BYTE_BUDGET

        users, total = np.flatnonzero(rows.user_counts), 0.0
        step = max(1, BYTE_BUDGET // (16 * len(self.offsets)))
        for start in range(0, len(users), step):
            batch = users[start : start + step]
            here = slice(rows.indptr[batch[0]], rows.indptr[batch[-1] + 1])
            scores = self.score_users(batch)[np.searchsorted(batch, rows.user_index[here]), rows.item_index[here]]
            total += float(np.sum((1 - scores) ** 2, dtype=np.float64))
        return total / max(len(rows), 1)


def _ill_conditioned() -> TrainingFailed:
    return TrainingFailed(
        "the weights cannot be computed: the item matrix is too close to singular",
        hint="raise the regularization (--set regularization=…), or train ials; the active version stays",
    )


_HISTORY = ("history_starts", "history_items", "history_weights")
