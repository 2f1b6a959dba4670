"""How far a predicted rating can be off, and how likely a rating is at or above the user's own mean.

Both are measured on held-out rows. The interval is split conformal: residuals, each in units of the spread that is
expected of its row, have quantiles, and a new rating lies between two of them as often as the held-out ones did. The
spread grows where little is known of the user or of the item, so that the interval does. The probability is a logistic
curve of the distance between prediction and threshold in the same units, fitted to the same rows.

Source: Lei, G'Sell, Rinaldo, Tibshirani, Wasserman 2018, "Distribution-Free Predictive Inference for Regression",
section 5.2 (locally weighted intervals); Platt 1999, "Probabilistic Outputs for Support Vector Machines" (the curve,
and its targets, which keep it finite where all rows agree).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import ceil, sqrt, tanh
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from engine.data import Scale

LEVEL, WIDE = 0.8, 0.95
"""The levels of the two intervals that are shown."""

_LEAST_ROWS = 50  # with fewer the wider interval is only the range of what was seen
_MOST_ROWS = 200_000  # are looked at: the curves have a handful of parameters
_PROBABILITIES = np.linspace(0, 1, 201)
_CHOICES = [list(chosen) for size in (1, 2, 3) for chosen in combinations(range(3), size)]
_NAMES = ("spread", "quantiles", "chance", "steps")
_Floats = NDArray[np.float64]
_Counts = NDArray[np.integer[Any]]
Judged = tuple[float, float, float, float, float]
"""How sure a prediction is: both bounds of `LEVEL`, probability of the user's mean or more, both bounds of `WIDE`."""

_Support = _Counts | int  # of several rows, or of one user


