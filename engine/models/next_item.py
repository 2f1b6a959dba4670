"""What a user rates next, from the order in which everybody rated: ridge regression of the next items on the last ones.

    score(u, i) = Σ_j a^(age of j) B_ji,    B = (K + λI)⁻¹ (C + βCᵀ)

The age of a rating is how many later ones its user gave. K counts every pair of ratings of a user by a^(ratings between
them), C those in which the row's item came first: a history that fades with age a, as it stood before each rating, is
K up to a constant, and what followed it is C. What came before says a little of what comes after as well, hence β. With
a = 1, and where no rating has a time, order says nothing, and all of a history counts alike.

The most rated items take part, so that matrices stay small whatever the catalogue; the others go by popularity.

Source: Choi, Kim, Lee, Shim, Lee 2021, "Session-aware Linear Item-Item Models for Session-based Recommendation" (SLIT,
here in closed form over whole histories); Steck 2019 for the ridge regression between items.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.data import NO_TIME, Interactions
from engine.models.base import Epoch
from engine.models.config import Config, setting
from engine.models.item_to_item import ItemToItem
from engine.models.item_weights import SparseWeights

_FADED = 1e-4  # a weight below which a rating counts for nothing


@dataclass(frozen=True)
class NextItemConfig(Config):
    """Settings of the model of what comes next."""

    recency: float = setting(
        0.85, "a: how much of a rating's weight is left after each later one; 1 weighs all of a history alike.",
        low=0.01, high=1.0,
    )  # fmt: skip
    backward: float = setting(
        0.3, "β: how much what came before an item counts as if it had come after it.", low=0.0, high=1.0
    )
    regularization: float = setting(
        100.0, "λ: larger trusts pairs that rarely follow each other less.", low=1e-3, high=1e9
    )
    most_items: int = setting(4000, "Items that take part, the most rated ones.", low=1, high=10**5)
    neighbours: int = setting(
        500, "How many weights are kept for each item on average, the largest, where not all are.", low=1, high=10**6
    )


class NextItem(ItemToItem):
    """Ranks by what followed what; a user's vector (n_items,) holds their ratings' weights, which fade with age.

    Attributes:
        timed: False where no training row has a time: then nothing fades.
    """

    name = "next"
    Config = NextItemConfig

    timed: bool = True

    def fit_epochs(self, train: Interactions, *, valid: Interactions | None = None, seed: int = 42) -> Iterator[Epoch]:
        """Solve in one epoch, in closed form; `seed` changes nothing. Losses are the mean of (1 - score)² over rows.

        Raises:
            TrainingFailed: the matrices do not fit in memory, or the weights are not finite.
        """
        del seed
        if self.epochs_done:
            return
        from engine.resources import check_memory

        n_users, n_items = (int(np.count_nonzero(counts)) for counts in (train.user_counts, train.item_counts))
        check_memory(self.memory_bytes(n_users, n_items, len(train)), "next")
        self.timed = bool((train.times != NO_TIME).any())
        weights = np.empty(len(train), np.float32)
        ages = np.repeat(train.indptr[1:], train.user_counts) - 1 - np.arange(len(train))
        weights[train.oldest_first] = self._faded(ages)
        self.take_histories(train, weights)
        yield self.solved_epoch(train, valid, self._solved)

    def memory_bytes(self, n_users: int, n_items: int, n_ratings: int) -> int:
        """Return a forecast of the peak memory of training: two matrices of items, what is kept, the rows."""
        from engine.models.ease_steps import BLOCK
        from engine.resources import processors

        items: int = min(n_items, self.config.most_items)
        kept: int = 40 * items * min(items, self.config.neighbours)
        matrices = 8 * items**2 + 24 * processors() * BLOCK * items
        return matrices + kept + 90 * n_ratings + 64 * (n_users + n_items)

    def history_of(self, ratings: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Return the weights (k,) of the ratings (k,) of one user, oldest first."""
        return self._faded(np.arange(len(ratings) - 1, -1, -1))

    def parameters(self) -> dict[str, NDArray[Any]]:
        """Return the weights between items, the histories, and whether there were times."""
        return super().parameters() | {"timed": np.array([self.timed])}

    def set_parameters(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take back what `parameters` gave."""
        super().set_parameters(arrays)
        self.timed = bool(arrays["timed"][0])

    def _faded(self, ages: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Return the weights (k,) of ratings after which so many came (k,)."""
        if not self.timed:
            return np.ones(len(ages), np.float32)
        weights = float(self.config.recency) ** ages.astype(np.float64)
        return np.where(weights < _FADED, 0.0, weights).astype(np.float32)

    def _solved(self, train: Interactions) -> SparseWeights:
        """Return the weights between the items that take part, numbered as all items are."""
        from engine import resources
        from engine.models import ease_steps

        order = np.argsort(-train.item_counts, kind="stable")[: self.config.most_items]
        chosen = np.sort(order[train.item_counts[order] > 0])
        decay = self._faded(np.arange(train.user_counts.max(initial=1)))
        decay = decay[: max(1, int(np.count_nonzero(decay)))]
        backward = self.config.backward if self.timed and self.config.recency < 1 else 1.0
        gram, towards = ease_steps.ordered_grams(train, chosen, decay, backward)
        threads = resources.threads()
        columns = ease_steps.regression(gram, towards, self.config.regularization, threads)
        found = ease_steps.largest_weights(columns, len(chosen), self.config.neighbours, threads)
        return SparseWeights.spread(found, chosen, train.n_items)
