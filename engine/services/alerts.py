"""What an operator should know of the version that serves: data that has moved on, slow answers, what has failed."""

import time
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.services.freshness import freshness
from store import arrivals, catalog
from store.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.services import Services
    from engine.services.manager import Snapshot

SLOW_SECONDS = 0.05
"""An answer that takes longer, in the median, is slow."""

SHIFT = 0.25
"""Standard deviations of a rating by which the mean of new ratings may differ from that of the training."""

UNKNOWN = 0.2
"""Share of the new ratings that may be of items which the version does not know."""

_LEAST_RATINGS = 100
_MOST_RATINGS = 100_000
_TIMED_USERS = 20


@dataclass(frozen=True)
class Alert:
    """One thing to look at.

    Attributes:
        kind: drift | latency | failure.
        text: a sentence.
        figures: what it rests on.
        version: number of the version that it is about.
    """

    kind: str
    text: str
    figures: dict[str, Any]
    version: int


def look(services: "Services") -> "Iterator[Alert]":
    """Yield what there is to know of the active version; nothing where none is active."""
    try:
        snapshot = services.manager.snapshot("active")
    except NotFound:
        return
    for note in snapshot.notes:
        yield Alert("failure", note, {}, services.registry.resolve("active").id)
    if not snapshot.notes:
        yield from _drift(services, snapshot)
    yield from _latency(services, snapshot)


def _drift(services: "Services", snapshot: "Snapshot") -> "Iterator[Alert]":
    """Look at what came in since the training: how many users it changed, how it was rated, whether it was known."""
    version = snapshot.version.id
    found = freshness(services, catalog.counts(services.database)[0])
    if found is not None and found.retrain:
        yield Alert("drift", found.why, {"users": found.users, "share": found.share, "ratings": found.ratings}, version)
    revision = snapshot.version.training_data["revision"]
    late = arrivals.late_ratings(services.database, revision, limit=_MOST_RATINGS)
    if len(late) < _LEAST_RATINGS:
        return
    facts = snapshot.model.facts
    mean = float(np.mean([row.rating for row in late]))
    figures = {"ratings": len(late), "mean": mean, "trained_mean": facts.mean}
    if abs(mean - facts.mean) > SHIFT * max(facts.variance, 1e-12) ** 0.5:
        text = f"the mean of {len(late):,} new ratings is {mean:.2f}, that of the training {facts.mean:.2f}"
        yield Alert("drift", text, figures, version)
    unknown = sum(facts.items.index(row.item) is None for row in late) / len(late)
    if unknown > UNKNOWN:
        text = f"{unknown:.0%} of {len(late):,} new ratings are of items that {snapshot.version.name} does not know"
        yield Alert("drift", text, figures | {"unknown": unknown}, version)


def _latency(services: "Services", snapshot: "Snapshot") -> "Iterator[Alert]":
    """Time answers in this process, each worked out anew, after one that warms it up."""
    took = []
    for user in islice(catalog.user_ids(services.database), _TIMED_USERS + 1):
        began = time.perf_counter()
        services.recommender.recommend(user)
        took.append(time.perf_counter() - began)
    median = float(np.median(took[1:])) if len(took) > 1 else 0.0
    if median > SLOW_SECONDS:
        text = f"a list of ten takes {1000 * median:.0f} ms, above {1000 * SLOW_SECONDS:.0f}"
        yield Alert("latency", text, {"median_ms": 1000 * median, "users": len(took) - 1}, snapshot.version.id)
