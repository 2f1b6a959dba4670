"""Loading the version that takes over in a thread of its own, while the one before goes on answering."""

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.services.manager import Snapshot
    from store.registry import ModelVersion

PATIENCE_SECONDS = 0.03
"""How long the first reader waits for the next version before the one before answers; later ones do not wait."""

SMALL_BYTES = 4 << 20
"""Files that are loaded in less than that: they take over with the first question."""


class Swap:
    """The versions that are being loaded."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loading: dict[int, Future[Snapshot]] = {}

    def load(self, version: "ModelVersion", work: "Callable[[], Snapshot]") -> "Snapshot | None":
        """Return what the work gives, or None as long as it goes on; what it raises is raised here.

        Args:
            version: what is loaded; asking again joins the work that goes on.
            work: loads it.
        """
        with self._lock:
            future = self._loading.get(version.id)
            patience = 0.0
            if future is None:
                future = self._loading[version.id] = Future()
                patience = PATIENCE_SECONDS
                threading.Thread(target=_run, args=(future, work), name=f"load {version.name}", daemon=True).start()
        try:
            return future.result(timeout=patience)
        except TimeoutError:
            if future.done():
                raise
            return None
        finally:
            if future.done():
                with self._lock:
                    self._loading.pop(version.id, None)


def is_small(version: "ModelVersion") -> bool:
    """Tell whether a version is loaded before anybody notices."""
    return version.bytes <= SMALL_BYTES


def warm(snapshot: "Snapshot") -> None:
    """Make what the first question would otherwise wait for: the lower rungs, and the pages of the arrays."""
    model = snapshot.model
    for rung in (snapshot.popular, snapshot.content, model):
        scores = rung.scores(rung.cold_vector())
        assert scores.dtype == np.float32  # noqa: S101  reading them has brought every page in


def _run(future: "Future[Snapshot]", work: "Callable[[], Snapshot]") -> None:
    try:
        found = work()
        warm(found)
    except BaseException as error:  # noqa: BLE001  it is raised where the version is asked for
        future.set_exception(error)
    else:
        future.set_result(found)
