"""What the machine gives us: processors and memory, as limited by affinity and cgroups; thread counts set by us."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from pathlib import Path

from engine.errors import TrainingFailed

_CGROUP = Path("/sys/fs/cgroup")
PROCESS_BYTES = 200 << 20  # of Python and the compiled libraries, before any data
_HEADROOM = 0.9  # the forecast is within 20 % of the peak, and others live on the machine too
_limit: ContextVar[int] = ContextVar("threads", default=0)  # a thread that is started later has none


def processors() -> int:
    """Return how many processors this process may use: affinity, cut to the cgroup's quota, at least one."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = _read(_CGROUP / "cpu.max").partition(" ")
    if quota.isdigit() and period.strip().isdigit():
        allowed = min(allowed, max(1, int(quota) // int(period)))
    return max(1, allowed)


def available_memory() -> int:
    """Return the bytes that can still be used: what the machine has free, cut to what the cgroup leaves."""
    import psutil

    free = int(psutil.virtual_memory().available)
    limit, used = _read(_CGROUP / "memory.max"), _read(_CGROUP / "memory.current")
    if limit.isdigit() and used.isdigit():
        free = min(free, int(limit) - int(used))
    return max(0, free)


def check_memory(needed: int, what: str, *, limit: int = 0) -> None:
    """Refuse work whose forecast does not fit.

    Args:
        needed: forecast of the peak in bytes.
        what: the work, for the message.
        limit: bytes to use at most; 0 for what is available.

    Raises:
        TrainingFailed: names both figures.
    """
    available = limit or int(available_memory() * _HEADROOM)
    if needed > available:
        raise TrainingFailed(
            f"{what} needs about {needed / 2**30:.1f} GiB; {available / 2**30:.1f} GiB are available",
            hint="use fewer factors (--set n_factors=…), stop other programs, or raise the limit of the cgroup",
        )


def peak_memory() -> int:
    """Return the largest resident size of this process so far, in bytes."""
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def threads() -> int:
    """Return how many threads work is to use: the limit in force, or all processors of this process."""
    return _limit.get() or processors()


@contextmanager
def thread_limit(limit: int = 0) -> Iterator[int]:
    """Run BLAS, OpenMP and our own threads with this many (0: all that the process may use); yields the number."""
    from threadpoolctl import threadpool_limits

    count = min(limit or processors(), processors())
    before = _limit.set(count)
    try:
        with threadpool_limits(count):
            yield count
    finally:
        _limit.reset(before)


def _read(path: Path) -> str:
    with suppress(OSError):
        return path.read_text().strip()
    return ""


@cache
def keep(what: str) -> None:
    """Let full collections of garbage pass over all objects that exist by now: they stay for as long as the process.

    With numeric libraries loaded these are hundreds of thousands. To look through them keeps all threads waiting for up
    to 80 ms, in the middle of somebody's answer, and finds nothing.

    Args:
        what: has been loaded; the second time nothing is done.
    """
    del what
    gc.freeze()
