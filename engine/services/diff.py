"""Whose lists change from one version to another: all users, as they would be served, in one pass of bounded memory."""

import heapq
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.overlap import overlaps, rank_biased
from engine.ranking import BYTE_BUDGET
from engine.services.batch import ranked_lists
from engine.services.heldout import snapshot_of, translation
from store import catalog
from store.errors import UsageRefused

if TYPE_CHECKING:
    from engine.services import Services
    from engine.services.manager import Snapshot

DIFF_COLUMNS = ["user", "item", "first_rank", "second_rank", "overlap", "rbo"]

_MOST_USERS = 1_024  # at a time: more leave the cache of the processor
_NAMED = 10  # items that gain and that lose


class _Example(NamedTuple):
    """A user whose lists differ much; ordered so that the least different is the smallest."""

    likeness: float
    order: int
    user: str
    overlap: float
    entered: list[int]
    left: list[int]


class Changes:
    """The lists of two versions side by side, user by user; what it all comes to is known at the end.

    Items are numbered over both catalogues: those of the first version, then those that only the second has.

    Args:
        services: have both versions.
        first: the version that lists change from.
        second: the version that they change to.
        n: length of the lists.
        examples: how many of the users whose lists change most are kept.
        progress: called with the number of users so far, some hundred at a time.

    Raises:
        NotFound: no such version.
        UsageRefused: the same version twice.
        Damaged: the files of a version are not what was written.
    """

    def __init__(
        self,
        services: "Services",
        first: str,
        second: str,
        *,
        n: int = 10,
        examples: int = 5,
        progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        found = [services.registry.resolve(name) for name in (first, second)]
        if found[0].id == found[1].id:
            raise UsageRefused(
                f"{found[0].name} does not differ from itself", hint="`recsys-tui models list` shows the other versions"
            )
        self._services = services
        self._snapshots = [snapshot_of(services, version) for version in found]
        self._n, self._kept, self._progress = n, examples, progress
        before, after = (snapshot.model.facts.items for snapshot in self._snapshots)
        self._common = translation(after, before).astype(np.int64)  # (items of the second,)
        new = self._common < 0
        self._common[new] = len(before) + np.arange(int(new.sum()))
        self._new_items = np.flatnonzero(new)
        self._shown = np.zeros((2, len(before) + len(self._new_items)), np.int64)  # lists that show each item
        self._users = self._changed = self._other_items = 0
        self._overlap = self._likeness = 0.0
        self._examples: list[_Example] = []

    def drain(self) -> None:
        """Look at all users without a row of each."""
        deque(self._batches(), maxlen=0)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield a row for each item of each user's two lists: its rank in both, None where it is not in it."""
        for users, before, after, overlap, likeness in self._batches():
            for row, user in enumerate(users):
                ranks: dict[int, list[int | None]] = {}
                for side, items in enumerate((before[row], after[row])):
                    for rank, item in enumerate(items[items >= 0].tolist(), 1):
                        ranks.setdefault(item, [None, None])[side] = rank
                measures = {"overlap": float(overlap[row]), "rbo": float(likeness[row])}
                for item, (old, new) in ranks.items():
                    yield {"user": user, "item": self._text(item), "first_rank": old, "second_rank": new} | measures

    def summary(self) -> dict[str, Any]:
        """Return what all users come to, as plain values; call it after one of the two passes."""
        first, second = (snapshot.version.name for snapshot in self._snapshots)
        examples = sorted(self._examples, key=lambda one: (one.likeness, one.order), reverse=True)
        change = self._shown[1] - self._shown[0]
        order = np.argsort(-change, kind="stable")
        gains = [int(item) for item in order[:_NAMED] if change[item] > 0]
        losses = [int(item) for item in order[::-1][:_NAMED] if change[item] < 0]
        named = {*gains, *losses, *(item for one in examples for item in (*one.entered, *one.left))}
        items = catalog.items_by_id(self._services.database, [self._text(item) for item in named])

        def card(item: int) -> dict[str, Any]:
            text = self._text(item)
            return {"item": text, "title": items[text].title if text in items else None}

        def exposure(item: int) -> dict[str, Any]:
            return card(item) | {"first": int(self._shown[0, item]), "second": int(self._shown[1, item])}

        return {
            "first": first,
            "second": second,
            "n": self._n,
            "users": self._users,
            "changed": self._changed,
            "changed_items": self._other_items,
            "overlap_mean": self._overlap / self._users if self._users else None,
            "rbo_mean": self._likeness / self._users if self._users else None,
            "gains": [exposure(item) for item in gains],
            "losses": [exposure(item) for item in losses],
            "examples": [
                {
                    "user": one.user,
                    "overlap": one.overlap,
                    "rbo": -one.likeness,
                    "entered": [card(item) for item in one.entered],
                    "left": [card(item) for item in one.left],
                }
                for one in examples
            ],
        }

    # --- the pass -------------------------------------------------------------------------------------------------

    def _batches(
        self,
    ) -> Iterator[tuple[list[str], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]]:
        """Yield (users, lists before, lists after, overlap, rank-biased overlap) and take them into account."""
        n_items = max(len(snapshot.model.facts.items) for snapshot in self._snapshots)
        size = min(max(1, BYTE_BUDGET // (24 * max(1, n_items))), _MOST_USERS)  # vectors, scores, what is ranked
        everybody = catalog.user_ids(self._services.database)
        while users := list(islice(everybody, size)):
            before, after = (self._lists(snapshot, users) for snapshot in self._snapshots)  # (B, n) each
            after = np.where(after >= 0, self._common[after], -1)
            overlap, likeness = overlaps(before, after), rank_biased(before, after)
            self._count(users, before, after, overlap, likeness)
            self._progress(self._users)
            yield users, before, after, overlap, likeness

    def _lists(self, snapshot: "Snapshot", users: list[str]) -> NDArray[np.int64]:
        """Return the lists of users (B, n) as a version would serve them, in its own numbering of items."""
        parts = ranked_lists(self._services, snapshot, users, self._n)
        return np.concatenate([ranked for _, ranked, _ in parts]).astype(np.int64)

    def _count(
        self,
        users: list[str],
        before: NDArray[np.int64],
        after: NDArray[np.int64],
        overlap: NDArray[np.float64],
        likeness: NDArray[np.float64],
    ) -> None:
        for side, lists in enumerate((before, after)):
            self._shown[side] += np.bincount(lists[lists >= 0], minlength=self._shown.shape[1])
        changed = (before != after).any(axis=1)  # (B,)
        self._changed += int(changed.sum())
        self._other_items += int((overlap < 1).sum())
        self._overlap += float(overlap.sum())
        self._likeness += float(likeness.sum())
        for row in np.flatnonzero(changed)[np.argsort(likeness[changed], kind="stable")][: self._kept].tolist():
            old, new = (lists[row][lists[row] >= 0].tolist() for lists in (before, after))
            entered, left = [item for item in new if item not in old], [item for item in old if item not in new]
            found = _Example(-float(likeness[row]), -self._users - row, users[row], float(overlap[row]), entered, left)
            heapq.heappush(self._examples, found)
            if len(self._examples) > self._kept:
                heapq.heappop(self._examples)
        self._users += len(users)

    def _text(self, item: int) -> str:
        """Return the id of an item by its number over both catalogues."""
        before, after = (snapshot.model.facts.items for snapshot in self._snapshots)
        return before.text(item) if item < len(before) else after.text(int(self._new_items[item - len(before)]))
