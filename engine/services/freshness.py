"""How far the ratings have moved on since the active version was trained, and whether training again is worth it.

Users whose ratings changed are folded in: the items stay as they were trained. What that costs is measured against a
full training on the same rows, on ratings that neither has seen: the latest new rating of each user with new ones.
"""

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.data import Interactions
from engine.errors import DataTooSmall
from engine.models import model_class
from engine.models.base import FoldsIn, Model
from engine.ranking import top_k
from store import arrivals, ratings
from store.errors import NotFound

if TYPE_CHECKING:
    from engine.services import Services
    from store.registry import ModelVersion

SHARE = 0.2
"""Of the users with ratings: when so many are folded in, training again is worth a try (docs/serving.md has why)."""

_K = 10
_MOST_RATINGS = 100_000
_LEAST_USERS = 30


@dataclass(frozen=True)
class Gap:
    """What fold-in loses against a full training, measured on the same held-out ratings.

    Attributes:
        version: whose users were folded in.
        revision: of the data it was measured on.
        at: when, in seconds since 1970.
        users: one held-out rating each.
        folded, retrained: mean NDCG@10.
        low, high: 95 % interval of retrained minus folded, paired by user.
        seconds: what the training took.
    """

    version: str
    revision: int
    at: float
    users: int
    folded: float
    retrained: float
    low: float
    high: float
    seconds: float


@dataclass(frozen=True)
class Freshness:
    """What came in since the active version was trained.

    Attributes:
        users: whose ratings changed since; they are served by fold-in.
        share: of the users who have ratings.
        ratings: that were added or changed since.
        gap: as last measured for this version, None where it never was.
        retrain: it is worth it, and `why` says by what.
    """

    version: str
    users: int
    share: float
    ratings: int
    gap: Gap | None
    retrain: bool
    why: str


def freshness(services: "Services", n_users: int) -> Freshness | None:
    """Look at what came in since the active version was trained; None where no version is active.

    Args:
        services: of the database.
        n_users: that have ratings.
    """
    try:
        version = services.registry.resolve("active")
    except NotFound:
        return None
    found = arrivals.arrivals(services.database, version.training_data["revision"])
    share = min(found.users / max(n_users, 1), 1.0)
    kept = arrivals.kept_gap(services.database)
    gap = Gap(**kept) if kept and kept["version"] == version.name else None
    retrain, why = _advice(share, gap)
    return Freshness(version.name, found.users, share, found.ratings, gap, retrain, why)


def new_items(services: "Services", user: str) -> set[str]:
    """Return the items that a user has rated, or rated anew, since the active version was trained."""
    try:
        version = services.registry.resolve("active")
    except NotFound:
        return set()
    return arrivals.late_items(services.database, user, version.training_data["revision"])


def measure_gap(services: "Services", *, seed: int = 42) -> Gap:
    """Train the active version's model again, on all ratings but some new ones, and compare; nothing is registered.

    Raises:
        NotFound: no version is active.
        DataTooSmall: too few users have new ratings to tell anything.
        TrainingFailed: as in training.
    """
    began = time.monotonic()
    version = services.registry.resolve("active")
    served = services.manager.snapshot(version.name).model
    if not isinstance(served, FoldsIn):
        raise DataTooSmall(f"{version.name} folds nobody in", hint="train again: `recsys-tui train`")
    revision, data = ratings.revision(services.database), services.training.load_data()
    held = _held_out(services, data, version)
    kept = np.ones(len(data), bool)
    kept[list(held.values())] = False
    train = data.rows(kept)
    model = model_class(version.model_type)(**version.lineage.get("request", {}).get("settings", {}))
    for _ in model.fit_epochs(train, seed=seed):
        pass
    gains = np.array([_gains(served, model, train, data.item_index[row], user) for user, row in held.items()])  # (n, 2)
    difference = gains[:, 1] - gains[:, 0]
    mean, margin = float(difference.mean()), 1.96 * float(difference.std(ddof=1)) / len(difference) ** 0.5
    folded, retrained = gains.mean(axis=0).tolist()
    seconds = round(time.monotonic() - began, 3)
    gap = Gap(version.name, revision, time.time(), len(held), folded, retrained, mean - margin, mean + margin, seconds)
    arrivals.keep_gap(services.database, asdict(gap))
    return gap


def _advice(share: float, gap: Gap | None) -> tuple[bool, str]:
    """Tell whether training again is worth it, and by what."""
    folded = f"{share:.0%} of the users are folded in"
    if gap is not None:
        figures = f"NDCG@{_K} {gap.folded:.4f} as it is, {gap.retrained:.4f} after training again"
        if gap.low > 0:
            return True, f"measured: {figures}"
        return False, f"{folded}; that costs nothing that could be measured: {figures}"
    if share >= SHARE:
        return True, f"{folded}; `recsys-tui stats --retrain-gap` tells what it costs"
    return False, folded


def _held_out(services: "Services", data: Interactions, version: "ModelVersion") -> dict[int, int]:
    """Return the row of the latest new rating by dense user, of users who have others too."""
    late = arrivals.late_ratings(services.database, version.training_data["revision"], limit=_MOST_RATINGS)
    newest: dict[int, tuple[int, str, int]] = {}
    for user, item, _, at in late:
        who, what = data.users.index(user), data.items.index(item)
        if who is None or what is None or data.user_counts[who] < 2:
            continue
        begin, end = data.indptr[who], data.indptr[who + 1]
        row = int(begin + np.searchsorted(data.item_index[begin:end], what))
        if row < end and data.item_index[row] == what:
            newest[who] = max(newest.get(who, (-(2**63), "", 0)), (-(2**63) if at is None else at, item, row))
    if len(newest) < _LEAST_USERS:
        raise DataTooSmall(
            f"{len(newest)} users have new ratings; it takes {_LEAST_USERS} to tell what fold-in costs them",
            hint="measure again when more has come in",
        )
    return {who: row for who, (_, _, row) in sorted(newest.items())}


def _gains(served: Model, trained: Model, train: Interactions, item: int, user: int) -> tuple[float, float]:
    """Return 1 / log2(1 + rank) of a held-out item in the ten of the version served and in those of the new one."""
    items, given = train.history(user)
    found = []
    for model in (served, trained):
        index = [model.facts.items.index(train.items.text(int(one))) for one in items]
        known = np.array([place is not None for place in index], bool)
        positions = np.array([place for place in index if place is not None], np.int64)
        assert isinstance(model, FoldsIn)  # noqa: S101  both are of the type that was asked
        best = top_k(model.scores(model.fold_in(positions, given[known])), _K, exclude=positions)
        wanted = model.facts.items.index(train.items.text(int(item)))
        place = np.flatnonzero(best == wanted) if wanted is not None else best[:0]
        found.append(float(1 / np.log2(2 + place[0])) if len(place) else 0.0)
    return found[0], found[1]
