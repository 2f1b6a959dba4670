"""Yes or no: a box with a cross or without, which is seen without colours too."""

from textual import events
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from recsys_tui.widgets.text import shown


class Toggle(Widget, can_focus=True):
    """`[x] label`; space, Enter or a click changes it."""

    DEFAULT_CSS = """
    Toggle { height: 1; width: auto; }
    Toggle:focus { background: $accent-muted; text-style: bold; }
    """

    value: reactive[bool] = reactive(False)

    class Changed(Message):
        """It was changed by hand."""

    def __init__(self, label: str, value: bool = False, *, id: str | None = None) -> None:  # noqa: A002  Textual's
        super().__init__(id=id)
        self._label = label
        self.set_reactive(Toggle.value, value)

    def render(self) -> Content:
        """Return the box and its label."""
        return shown(f"[{'x' if self.value else ' '}] {self._label}")

    def on_click(self) -> None:
        """Change it."""
        self._change()

    def on_key(self, event: events.Key) -> None:
        """Change it by space or Enter."""
        if event.key in {"space", "enter"}:
            event.stop()
            self._change()

    def _change(self) -> None:
        self.value = not self.value
        self.post_message(self.Changed())
