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

    def __init__(self) -> None:
        super().__init__()
        self._asked = ("", "", "")

    def fill(self, title: str, question: str, value: str = "") -> "Prompt":
        """Ask this, with a value to begin with."""
        self._asked = title, question, value
        if self.is_mounted:
            self.on_mount()
        return self

    def compose(self) -> ComposeResult:
        """Yield the question and the line."""
        with Vertical(classes="dialog") as box:
            box.border_subtitle = "enter takes it, esc leaves"
            yield Static(id="question")
            yield Input(id="line")

    def on_mount(self) -> None:
        """Show what is asked."""
        title, question, value = self._asked
        self.query_one(".dialog").border_title = shown(title)
        self.query_one("#question", Static).update(shown(question))
        line = self.query_one("#line", Input)
        line.value = value
        line.select_all()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Answer with the line."""
        self.dismiss(event.value)

    def action_cancel(self) -> None:
        """Answer with nothing."""
        self.dismiss(None)