class Measured(NamedTuple):
    """Held-out rows with what a model predicted for them; every array is (n,).

    Attributes:
        predictions, ratings: in rating units.
        user_counts, item_counts: training ratings of the row's user and item.
        user_means: mean of the training ratings of the row's user.
    """

    predictions: NDArray[np.floating[Any]]
    ratings: NDArray[np.floating[Any]]
    user_counts: _Counts
    item_counts: _Counts
    user_means: NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Calibration:
    """Spread, shape and likelihood of what predictions miss.

    Attributes:
        spread: float64 (3,), not negative: variance = a + b / √(1 + user's ratings) + c / √(1 + item's ratings).
        quantiles: float64 (201,), of residuals in units of their spread, at each half per cent.
        chance: float64 (2,): P(rating ≥ threshold) = 1 / (1 + exp(-(a + b · distance))), b not negative.
        steps: float64 (3,): low end and step of the scale (0 where any value may be given), least variance.
    """

    spread: _Floats
    quantiles: _Floats
    chance: _Floats
    steps: _Floats

    @classmethod
    def fit(cls, rows: Measured, scale: Scale) -> "Calibration | None":
        """Measure on held-out rows; None where there are too few to say anything."""
        if len(rows.ratings) < _LEAST_ROWS:
            return None
        every = -(-len(rows.ratings) // _MOST_ROWS)
        rows = Measured._make(column[::every] for column in rows)
        step = scale.step or 0.0
        least = max((step or 0.01 * (scale.high - scale.low)) ** 2 / 12, 1e-12)  # what rounding to the steps makes
        steps = np.array([scale.low, step, least])
        residuals = rows.ratings.astype(np.float64) - rows.predictions
        bare = cls(_spread(residuals, rows.user_counts, rows.item_counts, least), np.zeros(201), np.zeros(2), steps)
        deviation = bare._deviation(rows.user_counts, rows.item_counts)
        distance = bare._distance(rows.user_means, rows.predictions, deviation)
        liked = rows.ratings >= rows.user_means - _ROUNDING
        return cls(bare.spread, _quantiles(residuals / deviation), _logistic(distance, liked), steps)

    def interval(
        self,
        predictions: NDArray[np.floating[Any]],
        user_counts: _Support,
        item_counts: _Counts,
        level: float = LEVEL,
    ) -> tuple[_Floats, _Floats]:
        """Return the bounds (n,), (n,) that hold the rating with probability `level`, tails of equal weight."""
        deviation = self._deviation(user_counts, item_counts)
        low, high = self._ends(level)
        return predictions + low * deviation, predictions + high * deviation

    def probability_at_least(
        self,
        threshold: float,
        predictions: NDArray[np.floating[Any]],
        user_counts: _Support,
        item_counts: _Counts,
    ) -> _Floats:
        """Return the probability (n,) that the rating is at least `threshold`; it is calibrated at the user's mean."""
        level, slope = self.chance.tolist()
        distance = self._distance(threshold, predictions, self._deviation(user_counts, item_counts))
        return _sigmoid(level + slope * distance)

    def judged(
        self, mean: float, user_count: int, predictions: Sequence[float], item_counts: Sequence[int], scale: Scale
    ) -> list[Judged]:
        """Return what is shown beside one user's predictions: `interval` within the scale, and `probability_at_least`.

        The same formulas on plain numbers: a list of ten is answered in a fifth of the time that arrays take.

        Args:
            mean: the user's own.
            user_count: ratings of the user.
            predictions: of the items asked about.
            item_counts: ratings of each of them.
            scale: what the bounds stay within.
        """
        of_all, of_user, of_item, least, level, slope, below, above, far_below, far_above = self._numbers
        of_user, threshold = of_all + of_user / sqrt(1.0 + user_count), self._reached_by_one(mean)
        low, high = scale.low, scale.high
        found = []
        for predicted, count in zip(predictions, item_counts, strict=True):
            variance = of_item / sqrt(1.0 + count) + of_user
            deviation = sqrt(variance if variance > least else least)  # noqa: FURB136  calls take longer than all the rest
            a, b = predicted + below * deviation, predicted + above * deviation
            c, d = predicted + far_below * deviation, predicted + far_above * deviation
            found.append(
                (
                    low if a < low else a if a < high else high,  # noqa: FURB136
                    low if b < low else b if b < high else high,  # noqa: FURB136
                    0.5 + 0.5 * tanh(0.5 * (level + slope * ((predicted - threshold) / deviation))),
                    low if c < low else c if c < high else high,  # noqa: FURB136
                    low if d < low else d if d < high else high,  # noqa: FURB136
                )
            )
        return found

    def arrays(self) -> dict[str, _Floats]:
        """Return what `restored` takes back, by name."""
        return {f"calibration.{name}": getattr(self, name) for name in _NAMES}

    @classmethod
    def restored(cls, arrays: dict[str, NDArray[Any]]) -> "Self | None":
        """Take its own arrays out of those of a version; None where predictions were never measured."""
        found = [arrays.pop(f"calibration.{name}", None) for name in _NAMES]
        known = [array.astype(np.float64) for array in found if array is not None]
        return cls(*known) if len(known) == len(_NAMES) else None

    @cached_property
    def _numbers(self) -> tuple[float, ...]:
        """Return spread, least variance, chance and the ends of both intervals as plain numbers, for `judged`."""
        return (*self.spread.tolist(), self.steps.item(2), *self.chance.tolist(), *self._ends(LEVEL), *self._ends(WIDE))

    def _ends(self, level: float) -> tuple[float, float]:
        """Return the quantiles between which residuals of a level lie."""
        return self.quantiles.item(round(100 - 100 * level)), self.quantiles.item(round(100 + 100 * level))

    def _deviation(self, user_counts: _Support, item_counts: _Counts) -> _Floats:
        """Return the spread of each row (n,), in rating units."""
        of_all, of_user, of_item = self.spread.tolist()  # `_design` times the spread, quickly for a list of ten
        variance = of_item / (1.0 + item_counts) ** 0.5 + (of_all + of_user / (1.0 + user_counts) ** 0.5)
        deviation: _Floats = np.maximum(variance, self.steps.item(2)) ** 0.5
        return deviation

    def _distance(
        self,
        thresholds: NDArray[np.floating[Any]] | float,
        predictions: NDArray[np.floating[Any]],
        deviation: _Floats,
    ) -> _Floats:
        """Return how far predictions lie above thresholds (n,), in units of the spread."""
        distance: _Floats = (predictions - self._reached(thresholds)) / deviation
        return distance

    def _reached(self, thresholds: NDArray[np.floating[Any]] | float) -> NDArray[np.floating[Any]] | float:
        """Return from where on a prediction counts as a rating that is at least a threshold.

        A rating is at least 3.6 if it is at least 4, the next step, and it is rounded to that from 3.75 on.
        """
        low, step, _ = self.steps.tolist()
        return low + step * (np.ceil((thresholds - low) / step - _ROUNDING) - 0.5) if step else thresholds

    def _reached_by_one(self, threshold: float) -> float:
        low, step, _ = self.steps.tolist()
        return low + step * (ceil((threshold - low) / step - _ROUNDING) - 0.5) if step else threshold


def _design(user_counts: _Support, item_counts: _Counts) -> _Floats:
    """Return what the variance depends on (n, 3)."""
    little = [1 / np.sqrt(1.0 + np.asarray(counts)) for counts in (user_counts, item_counts)]
    return np.stack([np.ones_like(little[0]), *little], axis=1)


def _spread(residuals: _Floats, user_counts: _Support, item_counts: _Counts, least: float) -> _Floats:
    """Return the variance function (3,): squares of residuals on the design, not negative, by weighted least squares.

    The square of a residual varies as much as its expectation: the weights are those of the round before.
    """
    design, expected = _design(user_counts, item_counts), np.ones(len(residuals))
    for _ in range(_ROUNDS):
        spread = not_negative(design / expected[:, None], residuals**2 / expected)
        expected = np.maximum(design @ spread, least)
    return spread


def not_negative(design: _Floats, targets: _Floats) -> _Floats:
    """Return w >= 0 (3,) with the least |design w - targets|², for a design (n, 3).

    The columns that count in w have these weights by themselves, so one of the seven choices of columns is w: the best
    whose weights are not negative. `scipy.optimize` does the same, but its import is a third of a second of each run.
    """
    gram, right = design.T @ design, design.T @ targets
    best, most = np.zeros(3), 0.0
    for chosen in _CHOICES:
        weights = np.zeros(3)
        weights[chosen] = np.linalg.lstsq(gram[np.ix_(chosen, chosen)], right[chosen], rcond=None)[0]
        explained = float(weights @ (2 * right - gram @ weights))
        if weights.min() >= 0 and explained > most:
            best, most = weights, explained
    return best


def _quantiles(scores: _Floats) -> _Floats:
    """Return the quantiles (201,) of scores (n,), each the next one outwards of rank p (n + 1)."""
    ordered, ranks = np.sort(scores), _PROBABILITIES * (len(scores) + 1)
    outwards = np.where(_PROBABILITIES < 0.5, np.floor(ranks + _ROUNDING), np.ceil(ranks - _ROUNDING)).astype(np.int64)
    quantiles: _Floats = ordered[np.clip(outwards, 1, len(scores)) - 1]
    return quantiles


def _logistic(distance: _Floats, liked: NDArray[np.bool_]) -> _Floats:
    """Return intercept and slope (2,) of the likelihood of `liked` (n,), by Newton's method on Platt's targets."""
    yes, no = int(liked.sum()), int((~liked).sum())
    targets = np.where(liked, (yes + 1) / (yes + 2), 1 / (no + 2))
    level = np.log((targets.mean()) / (1 - targets.mean()))
    design, found = np.stack([np.ones(len(distance)), distance], axis=1), np.array([level, 0.0])
    for _ in range(_ROUNDS * 4):
        likely = _sigmoid(design @ found)
        curvature = (design.T * (likely * (1 - likely))) @ design + _RIDGE * np.eye(2)
        found = found + np.linalg.solve(curvature, design.T @ (targets - likely) - _RIDGE * (found - [level, 0.0]))
        found = np.clip(found, -_STEEPEST, _STEEPEST)
    return found if found[1] > 0 else np.array([level, 0.0])


def _sigmoid(x: _Floats) -> _Floats:
    likely: _Floats = 0.5 + 0.5 * np.tanh(0.5 * x)  # 1 / (1 + exp(-x)), without its overflow
    return likely


_ROUNDS = 4
_ROUNDING = 1e-6  # what float32 makes of a mean that lies on a step
_RIDGE = 1e-3
_STEEPEST = 50.0
