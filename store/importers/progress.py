"""How far an import is, told to the operator a few times a second."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from store.importers.source import Source

_TELL_SECONDS = 0.2


@dataclass(frozen=True)
class Progress:
    """How far an import is; `bytes_done` of `bytes_total` tells of the source on disk, None where unknown."""

    stage: str
    rows: int
    rows_total: int | None
    rows_per_second: float
    bytes_done: int
    bytes_total: int | None
    seconds: float


class Reporter:
    """Calls the operator's progress function, not more often than it can be looked at."""

    def __init__(self, call: Callable[[Progress], None] | None, source: Source, began: float) -> None:
        self._call = call
        self._source = source
        self._began = began
        self._last = -1.0

    def tell(self, stage: str, rows: int, total: int | None = None) -> None:
        """Report rows done in a stage, of `total` where that is known."""
        now = time.monotonic()
        if self._call is not None and (now - self._last >= _TELL_SECONDS or rows == total):
            self._last = now
            seconds = now - self._began
            done, size = self._source.bytes_done, self._source.bytes_total
            self._call(Progress(stage, rows, total, rows / max(seconds, 1e-9), done, size, seconds))
