"""Rows that a version has not trained on: those it holds out, kept with it, and later ones where that is certain."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.data import IdMap, Interactions
from engine.metrics.base import contains, pair_keys
from engine.models.base import TrainingFacts
from store.artifacts import Bundle
from store.errors import Damaged
from store.registry import ModelVersion, Registry

if TYPE_CHECKING:
    from engine.services import Services
    from engine.services.manager import Snapshot

HELD_OUT, PER_USER = "heldout", "peruser"
INFLUENCE = "influence."
"""Begins the names in `PER_USER` of how much each user moves a metric of the whole catalogue."""

MOST_USERS = 20_000


def bundle_of(rows: Interactions) -> Bundle:
    """Pack the rows of a split for the registry."""
    return Bundle(
        {"users": rows.user_index, "items": rows.item_index, "ratings": rows.ratings, "times": rows.times}, {}
    )


def rows_of(bundle: Bundle, facts: TrainingFacts) -> Interactions:
    """Unpack rows over the id maps of a model's training facts."""
    arrays = bundle.arrays
    return Interactions(
        facts.users,
        facts.items,
        arrays["users"].astype(np.int32),
        arrays["items"].astype(np.int32),
        arrays["ratings"].astype(np.float32),
        arrays["times"].astype(np.int64),
        facts.scale,
        facts.features,
    )


def snapshot_of(services: "Services", version: ModelVersion) -> "Snapshot":
    """Return a version as loaded: just this one, for figures are never another's, as answers of a damaged one are.

    Raises:
        Damaged: its files are not what was written.
    """
    snapshot = services.manager.snapshot(version.name)
    if snapshot.version.id != version.id:
        raise Damaged(snapshot.notes[0], hint=f"`recsys-tui models verify {version.name}` names the files")
    return snapshot


def held_out_of(registry: Registry, version: ModelVersion, facts: TrainingFacts) -> Interactions | None:
    """Return the rows that a version holds out and has not seen; None where there are none."""
    if version.protocol.get("full") or f"{HELD_OUT}.safetensors" not in version.files:
        return None
    return rows_of(registry.load(version, HELD_OUT), facts)


def measured(test: Interactions, seed: int) -> Interactions:
    """Return the held-out rows to measure on: all, or those of `MOST_USERS` users drawn by the seed of the split.

    Ranking the whole catalogue for 160,000 users takes longer than training; intervals of 20,000 users are narrow.
    """
    users = np.flatnonzero(test.user_counts)
    if len(users) <= MOST_USERS:
        return test
    drawn = np.random.default_rng([seed, 2]).permutation(users)[:MOST_USERS]
    return test.rows(np.isin(test.user_index, drawn))


def aligned(data: Interactions, facts: TrainingFacts) -> Interactions:
    """Bring rows to the dense indices of a model; rows of users or items that it does not know are left out."""
    if data.users == facts.users and data.items == facts.items:
        return data
    users, items, known = positions(data, facts)  # both maps are in byte order, so that the order of rows stays
    return Interactions(
        facts.users,
        facts.items,
        users[known],
        items[known],
        data.ratings[known],
        data.times[known],
        facts.scale,
        facts.features,
    )


def positions(
    data: Interactions, facts: TrainingFacts
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.bool_]]:
    """Return where a model has the user and the item of each row (n,), -1 where unknown, and which it knows (n,)."""
    users = translation(data.users, facts.users)[data.user_index]
    items = translation(data.items, facts.items)[data.item_index]
    return users, items, (users >= 0) & (items >= 0)


def unseen(
    version: ModelVersion, held_out: Interactions | None, facts: TrainingFacts, data: Interactions
) -> NDArray[np.bool_]:
    """Return which of today's rows (n,) a version has certainly not trained on.

    These are the rows that it holds out. A version of a temporal split has trained on nothing from its instant on, so
    that later rows are unseen as well: those of users who still have just the earlier rows that were trained on.

    Args:
        version: its row in the registry.
        held_out: the rows it holds out.
        facts: of its model.
        data: all rows of the database.
    """
    if held_out is None:
        return np.zeros(len(data), np.bool_)
    users, items, known = positions(data, facts)
    found = known & contains(pair_keys(held_out), users.astype(np.int64) * held_out.n_items + items)
    instant = version.protocol.get("from")
    if instant is not None:
        before = np.bincount(users[known & (data.times < instant)], minlength=len(facts.users))
        intact = (before == facts.user_counts) & (before > 0)  # (n_users,)
        found |= known & (data.times >= instant) & intact[np.maximum(users, 0)]
    return found


def held_out_rows(services: "Services", name: str, data: Interactions) -> NDArray[np.bool_]:
    """Return which of today's rows (n,) a version holds out, or has otherwise certainly not trained on.

    Raises:
        NotFound: no such version.
    """
    version = services.registry.resolve(name)
    try:
        facts = snapshot_of(services, version).model.facts
        held_out = held_out_of(services.registry, version, facts)
    except Damaged:  # it is compared with nobody
        return np.zeros(len(data), np.bool_)
    return unseen(version, held_out, facts, data)


def translation(source: IdMap, target: IdMap) -> NDArray[np.int32]:
    """Return for each index of `source` its index in `target`, -1 where it is unknown there."""
    if source == target:
        return np.arange(len(source), dtype=np.int32)
    known = {text: index for index, text in enumerate(target.texts())}
    return np.array([known.get(text, -1) for text in source.texts()], np.int32)
