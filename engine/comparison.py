"""Two models on the same users: the difference of a metric, how sure it is, and how large beside its spread.

The users are the sample: rows of one user are not independent. A mean over users and a figure that is pooled over rows
are both functions of sums over users, so that one formula serves both: the influence of each user on the figure is
linear in the user's terms, and the variance of a difference is that of the users' differing influences (Deng, Knoblich,
Lu 2018, Applying the delta method in metric analytics). For a plain mean this is the paired t-test, exactly.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import ceil, sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.metrics import Metric, Values

LEVEL = 0.95
SURE = 0.05
"""Corrected p-value below which a metric has a winner."""
_POWER = 0.8
_NORMAL = {LEVEL: 1.959964, _POWER: 0.841621}  # quantiles of the normal: two-sided 95 %, one-sided 80 %


@dataclass(frozen=True)
class Row:
    """A metric of two versions on the same users.

    Attributes:
        metric: full name, such as `ndcg@10`.
        first, second: names of the versions.
        values: figure by version, None for one that has none, such as the rating errors of a model that only ranks.
        difference: first minus second.
        low, high: ends of its 95 % interval; None where it is not known how much each user moves the figures.
        p: two-sided p-value of this metric alone.
        p_adjusted: corrected for all metrics of the comparison (Holm).
        effect: difference in standard deviations over users.
        users: how many have a value under both versions.
        users_needed: about how many would show this difference at 5 % with 80 % power.
        better: which values are: "higher", "lower", or "nearer" where the two lie on both sides of the best value.
        winner: the better version where `p_adjusted` is below 0.05.
    """

    metric: str
    first: str
    second: str
    values: dict[str, float | None]
    difference: float | None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_adjusted: float | None = None
    effect: float | None = None
    users: int = 0
    users_needed: int | None = None
    better: str = "higher"
    winner: str | None = None

    @property
    def sign(self) -> int:
        """1 where higher values are better, -1 where lower ones are, 0 where neither is known to be."""
        return {"higher": 1, "lower": -1}.get(self.better, 0)


class Figures(NamedTuple):
    """A version's figures on the rows of a comparison.

    Attributes:
        per_user: float64 (U,) by full name of the metric.
        whole: metrics of the whole catalogue, by full name.
        rows: int64 (U,), test rows of each user.
        influences: of metrics of the whole catalogue, by full name, float64 (U,): see `Metric.influence`.
    """

    per_user: dict[str, Values]
    whole: dict[str, float]
    rows: NDArray[np.int64]
    influences: dict[str, Values]


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


def rows_of_pairs(chosen: Iterable[Metric], pairs: Iterable[dict[str, Figures]]) -> list[Row]:
    """Compare pairs of versions, each given by name with its figures, by each of the metrics that one of them has.

    The p-values are corrected for all of these tests together, and the winners marked.
    """
    rows = [_row(one, sides) for one, sides in product(chosen, list(pairs))]
    return _with_winners([row for row in rows if any(value is not None for value in row.values.values())])


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
    return paired_influences(*(_influence(found, side[both], rows[both]) for side in (first, second)))


def paired_influences(first: tuple[float, Values], second: tuple[float, Values]) -> Paired:
    """Compare two models by a figure each, given with how much each user moves it, (U,), of the same users."""
    (here, moved), (there, against) = first, second
    difference, each = here - there, moved - against  # (U,), sums to nought
    n = len(each)
    deviation = float(each.std(ddof=1)) if n > 1 else np.nan
    low, high, p = student(difference, deviation, n)
    effect = difference / deviation if deviation > 0 else (0.0 if difference == 0 and n > 1 else np.nan)
    return Paired(here, there, low, high, p, effect, n, _users_needed(effect))


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
    low, high, _ = student(mean, float(influence.std(ddof=1)) if n > 1 else np.nan, n)
    return mean, max(low, found.bounds[0]), min(high, found.bounds[1])


def _influence(found: Metric, values: Values, rows: NDArray[np.integer[Any]]) -> tuple[float, Values]:
    """Return a figure and how much each user moves it, (U,): the derivative by the user's weight, times U."""
    totals, weights = found.terms(values, rows)  # (U,), (U,)
    ratio = float(totals.sum() / weights.sum())
    mean = float(found.mean(totals.sum(), weights.sum()))
    slope = mean / (found.power * ratio) if ratio > 0 else float(found.power == 1)  # of the root, at the ratio
    return mean, slope * (totals - ratio * weights) / weights.mean()


def student(value: float, deviation: float, n: int) -> tuple[float, float, float]:
    """Return the 95 % interval around a mean of n parts with this standard deviation, and the p-value of its being 0.

    NaN with fewer than two parts.
    """
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


def _row(found: Metric, sides: dict[str, Figures]) -> Row:
    """Compare two versions, given by name with their figures, by one metric."""
    (first, one), (second, other) = sides.items()
    key = found.key
    pair = _pair(found, one, other)
    if pair is not None:
        values = {first: _known(pair.first), second: _known(pair.second)}
        return Row(
            key,
            first,
            second,
            values,
            difference=_known(pair.difference),
            low=_known(pair.low),
            high=_known(pair.high),
            p=_known(pair.p),
            effect=_known(pair.effect),
            users=pair.users,
            users_needed=pair.users_needed,
            better=_direction(found, pair.first, pair.second),
        )
    values = {name: _figure(found, side) for name, side in sides.items()}
    here, there = values[first], values[second]
    difference = None if here is None or there is None else here - there
    return Row(key, first, second, values, difference, better=_direction(found, here, there))


def _pair(found: Metric, one: Figures, other: Figures) -> Paired | None:
    """Compare two versions by one metric user by user; None where nothing is known of the users."""
    key = found.key
    if key in one.per_user and key in other.per_user:
        return paired(found, one.per_user[key], other.per_user[key], one.rows)
    if key in one.influences and key in other.influences:
        sides = [(side.whole.get(key, np.nan), side.influences[key]) for side in (one, other)]
        if not any(np.isnan(value) or np.isnan(moved).any() for value, moved in sides):
            return paired_influences(*sides)
    return None


def _direction(found: Metric, here: float | None, there: float | None) -> str:
    """Return whether higher or lower is better here; towards a target that depends on where the two figures lie."""
    if found.better != "nearer" or here is None or there is None:
        return found.better
    if max(here, there) <= found.target:
        return "higher"
    return "lower" if min(here, there) >= found.target else "nearer"


def _figure(found: Metric, side: Figures) -> float | None:
    """Return the figure of one version alone, None where it has none."""
    if found.key not in side.per_user:
        return _known(side.whole.get(found.key, np.nan))
    totals, weights = found.terms(side.per_user[found.key], side.rows)
    return _known(float(found.mean(totals.sum(), weights.sum())))


def _with_winners(rows: list[Row]) -> list[Row]:
    """Correct the p-values for being several and mark the winners."""
    corrected = holm([np.nan if row.p is None else row.p for row in rows])
    marked = []
    for row, p in zip(rows, corrected, strict=True):
        gain = row.sign * (row.difference or 0.0)
        winner = (row.first if gain > 0 else row.second) if p < SURE and gain else None
        marked.append(replace(row, p_adjusted=_known(p), winner=winner))
    return marked


def _known(value: float) -> float | None:
    """Return a figure, None for NaN."""
    return None if np.isnan(value) else float(value)
