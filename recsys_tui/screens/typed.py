"""Keys in the order in which they are typed, however fast: each acts before the next one is looked at.

Textual hands a key to the widget that has the focus when the key comes, and runs its binding some messages later: what
is typed after `/` would still go to the list, and what is typed into a screen that is being made would be lost.
"""

import time
from typing import Any

from textual import events
from textual.widgets import Input

from recsys_tui.screens.ahead import Ahead
from recsys_tui.screens.base import Place


class Typed(Ahead):
    """Takes the keys before any widget does."""

    _early: list[events.Key]

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._early = []

    async def on_event(self, event: events.Event) -> None:
        """Run the binding of a key at once where nothing is typed into; keep the key where its screen is being made."""
        if not isinstance(event, events.Key) or event.is_forwarded or not self.is_running:
            await super().on_event(event)
            return
        self.pressed_at = time.monotonic()
        if self._early or not self.screen.is_mounted:
            self._keep(event)
        elif event.key.startswith("alt+") and event.character:
            await self.on_event(events.Key("escape", "\x1b"))  # the two were typed fast: no key here has Alt
            self.post_message(events.Key(event.character, event.character))
        elif not (self._bound_first(event.key) and await self._check_bindings(event.key)):
            await super().on_event(event)

    def _bound_first(self, key: str) -> bool:
        """Tell whether a key is for nothing but its binding: on a place outside a line or a rating cell; Esc, Tab."""
        focused = self.focused
        if getattr(focused, "rating", False) or self.screen.maximized is not None or not self.app_focus:
            return False
        return key in {"escape", "tab", "shift+tab"} or (
            isinstance(self.screen, Place) and not isinstance(focused, Input)
        )

    def _keep(self, event: events.Key) -> None:
        """Give a key again once its screen is there."""
        if not self._early:
            self.screen.call_later(self._give_again)
        self._early.append(event)

    def _give_again(self) -> None:
        early, self._early = self._early, []
        for event in early:
            self.post_message(event)
