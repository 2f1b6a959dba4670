"""The four ways to hold rows out. A split depends on ratings and seed, not on file order, time zone or threads."""

from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.data import NO_TIME, Interactions
from engine.errors import DataTooSmall, DataUnsuited, SettingRefused

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Split:
    """Rows to train on, rows held out, and how they were told apart.

    Attributes:
        train, test: the same users and items, so that dense indices mean the same in both.
        protocol: JSON for the registry: split, test (the share asked for), seed, train_rows, test_rows; for the
            temporal split also `from`, the first second (UTC since 1970) of the test rows.
    """

    train: Interactions
    test: Interactions
    protocol: dict[str, Any] = field(default_factory=dict)


def split(data: Interactions, how: str, *, test: float = 0.2, seed: int = 42) -> Split:
    """Hold rows out.

    Args:
        data: all rows.
        how: a name in `SPLITS`.
        test: share of the rows to hold out, from 0 (nothing is held out) to below 1; `last` takes one row a user
            whatever the share.
        seed: of the random splits; the others do not look at it.

    Raises:
        SettingRefused: no such split, or a share outside its range.
        DataUnsuited: the split needs times and no row has one.
        DataTooSmall: nothing would be left on one of the sides.
    """
    if how not in SPLITS:
        near = get_close_matches(how, SPLITS, n=1)
        guess = f"did you mean {near[0]}? " if near else ""
        raise SettingRefused(f"unknown split {how!r}", hint=f"{guess}splits: {', '.join(SPLITS)}")
    if not 0 <= test < 1:
        raise SettingRefused(f"test = {test} is refused", hint="test is a share from 0 to below 1; default 0.2")
    held_out = SPLITS[how](data, test, np.random.default_rng([seed])) if test else np.zeros(len(data), np.bool_)
    parts = _parted(data, held_out, {"split": how, "test": test, "seed": seed})
    if test and not (len(parts.train) and len(parts.test)):
        side = "test" if len(parts.train) else "train"
        raise DataTooSmall(
            f"the split {how} of {len(data)} ratings leaves none to {side} on",
            hint="import more ratings, choose another share by --test, or --test 0 to train on everything",
        )
    if how == "temporal" and test:
        parts.protocol["from"] = int(parts.test.times.min())
    return parts


def split_around(data: Interactions, apart: Mask, how: str, *, test: float, seed: int) -> Split:
    """Hold out the rows of an earlier split (n,), and as many more, drawn at random, as the share then lacks.

    The temporal split holds out what is latest, as always: a model of an earlier instant has seen nothing of it.

    Args:
        data: all rows.
        apart: those that an earlier split of fewer rows held out.
        how: the name of the split.
        test: share of the rows to hold out, above 0.
        seed: of the draw.

    Raises:
        SettingRefused, DataUnsuited, DataTooSmall: as in `split`.
    """
    if how == "temporal":
        return split(data, how, test=test, seed=seed)
    held_out = apart.copy()
    lacking = round(test * len(data)) - int(apart.sum())
    if how != "last" and lacking > 0:
        drawn = np.random.default_rng([seed]).permutation(np.flatnonzero(~apart))[:lacking]
        held_out[drawn] = True
    return _parted(data, held_out, {"split": how, "test": test, "seed": seed})


def validation(train: Interactions, seed: int, share: float = 0.1) -> Split:
    """Hold out a random share of the training rows, for early stopping and for weights fitted on unseen ratings.

    The draw is independent of the one that held the test rows out with the same seed. Where there are too few rows for
    both sides the held-out side is empty.
    """
    rng = np.random.default_rng([seed, 1])
    held_out = _random(train, share, rng)
    if held_out.all():
        held_out[:] = False
    return _parted(train, held_out, {"split": "random", "test": share, "seed": seed})


def _parted(data: Interactions, held_out: Mask, protocol: dict[str, Any]) -> Split:
    """Return both sides of a mask."""
    train, test = data.rows(~held_out), data.rows(held_out)
    return Split(train, test, protocol | {"train_rows": len(train), "test_rows": len(test)})


def _random(data: Interactions, test: float, rng: np.random.Generator) -> Mask:
    """Hold out each row with the same chance."""
    return rng.random(len(data)) >= 1 - test


def _per_user(data: Interactions, test: float, rng: np.random.Generator) -> Mask:
    """Hold out the same share of each user's rows, to the nearest whole row, and never a user's last training row."""
    counts = data.user_counts  # (n_users,)
    wanted = np.minimum(np.floor(counts * test + 0.5), counts - 1)  # (n_users,), -1 for a user without rows
    # distinct keys that keep the users in order and shuffle the rows of each
    shuffled = np.argsort(data.user_index.astype(np.int64) * len(data) + rng.permutation(len(data)))
    place = np.arange(len(data)) - data.indptr[data.user_index]  # (n,), position of a row among its user's
    held_out = np.zeros(len(data), np.bool_)
    held_out[shuffled] = place < wanted[data.user_index]
    return held_out


def _last(data: Interactions, _test: float, _rng: np.random.Generator) -> Mask:
    """Hold out the latest row of each user, of equally late ones that with the greatest item id.

    Users with one row stay in training, and so do users of whose rows no time is known.
    """
    _check_times(data)
    held_out = np.zeros(len(data), np.bool_)
    begins = data.indptr[:-1][data.user_counts > 0]
    latest = np.maximum.reduceat(data.times, begins)  # (users with rows,)
    lengths = data.user_counts[data.user_counts > 0]
    is_latest = data.times == np.repeat(latest, lengths)
    rows = np.maximum.reduceat(np.where(is_latest, np.arange(len(data)), -1), begins)
    held_out[rows[(lengths > 1) & (latest != NO_TIME)]] = True
    return held_out


def _temporal(data: Interactions, test: float, _rng: np.random.Generator) -> Mask:
    """Hold out all rows from one instant on, the same for all users; rows without a time stay in training.

    Of the two instants around the wanted share the nearer one is taken, since rows of one second are not parted.
    """
    _check_times(data)
    times, n = data.times, len(data)
    wanted = min(max(round(n * (1 - test)), 1), n - 1)  # rows to train on
    instant = np.partition(times, wanted)[wanted]
    before, upto = int((times < instant).sum()), int((times <= instant).sum())
    from_here = instant != NO_TIME and before > 0 and (upto == n or wanted - before <= upto - wanted)
    held_out: Mask = times >= instant if from_here else times > instant
    return held_out


def _check_times(data: Interactions) -> None:
    """Refuse data in which no row has a time."""
    if not (data.times != NO_TIME).any():
        raise DataUnsuited(
            "the ratings have no times, and this split goes by time",
            hint="use --split random or per-user, or import the ratings with a time column (--map time=…)",
        )


SPLITS: dict[str, Callable[[Interactions, float, np.random.Generator], Mask]] = {
    "random": _random,
    "per-user": _per_user,
    "last": _last,
    "temporal": _temporal,
}
"""Each marks the rows (n,) to hold out."""
