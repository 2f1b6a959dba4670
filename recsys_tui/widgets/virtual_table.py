"""A table over rows that lie elsewhere: only those on the screen, and some around them, are ever read."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip

from recsys_tui.render.table import crop
from recsys_tui.widgets.columns import Field, Placed, Window, cell_text, has_words, heading, lay_out, value_of
from recsys_tui.widgets.moving import Moving

Read = Callable[[int, int, Callable[[Sequence[Any]], None]], None]

_GUTTER = 2  # cursor and mark, a character each, so that neither is shown by colour alone
_RETRY_SECONDS = 0.5


class VirtualTable(Moving, can_focus=True):
    """Rows of any number under a header that stays, with a cursor and marks.

    Rows come by `show` where there are few, else by `show_pages`: they are then read when they come near the screen,
    and stand as dots until they are there.

    Args:
        columns: what is shown of a row, from left to right.
        empty: what stands there when there are no rows.
        key: which value of a row tells it from the others, for marks.

    Attributes:
        words: what `n` and `N` look for in the rows; "" where every row shown was found by what was looked for.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"virtual-table--{part}" for part in ("header", "cursor", "blurred", "hover", "dim", "accent")
    }
    DEFAULT_CSS = """
    VirtualTable { height: 1fr; overflow-x: hidden; scrollbar-size-vertical: 1; background: transparent; }
    VirtualTable > .virtual-table--header { text-style: bold; color: $foreground-muted; }
    VirtualTable > .virtual-table--cursor { background: $accent; color: $background; text-style: bold; }
    VirtualTable > .virtual-table--blurred { background: $accent-muted; color: $foreground; text-style: bold; }
    VirtualTable > .virtual-table--hover { background: $surface; }
    VirtualTable > .virtual-table--dim { color: $foreground-muted; }
    VirtualTable > .virtual-table--accent { color: $text-accent; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "choose", "Open", show=False)]

    class Told(Message):
        """Something about a row of a table."""

        def __init__(self, table: "VirtualTable", row: Any) -> None:
            super().__init__()
            self.table, self.row = table, row

        @property
        def control(self) -> "VirtualTable":
            """The table, for `@on(…, "#id")`."""
            return self.table

    class Highlighted(Told):
        """The cursor stands on another row, or other rows are shown; `row` is None where there are none."""

    class Chosen(Told):
        """Enter, or a click on the row under the cursor."""

    class Marked(Told):
        """A row was marked, or its mark taken away."""

    class OrderAsked(Told):
        """A click on the header of a column; `row` is the name of its order."""

    def __init__(
        self,
        columns: Sequence[Field],
        *,
        empty: str = "",
        key: str = "",
        id: str | None = None,  # noqa: A002  as Textual calls it
    ) -> None:
        super().__init__(id=id)
        self.columns, self.empty = columns, empty
        self.order, self.reverse = "", False
        self.marks: set[Any] = set()
        self.words = ""
        self._key, self._hover = key, -1
        self._window = Window(0, lambda *_: None, lambda: None)
        self._told: Any = None  # the row that was told last; the table itself where none was yet

    def show(self, rows: Sequence[Any], *, cursor: int = 0) -> None:
        """Show rows that are at hand, with the cursor on the row of this number."""
        self.show_pages(len(rows), lambda first, n, then: then(rows[first : first + n]), cursor=cursor)

    def show_pages(self, count: int, read: Read, *, cursor: int = 0) -> None:
        """Show `count` rows, which `read(first, n, then)` hands to `then`, now or later."""
        self._window = window = Window(count, read, lambda: self._rows_came(window))
        self._told = self
        self._measure()
        self.set_reactive(VirtualTable.cursor, max(min(cursor, count - 1), 0))
        self._keep_in_view()
        self._want()
        self._tell()
        self.refresh()

    @property
    def count(self) -> int:
        """The number of rows."""
        return self._window.count

    @property
    def current(self) -> Any:
        """The row under the cursor; None where there is none, or while it is being read."""
        return self._window.row(self.cursor) if self.count else None

    @property
    def top(self) -> int:
        """The number of the first row on the screen."""
        return self.scroll_offset.y

    def ask_again(self) -> None:
        """Ask in a moment for rows that could not be read."""
        self._window.again()
        self.set_timer(_RETRY_SECONDS, self._want)

    def _want(self) -> None:
        self._window.want(self.top, max(self._body, 1))

    def _rows_came(self, window: Window) -> None:
        if window is self._window:
            self.refresh()
            self._want()
            self._tell()

    def _tell(self) -> None:
        """Tell the row under the cursor, once, and only when it is known."""
        row = self.current
        if (row is not None or not self.count) and row is not self._told:
            self._told = row
            self.post_message(self.Highlighted(self, row))

    def validate_cursor(self, number: int) -> int:
        """Keep the cursor on a row."""
        return max(min(number, self.count - 1), 0)

    def watch_cursor(self, before: int, now: int) -> None:
        """Show the cursor where it stands now."""
        self._repaint(before)
        self._repaint(now)
        self._keep_in_view()
        self._want()
        self._tell()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Read what comes into view."""
        super().watch_scroll_y(old_value, new_value)
        self._want()

    def action_choose(self) -> None:
        """Tell that the row under the cursor is wanted; where the view was scrolled away from it, show it."""
        self._keep_in_view()
        if self.current is not None:
            self.post_message(self.Chosen(self, self.current))

    def toggle_mark(self) -> None:
        """Mark the row under the cursor, or take its mark away."""
        if self.current is not None:
            self.marks ^= {value_of(self.current, self._key)}
            self._repaint(self.cursor)
            self.post_message(self.Marked(self, self.current))

    def _keep_in_view(self) -> None:
        if self._body and not self.top <= self.cursor < self.top + self._body:
            y = self.cursor if self.cursor < self.top else self.cursor - self._body + 1
            self.scroll_to(y=y, animate=False, immediate=True, force=True)

    def on_click(self, event: events.Click) -> None:
        """Move the cursor, open the row on which it stands already, or ask for the order of a header."""
        if event.y == 0:
            placed = next((p for p in self._placed() if p.x <= event.x < p.x + p.width + 1), None)
            if placed is not None and placed.field.order:
                self.post_message(self.OrderAsked(self, placed.field.order))
        elif (number := self.top + event.y - 1) < self.count:
            if number == self.cursor:
                self.action_choose()
            self.cursor = number

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Show which row a click would take."""
        self._hovered(self.top + event.y - 1 if event.y > 0 else -1)

    def on_leave(self) -> None:
        """Show no row as under the mouse."""
        self._hovered(-1)

    def _hovered(self, number: int) -> None:
        before, self._hover = self._hover, number
        self._repaint(before)
        self._repaint(number)

    def on_resize(self) -> None:
        """Fill the new size, and keep the cursor on the screen."""
        self._measure()
        self._keep_in_view()
        self._want()

    def watch_has_focus(self, value: bool) -> None:
        """Show the cursor as that of the widget that has the keys, or not."""
        super().watch_has_focus(value)
        self._repaint(self.cursor)

    def row(self, number: int) -> Any:
        """Return a row that is at hand, or None."""
        return self._window.row(number)

    def matches(self, number: int) -> bool:
        """Tell whether a row has all of `words`; one that is not at hand may have them."""
        row = self.row(number) if self.words else None
        return row is None or has_words(row, self.words)

    @property
    def _body(self) -> int:
        return max(self.scrollable_content_region.height - 1, 0)

    def _measure(self) -> None:
        self.virtual_size = Size(self.scrollable_content_region.width, self.count + 1)

    def _placed(self) -> list[Any]:
        return lay_out(self.columns, self.scrollable_content_region.width - _GUTTER - 1, left=_GUTTER)

    def _repaint(self, number: int) -> None:
        y = number - self.top + 1
        if 1 <= y <= self._body:
            self.refresh(Region(0, y, self.size.width, 1))

    def render_line(self, y: int) -> Strip:
        """Return a line of the screen: the header, a row, or blanks below the last."""
        width = self.scrollable_content_region.width
        base = self.rich_style
        if not y:
            style = base + self._style("header")
            texts = [(heading(p, self.order, reverse=self.reverse), style, p) for p in self._placed()]
            return self._strip("  ", texts, style, width)
        number = self.top + y - 1
        if number >= self.count:
            said = crop(f"  {self.empty}", width) if y == 1 and not self.count else ""
            return Strip([Segment(said.ljust(width), base + self._style("dim"))], width)
        return self._line(number, base, width)

    def _line(self, number: int, base: Style, width: int) -> Strip:
        row = self._window.row(number)
        here = number == self.cursor
        over = ("cursor" if self.has_focus else "blurred") if here else "hover" if number == self._hover else ""
        line = base + self._style(over) if over else base
        if row is None:
            return self._strip("> " if here else "  ", [("·", line + self._style("dim"), None)], line, width)
        marked = bool(self.marks) and value_of(row, self._key) in self.marks
        texts = []
        for placed in self._placed():
            tone = placed.field.tone
            style = line + self._style(tone) if tone and over != "cursor" else line
            texts.append((self.cell(number, row, placed), style, placed))
        return self._strip((">" if here else " ") + ("*" if marked else " "), texts, line, width)

    def cell(self, number: int, row: Any, placed: Placed) -> str:  # noqa: ARG002  for tables whose rows are not alike
        """Return the text of a cell, as wide as its column."""
        return cell_text(row, placed)

    def _strip(self, gutter: str, texts: Sequence[tuple[str, Style, Any]], line: Style, width: int) -> Strip:
        """Join cells into a line of exactly `width` cells; the blanks before a figure belong to the line."""
        segments, x = [Segment(gutter, line)], _GUTTER
        for text, style, placed in texts:
            bare = text.lstrip(" ")
            start = (x if placed is None else placed.x) + len(text) - len(bare)
            segments += [Segment(" " * (start - x), line), Segment(bare, style)]
            x = start + cell_len(bare)
        return Strip(segments).adjust_cell_length(width, line)

    def _style(self, part: str) -> Style:
        return self.get_component_rich_style(f"virtual-table--{part}", partial=True)
