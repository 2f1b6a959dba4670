"""What answers where a version cannot be read: those that served before it, then popularity from the ratings."""

import time
from collections.abc import Iterator

import numpy as np

from engine.data import IdMap, ItemFeatures, Scale
from engine.models.facts import TrainingFacts
from engine.models.popularity import Popularity
from store import audit, catalog, evidence, ratings
from store.database import Database
from store.registry import ModelVersion, Registry


def in_turn(registry: Registry, wanted: ModelVersion) -> Iterator[ModelVersion]:
    """Yield the versions to try: the one asked for, then those that served, latest first; never an untried one."""
    yield wanted
    tried = {wanted.id}
    for number in reversed(audit.standing(registry.database)):
        if number not in tried:
            tried.add(number)
            yield registry.get(number)


def popularity_now(database: Database) -> tuple[ModelVersion, Popularity]:
    """Make the popularity model from today's ratings; it belongs to no version and leaves nothing behind."""
    revision = ratings.revision(database)
    totals = evidence.item_totals(database)
    items = [row.item for row in totals]
    counts = np.array([row.n_ratings for row in totals], np.int32)  # (n_items,)
    sums = np.array([row.total for row in totals])
    n = max(int(counts.sum()), 1)
    mean = float(sums.sum() / n)
    variance = max(sum(row.squares for row in totals) / n - mean**2, 0.0)
    scale = ratings.scale(database)
    facts = TrainingFacts(
        IdMap.from_sorted([]),
        IdMap.from_sorted(items),
        np.zeros(0, np.int32),
        counts,
        sums.astype(np.float32),
        mean,
        Scale(scale.low, scale.high, scale.step),
        ItemFeatures(*catalog.genres_of(database, items)),
        variance,
    )
    data = {"n_users": 0, "n_movies": len(items), "n_ratings": int(counts.sum()), "revision": revision}
    version = ModelVersion(
        0, Popularity.name, "active", time.time(), None, None, "", {}, data, {"split": "none"}, {}, {}, {}, {}
    )
    return version, Popularity.from_facts(facts)
