"""A dialog over a place."""

from typing import TypeVar

from textual import events
from textual.screen import ModalScreen

Answer = TypeVar("Answer")


class Modal(ModalScreen[Answer]):
    """A dialog that answers when it is dismissed. Its look depends on no size, and so it is styled only once."""

    HORIZONTAL_BREAKPOINTS = []  # noqa: RUF012  Textual's
    VERTICAL_BREAKPOINTS = []  # noqa: RUF012  Textual's

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        """Keep the styles that were given to each widget a moment ago."""
        event.refresh_styles = False
