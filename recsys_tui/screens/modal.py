"""A dialog over a place."""

from typing import TypeVar

from rich.console import RenderableType
from textual import events
from textual.renderables.background_screen import BackgroundScreen
from textual.screen import ModalScreen

from recsys_tui.widgets.dimmed import Dimmed

Answer = TypeVar("Answer")


class Modal(ModalScreen[Answer]):
    """A dialog that answers when it is dismissed. Its look depends on no size, and so it is styled only once."""

    CSS_PATH = "dialogs.tcss"
    HORIZONTAL_BREAKPOINTS = []  # noqa: RUF012  Textual's
    VERTICAL_BREAKPOINTS = []  # noqa: RUF012  Textual's
    _theme = ""

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        """Keep the styles that each widget has, unless the theme is another than when it was shown last."""
        event.refresh_styles = self._theme not in {"", self.app.theme}
        self._theme = self.app.theme

    def render(self) -> RenderableType | Dimmed:  # type: ignore[override]
        """Draw the place behind the dialog."""
        behind = super().render()
        if isinstance(behind, BackgroundScreen):
            return Dimmed(behind.screen, behind.color)
        stack = self.app.screen_stack
        if self.app.current_theme.ansi and self in stack[1:]:  # the terminal's own colours cannot be mixed
            return Dimmed(stack[stack.index(self) - 1], None)
        return behind
