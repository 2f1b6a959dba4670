"""The driver of the UI with the eyes of the tests of Users, Rate and Data: they wait for what they see."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from recsys_tui.app import Options, RecsysApp
from recsys_tui.ui_state import UiState
from tests.recsys_tui.tui.pilot import Driven


class Driver(Driven):
    """Keys go in as fast as they come: what follows from them is waited for by `see` and `until`."""

    @property
    def place(self) -> Any:
        """The place that is shown."""
        return self.app.place()

    @property
    def lines(self) -> list[str]:
        """The screen, line by line."""
        return self.text.splitlines()

    @property
    def focused_id(self) -> str | None:
        """The id of the widget that has the keys."""
        return self.app.focused.id if self.app.focused else None

    async def press(self, *keys: str) -> None:
        """Press keys by their names."""
        await self.pilot.press(*keys)

    async def settle(self) -> None:
        """Let the app take what was typed."""
        await self.pilot.pause()

    async def see(self, *texts: str, seconds: float = 30.0) -> None:
        """Wait until all of these stand on the screen."""
        await self.until(lambda: all(text in self.text for text in texts), seconds)

    async def hear(self, text: str) -> None:
        """Wait until a toast says this."""
        await self.until(lambda: any(text in toast for toast in self.toasts))


def drive(
    db: Path,
    act: Callable[[Driver], Awaitable[Any]],
    *,
    size: tuple[int, int] = (80, 24),
    **options: Any,
) -> Any:
    """Open the UI, let `act` work with it, and return what that returns."""

    async def run() -> Any:
        app = RecsysApp(db, Options(**options), kept=UiState(db.parent / "ui.json"))
        async with app.run_test(size=size, notifications=True) as pilot:
            return await act(Driver(app, pilot))

    return asyncio.run(run())
