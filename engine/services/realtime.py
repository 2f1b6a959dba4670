"""`RealtimeLearner`: a rating is durable first, then folded into the user's vector; the next list reflects it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.models.base import FoldsIn
from engine.services.folding import Folding, folded, histories
from engine.services.group_commit import GroupCommit
from engine.services.items import MOST_WAITING, ItemQueue, as_trained, refit
from store import catalog, vectors
from store import errors as store_errors
from store.writes import Entry, Put

if TYPE_CHECKING:
    from engine.services import Services


@dataclass(frozen=True)
class Rated:
    """What a new rating did.

    Attributes:
        stored: the rating is on the disk.
        previous: what it replaced, None where there was nothing.
        version: the version whose vector was brought up to date, None where there is none.
        changed: the user's best ten are not the same items, in the same order, as before.
        entered, left: items that came into the ten and that left them.
    """

    user: str
    item: str
    rating: float | None
    stored: bool
    previous: float | None
    version: str | None
    changed: bool
    entered: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


class RealtimeLearner:
    """Takes ratings one by one or many at once, from any number of threads; other processes may do the same.

    A rating is on the disk before its caller goes on: the transaction has ended with fsync (see `GroupCommit`). Then it
    is in the vector, folded in from the whole stored history. A failed fold-in is logged and never blocks the rating.
    """

    def __init__(self, services: "Services") -> None:
        self._services = services
        self._database = services.database
        self._folding = Folding(services.database, services.registry, services.manager)
        self._commits = GroupCommit(services.database, self._folding)
        self._items: ItemQueue | None = None

    @property
    def failures(self) -> int:
        """How often a vector was not brought up to date."""
        return self._folding.failures

    def record(self, user: str, item: str, value: float | None, *, at: float | None = None) -> Put:
        """Store a rating, or take it back by None, and fold it in: what many clients at once do, quick and quiet.

        Args:
            user: text id, created where unknown.
            item: text id, in the catalogue.
            value: on the scale.
            at: when it was given, in seconds since 1970; None for now.

        Raises:
            NotFound: unknown item, or no rating to take back.
            DataRefused: the value is outside the scale or between its steps.
            Busy, NoSpace: nothing is stored.
        """
        return self._submit([Entry(user, item, value, None if at is None else int(at))])[0]

    def rate(self, user: str, item: str, value: float, *, now: float | None = None) -> Rated:
        """Store a rating, fold it in, and say what it changed; errors as in `record`."""
        before = self._best(user)
        put = self.record(user, item, value, at=now)
        return self._after(user, item, value, put.previous, before)

    def unrate(self, user: str, item: str) -> Rated:
        """Take a rating back, as if it had never been made.

        Raises:
            NotFound: there is no such rating.
        """
        before = self._best(user)
        put = self.record(user, item, None)
        return self._after(user, item, None, put.previous, before)

    def apply_updates(self, updates: Sequence[tuple[str, str, float] | Entry]) -> int:
        """Store many ratings, all or none, and fold each touched user in once; return the number given.

        Raises:
            NotFound, DataRefused: as in `record`; nothing is stored.
        """
        if updates:
            self._submit([Entry(*update) for update in updates])
            self.flush()
        return len(updates)

    def flush(self) -> None:
        """Wait until the vectors of all ratings so far are where other processes find them."""
        self._commits.flush()

    def update_user_embedding(self, user: str, *, version: str = "active") -> bool:
        """Fold the user's whole stored history into their vector under a version; False where the model cannot.

        Two processes at once lose nothing: each computes from a history and its revision, and the newer revision stays.
        """
        snapshot = as_trained(self._services.manager.snapshot(version))
        if not isinstance(snapshot.model, FoldsIn):
            return False
        with self._database.write():  # revision and history belong together
            key = catalog.user_key(self._database, user)
            if key is None:
                return False
            [history] = histories(self._database, snapshot, {user: key[0]})
            vector = folded(snapshot, history)
            vectors.put(self._database, snapshot.version.id, key[0], key[1], vector)
        return True

    def update_movie_embedding(self, item: str, *, version: str = "active") -> bool:
        """Let an item follow the ratings that came in after the training, in this process; False where there are none.

        Users and other processes keep what they have. A later training replaces all of it.

        Raises:
            NotFound: the item is not in the catalogue.
        """
        return bool(refit(self._services, [item], version=version))

    def follow_items(self, *, most: int = MOST_WAITING) -> ItemQueue:
        """Let items follow their ratings from now on, by a bounded queue: for a process that goes on serving."""
        self._items = ItemQueue(lambda items: refit(self._services, items), most=most)
        return self._items

    def _submit(self, entries: list[Entry]) -> list[Put]:
        puts = self._commits.submit(entries)
        if self._items is not None:
            for entry, put in zip(entries, puts, strict=True):
                if put.state != "unchanged":
                    self._items.offer(entry.item)
        return puts

    def _after(
        self, user: str, item: str, value: float | None, previous: float | None, before: list[str] | None
    ) -> Rated:
        after = self._best(user)
        self.flush()
        if before is None or after is None:
            return Rated(user, item, value, True, previous, None, False)
        entered = tuple(entry for entry in after if entry not in before)
        left = tuple(entry for entry in before if entry not in after)
        version = self._services.registry.resolve("active").name
        return Rated(user, item, value, True, previous, version, before != after, entered, left)

    def _best(self, user: str) -> list[str] | None:
        """Return the user's best ten now, or None where no version can say."""
        try:
            return [entry.item for entry in self._services.recommender.recommend(user).items]
        except store_errors.StoreError:
            return None
