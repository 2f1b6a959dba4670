"""How far predicted ratings are from held-out ones.

Their values are pooled over rows, as the literature quotes them, and not averaged over users: each user weighs as many
times as they have held-out rows. One value a user is kept all the same, so that intervals and comparisons can draw
users, the unit that is independent.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.metrics.base import Evidence, Metric, Values


def user_rmse(evidence: Evidence, _k: int) -> Values:
    """Return the root of each user's mean squared error (U,)."""
    return np.sqrt(_per_row(evidence, evidence.squared_error))


def user_mae(evidence: Evidence, _k: int) -> Values:
    """Return each user's mean absolute error (U,)."""
    return _per_row(evidence, evidence.absolute_error)


def interval_coverage(evidence: Evidence, _k: int) -> Values:
    """Return the share of each user's held-out ratings that lie within their intervals (U,)."""
    return _per_row(evidence, evidence.inside)


def calibration_error(evidence: Evidence, _k: int) -> Values:
    """Return the mean distance of the reliability curve from the diagonal, (1,); NaN without predicted ratings."""
    bins = reliability(evidence)
    rows = sum(found.rows for found in bins)
    return np.array(
        [sum(found.rows * abs(found.predicted - found.observed) for found in bins) / rows if rows else np.nan]
    )


def calibration_influence(evidence: Evidence, _k: int) -> Values:
    """Return the derivative of the calibration error by the weight of each user's rows, (U,).

    With E = Σ over bins |D| / rows, where D sums predicted minus given, it is (Σ sign(D) d - E · own rows) / rows.
    """
    test, predicted = evidence.test, evidence.predicted
    if predicted is None or not len(predicted):
        return np.full(len(evidence.users), np.nan)
    place = _places(predicted)
    apart = predicted.astype(np.float64) - test.ratings  # (n,)
    signs = np.sign(np.bincount(place, apart))[place]
    value = float(np.abs(np.bincount(place, apart)).sum()) / len(apart)
    by_user = np.bincount(test.user_index, signs * apart - value, test.n_users)[evidence.users]
    influence: Values = len(by_user) * by_user / len(apart)
    return influence


class Bin(NamedTuple):
    """Held-out rows with about the same predicted rating: how many, and the means of what was predicted and given."""

    rows: int
    predicted: float
    observed: float


def reliability(evidence: Evidence) -> list[Bin]:
    """Return the reliability curve: held-out rows in about ten bins of equal size, by their predicted rating.

    Equal predictions fall into one bin, so that there may be fewer; none where the model only ranks.
    """
    predicted = evidence.predicted
    if predicted is None or not len(predicted):
        return []
    place = _places(predicted)
    counts = np.bincount(place)
    sums = [np.bincount(place, side.astype(np.float64)) for side in (predicted, evidence.test.ratings)]
    filled = np.flatnonzero(counts)
    return [Bin(int(counts[k]), *(float(side[k] / counts[k]) for side in sums)) for k in filled]


def _places(predicted: NDArray[np.float32]) -> NDArray[np.intp]:
    """Return the bin of each row (n,) by its predicted rating."""
    edges = np.unique(np.quantile(predicted, np.linspace(0.1, 0.9, 9)))
    return edges.searchsorted(predicted, "right")


def _per_row(evidence: Evidence, error: Values | None) -> Values:
    """Divide summed errors (U,) by the number of rows; all NaN where the model predicts no ratings."""
    if error is None:
        return np.full(len(evidence.users), np.nan)
    per_row: Values = error / evidence.relevant
    return per_row


_EMPTY = "Undefined for a model that only ranks; a user without held-out ratings does not count."

RMSE = Metric(
    name="rmse",
    sentence="Root of the mean squared difference between predicted and held-out ratings, over all rows together.",
    formula="sqrt( sum over rows (predicted - rating)^2 / rows )",
    source="Herlocker, Konstan, Terveen, Riedl 2004, Evaluating collaborative filtering recommender systems, 4.1",
    empty_case=_EMPTY,
    better="lower",
    compute=user_rmse,
    bounds=(0.0, np.inf),
    needs="ratings",
    by_rows=True,
    power=2,
)

MAE = Metric(
    name="mae",
    sentence="Mean absolute difference between predicted and held-out ratings, over all rows together.",
    formula="sum over rows |predicted - rating| / rows",
    source="Herlocker, Konstan, Terveen, Riedl 2004, Evaluating collaborative filtering recommender systems, 4.1",
    empty_case=_EMPTY,
    better="lower",
    compute=user_mae,
    bounds=(0.0, np.inf),
    needs="ratings",
    by_rows=True,
)

INTERVAL_COVERAGE = Metric(
    name="interval_coverage",
    sentence="Share of the held-out ratings that lie within the interval that promises to hold 80 of 100.",
    formula="rows with lower <= rating <= upper / rows",
    source="Gneiting, Balabdaoui, Raftery 2007, Probabilistic forecasts, calibration and sharpness",
    empty_case=_EMPTY + " Undefined with too few rows to make intervals of one half for the other.",
    better="nearer",
    compute=interval_coverage,
    needs="ratings",
    by_rows=True,
    target=0.8,
)

CALIBRATION_ERROR = Metric(
    name="calibration_error",
    sentence="How far the ratings given are on average from those predicted, among rows predicted about the same.",
    formula="sum over ten bins of equal size by predicted rating of rows(bin) |mean predicted - mean given| / rows",
    source="Naeini, Cooper, Hauskrecht 2015, Obtaining well calibrated probabilities using Bayesian binning, with "
    "ratings in the place of probabilities",
    empty_case="Undefined for a model that only ranks.",
    better="lower",
    compute=calibration_error,
    influence=calibration_influence,
    bounds=(0.0, np.inf),
    needs="ratings",
    per_user=False,
)
