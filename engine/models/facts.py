"""What every model keeps of its training data, besides what it learned."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.data import IdMap, Interactions, ItemFeatures, Scale


@dataclass(frozen=True, eq=False)
class TrainingFacts:
    """What every model keeps of its training data; with it the lower rungs of the cold-start ladder need nothing else.

    Attributes:
        users, items: the id maps.
        user_counts: int32 (n_users,), ratings trained on, 0 for a user that only the map knows.
        item_counts: int32 (n_items,).
        item_sums: float32 (n_items,), sum of the ratings of each item.
        mean: mean rating.
        scale: the rating scale.
        features: genres and years.
        variance: variance of the ratings, from which the damping of means follows.
    """

    users: IdMap
    items: IdMap
    user_counts: NDArray[np.int32]
    item_counts: NDArray[np.int32]
    item_sums: NDArray[np.float32]
    mean: float
    scale: Scale
    features: ItemFeatures
    variance: float = 0.0

    @classmethod
    def of(cls, train: Interactions) -> "TrainingFacts":
        """Count what there is to count in the training rows."""
        sums = np.bincount(train.item_index, train.ratings, train.n_items)
        return cls(
            train.users,
            train.items,
            train.user_counts.astype(np.int32),
            train.item_counts.astype(np.int32),
            sums.astype(np.float32),
            float(train.ratings.mean(dtype=np.float64)) if len(train) else (train.scale.low + train.scale.high) / 2,
            train.scale,
            train.features,
            float(train.ratings.var(dtype=np.float64)) if len(train) else 0.0,
        )
