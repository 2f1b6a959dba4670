"""Activating a version: what the gate says of it stands there before anything can be pressed."""

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.events import Resize
from textual.widgets import Button, Input, Static

from recsys_tui.screens.base import Place
from recsys_tui.screens.modal import Modal
from recsys_tui.screens.versionwords import decided, heading, joined, settings_diff
from recsys_tui.widgets.text import shown

if TYPE_CHECKING:
    from engine.services import Services
    from engine.services.gate import Decision
    from store.registry import ModelVersion

METRIC = "ndcg@10"
_REST_LINES = 11  # header, keys, frame, question, buttons and the line to type in


class Activate(Modal[bool]):
    """Shows the differences from the active version and the gate's reasoning; Enter activates where the gate passes.

    Where it does not, or nothing could be compared, the version's name must be typed: that is no slip of a finger.
    """

    AUTO_FOCUS = "#no"
    BINDINGS = [  # noqa: RUF012  Textual's
        Binding("escape,n", "refuse", "No"),
        Binding("down,j", "scroll(3)", "Down", show=False),
        Binding("up,k", "scroll(-3)", "Up", show=False),
    ]

    def __init__(self, place: Place, version: "ModelVersion", active: "ModelVersion | None") -> None:
        super().__init__()
        self._place, self._version, self._active = place, version, active

    def compose(self) -> ComposeResult:
        """Yield the question; the figures come when they are worked out."""
        name = self._version.name
        with Vertical(classes="dialog activate") as box:
            box.border_title = f"activate {name}?"
            box.border_subtitle = "esc leaves all as it is"
            now = (
                f"{self._active.name} {self._active.model_type} is served now."
                if self._active
                else "Nothing is served yet."
            )
            yield Static(shown(f"{name} {self._version.model_type} would serve everybody. {now}"), id="question")
            with VerticalScroll(id="reasons-scroll", can_focus=False):
                yield Static(shown("compares the two on the ratings held out …", "$text-muted"), id="reasons")
            yield Static(id="ask", classes="field-error -hidden")
            yield Input(id="word", classes="-hidden")
            with Horizontal(classes="buttons"):
                yield Button("Activate", id="yes", variant="warning", disabled=True, compact=True)
                yield Button("No", id="no", compact=True)

    def on_mount(self) -> None:
        """Ask the gate, in a thread."""
        version, active = self._version, self._active

        def work(services: "Services") -> "Decision":
            from engine.services.gate import decide, read_gate

            return decide(services, version, active, read_gate(METRIC, ()))

        self._place.ask("gate", work, self._decided, self._unknown)

    def on_resize(self, event: Resize) -> None:
        """Give the reasons the lines that the rest leaves."""
        self.query_one("#reasons-scroll").styles.max_height = max(event.size.height - _REST_LINES, 3)

    def _decided(self, decision: "Decision") -> None:
        if not self.is_attached:
            return
        parts = [decided(decision)]
        if self._active is not None:
            parts += [heading("settings that differ"), settings_diff([self._active, self._version])]
        self.query_one("#reasons", Static).update(joined(parts))
        if decision.passed:
            self._allow()
        else:
            self._demand_word()

    def _unknown(self, error: Exception) -> None:
        if self.is_attached:
            self.query_one("#reasons", Static).update(shown(f"! {error}; {getattr(error, 'hint', '')}"))
            self._demand_word()

    def _allow(self) -> None:
        button = self.query_one("#yes", Button)
        button.disabled = False
        button.focus()

    def _demand_word(self) -> None:
        said = f"The gate does not let it pass. To serve it all the same, type {self._version.name}:"
        ask = self.query_one("#ask", Static)
        ask.update(shown(said))
        ask.remove_class("-hidden")
        word = self.query_one("#word", Input)
        word.remove_class("-hidden")
        word.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Allow it once the name is there."""
        self.query_one("#yes", Button).disabled = event.value != self._version.name

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take Enter for yes where the name is right."""
        if event.value == self._version.name:
            self.dismiss(result=True)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Answer by button."""
        self.dismiss(event.button.id == "yes")

    def action_scroll(self, lines: int) -> None:
        """Scroll what the gate says."""
        self.query_one("#reasons-scroll").scroll_relative(y=lines, animate=False)

    def action_refuse(self) -> None:
        """Leave all as it is."""
        self.dismiss(result=False)
