"""What happens to a (user, item) pair that is rated twice, within a source and against the ratings stored before.

policy    within a source                            against a stored rating
latest    the row with the latest time; of equal or  the new rating replaces it, unless both have a time and the
          unknown times, the last row                stored one is later
first     the first row                              the stored rating stays
mean      the mean rating, the latest time           the mean of the two, the later time
error     refused before anything is stored          refused if the ratings differ, before anything is stored

An unknown time is earlier than any other within a source. A new row with the stored rating and no time changes nothing,
so importing the same file again changes nothing under any policy.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from store import errors
from store.importers.base import NO_TIME
from store.loading.spool import Rows

Policy = Literal["latest", "first", "mean", "error"]
_DIFFERS = f"(s.rating <> r.rating OR (s.at > {NO_TIME} AND s.at IS NOT r.at))"


@dataclass(frozen=True)
class Rule:
    """A policy in SQL, over a staged row `s` and a stored one `r` of the same pair.

    Attributes:
        changes: whether the stored row is to change.
        rating, at: what it changes to.
    """

    changes: str
    rating: str = "s.rating"
    at: str = f"CASE WHEN s.at > {NO_TIME} THEN s.at END"

    @property
    def averages(self) -> bool:
        """True where what a stored row changes to no longer tells the staged one."""
        return self.rating != "s.rating"


RULES: dict[Policy, Rule] = {
    "latest": Rule(f"{_DIFFERS} AND (s.at = {NO_TIME} OR r.at IS NULL OR s.at >= r.at)"),
    "first": Rule("0"),
    "mean": Rule(
        f"(s.rating <> r.rating OR s.at > coalesce(r.at, {NO_TIME}))",
        "(s.rating + r.rating) / 2",
        f"nullif(max(s.at, coalesce(r.at, {NO_TIME})), {NO_TIME})",
    ),
    "error": Rule("s.rating <> r.rating"),
}


def check_policy(policy: str) -> Policy:
    """Return the policy.

    Raises:
        UsageRefused: there is none of this name.
    """
    known: Policy
    for known in get_args(Policy):
        if policy == known:
            return known
    raise errors.UsageRefused(
        f"--duplicates {policy}: no such policy", hint=f"one of {', '.join(get_args(Policy))}; latest is the default"
    )


def reduce(rows: Rows, policy: Policy) -> Rows:
    """Return sorted rows (n,) with one row for each key, by the rule within a source.

    Under "error" the caller has made sure that no key occurs twice; the first row is kept.
    """
    starts = (
        np.flatnonzero(np.concatenate([[True], rows.keys[1:] != rows.keys[:-1]]))
        if len(rows)
        else np.zeros(0, np.int64)
    )
    if len(starts) == len(rows):
        return rows
    if policy in {"first", "error"}:
        return rows.take(starts)
    if policy == "mean":
        counts = np.diff(starts, append=len(rows))
        means = np.add.reduceat(rows.ratings, starts) / counts
        return Rows(rows.keys[starts], means, np.maximum.reduceat(rows.times, starts))
    by_time = np.lexsort((rows.times, rows.keys))  # stable: of equal times the last row stays last
    return rows.take(by_time[np.append(starts[1:], len(rows)) - 1])
