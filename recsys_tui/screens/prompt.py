"""One line to type: a label, a filter."""

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.widgets import Input, Static

from recsys_tui.screens.modal import Modal
from recsys_tui.widgets.text import shown


class Prompt(Modal[str | None]):
    """Asks for a line and answers with it, or None."""

    BINDINGS = [Binding("escape", "cancel", "Back")]  # noqa: RUF012  Textual's

    def __init__(self, title: str, question: str, value: str = "") -> None:
        super().__init__()
        self._title, self._question, self._value = title, question, value

    def compose(self) -> ComposeResult:
        """Yield the question and the line."""
        with Vertical(classes="dialog") as box:
            box.border_title = self._title
            box.border_subtitle = "enter takes it, esc leaves"
            yield Static(shown(self._question), id="question")
            yield Input(self._value, id="line")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Answer with the line."""
        self.dismiss(event.value)

    def action_cancel(self) -> None:
        """Answer with nothing."""
        self.dismiss(None)
