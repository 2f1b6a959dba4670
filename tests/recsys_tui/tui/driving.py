"""Drives the UI without a terminal: keys in, the screen as text out."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from recsys_tui.app import Options, RecsysApp
from recsys_tui.ui_state import UiState

NAMED = {" ": "space", ".": "full_stop", "/": "slash", "-": "minus", "_": "underscore", "(": "left_parenthesis"}


class Driver:
    """A running UI.

    Attributes:
        app: the app.
        pilot: Textual's.
        place: the place that is shown.
    """

    def __init__(self, app: RecsysApp, pilot: Pilot[Any]) -> None:
        self.app, self.pilot = app, pilot

    @property
    def place(self) -> Any:
        return self.app.place()

    @property
    def lines(self) -> list[str]:
        """The screen, line by line."""
        return [strip.text for strip in self.app.screen._compositor.render_strips()]

    @property
    def text(self) -> str:
        """The screen as text."""
        return "\n".join(self.lines)

    def focused_id(self) -> str | None:
        """The id of the widget that has the keys."""
        return self.app.focused.id if self.app.focused else None

    async def press(self, *keys: str) -> None:
        """Press keys by their names."""
        await self.pilot.press(*keys)

    async def type(self, text: str) -> None:
        """Type text."""
        await self.pilot.press(*(NAMED.get(char, char) for char in text))

    async def until(self, true: Callable[[], Any], seconds: float = 20.0) -> None:
        """Wait until something holds."""
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, f"it never became so:\n{self.text}"
            await self.pilot.pause(0.02)

    async def see(self, *texts: str, seconds: float = 20.0) -> None:
        """Wait until all of these stand on the screen."""
        await self.until(lambda: all(text in self.text for text in texts), seconds)


def drive(
    db: Path,
    act: Callable[[Driver], Awaitable[Any]],
    *,
    screen: str,
    size: tuple[int, int] = (80, 24),
    kept: UiState | None = None,
    **options: Any,
) -> Any:
    """Open the UI on a place, let `act` work with it, and return what that returns."""

    async def run() -> Any:
        app = RecsysApp(db, Options(screen=screen, **options), kept=kept or UiState(db.parent / "ui.json"))
        async with app.run_test(size=size, notifications=True) as pilot:
            return await act(Driver(app, pilot))

    return asyncio.run(run())
