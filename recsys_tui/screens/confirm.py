"""A question before something is done."""

from typing import Any

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, Input, Static

from recsys_tui.screens.modal import Modal
from recsys_tui.widgets.text import shown


class Confirm(Modal[bool]):
    """Yes or no; where a word must be typed, only the word is yes."""

    AUTO_FOCUS = "#word, #no"
    """The safe answer."""
    BINDINGS = [  # noqa: RUF012  Textual's
        Binding("escape,n", "answer(False)", "No"),
        Binding("y", "answer(True)", "Yes"),
    ]

    def __init__(self, question: str, detail: Any = "", word: str = "") -> None:
        super().__init__()
        self._question, self._detail, self._word = question, detail, word

    def compose(self) -> ComposeResult:
        """Yield the question, what it means, and the two answers."""
        with Vertical(classes="dialog"):
            yield Static(shown(self._question, "bold"), id="question")
            if self._detail:
                yield Static(shown(self._detail) if isinstance(self._detail, str) else self._detail, id="detail")
            if self._word:
                yield Static(shown(f"Type {self._word} to go on:"))
                yield Input(id="word")
                wrong = Static(id="wrong", classes="field-error")
                wrong.display = False
                yield wrong
            with Horizontal(classes="buttons"):
                yield Button("Yes", id="yes", variant="warning", disabled=bool(self._word), compact=True)
                yield Button("No", id="no", compact=True)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Allow Yes once the word is there, and say where it can no longer become it."""
        self.query_one("#yes", Button).disabled = event.value != self._word
        self._tell(wrong=not self._word.startswith(event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take Enter for Yes where the word is right."""
        if event.value == self._word:
            self.dismiss(result=True)
        else:
            self._tell(wrong=True)

    def _tell(self, *, wrong: bool) -> None:
        line = self.query_one("#wrong", Static)
        line.update(shown(f"! only {self._word} goes on; esc goes back"))
        line.display = wrong

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Answer by button."""
        self.dismiss(event.button.id == "yes")

    def action_answer(self, yes: bool) -> None:
        """Answer by key; a word that must be typed cannot be passed over."""
        if not (yes and self._word):
            self.dismiss(yes)
