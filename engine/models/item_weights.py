"""Two forms of a matrix B of weights between items: the large ones one by one, or all of them as products of factors.

Both answer the same three questions. A history is given by its items and the weights x of its ratings.
"""

from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import coo_array, csr_array

Items = NDArray[np.integer[Any]]


class ItemWeights(Protocol):
    """B (n_items, n_items): B_ji is what a rating of item j adds to the score of item i; its diagonal is zero."""

    def scores(self, items: Items, given: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return Σ_j x_j B_ji of all items i (n_items,)."""
        ...

    def scores_of_many(self, histories: "csr_array") -> NDArray[np.float32]:
        """Return X B for sparse histories X, (len(X), n_items)."""
        ...

    def towards(self, targets: Items, items: Items) -> NDArray[np.float64]:
        """Return B_ji of the given items j towards the items i, (len(items), len(targets))."""
        ...

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays from which `restored` makes it again."""
        ...


class SparseWeights:
    """The weights that are not zero, by the rated item.

    Attributes:
        starts: int64 (n_items + 1,): the weights of item j stand at starts[j]:starts[j + 1].
        others: int32 (n,), the items that they lead to.
        weights: float32 (n,).
    """

    def __init__(self, starts: NDArray[np.int64], others: NDArray[np.int32], weights: NDArray[np.float32]) -> None:
        self.starts, self.others, self.weights = starts, others, weights

    @classmethod
    def spread(cls, found: "coo_array", numbers: Items, n_items: int) -> Self:
        """Take weights between some items, of which these are the numbers among all."""
        from scipy.sparse import coo_array

        rated, scored = found.coords
        rows = coo_array((found.data, (numbers[rated], numbers[scored])), shape=(n_items, n_items)).tocsr()
        rows.sort_indices()
        return cls(rows.indptr.astype(np.int64), rows.indices.astype(np.int32), rows.data)

    def scores(self, items: Items, given: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return Σ_j x_j B_ji of all items i (n_items,)."""
        places, lengths = self._places(items)
        amounts = np.repeat(given, lengths) * self.weights[places]
        return np.bincount(self.others[places], amounts, len(self.starts) - 1).astype(np.float32)

    def scores_of_many(self, histories: "csr_array") -> NDArray[np.float32]:
        """Return X B, by one sparse product."""
        from scipy.sparse import csr_array

        n_items = len(self.starts) - 1
        between = csr_array((self.weights, self.others, self.starts), shape=(n_items, n_items))
        scores: NDArray[np.float32] = (histories @ between).toarray()
        return scores

    def towards(self, targets: Items, items: Items) -> NDArray[np.float64]:
        """Return B_ji of the given items j towards the items i, (len(items), len(targets))."""
        places, lengths = self._places(items)
        column = np.full(len(self.starts) - 1, -1, np.int32)
        column[targets] = np.arange(len(targets), dtype=np.int32)
        leads_to = column[self.others[places]]  # -1 for those that lead elsewhere
        there = np.flatnonzero(leads_to >= 0)
        owners = np.searchsorted(np.cumsum(lengths), there, "right")
        found = np.zeros((len(items), len(targets)))
        found[owners, leads_to[there]] = self.weights[places[there]]
        return found

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the three arrays by name."""
        return {"starts": self.starts, "others": self.others, "weights": self.weights}

    def _places(self, items: Items) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return where the weights of these rated items stand, one after the other, and how many each has."""
        begins, lengths = self.starts[items], self.starts[items + 1] - self.starts[items]
        before = np.cumsum(lengths) - lengths
        return np.arange(lengths.sum()) + np.repeat(begins - before, lengths), lengths


class FactorWeights:
    """B_ji = f_j·f_i gain_i for j ≠ i.

    Attributes:
        factors: float32 (n_items, n_users), f.
        gains: float32 (n_items,).
    """

    def __init__(self, factors: NDArray[np.float32], gains: NDArray[np.float32]) -> None:
        self.factors, self.gains = factors, gains
        self._own = np.einsum("ik,ik->i", factors, factors)  # |f_i|²

    @classmethod
    def of(cls, factors: NDArray[np.float32], exponent: float) -> Self:
        """Take factors, with gain_i = (1 - |f_i|²)^-γ."""
        left = 1 - np.einsum("ik,ik->i", factors, factors, dtype=np.float64)
        return cls(factors, (np.maximum(left, _LEAST) ** -exponent).astype(np.float32))

    def scores(self, items: Items, given: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return Σ_j x_j B_ji of all items i (n_items,)."""
        products = self.factors @ (given @ self.factors[items])
        products[items] -= given * self._own[items]
        scores: NDArray[np.float32] = products * self.gains
        return scores

    def scores_of_many(self, histories: "csr_array") -> NDArray[np.float32]:
        """Return X B, by one dense product."""
        scores: NDArray[np.float32] = (histories @ self.factors) @ self.factors.T
        users = np.repeat(np.arange(histories.shape[0]), np.diff(histories.indptr))
        scores[users, histories.indices] -= histories.data * self._own[histories.indices]
        scores *= self.gains
        return scores

    def towards(self, targets: Items, items: Items) -> NDArray[np.float64]:
        """Return B_ji of the given items j towards the items i, (len(items), len(targets))."""
        products = self.factors[items].astype(np.float64) @ self.factors[targets].T * self.gains[targets]
        return np.where(np.equal.outer(items, targets), 0.0, products)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return both arrays by name."""
        return {"factors": self.factors, "gains": self.gains}


def restored(arrays: dict[str, NDArray[Any]]) -> ItemWeights:
    """Make weights again from what `arrays` gave, in either form."""
    if "factors" in arrays:
        return FactorWeights(arrays["factors"], arrays["gains"])
    return SparseWeights(arrays["starts"], arrays["others"], arrays["weights"])


_LEAST = 1e-7  # what rounding leaves of 1 - |f|² where it is nearly nothing
