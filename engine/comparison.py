"""Two models on the same users: the difference of a metric, how sure it is, and how large beside its spread.

The users are the sample: rows of one user are not independent. A mean over users and a figure that is pooled over rows
are both functions of sums over users, so that one formula serves both: the influence of each user on the figure is
linear in the user's terms, and the variance of a difference is that of the users' differing influences (Deng, Knoblich,
Lu 2018, Applying the delta method in metric analytics). For a plain mean this is the paired t-test, exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.metrics import Metric, Values

LEVEL = 0.95
_POWER = 0.8
_NORMAL = {LEVEL: 1.959964, _POWER: 0.841621}  # quantiles of the normal: two-sided 95 %, one-sided 80 %


@dataclass(frozen=True)
class Paired:
    """A metric of two models on the users of whom both have a value.

    Attributes:
        first, second: the two figures, NaN where there is no such user.
        low, high: ends of the 95 % interval of first minus second, by Student's t; NaN with fewer than two users.
        p: two-sided probability of a difference at least this large between equally good models.
        effect: the difference in standard deviations of a user's part in it (Cohen's d for pairs); NaN where all
            users differ by the same amount.
        users: how many there are.
        users_needed: about how many would show a difference of this size, at 5 % and with 80 % power; None without one.
    """

    first: float
    second: float
    low: float
    high: float
    p: float
    effect: float
    users: int
    users_needed: int | None

    @property
    def difference(self) -> float:
        """First minus second."""
        return self.first - self.second


def paired(found: Metric, first: Values, second: Values, rows: NDArray[np.integer[Any]]) -> Paired:
    """Compare two models by a metric with one value a user.

    Args:
        found: the metric.
        first: (U,), values by user, NaN where undefined: such users are left out of both sides.
        second: (U,), likewise, of the same users.
        rows: (U,), held-out rows of each user: the weights of metrics that are pooled over rows.
    """
    both = ~(np.isnan(first) | np.isnan(second))
    n = int(both.sum())
    if not n:
        return Paired(np.nan, np.nan, np.nan, np.nan, np.nan, np.nan, 0, None)
    (mean, influence), (other, against) = (_influence(found, side[both], rows[both]) for side in (first, second))
    each = influence - against  # (n,), sums to nought
    difference = mean - other
    deviation = float(each.std(ddof=1)) if n > 1 else np.nan
    low, high, p = _student(difference, deviation, n)
    effect = difference / deviation if deviation > 0 else (0.0 if difference == 0 and n > 1 else np.nan)
    return Paired(mean, other, low, high, p, effect, n, _users_needed(effect))


def holm(probabilities: Sequence[float]) -> list[float]:
    """Return p-values corrected for being several: none of them is below 0.05 by chance in 95 of 100 such families.

    NaN stays NaN and does not count. Source: Holm 1979, A simple sequentially rejective multiple test procedure.
    """
    corrected = [float("nan")] * len(probabilities)
    tested = sorted((p, place) for place, p in enumerate(probabilities) if not np.isnan(p))
    running = 0.0
    for rank, (p, place) in enumerate(tested):
        running = max(running, min(1.0, p * (len(tested) - rank)))
        corrected[place] = running
    return corrected


def spread(found: Metric, values: Values, rows: NDArray[np.integer[Any]]) -> tuple[float, float, float]:
    """Return a figure of one model with the ends of its 95 % interval by Student's t; NaN where undefined.

    The quick way, for many small groups of users; a report as a whole has its intervals from the bootstrap.
    """
    defined = ~np.isnan(values)
    n = int(defined.sum())
    if not n:
        return np.nan, np.nan, np.nan
    mean, influence = _influence(found, values[defined], rows[defined])
    low, high, _ = _student(mean, float(influence.std(ddof=1)) if n > 1 else np.nan, n)
    return mean, max(low, found.bounds[0]), min(high, found.bounds[1])


def _influence(found: Metric, values: Values, rows: NDArray[np.integer[Any]]) -> tuple[float, Values]:
    """Return a figure and how much each user moves it, (U,): the derivative by the user's weight, times U."""
    totals, weights = found.terms(values, rows)  # (U,), (U,)
    ratio = float(totals.sum() / weights.sum())
    mean = float(found.mean(totals.sum(), weights.sum()))
    slope = mean / (found.power * ratio) if ratio > 0 else float(found.power == 1)  # of the root, at the ratio
    return mean, slope * (totals - ratio * weights) / weights.mean()


def _student(value: float, deviation: float, n: int) -> tuple[float, float, float]:
    """Return the interval around a mean of n parts with this standard deviation, and the p-value of its being 0."""
    from scipy.special import stdtr, stdtrit

    if n < 2:
        return np.nan, np.nan, np.nan
    error = deviation / sqrt(n)
    if error == 0:
        return value, value, float(value == 0)
    half = float(stdtrit(n - 1, (1 + LEVEL) / 2)) * error
    return value - half, value + half, 2 * float(stdtr(n - 1, -abs(value) / error))


def _users_needed(effect: float) -> int | None:
    """Return how many users would show an effect of this size; None where there is none to show."""
    if np.isnan(effect) or effect == 0:
        return None
    return max(2, ceil(((_NORMAL[LEVEL] + _NORMAL[_POWER]) / effect) ** 2))
