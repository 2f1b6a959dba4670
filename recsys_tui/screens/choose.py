"""A list to choose from, narrowed by typing: the palette, the copy menu, the themes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from recsys_tui.screens.modal import Modal
from recsys_tui.widgets.text import shown

_SHOWN = 200


@dataclass(frozen=True)
class Choice:
    """One line: what it is called, its key or place at the left, and what it equals below it when it is highlighted."""

    name: str
    value: Any
    mark: str = ""
    more: str = ""
    sentence: str = ""

    def matches(self, words: Sequence[str]) -> bool:
        """Tell whether every word typed is in it somewhere."""
        whole = f"{self.name} {self.mark} {self.more} {self.sentence}".casefold()
        return all(word in whole for word in words)


class Choose(Modal[Any]):
    """Shows choices, narrows them to the words typed, and answers with the value of one, or None."""

    BINDINGS = [  # noqa: RUF012  Textual's
        Binding("escape", "cancel", "Back"),
        Binding("down", "move(1)", "Down", priority=True),
        Binding("up", "move(-1)", "Up", priority=True),
        Binding("ctrl+y", "copy_more", "Copy command", priority=True),
    ]

    def __init__(self, title: str, choices: Sequence[Choice], *, filtered: bool = True) -> None:
        super().__init__()
        self._title, self._choices, self._filtered = title, list(choices), filtered
        self._now: list[Choice] = []

    def compose(self) -> ComposeResult:
        """Yield the line to type in, the list, and what the highlighted line equals."""
        with Vertical(classes="dialog choose") as box:
            box.border_title = self._title
            yield Input(placeholder="type to narrow", id="words", classes="" if self._filtered else "-hidden")
            yield OptionList(id="choices", markup=False, compact=True)
            yield Static(id="more")

    def on_mount(self) -> None:
        """Show all of them."""
        self._show([])
        self.query_one("#words" if self._filtered else "#choices").focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Narrow the list."""
        self._show(event.value.casefold().split())

    def on_input_submitted(self) -> None:
        """Take the highlighted one."""
        self._take()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Take the one that was clicked or entered."""
        self.dismiss(self._now[event.option_index].value)

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Show what it equals."""
        choice = self._now[event.option_index]
        lines = [shown(choice.sentence)] if choice.sentence else []
        if choice.more:
            lines.append(Content.assemble(("$ ", "$text-muted"), shown(choice.more, "$text-accent")))
        self.query_one("#more", Static).update(Content("\n").join(lines))

    def on_key(self, event: events.Key) -> None:
        """Take j and k for down and up where nothing is typed."""
        if not self._filtered and event.key in {"j", "k"}:
            self.action_move(1 if event.key == "j" else -1)
            event.stop()

    def action_move(self, step: int) -> None:
        """Move the highlight without leaving the line that is typed in."""
        options = self.query_one(OptionList)
        if self._now:
            options.highlighted = ((options.highlighted or 0) + step) % len(self._now)

    def action_copy_more(self) -> None:
        """Copy what the highlighted line equals."""
        highlighted = self.query_one(OptionList).highlighted
        if highlighted is not None and self._now[highlighted].more:
            self.app.call_later(self.app.run_action, f"app.copy_text({self._now[highlighted].more!r})")

    def action_cancel(self) -> None:
        """Choose none."""
        self.dismiss(None)

    def _take(self) -> None:
        highlighted = self.query_one(OptionList).highlighted
        if highlighted is not None and self._now:
            self.dismiss(self._now[highlighted].value)

    def _show(self, words: Sequence[str]) -> None:
        found = [choice for choice in self._choices if choice.matches(words)]
        found.sort(key=lambda choice: not all(word in choice.name.casefold() for word in words))
        self._now = found[:_SHOWN]
        options = self.query_one(OptionList)
        options.clear_options()
        widest = max((len(choice.mark) for choice in self._now), default=0)
        options.add_options(
            Option(Content.assemble((choice.mark.ljust(widest + 1), "$text-muted"), shown(choice.name)))
            for choice in self._now
        )
        options.highlighted = 0 if self._now else None
        if not self._now:
            self.query_one("#more", Static).update(Content("nothing matches: fewer letters show more"))
