"""Progress for people: one line on a terminal that replaces itself, else a plain line now and then."""

import sys
import time
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from recsys_tui import render

if TYPE_CHECKING:
    from recsys_tui.session import Session
    from store.importers.progress import Progress

_BAR = 20
_RECENT = 5  # epochs whose mean duration the forecast is made of


class Line:
    """Progress on stderr; silent under --json."""

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._width = 0
        self._last = time.monotonic()
        self._epochs: deque[float] = deque(maxlen=_RECENT)  # seconds of the last ones

    def show(self, text: str) -> None:
        """Show a state that the next one replaces; where stderr is no terminal each is a line of its own."""
        if self._session.as_json:
            return
        out = render.Terminal.of(sys.stderr)
        if not out.tty:
            render.say(text)
            return
        visible = render.safe(text)[: out.width - 1]  # a line that the terminal breaks could not be replaced
        out.write("\r" + visible.ljust(self._width))
        out.stream.flush()
        self._width = len(visible)

    def importing(self, state: "Progress") -> None:
        """Show how far an import is: on a terminal whenever it says so, else once a second."""
        now = time.monotonic()
        if not sys.stderr.isatty() and now - self._last < 1.0:
            return
        self._last = now
        done, total = (state.rows, state.rows_total) if state.rows_total else (state.bytes_done, state.bytes_total)
        share = f"{done / total:4.0%}  " if total else ""
        self.show(f"  {state.stage}  {share}{state.rows:,} rows  {state.rows_per_second:,.0f} rows/s")

    def epoch(self, data: dict[str, Any]) -> None:
        """Show one epoch of a training, and about how long the others will take."""
        out = render.Terminal.of(sys.stderr)
        parts = [f"epoch {data['number']}/{data['of']}"]
        parts += [render.bar(data["number"], data["of"], _BAR, ascii=out.ascii)] if out.tty else []
        parts += figures_of(data)
        parts += [render.duration(data["seconds"])]
        parts += [f"{data['ratings_per_second']:,} ratings/s"] if data["ratings_per_second"] else []
        if data["number"] == 1:  # of a fit on all rows, which takes longer than the one before
            self._epochs.clear()
        self._epochs.append(data["seconds"])
        if left := data["of"] - data["number"]:
            parts += [f"ETA {render.duration(left * sum(self._epochs) / len(self._epochs))}"]
        self.show("  " + "  ".join(parts))

    def end(self) -> None:
        """Leave the last state on the screen and begin a new line."""
        if self._width:
            sys.stderr.write("\n")
            sys.stderr.flush()
            self._width = 0


def figures_of(epoch: Mapping[str, Any]) -> list[str]:
    """Return the losses of an epoch, and what was measured on held-out rows where it was not passed over."""
    held_out = {f"held-out {name}": value for name, value in epoch.get("held_out", {}).items()}
    return [f"{name} {render.number(value)}" for name, value in (epoch["losses"] | held_out).items()]
