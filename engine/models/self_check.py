"""How far predictions are off on ratings that were left out, estimated without leaving any out.

In the posterior of a linear model with normal noise of precision τ, a rating that is predicted with mean m and
variance v is off by (r - m) / (1 - τ v) where it is predicted by all the others alone. The samples give m and v.

Source: Gelfand, Dey, Chang 1992, "Model determination using predictive distributions", for normal noise.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.data import Interactions

_ROWS = 20_000
_HASTE = 2  # the weight of sample m grows like m, so that the first ones are forgotten soon
_SLOWEST = 0.02
_MOST_LEVERAGE = 0.8


class SelfCheck:
    """Running moments of the predictions of some training rows.

    Attributes:
        rows: which rows, evenly spread over all of them.
        users, items: int32 (n,), theirs.
    """

    def __init__(self, train: Interactions, mean: float, deviation: float) -> None:
        """Choose rows; predictions will be in units of the deviation from the mean."""
        self.rows = slice(None, None, max(-(-len(train) // _ROWS), 1))
        self.users, self.items = train.user_index[self.rows], train.item_index[self.rows]
        self._ratings = (train.ratings[self.rows].astype(np.float64) - mean) / deviation
        self.moments = np.zeros((2, len(self._ratings)))

    def add(self, number: int, users: NDArray[np.float32], items: NDArray[np.float32]) -> None:
        """Take sample `number` into account; vectors (·, k) are (bias, factors)."""
        p, q = users[self.users], items[self.items]
        change = p[:, 0] + q[:, 0] + np.einsum("nk,nk->n", p[:, 1:], q[:, 1:]) - self.moments[0]
        rate = max(min(_HASTE / number, 1.0), _SLOWEST)
        self.moments[0] += rate * change
        self.moments[1] = (1 - rate) * (self.moments[1] + rate * change**2)

    def loss(self) -> float:
        """Return the RMSE of the average prediction of these rows, which were trained on; 0 where there are none."""
        return float(np.sqrt(np.mean((self._ratings - self.moments[0]) ** 2))) if len(self._ratings) else 0.0

    def residuals(self, noise_precision: float) -> NDArray[np.float64]:
        """Return what each rating would be off if it had been left out (n,)."""
        leverage = np.minimum(noise_precision * self.moments[1], _MOST_LEVERAGE)
        left: NDArray[np.float64] = (self._ratings - self.moments[0]) / (1 - leverage)
        return left

    def by_count(self, user_counts: NDArray[np.integer[Any]]) -> list[tuple[int, NDArray[np.intp]]]:
        """Return the rows in groups whose users have about as many other ratings, with that number."""
        others = user_counts[self.users] - 1
        group = np.round(3 * np.log2(1 + others)).astype(np.int64)
        rows = [np.flatnonzero(group == number) for number in np.unique(group)]
        return [(int(np.median(others[chosen])), chosen) for chosen in rows]
