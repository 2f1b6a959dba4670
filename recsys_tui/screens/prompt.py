"""One line to type: a label, a filter."""

from collections.abc import Callable

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.widgets import Input, Static

from recsys_tui.screens.modal import Modal
from recsys_tui.widgets.text import shown


def _all_is_well(_: str) -> str:
    """Find nothing wrong."""
    return ""


class Prompt(Modal[str | None]):
    """Asks for a line and answers with it, or None."""

    BINDINGS = [Binding("escape", "cancel", "Back")]  # noqa: RUF012  Textual's

    def __init__(self) -> None:
        super().__init__()
        self._asked = ("", "", "")
        self._check: Callable[[str], str] = _all_is_well

    def fill(
        self, title: str, question: str, value: str = "", *, check: Callable[[str], str] | None = None
    ) -> "Prompt":
        """Ask this, with a value to begin with; `check` returns what is wrong with what was typed, or nothing."""
        self._asked, self._check = (title, question, value), check or _all_is_well
        if self.is_mounted:
            self.on_mount()
        return self

    def compose(self) -> ComposeResult:
        """Yield the question and the line."""
        with Vertical(classes="dialog") as box:
            box.border_subtitle = "enter takes it, esc leaves"
            yield Static(id="question")
            yield Input(id="line")
            yield Static(id="wrong", classes="field-error")

    def on_mount(self) -> None:
        """Show what is asked."""
        title, question, value = self._asked
        self.query_one(".dialog").border_title = shown(title)
        self.query_one("#question", Static).update(shown(question))
        line = self.query_one("#line", Input)
        line.value = value
        line.select_all()
        self._tell("")

    def on_input_changed(self) -> None:
        """Take back what was wrong: it is another value."""
        self._tell("")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Answer with the line, or say what is wrong with it."""
        if wrong := self._check(event.value):
            self._tell(f"! {wrong}")
        else:
            self.dismiss(event.value)

    def _tell(self, wrong: str) -> None:
        self.query_one("#wrong", Static).update(shown(wrong))
        self.query_one("#wrong").display = bool(wrong)

    def action_cancel(self) -> None:
        """Answer with nothing."""
        self.dismiss(None)
