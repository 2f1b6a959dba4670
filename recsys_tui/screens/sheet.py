"""A page of text over the place: lineage, comparisons, what verifying found."""

from typing import TYPE_CHECKING, cast

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from recsys_tui.actions import line_of
from recsys_tui.screens.modal import Modal
from recsys_tui.widgets.text import shown

if TYPE_CHECKING:
    from recsys_tui.app import RecsysApp


class Sheet(Modal[None]):
    """Shows text that may still have to be worked out; `fill` brings it."""

    BINDINGS = [  # noqa: RUF012  Textual's
        Binding("escape,q", "app.pop_screen", "Back"),
        Binding("j,down", "scroll(1)", "Down"),
        Binding("k,up", "scroll(-1)", "Up"),
        Binding("y", "copy", "Copy"),
    ]

    def __init__(self, title: str, command: str, waiting: str = "reads …") -> None:
        super().__init__()
        self._title, self._command, self._waiting = title, command, waiting
        self._text = ""

    def compose(self) -> ComposeResult:
        """Yield the page and the command that prints the same."""
        with VerticalScroll(classes="dialog sheet") as box:
            box.border_title = self._title
            box.border_subtitle = "y copies · esc closes"
            yield Static(shown(self._waiting, "$text-muted"), id="page")
            yield Static(
                Content.assemble(("\n$ ", "$text-muted"), shown(line_of(self._command, {}), "$text-muted")),
                id="command",
            )

    @property
    def room(self) -> int:
        """Cells of a line of the page."""
        return self.query_one("#page").size.width

    def fill(self, page: Content) -> None:
        """Show the text."""
        if self.is_attached:
            self._text = page.plain
            self.query_one("#page", Static).update(page)

    def fail(self, error: Exception) -> None:
        """Show why there is none."""
        self.fill(shown(f"! {error}", "$text-error").append("\n").append(shown(getattr(error, "hint", ""))))

    def action_scroll(self, lines: int) -> None:
        """Scroll by some lines."""
        self.query_one(VerticalScroll).scroll_relative(y=lines * 3, animate=False)

    def action_copy(self) -> None:
        """Copy the page."""
        cast("RecsysApp", self.app).copy_out(self._text)
