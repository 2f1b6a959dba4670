"""How far predictions are off on ratings that were left out, estimated without leaving any out.

In the posterior of a linear model with normal noise of precision τ, a rating that is predicted with mean m and
variance v is predicted as (m - τ v r) / (1 - τ v) by all the others alone. The samples give m and v.

Source: Gelfand, Dey, Chang 1992, "Model determination using predictive distributions", for normal noise.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.data import Interactions

_Floats = NDArray[np.float64]
_ROWS = 20_000
_HASTE = 2  # the weight of sample m grows like m, so that the first ones are forgotten soon
_SLOWEST = 0.02
_MOST_LEVERAGE = 0.8
_NEAR = 1e-3


class SelfCheck:
    """Running moments of the predictions of some training rows.

    Attributes:
        rows: which rows, evenly spread over all of them.
        users, items: int32 (n,), theirs.
        ratings: float64 (n,), standardized.
    """

    def __init__(self, train: Interactions, mean: float, deviation: float) -> None:
        """Choose rows; predictions will be in units of the deviation from the mean."""
        self.rows = slice(None, None, max(-(-len(train) // _ROWS), 1))
        self.users, self.items = train.user_index[self.rows], train.item_index[self.rows]
        self.ratings = (train.ratings[self.rows].astype(np.float64) - mean) / deviation
        self.moments = np.zeros((2, len(self.ratings)))

    def add(self, number: int, users: NDArray[np.float32], items: NDArray[np.float32]) -> None:
        """Take sample `number` into account; vectors (·, k) are (bias, factors)."""
        p, q = users[self.users], items[self.items]
        change = p[:, 0] + q[:, 0] + np.einsum("nk,nk->n", p[:, 1:], q[:, 1:]) - self.moments[0]
        rate = max(min(_HASTE / number, 1.0), _SLOWEST)
        self.moments[0] += rate * change
        self.moments[1] = (1 - rate) * (self.moments[1] + rate * change**2)

    def loss(self, expected: Callable[[_Floats], _Floats]) -> float:
        """Return the RMSE of the average prediction of these rows, which were trained on; 0 where there are none.

        Args:
            expected: from predictions to standardized ratings.
        """
        left = self.ratings - expected(self.moments[0])
        return float(np.sqrt(np.mean(left**2))) if len(left) else 0.0

    def left_out(self, noise_precision: float, given: Callable[[_Floats], _Floats]) -> _Floats:
        """Return what each row would be predicted as (n,) if its rating had been left out.

        Args:
            noise_precision: τ.
            given: from predictions to what was given in these rows: ratings, or the latent values expected behind them.
        """
        leverage, mean = np.minimum(noise_precision * self.moments[1], _MOST_LEVERAGE), self.moments[0]
        # what is only expected follows the prediction by κ, and says less of it: m - τ v (t - m) / (1 - τ v (1 - κ))
        following = (given(mean + _NEAR) - given(mean - _NEAR)) / (2 * _NEAR)
        predicted: _Floats = mean - leverage * (given(mean) - mean) / (1 - leverage * (1 - following))
        return predicted

    def by_count(self, user_counts: NDArray[np.integer[Any]]) -> list[tuple[int, NDArray[np.intp]]]:
        """Return the rows in groups whose users have about as many other ratings, with that number."""
        others = user_counts[self.users] - 1
        group = np.round(3 * np.log2(1 + others)).astype(np.int64)
        rows = [np.flatnonzero(group == number) for number in np.unique(group)]
        return [(int(np.median(others[chosen])), chosen) for chosen in rows]
