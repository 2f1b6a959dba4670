"""Models that score an item by the sum of the weights that lead to it from the items a user has rated.

    score(u, i) = Σ_j x_uj B_ji + offset_i

What such a model knows of a user is their history itself: folding in is reading it, and its terms are the explanation.
How B is found, and how the weights x of a history, is the business of each model.
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.data import Interactions
from engine.errors import TrainingFailed
from engine.models.base import Contributions, Epoch, Model, TrainingFacts, Vector
from engine.models.feedback import popularity_offsets
from engine.models.item_weights import ItemWeights, restored

if TYPE_CHECKING:
    from scipy.sparse import csr_array


class ItemToItem(Model):
    """Ranks by weights between items; a user's vector (n_items,) holds the weights x of what they rated.

    Attributes:
        between: B.
        history_starts, history_items, history_weights: X by user: int64 (n_users + 1,), int32 (n,), float32 (n,).
        offsets: float32 (n_items,), below 1e-6: equal scores go by popularity.
    """

    predicts_ratings = False

    between: ItemWeights
    history_starts: NDArray[np.int64]
    history_items: NDArray[np.int32]
    history_weights: NDArray[np.float32]
    offsets: NDArray[np.float32]

    @abstractmethod
    def history_of(self, ratings: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Return the weights x (k,) of the ratings (k,) of one user, oldest first."""

    def take_histories(self, train: Interactions, weights: NDArray[np.float32]) -> None:
        """Keep what every user rated, with the weight (n,) of each row."""
        self.facts = TrainingFacts.of(train)
        self.offsets = popularity_offsets(self.facts)
        self.history_starts, self.history_items, self.history_weights = train.indptr, train.item_index, weights

    def check_weights(self) -> None:
        """Refuse weights that are not finite.

        Raises:
            TrainingFailed: says what to set.
        """
        if not all(np.isfinite(array).all() for array in self.between.arrays().values()):
            raise ill_conditioned()

    def solved_epoch(
        self, train: Interactions, valid: Interactions | None, solve: Callable[[Interactions], ItemWeights]
    ) -> Epoch:
        """Take the weights that `solve` makes of the training rows, and return the one epoch that this is.

        Raises:
            TrainingFailed: the matrices cannot be solved, or the weights are not finite.
        """
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1, user_api="blas"):  # the order of sums must not depend on the number of threads
            try:
                self.between = solve(train)
            except np.linalg.LinAlgError as error:
                raise ill_conditioned() from error
        self.check_weights()
        self.epochs_done = 1
        parts = {"train": train} | ({"valid": valid} if valid is not None and len(valid) else {})
        return Epoch(1, 1, {name: self.misses(rows) for name, rows in parts.items()}, len(train))

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
        vector[items] = self.history_of(ratings)
        return vector

    def scores(self, vector: Vector, items: NDArray[np.integer[Any]] | None = None) -> NDArray[np.float32]:
        """Return Σ_j x_j B_ji of all items (n_items,), or of those given."""
        history = np.flatnonzero(vector)
        scores = self.offsets + self.between.scores(history, vector[history])
        return scores if items is None else scores[items]

    def score_users(self, users: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Return the scores of all items for many users (len(users), n_items), by one product."""
        scores = self.between.scores_of_many(self.histories(users))
        scores += self.offsets
        return scores

    def contributions(
        self, items: NDArray[np.integer[Any]], ratings: NDArray[np.floating[Any]], targets: NDArray[np.integer[Any]]
    ) -> list[Contributions]:
        """Return what each rating adds to the score of items: amount_j = x_j B_ji, which sum to it exactly."""
        given = self.history_of(ratings).astype(np.float64)
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

    def histories(self, users: NDArray[np.integer[Any]]) -> "csr_array":
        """Return the histories of some users as a sparse matrix (len(users), n_items)."""
        from scipy.sparse import csr_array

        shape = (len(self.history_starts) - 1, len(self.offsets))
        return csr_array((self.history_weights, self.history_items, self.history_starts), shape=shape)[users]

    def misses(self, rows: Interactions) -> float:
        """Return the mean of (1 - score)² over rows, a few users at a time: it adds nothing to the peak of training."""
        users, total = np.flatnonzero(rows.user_counts), 0.0
        step = max(1, _SCORE_BYTES // (16 * len(self.offsets)))
        for start in range(0, len(users), step):
            batch = users[start : start + step]
            here = slice(rows.indptr[batch[0]], rows.indptr[batch[-1] + 1])
            scores = self.score_users(batch)[np.searchsorted(batch, rows.user_index[here]), rows.item_index[here]]
            total += float(np.sum((1 - scores) ** 2, dtype=np.float64))
        return total / max(len(rows), 1)


def ill_conditioned() -> TrainingFailed:
    """Return the error of weights that cannot be computed."""
    return TrainingFailed(
        "the weights cannot be computed: the item matrix is too close to singular",
        hint="raise the regularization (--set regularization=…), or train ials; the active version stays",
    )


_HISTORY = ("history_starts", "history_items", "history_weights")
_SCORE_BYTES = 16 * 2**20
