"""Rows in key order, however many there are: sorted runs in a temporary file, merged by ranges of the key."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from store.errors import translate
from store.processes import is_running

_RUN_ROWS = 1 << 18
_EVERY = 1_024  # one key in so many is kept in memory, to find ranges


@dataclass(frozen=True)
class Rows:
    """Parallel arrays (n,): keys int64 (user << 32 | item), ratings float64, times int64."""

    keys: NDArray[np.int64]
    ratings: NDArray[np.float64]
    times: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, rows: NDArray[Any]) -> "Rows":
        """Return the rows at these positions."""
        return Rows(self.keys[rows], self.ratings[rows], self.times[rows])

    def part(self, start: int, end: int) -> "Rows":
        """Return the rows from `start` to `end`."""
        return Rows(self.keys[start:end], self.ratings[start:end], self.times[start:end])

    @property
    def columns(self) -> tuple[NDArray[Any], ...]:
        """The arrays, in the order in which they are kept on disk."""
        return self.keys, self.ratings, self.times

    @staticmethod
    def joined(parts: "list[Rows]") -> "Rows":
        """Return the rows of all parts, one after the other."""
        if len(parts) == 1:
            return parts[0]
        return Rows(*(np.concatenate(column) for column in zip(*(part.columns for part in parts), strict=True)))


@dataclass
class Facts:
    """What is known of all rows together.

    Attributes:
        first_at, last_at: the ends of the times; an unknown time is the earliest.
        whole: every rating is a whole number that fits a byte.
    """

    first_at: int = np.iinfo(np.int64).max
    last_at: int = np.iinfo(np.int64).min
    whole: bool = True

    def note(self, rows: Rows) -> None:
        """Take some rows into account."""
        if len(rows):
            self.first_at = min(self.first_at, int(rows.times.min()))
            self.last_at = max(self.last_at, int(rows.times.max()))
            self.whole = self.whole and bool(((rows.ratings % 1 == 0) & (np.abs(rows.ratings) < 128)).all())


@dataclass(frozen=True)
class _Run:
    """Where a sorted run lies: three columns of `rows` eight-byte values from `offset` on, and every 1,024th key."""

    offset: int
    rows: int
    samples: NDArray[np.int64]


class Spool:
    """Takes rows in any order and gives them back by ascending key, rows of equal key in the order of arrival.

    The temporary file lies beside the database (mode 0600) and has no name from the moment it is open, so that nothing
    is left of it when the process dies. Runs are sorted and written in a thread of their own while the next rows come.
    """

    def __init__(self, database: Path, *, compact: Callable[[Rows], Rows] = lambda rows: rows) -> None:
        """Open the file; `compact` may drop rows of a sorted run that will not be needed."""
        remove_stale(database)
        self._compact = compact
        path = database.with_name(f"{database.name}.staging-{os.getpid()}-{id(self):x}")
        try:
            self._file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
            path.unlink()
        except OSError as error:
            raise translate(error, path) from error
        self._path = path
        self._facts = Facts()
        self._runs: list[_Run] = []
        self._waiting: list[Rows] = []
        self._n_waiting = 0
        self._end = 0
        self._writer = ThreadPoolExecutor(1)
        self._being_written: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.shutdown(wait=True)
        os.close(self._file)

    def __len__(self) -> int:
        """Rows held; fewer than were added where `compact` drops some."""
        self._wait()
        return sum(run.rows for run in self._runs) + self._n_waiting

    def add(self, rows: Rows) -> None:
        """Take some rows.

        Raises:
            NoSpace: the disk is full; said by this call or a later one.
        """
        self._waiting.append(rows)
        self._n_waiting += len(rows)
        if self._n_waiting >= _RUN_ROWS:
            self._flush()

    @property
    def facts(self) -> Facts:
        """What is known of all rows taken."""
        self._settle()
        return self._facts

    def _settle(self) -> None:
        """Wait until everything that was taken is sorted and written."""
        self._flush()
        self._wait()

    def ranges(self, size: int) -> Iterator[Rows]:
        """Yield all rows in key order, about `size` at a time; rows of equal key are never parted."""
        self._settle()
        samples = np.sort(np.concatenate([run.samples for run in self._runs])) if self._runs else np.zeros(0, np.int64)
        bounds = np.unique(samples[:: max(1, size // _EVERY)][1:])
        starts = [0] * len(self._runs)
        for bound in [*bounds.tolist(), None]:
            ends = [run.rows if bound is None else self._position(run, bound) for run in self._runs]
            parts = [self._slice(*part) for part in zip(self._runs, starts, ends, strict=True) if part[1] < part[2]]
            starts = ends
            if parts:
                yield sort_rows(Rows.joined(parts)) if len(parts) > 1 else parts[0]

    def _flush(self) -> None:
        self._wait()  # one run at a time: that bounds the memory
        if self._n_waiting:
            self._being_written = self._writer.submit(self._write_run, Rows.joined(self._waiting))
            self._waiting, self._n_waiting = [], 0

    def _wait(self) -> None:
        if self._being_written is not None:
            self._being_written.result()
            self._being_written = None

    def _write_run(self, rows: Rows) -> None:
        rows = self._compact(sort_rows(rows))
        self._facts.note(rows)
        run = _Run(self._end, len(rows), rows.keys[::_EVERY].copy())
        try:
            for column in rows.columns:
                self._end += _write(self._file, np.ascontiguousarray(column), self._end)
        except OSError as error:
            raise translate(error, self._path) from error
        self._runs.append(run)

    def _position(self, run: _Run, bound: int) -> int:
        """Return the number of rows of a run with a key below `bound`."""
        block = int(np.searchsorted(run.samples, bound))  # the first sample that is not below it
        start = max(0, block - 1) * _EVERY
        keys = self._column(run, 0, start, min(run.rows, start + _EVERY))
        return start + int(np.searchsorted(keys, bound))

    def _slice(self, run: _Run, start: int, end: int) -> Rows:
        return Rows(
            self._column(run, 0, start, end),
            self._column(run, 1, start, end).view(np.float64),
            self._column(run, 2, start, end),
        )

    def _column(self, run: _Run, column: int, start: int, end: int) -> NDArray[np.int64]:
        values = np.empty(end - start, np.int64)
        os.preadv(self._file, [values.data], run.offset + 8 * (column * run.rows + start))
        return values


def sort_rows(rows: Rows) -> Rows:
    """Return rows by ascending key; rows of equal key keep their order."""
    keys = rows.keys
    if len(keys) < 2 or bool((keys[1:] >= keys[:-1]).all()):
        return rows
    return rows.take(_stable_order(keys))


def _stable_order(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the stable sorting permutation.

    Where user, item and position fit into 63 bits together, one sort of the packed integers does it: NumPy sorts plain
    integers with SIMD, five times as fast as it finds a stable order.
    """
    users, items = keys >> 32, keys & 0xFFFFFFFF
    users -= users.min()
    item_bits, position_bits = int(items.max()).bit_length(), len(keys).bit_length()
    if int(users.max()).bit_length() + item_bits + position_bits > 63:
        return np.argsort(keys, kind="stable")
    packed = (users << (item_bits + position_bits)) | (items << position_bits) | np.arange(len(keys))
    packed.sort()
    return packed & ((1 << position_bits) - 1)


def _write(file: int, column: NDArray[Any], offset: int) -> int:
    data = column.view(np.uint8).data
    written = 0
    while written < len(data):
        written += os.pwrite(file, data[written:], offset + written)
    return written


def remove_stale(database: Path) -> None:
    """Remove staging files whose process died in the instant between opening and unlinking them."""
    for path in database.parent.glob(f"{database.name}.staging-*"):
        owner = path.name.rpartition(".staging-")[2].partition("-")[0]
        if not owner.isdecimal() or not is_running(int(owner)):
            with suppress(OSError):
                path.unlink()
