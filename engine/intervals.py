"""Intervals by the bootstrap over users, the unit that is independent: rows of one user are not."""

import numpy as np

from engine.metrics import Values

DRAWS = 1000
"""Bootstrap samples behind an interval."""

GROUPS = 10_000
"""Users are drawn one by one up to this many; more are first dealt at random into this many groups."""


def bootstrap(totals: Values, weights: Values, seed: int, draws: int = DRAWS) -> tuple[Values, Values]:
    """Return resampled sums of `totals` and of `weights`, (draws, M) each: users drawn U times with replacement.

    All columns share the draws, so that differences between columns are paired. Beyond `GROUPS` users whole groups of
    users are drawn, which keeps the variance and bounds the work (Efron, Tibshirani 1993, chapters 6 and 13).

    Args:
        totals: (U, M), as `Metric.terms` gives them, a column a metric.
        weights: (U, M), likewise.
        seed: equal seeds draw equal users.
        draws: how many samples.
    """
    rng = np.random.default_rng([seed])
    table = np.hstack([totals, weights])  # (U, 2 M)
    if len(table) > GROUPS:
        begins = np.linspace(0, len(table), GROUPS, endpoint=False).astype(np.intp)
        table = np.add.reduceat(table[rng.permutation(len(table))], begins)  # (GROUPS, 2 M)
    n = len(table)
    sums = np.empty((draws, table.shape[1]))
    for start in range(0, draws, 50):  # 50 samples of n users at a time bound the memory
        rows = min(50, draws - start)
        drawn = rng.integers(0, n, (rows, n)) + np.arange(rows)[:, None] * n
        counts = np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n)  # times that each user was drawn
        sums[start : start + rows] = counts.astype(np.float64) @ table
    return sums[:, : totals.shape[1]], sums[:, totals.shape[1] :]


def interval(means: Values, level: float = 0.95) -> tuple[float, float]:
    """Return the percentile interval of resampled means (draws,); NaN at both ends where none is defined."""
    defined = means[~np.isnan(means)]
    if not len(defined):
        return np.nan, np.nan
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
