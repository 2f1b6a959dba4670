"""An epoch of stochastic gradient descent, in units in which one step size suits every scale of ratings."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.data import Interactions

START = np.float32(0.05)  # first size of factors, small, so that strong directions grow first
PENALTY = 0.07
_FACTOR_STEP = 3.0  # a factor's gradient is smaller than a bias's, by the size of the factor beside it


class Descent(NamedTuple):
    """What stays the same from epoch to epoch.

    Attributes:
        units: float32 (1 + k,), of the bias and of the factors.
        rate: step of the biases.
        penalty: of each rating on the squares of its vectors, in these units.
    """

    units: NDArray[np.float32]
    rate: float
    penalty: float

    @classmethod
    def of(cls, deviation: float, n_factors: int, rate: float, regularization: float) -> "Descent":
        """Choose the units: a bias is as large as the ratings' deviation, the product of two factors too."""
        units = np.full(1 + n_factors, deviation**0.5, np.float32)
        units[0] = deviation
        return cls(units, rate, PENALTY * regularization)

    def ridge(self) -> NDArray[np.float32]:
        """Return what each rating adds to the diagonal of a user's ridge regression with the items fixed (1 + k,).

        A penalty on every rating is a ridge that grows with the count: that solve has the same minimum as the descent.
        """
        ridge: NDArray[np.float32] = (self.penalty * (self.units[0] / self.units) ** 2).astype(np.float32)
        return ridge

    def items(
        self,
        train: Interactions,
        ratings: NDArray[np.float32],
        users: NDArray[np.float32],
        items: NDArray[np.float32],
        rng: np.random.Generator,
    ) -> NDArray[np.float32]:
        """Return the items' biases and factors (n_items, 1 + k) after one pass over the ratings in a new order.

        Args:
            train: who rated what.
            ratings: float32 (n,), what biases and factors are to explain.
            users: float32 (n_users, 1 + k), biases and factors.
            items: float32 (n_items, 1 + k), the same.
            rng: makes the order.
        """
        from engine.kernels_sgd import descend

        users, items = (np.asarray(side / self.units, np.float32) for side in (users, items))
        triples = (train.user_index, train.item_index, ratings / self.units[0])
        rates = (self.rate, _FACTOR_STEP * self.rate)
        descend(rng.permutation(len(train)), triples, users, items, rates, self.penalty)
        with np.errstate(over="ignore", invalid="ignore"):  # divergence shows in the loss
            moved: NDArray[np.float32] = items * self.units
        return moved
