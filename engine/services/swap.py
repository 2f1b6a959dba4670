"""Loading the version that takes over while the one before goes on answering."""

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.services.manager import Snapshot
    from store.registry import ModelVersion

SMALL_BYTES = 4 << 20
"""Files that are loaded in less than that: they take over with the first question."""


class Swap:
    """What is being loaded, by the name that it was asked for by."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loading: dict[str, Future[Snapshot]] = {}

    def goes_on(self, name: str) -> bool:
        """Tell whether what takes over a name is still being loaded."""
        future = self._loading.get(name)
        return future is not None and not future.done()

    def load(self, name: str, work: "Callable[[], Snapshot]", *, here: bool, wait: bool) -> "Snapshot | None":
        """Return what the work gives, or None as long as it goes on; what it raises is raised here.

        Args:
            name: what it takes over; asking again joins the work that goes on.
            work: loads it.
            here: do the work in the time of the caller who asks first.
            wait: wait for the work, whoever does it.
        """
        with self._lock:
            future = self._loading.get(name)
            begin = future is None
            if future is None:
                future = self._loading[name] = Future()
        if begin and here:
            _run(future, work)
        elif begin:
            threading.Thread(target=_run, args=(future, work), name=f"load {name}", daemon=True).start()
        if not wait and not future.done():
            return None
        try:
            return future.result()
        finally:
            with self._lock:
                if self._loading.get(name) is future:
                    del self._loading[name]


def is_small(version: "ModelVersion") -> bool:
    """Tell whether a version is loaded before anybody notices."""
    return version.bytes <= SMALL_BYTES


def warm(snapshot: "Snapshot") -> None:
    """Make what first questions would otherwise wait for: the lower rungs, the pages of arrays, tables by columns."""
    model = snapshot.model
    for rung in (snapshot.popular, snapshot.content, model, model):  # columns are made from the second time on
        scores = rung.scores(rung.cold_vector())
        assert scores.dtype == np.float32  # noqa: S101  reading them has brought every page in


def _run(future: "Future[Snapshot]", work: "Callable[[], Snapshot]") -> None:
    try:
        found = work()
    except BaseException as error:  # noqa: BLE001  it is raised where the version is asked for
        future.set_exception(error)
    else:
        future.set_result(found)
