"""Drives the UI without a terminal: keys in, the screen as text out."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from recsys_tui.app import Options, RecsysApp
from recsys_tui.screens.around import screen_text
from recsys_tui.ui_state import UiState

Script = Callable[["Driven"], Awaitable[None]]


class Driven:
    """The app with the hands on it."""

    def __init__(self, app: RecsysApp, pilot: Pilot[int]) -> None:
        self.app, self.pilot = app, pilot

    @property
    def text(self) -> str:
        """The screen as text, toasts apart."""
        return screen_text(self.app.screen)

    @property
    def toasts(self) -> list[str]:
        """What was told and is still shown, the oldest first."""
        return [notification.message for notification in self.app._notifications]

    async def press(self, *keys: str) -> None:
        """Press keys and let the app settle."""
        await self.pilot.press(*keys)
        await self.settle()

    async def type(self, text: str) -> None:
        """Type text, letter by letter."""
        names = {" ": "space", "/": "slash", ".": "full_stop", "-": "minus", "_": "underscore", "@": "at"}
        await self.pilot.press(*(names.get(char, char) for char in text))
        await self.settle()

    async def settle(self) -> None:
        """Wait until no place waits for an answer."""
        for _ in range(600):
            await self.pilot.pause(0.02)
            if (self.app.seen_store or self.app.trouble) and not any(p.busy for p in self.app.places_made()):
                break
        await self.pilot.pause(0.02)

    async def until(self, found: Callable[[], Any], seconds: float = 30.0) -> None:
        """Wait until something is so."""
        for _ in range(int(seconds / 0.05)):
            if found():
                return
            await self.pilot.pause(0.05)
        raise AssertionError(f"it did not come to that:\n{self.text}\n{self.toasts}")


def drive(
    db: Path, script: Script, *, size: tuple[int, int] = (80, 24), kept: Path | None = None, **options: Any
) -> RecsysApp:
    """Run the app with a script and return it as it was at the end."""
    app = RecsysApp(db, Options(**options), kept=UiState(kept or db.with_name("ui.json")))

    async def run() -> None:
        async with app.run_test(size=size) as pilot:
            driven = Driven(app, pilot)
            await driven.settle()
            await script(driven)

    asyncio.run(run())
    return app
