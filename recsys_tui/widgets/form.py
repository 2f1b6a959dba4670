"""Fields of a form: a name, a value to type or to pick, the sentence on it, and what is wrong with it."""

from collections.abc import Sequence
from dataclasses import dataclass

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, Static

from recsys_tui.widgets.text import shown


@dataclass(frozen=True)
class Asked:
    """What a field asks for.

    Attributes:
        name: by which its value is known.
        value: what stands there at first.
        sentence: what it does.
        choices: what can be picked; without them it is typed.
        label: what people see, the name by default.
    """

    name: str
    value: str
    sentence: str = ""
    choices: tuple[str, ...] = ()
    label: str = ""


class Pick(Widget, can_focus=True):
    """One of a few words; left and right, or a click, go through them."""

    DEFAULT_CSS = """
    Pick { height: 1; width: 1fr; padding: 0 1; background: $surface; }
    Pick:focus { background: $accent-muted; }
    """
    BINDINGS = [  # noqa: RUF012  Textual's
        Binding("right,space,l", "step(1)", "Next", show=False),
        Binding("left,h", "step(-1)", "Previous", show=False),
    ]

    class Changed(Message):
        """Another word was picked."""

    class Submitted(Message):
        """Enter was pressed."""

    def __init__(self, choices: Sequence[str], value: str, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._choices = list(choices)
        self.value = value if value in self._choices else self._choices[0]

    def render(self) -> Content:
        """Draw the word between arrows, and how many others there are."""
        place = self._choices.index(self.value) + 1
        return Content.assemble(
            ("< ", "$text-muted"), shown(self.value, "bold"), (f" >  {place} of {len(self._choices)}", "$text-muted")
        )

    def action_step(self, step: int) -> None:
        """Go on to another word."""
        place = (self._choices.index(self.value) + step) % len(self._choices)
        self.value = self._choices[place]
        self.refresh()
        self.post_message(self.Changed())

    def on_click(self) -> None:
        """Go on to the next word."""
        self.action_step(1)

    def on_key(self, event: events.Key) -> None:
        """Send the form by Enter, as from a line that is typed in."""
        if event.key == "enter":
            event.stop()
            self.post_message(self.Submitted())


class FormField(Vertical):
    """A field with its sentence below it; what is wrong takes the sentence's place."""

    DEFAULT_CSS = """
    FormField { height: auto; margin-bottom: 0; }
    FormField .label { width: 22; color: $foreground; }
    FormField .row { height: 1; }
    FormField .-none { display: none; }
    FormField .sentence { color: $text-muted; padding-left: 2; height: auto; }
    FormField.-wrong .sentence { color: $text-error; }
    FormField.-wrong .label { color: $text-error; text-style: bold; }
    """

    class Changed(Message):
        """The value is another."""

    class Submitted(Message):
        """Enter was pressed in the field."""

    def __init__(self, asked: Asked) -> None:
        super().__init__()
        self.asked = asked

    def compose(self) -> ComposeResult:
        """Yield name and value in a line, the sentence below."""
        asked = self.asked
        with Horizontal(classes="row"):
            yield Static(shown(asked.label or asked.name), classes="label")
            yield Pick(asked.choices, asked.value) if asked.choices else Input(asked.value)
        yield Static(shown(asked.sentence), classes="sentence" if asked.sentence else "sentence -none")

    @property
    def value(self) -> str:
        """What stands in it."""
        return self.query_one(Pick).value if self.asked.choices else self.query_one(Input).value.strip()

    def tell(self, wrong: str) -> None:
        """Say what is wrong with the value, or that nothing is."""
        self.set_class(bool(wrong), "-wrong")
        self.query_one(".sentence", Static).update(shown(f"! {wrong}" if wrong else self.asked.sentence))

    def take_focus(self) -> None:
        """Stand in this field."""
        self.query_one("Pick, Input").focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Tell the form."""
        event.stop()
        self.post_message(self.Changed())

    def on_pick_changed(self, event: Pick.Changed) -> None:
        """Tell the form."""
        event.stop()
        self.post_message(self.Changed())

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Tell the form."""
        event.stop()
        self.post_message(self.Submitted())

    def on_pick_submitted(self, event: Pick.Submitted) -> None:
        """Tell the form."""
        event.stop()
        self.post_message(self.Submitted())
