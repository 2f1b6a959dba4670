"""A place of the terminal UI as a picture, drawn without a terminal."""

import asyncio
import os
from pathlib import Path

from recsys_tui.app import Options, RecsysApp
from recsys_tui.screens.around import screen_text
from recsys_tui.ui_state import UiState

_MOST_LOOKS, _QUIET_LOOKS = 400, 12


def picture(database: Path, options: Options, size: tuple[int, int]) -> tuple[str, str]:
    """Draw the UI without a terminal, once everything on it has been read; return it as SVG and as text."""

    async def draw() -> tuple[str, str]:
        app = RecsysApp(database, options, kept=UiState(Path(os.devnull)))
        async with app.run_test(size=size) as pilot:
            quiet = 0
            for _ in range(_MOST_LOOKS):
                await pilot.pause(0.05)
                known = app.trouble or app.state.schedule is not None  # it is what is read last
                settled = known and all(not place.busy for place in app.places_made())
                quiet = quiet + 1 if settled else 0
                if quiet == _QUIET_LOOKS:
                    break
            return app.export_screenshot(), screen_text(app.screen)

    return asyncio.run(draw())
