"""Whether intervals hold what they promise: the share of held-out ratings within them."""

import numpy as np
from numpy.typing import NDArray

from engine.confidence import Calibration, Measured
from engine.data import Interactions

_ROUNDING = 1e-6  # a rating may lie on the bound itself


def inside_intervals(
    predicted: NDArray[np.float32],
    train: Interactions,
    test: Interactions,
    calibration: Calibration | None = None,
    seed: int = 0,
) -> NDArray[np.bool_] | None:
    """Return which held-out ratings (n,) lie within the 80 % interval of their prediction.

    Intervals that were fitted to these very rows would hold 80 of 100 by construction. Unless intervals from elsewhere
    are given, those of one half of the users are therefore fitted to the rows of the other half, and the other way
    round.

    Args:
        predicted: (n,), the predicted ratings of the rows.
        train: the rows that were trained on: what is known of a user and an item decides how wide an interval is.
        test: the held-out rows.
        calibration: intervals that were fitted to other rows.
        seed: draws the halves.

    Returns:
        None where there are too few rows to fit intervals to.
    """
    if calibration is not None:
        return _within(calibration, predicted, train, test)
    half = (np.random.default_rng([seed, 3]).permutation(test.n_users) % 2 == 0)[test.user_index]  # (n,)
    inside = np.zeros(len(test), np.bool_)
    for judged in (half, ~half):
        fitted = Calibration.fit(beside(predicted[~judged], train, test.rows(~judged)), test.scale)
        if fitted is None:
            return None
        inside[judged] = _within(fitted, predicted[judged], train, test.rows(judged))
    return inside


def beside(predicted: NDArray[np.float32], train: Interactions, test: Interactions) -> Measured:
    """Put predicted ratings (n,) beside the held-out rows and what the training rows say of their users and items."""
    sums = np.bincount(train.user_index, train.ratings, train.n_users)
    level = float(train.ratings.mean(dtype=np.float64)) if len(train) else 0.0
    means = np.where(train.user_counts > 0, sums / np.maximum(train.user_counts, 1), level)  # (n_users,)
    users, items = test.user_index, test.item_index
    return Measured(predicted, test.ratings, train.user_counts[users], train.item_counts[items], means[users])


def _within(
    calibration: Calibration, predicted: NDArray[np.float32], train: Interactions, test: Interactions
) -> NDArray[np.bool_]:
    """Return which ratings (n,) lie within their interval, as it is served: cut to the scale."""
    support = train.user_counts[test.user_index], train.item_counts[test.item_index]
    low, high = (test.scale.clip(bound) for bound in calibration.interval(predicted.astype(np.float64), *support))
    found: NDArray[np.bool_] = (test.ratings >= low - _ROUNDING) & (test.ratings <= high + _ROUNDING)
    return found
