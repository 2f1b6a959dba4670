"""What is made before it is asked for, so that a key shows it at once: the other places, and the dialogs shown often.

Making a place takes some hundredths of a second, which nobody notices while no key is pressed.
"""

import gc
import threading
import time
from importlib import import_module
from typing import Any, TypeVar

from textual.app import App
from textual.screen import Screen

from recsys_tui.screens import screen_class
from recsys_tui.stylesheet import KeptStylesheet

Dialog = TypeVar("Dialog", bound=Screen[Any])

_REST_SECONDS = 0.4  # without a key, before the next one is made
_KEPT = {
    "help": "recsys_tui.screens.help:Help",
    "commands": "recsys_tui.screens.choose:Choose",
    "prompt": "recsys_tui.screens.prompt:Prompt",
}


class Ahead(App[int]):
    """Makes places and dialogs, once each."""

    places: list[str]
    stylesheet: KeptStylesheet
    pressed_at = 0.0
    """When a key was pressed last, on the monotonic clock."""

    def make_place(self, name: str) -> Screen[Any]:
        """Make a place. Its own widgets get their styles when they are made; those of other places have theirs."""
        place = screen_class(name)()
        place._css_update_count = self._css_update_count  # noqa: SLF001  Textual would style every widget again
        return place

    def dialog(self, kind: type[Dialog], name: str) -> Dialog:
        """Return the dialog of this name, which is made once; `fill` gives it other contents before it is shown."""
        if not self.is_screen_installed(name):
            self.install_screen(kind(), name)
        found = self.get_screen(name)
        assert isinstance(found, kind)  # noqa: S101  names and kinds go together
        return found

    def make_ahead(self) -> None:
        """Make what is missing, one after the other, whenever no key was pressed for a moment."""
        threading.Thread(target=_walk_commands, daemon=True).start()
        self._make_next()

    def _make_next(self) -> None:
        missing = [name for name in self.places if name not in self._screen_stacks]
        dialogs = [name for name in _KEPT if not self.is_screen_installed(name)]
        if not missing and not dialogs:
            gc.freeze()  # garbage is not looked for among them
            return
        if time.monotonic() - self.pressed_at >= _REST_SECONDS:
            if dialogs:
                module, _, kind = _KEPT[dialogs[0]].partition(":")
                made = self.dialog(getattr(import_module(module), kind), dialogs[0])
                self._load_screen_css(made)  # Textual would read them when it is shown, and style none of it
                self._get_screen(made)
            else:
                self._init_mode(missing[0])
        self.set_timer(_REST_SECONDS, self._make_next)

    def _load_screen_css(self, screen: Screen[Any]) -> None:
        """Add the rules of a screen: they hold for it alone."""
        with self.stylesheet.only(screen):
            super()._load_screen_css(screen)


def _walk_commands() -> None:
    """Make the list of commands for the palette, which is kept."""
    from recsys_tui.commands.tree import commands

    commands()
