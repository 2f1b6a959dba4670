"""Test rows that a model has been trained on, or whose future it knows: figures on them would say nothing."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.data import NO_TIME, Interactions
from engine.errors import LeakRefused
from engine.metrics.base import contains, pair_keys


def refuse_seen(train: Interactions, test: Interactions, who: str = "the model") -> None:
    """Refuse test rows that are training rows.

    Args:
        train: the rows that were trained on, over the same users and items as `test`.
        test: the rows to measure on.
        who: what was trained, for the message.

    Raises:
        LeakRefused: says how many.
    """
    seen = int(contains(pair_keys(train), pair_keys(test)).sum())
    if seen:
        raise LeakRefused(
            f"{seen:,} of {len(test):,} test ratings are training ratings of {who}",
            hint="measure on ratings that were held out, or train anew without them",
        )


def refuse_future(instant: int, test: Interactions, who: str = "the model") -> None:
    """Refuse test rows from before the instant up to which a model was trained: it knows what came after them.

    Args:
        instant: seconds since 1970; every training row of a temporal split is older.
        test: the rows to measure on; those without a time cannot be judged and pass.
        who: what was trained, for the message.

    Raises:
        LeakRefused: says how many.
    """
    early = int(np.count_nonzero((test.times < instant) & (test.times != NO_TIME)))
    if early:
        date = datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%d %H:%M:%S")
        raise LeakRefused(
            f"{early:,} of {len(test):,} test ratings are from before {date} UTC, up to when {who} was trained: "
            "it knows their future",
            hint="measure on later ratings, or train with an earlier temporal split (a larger --test)",
        )


def refuse_future_training(train: Interactions, test: Interactions) -> None:
    """Refuse training rows as late as the first test row.

    Raises:
        LeakRefused: says how many.
    """
    times = test.times[test.times != NO_TIME]
    if len(times):
        late = int(np.count_nonzero(train.times >= times.min()))
        if late:
            raise LeakRefused(
                f"{late:,} of {len(train):,} training ratings are as late as the first test rating: its future",
                hint="split by time: --split temporal",
            )


def refuse_overtrained(trained: NDArray[np.integer[Any]], train: Interactions, test: Interactions, who: str) -> None:
    """Refuse test rows of users of whom the model counted more training ratings than there are training rows.

    What it counted besides are ratings that are not there any more, or the test rows themselves.

    Args:
        trained: (n_users,), training ratings of each user as the model counted them.
        train: the rows that it may have been trained on.
        test: the rows to measure on.
        who: what was trained, for the message.

    Raises:
        LeakRefused: says how many of the test rows belong to such users.
    """
    doubtful = int((trained > train.user_counts)[test.user_index].sum())
    if doubtful:
        raise LeakRefused(
            f"{who} was trained on more ratings than those that can be named, of users with {doubtful:,} of "
            f"{len(test):,} test ratings: these may be among them",
            hint="ratings were removed since it was trained, or it knows the test ratings; train anew, then measure",
        )
