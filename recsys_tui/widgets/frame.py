"""What stands around every place: the line of places at the top, the notice under it, the keys at the bottom."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual import events
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from recsys_tui import render
from recsys_tui.actions import PLACES, Action
from recsys_tui.widgets.text import cell, shown

if TYPE_CHECKING:
    from recsys_tui.stream import StoreState


class Pressed(Message):
    """Something on the frame was clicked: the name of an action of Textual."""

    def __init__(self, action: str) -> None:
        super().__init__()
        self.action = action


class Line(Widget):
    """One line of pieces, each of which can be clicked: whole pieces that have no room are left out."""

    DEFAULT_CSS = "Line { height: 1; width: 1fr; }"

    def __init__(self, id: str) -> None:  # noqa: A002  Textual's
        super().__init__(id=id)
        self._spans: list[tuple[int, int, str]] = []

    def fitted(self, pieces: Sequence[tuple[Content, str]], width: int) -> Content:
        """Return the pieces side by side and remember where each is; `pieces` are content and the action behind it."""
        self._spans, line, x = [], Content(), 0
        for content, action in pieces:
            if x + content.cell_length > width:
                break
            self._spans.append((x, x + content.cell_length, action))
            line, x = line + content, x + content.cell_length
        return line

    def on_click(self, event: events.Click) -> None:
        """Do what the piece under the mouse stands for."""
        for start, stop, action in self._spans:
            if start <= event.x < stop and action:
                self.post_message(Pressed(action))


class Header(Line):
    """The places, the one shown marked; at the right what is served, what runs and the database."""

    def __init__(self, place: str, places: Sequence[str], database: str) -> None:
        super().__init__(id="header")
        self._place, self._places, self._database = place, places, database
        self._state: StoreState | None = None
        self._drawn: tuple[str, ...] = ()

    def take(self, state: "StoreState | None") -> None:
        """Take what is known of the database; the line is drawn again only where it says something else then."""
        self._state = state
        if self._facts() != self._drawn:
            self.refresh()

    def _facts(self) -> tuple[str, ...]:
        """Return what runs and what is served, in words."""
        if self._state is None:
            return ()
        job, active = self._state.running, self._state.active
        runs = (f"job {job.id} {job.model} runs",) if job else ()
        return (*runs, f"active {active.name}" if active else "none active")

    def render(self) -> Content:
        """Draw the line; the names of the places give way to their numbers, then what is at the right."""
        width = self.size.width
        right = self._right(width)
        short = width < 13 + sum(len(name) + 3 for name in self._places) + min(right.cell_length, 14)
        pieces: list[tuple[Content, str]] = [(Content(" recsys "), "")]
        for name in self._places:
            here = name == self._place
            text = (
                f" {PLACES.index(name) + 1} {name.title()} "
                if not short
                else f" {PLACES.index(name) + 1}{name.title()[:6]}"
            )
            text = f"[{text.strip()}]" if here and short else text
            pieces.append((Content(text).stylize("reverse bold" if here else "dim"), f"app.{name}"))
        left = self.fitted(pieces, width)
        room = width - left.cell_length
        right = self._right(room - 2)
        return left + Content(" " * max(room - right.cell_length - 1, 0)) + right

    def _right(self, room: int) -> Content:
        """Return what is served, what runs and the database, as many of them as have room."""
        self._drawn = self._facts()
        styles = ("$text-accent", "bold") if len(self._drawn) > 1 else ("bold",)
        parts = [shown(text, style) for text, style in zip(self._drawn, styles, strict=False)]
        parts.append(shown(self._database, "dim"))
        while parts and sum(part.cell_length + 2 for part in parts) - 2 > room:
            parts.pop(0 if len(parts) == 3 else -1)
        return Content("  ").join(parts)


def titled(pane: Widget, title: str, subtitle: str = "") -> None:
    """Give a pane its titles, as they are and not as markup; its frame is drawn again only where they are others."""
    if getattr(pane, "titles", None) != (title, subtitle):
        pane.border_title = cell(title)  # a str would be read as markup
        pane.border_subtitle = cell(subtitle)
        pane.titles = (title, subtitle)  # type: ignore[attr-defined]


class Notice(Static):
    """One line for what the operator must know now; hidden while there is nothing."""

    DEFAULT_CSS = "Notice { height: auto; display: none; } Notice.-shown { display: block; }"

    def __init__(self) -> None:
        super().__init__(id="notice")

    def tell(self, message: str, hint: str = "") -> None:
        """Show what happened and what to do next; an empty message hides the line."""
        self.set_class(bool(message), "-shown")
        text = f"! {message}" + (f"; {hint}" if hint else "")
        self.update(shown(text) if message else Content())


class Keys(Line):
    """The keys of the place: those that have room, most important first; `? Help` is always among them."""

    def __init__(self, actions: Sequence[Action], keys: dict[str, str]) -> None:
        super().__init__(id="keys")
        self._actions, self._keys = actions, keys

    def render(self) -> Content:
        """Draw the line."""
        ends = [self._piece(action) for action in self._actions if action.id in {"app.palette", "app.help"}]
        taken = sum(content.cell_length for content, _ in ends)
        pieces, room = [], self.size.width - taken
        for action in self._actions:
            piece = self._piece(action)
            if action.id.startswith("app.") or not action.footer:
                continue
            if piece[0].cell_length > room:
                break
            room -= piece[0].cell_length
            pieces.append(piece)
        return self.fitted([*pieces, *ends], self.size.width)

    def _piece(self, action: Action) -> tuple[Content, str]:
        from recsys_tui.actions import spelled

        key = spelled(self._keys.get(action.id, action.key).split(",")[0])
        content = Content.assemble((f" {key}", "bold $text-accent"), (f" {action.label} ", "$text-muted"))
        return content, action.id


class TooSmall(Static):
    """Stands in for the place where the terminal is too small: says the least size, and what runs."""

    def __init__(self, columns: int, rows: int) -> None:
        super().__init__(id="too-small")
        self._least = columns, rows
        self._run = ""

    def tell(self, run: str) -> None:
        """Take the line on the run that goes on."""
        self._run = run
        self.refresh()

    def render(self) -> Content:
        """Draw what fits."""
        size, (columns, rows) = self.app.size, self._least
        lines = [f"terminal {size.width}x{size.height},", f"needs {columns}x{rows}"]
        lines = [" ".join(lines)] if size.width >= 34 else lines
        return (
            shown("\n".join([*lines])).append("\n").append(shown(self._run)) if self._run else Content("\n".join(lines))
        )


def run_in_short(state: "StoreState | None") -> str:
    """Return the run that goes on in a few words, or nothing."""
    job = state.running if state else None
    return f"job {job.id} {render.safe(job.model)} {job.state}" if job else ""
