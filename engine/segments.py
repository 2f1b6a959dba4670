"""The figures of a report for groups of users and of items: where a mean hides who is served badly."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.comparison import spread
from engine.evaluation import errors_by_user
from engine.metrics import Evidence, by_name

SEGMENT_METRICS = ("rmse", "mae", "precision", "recall", "ndcg", "hit_rate")

_ACTIVITY = (0, 1, 20, 100)  # least training ratings of a user of each group
_SHARES = (1 / 3, 2 / 3, 1.0)  # of the training ratings, by which items are dealt into head, middle and tail
_BANDS = ("head", "middle", "tail", "never rated")


@dataclass(frozen=True)
class Segment:
    """Figures of a group: value, low and high of each metric by full name, NaN where undefined.

    For a group of items only these count as relevant; the lists stay as they are.

    Attributes:
        by: "activity" of users, "popularity" or "genre" of items.
        name: of the group.
        users, rows: how many users have held-out rows in it, and how many rows these are.
        metrics: intervals by Student's t over the users of the group.
    """

    by: str
    name: str
    users: int
    rows: int
    metrics: dict[str, tuple[float, float, float]]


def segments(evidence: Evidence, names: Iterable[str] = SEGMENT_METRICS, k: int = 10) -> list[Segment]:
    """Return the figures by activity of users and by popularity and genre of items, empty groups left out.

    Args:
        evidence: of all users, from one pass.
        names: metrics of lists and of rating errors.
        k: cut-off of the names that give none.
    """
    chosen = by_name(names, k)
    found = []
    for by, name, rows in _groups(evidence):
        if not rows.any():
            continue
        part = restricted(evidence, rows)
        figures = {key: spread(one, one.values(part), part.relevant) for key, one in chosen.items()}
        known = {key: figure for key, figure in figures.items() if not np.isnan(figure[0])}
        found.append(Segment(by, name, len(part.users), int(rows.sum()), known))
    return found


def restricted(evidence: Evidence, rows: NDArray[np.bool_]) -> Evidence:
    """Return the evidence of some held-out rows (n,) alone: the same lists, of the users who have such rows."""
    test = evidence.test.rows(rows)
    kept = test.user_counts[evidence.users] > 0  # (U,)
    users = evidence.users[kept]
    rest: dict[str, Any] = {}
    if evidence.predicted is not None:
        predicted = evidence.predicted[rows]
        rest = {"predicted": predicted} | errors_by_user(predicted, test, users)
    return Evidence.of_lists(users, evidence.lists[kept], evidence.train, test, **rest)


def _groups(evidence: Evidence) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """Yield (what it is by, name, the held-out rows (n,) in it) of each group."""
    train, test = evidence.train, evidence.test
    activity = np.searchsorted(_ACTIVITY, train.user_counts, "right") - 1  # (n_users,)
    for place, least in enumerate(_ACTIVITY):
        most = _ACTIVITY[place + 1] - 1 if place + 1 < len(_ACTIVITY) else None
        name = "no ratings: cold" if not least else f"{least} to {most} ratings" if most else f"{least} ratings or more"
        yield "activity", name, activity[test.user_index] == place
    band = popularity_bands(train.item_counts)
    for place, name in enumerate(_BANDS):
        size = int(np.count_nonzero(band == place))
        yield "popularity", f"{name} ({size:,} items)", band[test.item_index] == place
    genres = train.features.genres
    for column, name in enumerate(train.features.genre_names):
        yield "genre", name, genres[test.item_index, column] > 0


def popularity_bands(counts: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return the band of each item (n_items,): 0 head, 1 middle, 2 tail, 3 never rated.

    The most-rated items that have a third of the ratings between them are the head, those of the second third the
    middle. Items of equal count stay together.
    """
    order = np.argsort(-counts, kind="stable")
    before = np.empty(len(counts))
    before[order] = np.cumsum(counts[order]) - counts[order]  # ratings of the items that are rated more
    levels, back = np.unique(counts, return_inverse=True)
    least = np.full(len(levels), np.inf)
    np.minimum.at(least, back, before)
    share = least[back] / max(1, int(counts.sum()))
    bands: NDArray[np.intp] = np.searchsorted(_SHARES, share, "right")
    return np.where(counts == 0, len(_SHARES), np.minimum(bands, len(_SHARES) - 1))
