"""What a list would be if some ratings were other than they are: computed, shown, never stored."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import SettingRefused
from engine.models.base import FoldsIn
from engine.ranking import top_k
from engine.services.ladder import FOLD_IN, POPULARITY, View
from engine.services.manager import Snapshot
from store import catalog, evidence, ratings
from store.errors import NotFound

if TYPE_CHECKING:
    from engine.services import Services


@dataclass(frozen=True)
class Change:
    """A rating as it is and as it is supposed to be; None where there is none."""

    item: str
    title: str | None
    before: float | None
    after: float | None


@dataclass(frozen=True)
class Placed:
    """An item of a list with its place in the other list.

    Attributes:
        rank: from 1, among all items that the user has not rated.
        other_rank: in the other list, however far down; None where it is no candidate there, being rated.
        moved: places upwards from before to after; None where one of the ranks is.
    """

    rank: int
    item: str
    title: str | None
    score: float
    prediction: float | None
    other_rank: int | None
    moved: int | None


@dataclass(frozen=True)
class WhatIf:
    """Two lists of a user: with the ratings as they are, and as they are supposed to be.

    Attributes:
        item, title: what was asked about; its ranks are None where it is rated, or unknown to the model.
        before, after: the best of each list.
        notes: what the operator must know, such as a supposed rating of an item that the model has never seen.
    """

    user: str
    version: str
    item: str
    title: str | None
    changes: tuple[Change, ...]
    rank_before: int | None
    rank_after: int | None
    score_before: float | None
    score_after: float | None
    prediction_before: float | None
    prediction_after: float | None
    before: tuple[Placed, ...]
    after: tuple[Placed, ...]
    notes: tuple[str, ...] = ()


class Standing:
    """How a user's items stand: scores of all, and the rank of each that is not rated."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.scores = view.model.scores(view.vector)
        self.order = top_k(self.scores, len(self.scores), exclude=view.items)
        self._ranks = np.zeros(len(self.scores), np.int64)
        self._ranks[self.order] = np.arange(1, len(self.order) + 1)

    def rank(self, position: int) -> int | None:
        """Return the rank of an item from 1, None where it is no candidate."""
        return int(self._ranks[position]) or None if position >= 0 else None

    def score(self, position: int) -> float | None:
        """Return the score of an item of the model."""
        return float(self.scores[position]) if position >= 0 else None

    def prediction(self, position: int) -> float | None:
        """Return the predicted rating of an item of the model."""
        return self.predictions(np.array([position]))[0] if position >= 0 else None

    def predictions(self, positions: NDArray[np.integer[Any]]) -> list[float | None]:
        """Return predicted ratings, None from a model that only ranks."""
        if not self.view.model.predicts_ratings:
            return [None] * len(positions)
        found: list[float | None] = self.view.model.ratings(self.view.vector, positions).tolist()
        return found


