"""How far a predicted rating can be off: split conformal intervals from the residuals on held-out rows.

Residuals are grouped by how much is known of the user and of the item, so that an interval is wider where little is
known (Vovk, Gammerman, Shafer 2005, "Algorithmic Learning in a Random World", section 4; Mondrian categories).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_EDGES = np.array([20, 100])  # fewer than 20 ratings, 20 to 99, 100 and more
_LEAST_ROWS = 200  # a group with fewer residuals uses those of all rows
_PROBABILITIES = np.linspace(0, 1, 101)
LEVEL = 0.8


@dataclass(frozen=True, eq=False)
class Calibration:
    """Quantiles of the residual (rating minus prediction) by support group.

    Attributes:
        quantiles: float64 (9, 101), the residual at each per cent; row = 3 × user group + item group.
    """

    quantiles: NDArray[np.float64]

    @classmethod
    def fit(
        cls, residuals: NDArray[np.floating[Any]], user_counts: NDArray[np.integer[Any]], item_counts: NDArray[Any]
    ) -> "Calibration | None":
        """Take quantiles of held-out residuals (n,) by the numbers of training ratings of their user and item (n,).

        Returns None where there are too few residuals to say anything.
        """
        if len(residuals) < _LEAST_ROWS:
            return None
        groups = _group(user_counts, item_counts)
        rows = [residuals[groups == group] for group in range(9)]
        quantiles = [np.quantile(row if len(row) >= _LEAST_ROWS else residuals, _PROBABILITIES) for row in rows]
        return cls(np.asarray(quantiles, np.float64))

    def interval(
        self,
        predictions: NDArray[np.floating[Any]],
        user_counts: NDArray[np.integer[Any]],
        item_counts: NDArray[np.integer[Any]],
        level: float = LEVEL,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the bounds (n,), (n,) that hold the rating with probability `level`, tails of equal weight."""
        groups = _group(user_counts, item_counts)
        low, high = (self.quantiles[groups, round(100 * p)] for p in ((1 - level) / 2, (1 + level) / 2))
        return predictions + low, predictions + high

    def probability_at_least(
        self,
        threshold: float,
        predictions: NDArray[np.floating[Any]],
        user_counts: NDArray[np.integer[Any]],
        item_counts: NDArray[np.integer[Any]],
    ) -> NDArray[np.float64]:
        """Return the probability (n,) that the rating is at least `threshold`."""
        groups, needed = _group(user_counts, item_counts), threshold - predictions
        below = np.empty(len(needed))
        for group in set(groups.tolist()):  # at most nine, and most lists touch one or two
            rows = groups == group
            below[rows] = np.interp(needed[rows], self.quantiles[group], _PROBABILITIES)
        return 1 - below


def _group(user_counts: NDArray[np.integer[Any]], item_counts: NDArray[np.integer[Any]]) -> NDArray[np.intp]:
    """Return the support group of each row (n,)."""
    return 3 * _EDGES.searchsorted(user_counts, "right") + _EDGES.searchsorted(item_counts, "right")
