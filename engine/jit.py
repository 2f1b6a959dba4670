"""How compiled loops are made and run: numba's compiler, and plain threads that are dealt spans of rows.

A kernel takes a span (start, stop) of rows as its first argument and releases the interpreter lock. That needs none of
numba's threading layers, which forbid `fork` and concurrent callers. Where a row never depends on another, the result
is the same bit for bit whatever the number of threads.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, Self, TypeVar, cast

import numpy as np
from numba import njit
from numba.core.event import Event, Listener, register, unregister
from numpy.typing import NDArray

from engine.resources import threads

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

_REORDERED = {"contract", "reassoc", "nsz"}
_WORTH_A_THREAD = 8_192  # ratings; with fewer, starting a thread takes longer than the work
_SPANS_A_THREAD = 8  # so that one user with very many ratings leaves no thread idle
_ROWS_WORTH_A_THREAD = 32  # the same as _WORTH_A_THREAD for rows of a score matrix


def compiled(function: Kernel) -> Kernel:
    """Compile once a machine, or in every process where no cache can be written; the type stays the function's.

    Sums may be reordered, so that they use vector instructions; NaN and infinities keep their meaning.
    """
    try:
        return cast("Kernel", njit(cache=True, nogil=True, fastmath=_REORDERED)(function))
    except RuntimeError:  # neither our folder nor the user's can be written
        return cast("Kernel", njit(nogil=True, fastmath=_REORDERED)(function))


class Compiling(Listener):
    """How long compiling took in a `with` block; what is taken from the disk is not compiled.

    Loops that are called by a loop are compiled within it, and count once; so do those of two threads at a time.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self._seconds = 0.0
        self._lock, self._depth, self._began = threading.Lock(), 0, 0.0

    def __enter__(self) -> Self:
        """Begin to listen."""
        register("numba:compile", self)  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *_: object) -> None:
        """Listen no longer."""
        unregister("numba:compile", self)  # type: ignore[no-untyped-call]

    def on_start(self, event: Event) -> None:  # noqa: ARG002  the listener's signature
        """Take note of the beginning of the outermost."""
        with self._lock:
            self._began = self._began if self._depth else time.monotonic()
            self._depth += 1

    def on_end(self, event: Event) -> None:  # noqa: ARG002
        """Count the time when the outermost is done."""
        with self._lock:
            self._depth -= 1
            self._seconds += 0.0 if self._depth else time.monotonic() - self._began

    def taken(self) -> float:
        """Return the seconds since the last call in which something was being compiled."""
        with self._lock:
            seconds, self._seconds = self._seconds, 0.0
        return seconds


def over_rows(kernel: Callable[..., Any], starts: NDArray[np.int64], *arguments: Any) -> None:
    """Call `kernel((start, stop), *arguments)` so that the spans cover all rows, each with about as many ratings.

    Args:
        kernel: a compiled loop.
        starts: int64 (n_rows + 1,), the ratings of row r are starts[r]:starts[r + 1].
        arguments: passed on.
    """
    n_rows, n_ratings = len(starts) - 1, int(starts[-1])
    n_threads = _threads_for(1 + n_ratings // _WORTH_A_THREAD)
    cuts = np.searchsorted(starts, np.linspace(0, n_ratings, n_threads * _SPANS_A_THREAD + 1)[1:-1])
    _deal(kernel, [0, *cuts.tolist(), n_rows], n_threads, arguments)


def in_threads(kernel: Callable[..., Any], n_rows: int, *arguments: Any) -> None:
    """Call `kernel((start, stop), *arguments)` so that the spans cover all rows, each with as many rows."""
    n_threads = _threads_for(n_rows // _ROWS_WORTH_A_THREAD)
    _deal(kernel, [n_rows * part // n_threads for part in range(n_threads + 1)], n_threads, arguments)


def _threads_for(worth: int) -> int:
    """Return how many threads to use for work that is worth so many; the limit is asked last: it may be in a file."""
    return min(worth, threads()) if worth > 1 else 1


def _deal(kernel: Callable[..., Any], bounds: list[int], n_threads: int, arguments: tuple[Any, ...]) -> None:
    """Run the kernel over the spans between bounds; the first error of a thread is raised here."""
    if n_threads == 1:
        kernel((bounds[0], bounds[-1]), *arguments)
        return
    with ThreadPoolExecutor(n_threads) as pool:
        for done in [pool.submit(kernel, span, *arguments) for span in pairwise(bounds)]:
            done.result()
