"""What a metric is, and the evidence that one pass over the users collects for all of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from engine.data import Interactions

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Evidence:
    """All that the metrics look at, collected in one pass over the users with held-out rows.

    Attributes:
        users: int (U,), dense indices, ascending, each with at least one held-out row.
        lists: int32 (U, K), recommended items best first, padded with -1.
        hits: bool (U, K), which of them are held-out items of the user.
        relevant: int64 (U,), number of held-out items of each user: all of them count as relevant.
        train: the rows the model was trained on.
        test: the held-out rows.
        squared_error, absolute_error: float64 (U,), summed over a user's held-out rows; None where the model only
            ranks.
        inside: float64 (U,), how many of a user's held-out ratings lie within their 80 % interval; None where there are
            no intervals.
        predicted: float32 (n,), predicted ratings of all held-out rows; None where the model only ranks.
        auc: float64 (U,), NaN where undefined; None where it was not asked for.
    """

    users: NDArray[np.integer[Any]]
    lists: NDArray[np.int32]
    hits: NDArray[np.bool_]
    relevant: NDArray[np.int64]
    train: Interactions
    test: Interactions
    squared_error: Values | None = None
    absolute_error: Values | None = None
    inside: Values | None = None
    auc: Values | None = None
    predicted: NDArray[np.float32] | None = None

    @classmethod
    def of_lists(
        cls,
        users: NDArray[np.integer[Any]],
        lists: NDArray[np.int32],
        train: Interactions,
        test: Interactions,
        **rest: Any,
    ) -> "Evidence":
        """Look the recommended items (U, K) up among the held-out rows; `rest` are the other attributes by name."""
        pairs = users.astype(np.int64)[:, None] * test.n_items + lists  # (U, K)
        hits = contains(pair_keys(test), pairs) & (lists >= 0)
        return cls(users, lists, hits, test.user_counts[users], train, test, **rest)


@dataclass(frozen=True)
class Metric:
    """A figure of merit, defined in words and by its formula.

    `values` gives one number a user, NaN where the metric is undefined for that user; averaging is the last step and
    is the same for all metrics: a power mean, (Σ w·vᵖ / Σ w)^(1/p), over the users whose value is not NaN.

    Attributes:
        name: the key in `METRICS`.
        sentence: what it measures.
        formula: the same as plain text.
        source: the paper or book that defines it.
        empty_case: when it is undefined and what happens then.
        better: "higher", "lower", or "nearer": of two values the one nearer to `target`.
        compute: the numbers from the evidence and a cut-off k: (U,), or (1,) for a metric of the whole catalogue.
        bounds: least and greatest possible value.
        needs: what the evidence must hold: "lists", "ratings" (errors of predicted ratings) or "scores" (of all items).
        per_user: False for a metric that has one number for all lists together.
        named_with_k: False for a metric whose name stays bare at the usual cut-off of 10, unless that was asked for.
        by_rows: weight w of a user: the held-out rows instead of 1.
        power: the p of the mean.
        influence: of a metric that has one number for all lists: how much each user moves it, (U,), times U; sums to
            nought. Its spread is that of the metric (Efron, Tibshirani 1993, chapter 11: the jackknife).
        target: the best value of a metric that is better the nearer it is.
        k: the cut-off, length of the list that is looked at.
    """

    name: str
    sentence: str
    formula: str
    source: str
    empty_case: str
    better: Literal["higher", "lower", "nearer"]
    compute: Callable[[Evidence, int], Values]
    bounds: tuple[float, float] = (0.0, 1.0)
    needs: Literal["lists", "ratings", "scores"] = "lists"
    per_user: bool = True
    named_with_k: bool = True
    by_rows: bool = False
    power: int = 1
    influence: Callable[[Evidence, int], Values] | None = None
    target: float = 0.0
    k: int = 10

    @property
    def key(self) -> str:
        """The full name, such as `ndcg@10`, `rmse`, `coverage`, or `coverage@20`."""
        bare = self.needs != "lists" or (not self.named_with_k and self.k == 10)
        return self.name if bare else f"{self.name}@{self.k}"

    @property
    def aim(self) -> str:
        """Which values are better, in words: higher, lower, or nearer 0.8."""
        return f"nearer {self.target:g}" if self.better == "nearer" else self.better

    def values(self, evidence: Evidence) -> Values:
        """Return one value a user (U,), NaN where undefined; (1,) where `per_user` is False."""
        return self.compute(evidence, self.k)

    def terms(self, values: Values, rows: NDArray[np.integer[Any]]) -> tuple[Values, Values]:
        """Return what is summed, (w·vᵖ, w), each in the shape of `values`; an undefined value weighs nothing.

        Args:
            values: (U,), as `values` gives them.
            rows: (U,), held-out rows of each user.
        """
        defined = ~np.isnan(values)
        weights = np.where(defined, rows if self.by_rows else 1.0, 0.0)
        return weights * np.where(defined, values, 0.0) ** self.power, weights

    def mean(self, totals: Values, weights: Values) -> Values:
        """Return (Σ w·vᵖ / Σ w)^(1/p) from sums of the `terms`, of any shape; NaN where no user has a value."""
        some = weights > 0
        means: Values = np.where(some, totals / np.where(some, weights, 1.0), np.nan) ** (1 / self.power)
        return means


def pair_keys(rows: Interactions) -> NDArray[np.int64]:
    """Return one number for each row's pair of user and item (n,), ascending as the rows are."""
    return rows.user_index.astype(np.int64) * rows.n_items + rows.item_index


def contains(ascending: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which of the `wanted` numbers, of any shape, occur in the ascending ones."""
    if not len(ascending):
        return np.zeros(wanted.shape, np.bool_)
    places = np.minimum(np.searchsorted(ascending, wanted), len(ascending) - 1)
    found: NDArray[np.bool_] = ascending[places] == wanted
    return found
