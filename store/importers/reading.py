"""From batches to staged rows: ids judged and numbered, ratings held against the scale, faults counted."""

from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from store.importers.base import MAX_ID_BYTES, Batch, Fault, Numbers, Texts
from store.loading.ids import IdTable
from store.loading.spool import Rows, Spool
from store.scales import Acceptance, decide

Item = TypeVar("Item")
Made = TypeVar("Made")


@dataclass
class Reader:
    """Takes batches into a spool and keeps count.

    Attributes:
        users, items: dense ids of what the source names.
        taken: which ratings are accepted; None until the first batch with a number in it decides.
        read: rows so far.
        reasons: refused rows by fault, in words.
    """

    users: IdTable
    items: IdTable
    spool: Spool
    taken: Acceptance | None
    read: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def take(self, batch: Batch) -> NDArray[np.int64]:
        """Stage the sound rows of a batch and return the positions of the others; `batch.faults` tells why."""
        users = _judged(batch, batch.users, self.users, Fault.MISSING_USER, Fault.LONG_USER)
        items = _judged(batch, batch.items, self.items, Fault.MISSING_ITEM, Fault.LONG_ITEM)
        self._hold_against_scale(batch)
        self.read += len(batch)
        refused = np.flatnonzero(batch.faults)
        codes, counts = np.unique(batch.faults[refused], return_counts=True)
        for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
            self.reasons[Fault(code).reason] += count
        sound = np.flatnonzero(batch.faults == 0) if len(refused) else slice(None)
        keys = (_numbered(batch.users, users, sound, self.users) << 32) | _numbered(
            batch.items, items, sound, self.items
        )
        if len(keys):
            self.spool.add(Rows(keys, batch.ratings[sound], batch.times[sound]))
        return refused

    def _hold_against_scale(self, batch: Batch) -> None:
        if self.taken is None:
            known = batch.ratings[batch.faults == 0]
            if not len(known):
                return
            self.taken = decide(known)
        scale = self.taken.scale
        outside = (batch.faults == 0) & ~((batch.ratings >= scale.low) & (batch.ratings <= scale.high))
        if self.taken.stated and scale.step is not None:
            steps = (batch.ratings - scale.low) / scale.step
            with np.errstate(invalid="ignore"):
                outside |= (batch.faults == 0) & (np.abs(steps - np.round(steps)) >= 1e-9)
        batch.faults[outside] = Fault.OUTSIDE_SCALE


def _judged(
    batch: Batch, column: Texts | Numbers, table: IdTable, missing: Fault, too_long: Fault
) -> NDArray[np.int64]:
    """Mark rows whose id cannot be one; return the dense ids of the column's distinct texts, 0 where not known yet."""
    if isinstance(column, Numbers):  # a number is a sound id, and has an index of its own
        return np.zeros(0, np.int64)
    ids = table.find(column.texts)
    faults = np.zeros(len(ids), np.uint8)
    for position in np.flatnonzero(ids == 0).tolist():
        text = column.texts[position].strip()
        if not text:
            faults[position] = missing
        elif len(text.encode()) > MAX_ID_BYTES:
            faults[position] = too_long
        elif "\0" in text:
            faults[position] = Fault.NUL
    if faults.any():
        batch.faults = np.where(batch.faults > 0, batch.faults, faults[column.codes])
    return ids


def _numbered(
    column: Texts | Numbers, ids: NDArray[np.int64], sound: NDArray[np.int64] | slice, table: IdTable
) -> NDArray[np.int64]:
    """Return the dense ids of the sound rows; an id that no sound row names is not numbered at all."""
    if isinstance(column, Numbers):
        return table.number_values(column.values[sound])
    codes = column.codes[sound]
    used = np.zeros(len(ids), np.bool_)
    used[codes] = True
    fresh = np.flatnonzero(used & (ids == 0))
    if len(fresh):
        ids[fresh] = table.number([column.texts[position].strip() for position in fresh.tolist()])
    return ids[codes]


def prefetched(items: Iterator[Item], depth: int = 2) -> Generator[Item]:
    """Yield the items of an iterator that runs ahead in a thread of its own, by `depth` items at most."""
    end = object()
    step: Callable[[], object] = lambda: next(items, end)  # noqa: E731
    pool = ThreadPoolExecutor(1)
    try:
        waiting = deque(pool.submit(step) for _ in range(depth))
        while (item := waiting.popleft().result()) is not end:
            waiting.append(pool.submit(step))
            yield item  # type: ignore[misc]
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def worked_on(items: Iterable[Item], work: Callable[[Item], Made], threads: int = 2) -> Generator[Made]:
    """Yield `work(item)` of each item in order, done by several threads; few items are held at a time."""
    pool = ThreadPoolExecutor(threads)
    waiting: deque[Future[Made]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
