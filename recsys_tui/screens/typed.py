"""Keys in the order in which they are typed, however fast: each acts before the next one is looked at.

Textual hands a key to the widget that has the focus when the key comes, and runs its binding some messages later: what
is typed after `/` would still go to the list, and what is typed into a screen that is being made would be lost.
"""

import asyncio
import time
from contextlib import suppress
from typing import Any

from textual import events
from textual.driver import Driver
from textual.message_pump import MessagePump
from textual.widgets import Input

from recsys_tui.screens.ahead import Ahead
from recsys_tui.screens.base import Place

_REST_SECONDS = 0.5  # at most: there is little to do


class Typed(Ahead):
    """Takes the keys before any widget does."""

    _early: list[events.Key]

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._early = []

    def get_driver_class(self) -> type[Driver]:
        """Return what reads the keyboard and draws."""
        from textual.drivers.linux_driver import LinuxDriver

        from recsys_tui.screens.keyboard import Keyboard

        found = super().get_driver_class()
        return Keyboard if found is LinuxDriver else found

    async def on_event(self, event: events.Event) -> None:
        """Let a key act at once, by its binding or in the line that is typed in; keep it where its screen is made."""
        if isinstance(event, events.Paste) and not event.is_forwarded and isinstance(self.focused, Input):
            await _at_rest(self.focused)
            self.focused._on_paste(event)  # noqa: SLF001  what is typed next must not overtake it
            return
        if not isinstance(event, events.Key) or event.is_forwarded or not self.is_running:
            await super().on_event(event)
            return
        self.pressed_at = time.monotonic()
        if self._early or not self.screen.is_mounted:
            self._keep(event)
        elif event.key.startswith("alt+") and event.character:
            await self.on_event(events.Key("escape", "\x1b"))  # the two were typed fast: no key here has Alt
            await self.on_event(events.Key(event.character, event.character))
        elif not await self._acts(event):
            await super().on_event(event)

    async def _acts(self, event: events.Key) -> bool:
        """Let a key do what it does here, and tell whether it did; the widget that has the focus gets all others."""
        line = self.focused
        if getattr(line, "rating", False) or self.screen.maximized is not None or not self.app_focus:
            return False
        if isinstance(line, Input):
            await _at_rest(line)
            if event.is_printable:
                await line._on_key(event)  # noqa: SLF001  by its own queue, letters would overtake ^u and Enter
                return True
        acted = await self._check_bindings(event.key, priority=True) or await self._check_bindings(event.key)
        if acted and event.key == "enter" and line is not None and isinstance(line.screen, Place):
            for node in line.ancestors_with_self[:-1]:
                await _at_rest(node)  # the list, or the rating cell, has the keys by then
        return acted

    def _keep(self, event: events.Key) -> None:
        """Give a key again once its screen is there."""
        if not self._early:
            self.screen.call_later(self._give_again)
        self._early.append(event)

    def _give_again(self) -> None:
        early, self._early = self._early, []
        for event in early:
            self.post_message(event)


async def _at_rest(node: MessagePump) -> None:
    """Wait until a widget did what it was told before, such as that it has the keys now: a line selects its text."""
    reached = asyncio.Event()
    if node.call_later(reached.set):
        with suppress(TimeoutError):
            await asyncio.wait_for(reached.wait(), _REST_SECONDS)