class WhatIfService:
    """Supposes ratings. Nothing here writes."""

    def __init__(self, services: "Services") -> None:
        self._services = services
        self._database = services.database

    def suppose(
        self, user: str, item: str, supposed: Mapping[str, float | None], *, n: int = 10, version: str = "active"
    ) -> WhatIf:
        """Return a user's list as it is and as it would be.

        Args:
            user: text id; one without ratings may be supposed to have some.
            item: what is asked about.
            supposed: by item the rating to suppose, None for no rating.
            n: length of the lists.
            version: which answers.

        Raises:
            NotFound: an item is not in the catalogue, or a rating to be left out does not exist.
            DataRefused: a value is not on the scale.
            SettingRefused: the model cannot take in ratings without training.
        """
        snapshot = self._services.manager.snapshot(version, user)
        target = catalog.need_item(self._database, item)
        view = self._services.recommender.ladder.view(snapshot, user)
        changes, entries = self._changes(user, supposed)
        positions = {entry.item: snapshot.position(entry.id, entry.item) for entry in entries}
        notes = [
            f"{name} came after {snapshot.version.name} was trained: its rating changes nothing yet"
            for name, position in positions.items()
            if position < 0
        ]
        known = {positions[change.item]: change.after for change in changes if positions[change.item] >= 0}
        now, then = Standing(view), Standing(supposing(snapshot, view, known))
        place = snapshot.position(target.id, target.item)
        return WhatIf(
            user,
            snapshot.version.name,
            target.item,
            target.title,
            tuple(changes),
            now.rank(place),
            then.rank(place),
            now.score(place),
            then.score(place),
            now.prediction(place),
            then.prediction(place),
            self._best(now, then, n, sign=1),
            self._best(then, now, n, sign=-1),
            tuple(notes),
        )

    def _changes(self, user: str, supposed: Mapping[str, float | None]) -> tuple[list[Change], list[catalog.Item]]:
        """Check what is supposed and set it beside what is stored."""
        key = catalog.user_key(self._database, user)
        stored = evidence.given_by(self._database, key[0]) if key else {}
        entries = [catalog.need_item(self._database, name) for name in supposed]
        changes = []
        for entry, value in zip(entries, supposed.values(), strict=True):
            before = stored.get(entry.id)
            if value is None and before is None:
                raise NotFound(
                    f"user {user!r} has no rating of item {entry.item!r} to leave out",
                    hint=f"`recsys-tui users show {user}` lists the ratings",
                )
            if value is not None:
                ratings.check_value(self._database, value)
            changes.append(Change(entry.item, entry.title, before, value))
        return changes, entries

    def _best(self, one: Standing, other: Standing, n: int, *, sign: int) -> tuple[Placed, ...]:
        """Return the best n of a list with their places in the other; `sign` is 1 for the list before."""
        best = one.order[:n]
        texts = [one.view.model.facts.items.text(int(position)) for position in best]
        entries = self._services.memory.items(texts)
        ranks = [other.rank(int(position)) for position in best]
        return tuple(
            Placed(
                rank,
                text,
                entries[text].title if text in entries else None,
                float(one.scores[position]),
                predicted,
                elsewhere,
                None if elsewhere is None else sign * (rank - elsewhere),
            )
            for rank, (text, position, predicted, elsewhere) in enumerate(
                zip(texts, best, one.predictions(best), ranks, strict=True), 1
            )
        )


def supposing(snapshot: Snapshot, view: View, supposed: Mapping[int, float | None]) -> View:
    """Return the view that a user would have with other ratings, given now, folded in from all of them.

    Args:
        snapshot: the version that the view is of.
        view: as it is.
        supposed: by dense index of the model, the rating to suppose, None for no rating.

    Raises:
        SettingRefused: the model cannot fold in.
    """
    model = snapshot.model
    if not isinstance(model, FoldsIn):
        raise SettingRefused(
            f"{model.name} takes no ratings in without training", hint="ask another version: --version v<n>"
        )
    kept = dict(zip(view.items.tolist(), view.ratings.tolist(), strict=True))
    for position, value in sorted(supposed.items()):
        if kept.get(position) != value:  # what is given anew is the newest; the same rating once more changes nothing
            kept.pop(position, None)
            if value is not None:
                kept[position] = value
    items, values = np.array(list(kept), np.int64), np.array(list(kept.values()), np.float32)
    if not len(items):
        popular = snapshot.popular
        return replace(
            view, rung=POPULARITY, model=popular, vector=popular.cold_vector(), items=items, ratings=values,
            mean=model.facts.mean, n_ratings=0,
        )  # fmt: skip
    return replace(
        view, rung=FOLD_IN, model=model, vector=model.fold_in(items, values), items=items, ratings=values,
        mean=float(values.mean()), n_ratings=len(items),
    )  # fmt: skip


def rank_of(view: View, position: int) -> int:
    """Return the rank of an unrated item among all unrated ones, from 1: equal scores go to the lower index."""
    scores = view.model.scores(view.vector)
    ahead = scores > scores[position]
    ahead[:position] |= scores[:position] == scores[position]
    ahead[view.items] = False
    return 1 + int(np.count_nonzero(ahead))
