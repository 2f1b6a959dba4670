"""A list to choose from, narrowed by typing: the palette, the copy menu, the themes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.segment import Segment
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.strip import Strip
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from recsys_tui.screens.modal import Modal
from recsys_tui.widgets.text import shown

_MARK = "> "
_SHOWN = 200
_AT_ONCE = 30  # what is below those on the screen follows once they are drawn


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


class Options(OptionList):
    """The lines of the list; the highlighted one has the mark that the cursor has in every table."""

    def render_line(self, y: int) -> Strip:
        """Return a line of the screen, with the mark in the blanks before it where it is the highlighted one."""
        strip = super().render_line(y)
        if self.highlighted is None or self.scroll_offset.y + y != self.highlighted:
            return strip
        style = next((segment.style for segment in strip), None)
        return Strip.join([Strip([Segment(_MARK, style)]), strip.crop(len(_MARK))])


class Choose(Modal[Any]):
    """Shows choices, narrows them to the words typed, and answers with the value of one, or None."""

    BINDINGS = [  # noqa: RUF012  Textual's
        Binding("escape", "cancel", "Back"),
        Binding("down", "move(1)", "Down", priority=True),
        Binding("up", "move(-1)", "Up", priority=True),
        Binding("ctrl+y", "copy_more", "Copy command", priority=True),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._title, self._filtered = "", True
        self._choices: list[Choice] = []
        self._now: list[Choice] = []

    def fill(self, title: str, choices: Sequence[Choice], *, filtered: bool = True) -> "Choose":
        """Offer these; `filtered` has a line to type in."""
        same = [(one.mark, one.name) for one in choices] == [(one.mark, one.name) for one in self._choices]
        self._title, self._choices, self._filtered = title, list(choices), filtered
        if self.is_mounted and same and len(self._now) == min(len(choices), _SHOWN):
            self._now = self._choices[:_SHOWN]  # the lines stand there; what they equal may be another
            self.query_one(OptionList).highlighted = 0
            self._tell(0)
        elif self.is_mounted:
            self.on_mount()
        return self

    def compose(self) -> ComposeResult:
        """Yield the line to type in, the list, and what the highlighted line equals."""
        with Vertical(classes="dialog choose"):
            yield Input(placeholder="type to narrow", id="words")
            yield Options(id="choices", markup=False, compact=True)
            yield Static(id="more")

    def on_mount(self) -> None:
        """Show all of them."""
        self.query_one(".choose").border_title = shown(self._title)
        words = self.query_one("#words", Input)
        words.display = self._filtered
        with self.prevent(Input.Changed):
            words.value = ""
        self._show([])
        self.set_focus(words if self._filtered else self.query_one("#choices"))

    def on_input_changed(self, event: Input.Changed) -> None:
        """Narrow the list."""
        self._show(event.value.casefold().split())

    def on_input_submitted(self) -> None:
        """Take the highlighted one."""
        self._take()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Take the one that was clicked or entered."""
        if event.option_index < len(self._now):
            self.dismiss(self._now[event.option_index].value)

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Show what it equals."""
        self._tell(event.option_index)

    def _tell(self, index: int) -> None:
        if index >= len(self._now):
            return  # of a list that is no more
        choice = self._now[index]
        lines = [shown(choice.sentence)] if choice.sentence else []
        if choice.more:
            lines.append(Content.assemble(("$ ", "$text-muted"), shown(choice.more, "$text-accent")))
        self.query_one("#more", Static).update(Content("\n").join(lines))

    def on_screen_suspend(self) -> None:
        """Show all again for the next time, when nobody waits for it."""
        words = self.query_one("#words", Input)
        if words.value:
            with self.prevent(Input.Changed):
                words.value = ""
            self._show([])

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
        self._now = now = found[:_SHOWN]
        self.query_one(OptionList).clear_options()
        self._add(now[:_AT_ONCE])
        self.query_one(OptionList).highlighted = 0 if now else None
        if not now:
            self.query_one("#more", Static).update(Content("nothing matches: fewer letters show more"))
        elif len(now) > _AT_ONCE:
            self.call_after_refresh(lambda: self._add(now[_AT_ONCE:]) if self._now is now else None)

    def _add(self, choices: Sequence[Choice]) -> None:
        widest = max((len(choice.mark) for choice in self._now), default=0)
        blank = " " * len(_MARK)
        self.query_one(OptionList).add_options(
            Option(Content.assemble(blank, (choice.mark.ljust(widest + 1), "$text-muted"), shown(choice.name)))
            for choice in choices
        )
