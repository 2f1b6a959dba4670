"""How far predicted ratings are from held-out ones.

Their values are pooled over rows, as the literature quotes them, and not averaged over users: each user weighs as many
times as they have held-out rows. One value a user is kept all the same, so that intervals and comparisons can draw
users, the unit that is independent.
"""

import numpy as np

from engine.metrics.base import Evidence, Metric, Values


def user_rmse(evidence: Evidence, _k: int) -> Values:
    """Return the root of each user's mean squared error (U,)."""
    return np.sqrt(_per_row(evidence, evidence.squared_error))


def user_mae(evidence: Evidence, _k: int) -> Values:
    """Return each user's mean absolute error (U,)."""
    return _per_row(evidence, evidence.absolute_error)


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
