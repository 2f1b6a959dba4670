"""Progress for people: one line on a terminal that replaces itself, else a plain line now and then."""

import sys
import time
from typing import TYPE_CHECKING, Any

from recsys_tui import render

if TYPE_CHECKING:
    from recsys_tui.session import Session


class Line:
    """Progress on stderr; silent under --json."""

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._width = 0
        self._last = 0.0

    def show(self, text: str) -> None:
        """Show a state that the next one replaces; where stderr is no terminal each is a line of its own."""
        if self._session.as_json:
            return
        if not sys.stderr.isatty():
            render.say(text)
            return
        visible = render.safe(text)
        sys.stderr.write("\r" + visible.ljust(self._width))
        sys.stderr.flush()
        self._width = len(visible)

    def rows(self, read: int, rate: float, done: int, total: int) -> None:
        """Show how far an import is; called at least once a second."""
        share = f"{done / total:4.0%}  " if total else ""
        now = time.monotonic()
        if sys.stderr.isatty() or now - self._last >= 1.0:
            self._last = now
            self.show(f"  {share}{read:,} rows  {rate:,.0f} rows/s")

    def epoch(self, data: dict[str, Any]) -> None:
        """Show one epoch of a training."""
        losses = "  ".join(f"{name} {value:.4f}" for name, value in data["losses"].items())
        speed = f"{data['ratings_per_second']:,} ratings/s" if data["ratings_per_second"] else ""
        done = render.bar(data["number"], data["of"], 20)
        self.show(f"  epoch {data['number']}/{data['of']}  {done}  {losses}  {data['seconds']:.2f} s  {speed}")

    def end(self) -> None:
        """Leave the last state on the screen and begin a new line."""
        if self._width:
            sys.stderr.write("\n")
            sys.stderr.flush()
            self._width = 0
