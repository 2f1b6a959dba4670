"""The table: light and aligned; only sentences are wrapped. Cells are `Text`: markup in the data is only characters."""

from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

from rich import box
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.table import Table
from rich.text import Text

from recsys_tui.render.messages import say
from recsys_tui.render.safe import safe
from recsys_tui.render.terminal import Terminal
from recsys_tui.render.values import Column, human

_GAP = 2  # a cell of padding and the divider of the box, which is a blank
_READABLE = 30  # cells of a title below which the other text gives way first
_NARROWEST = 6
_RULED = box.Box("    \n    \n ── \n    \n    \n    \n    \n    \n")
_RULED_ASCII = box.Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)


def write_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column], terminal: Terminal, *, empty: str) -> int:
    """Draw the rows within the width of the terminal; without rows, say why on stderr instead."""
    if not rows:
        say(empty)
        return 0
    columns = _told(rows, columns)
    heads = [terminal.fitted(safe(column.title)) for column in columns]
    body = [[terminal.fitted(_shown(row, column, terminal)) for column in columns] for row in rows]
    kept = _room_for(heads, body, columns, terminal.width)
    columns, heads = [columns[k] for k in kept], [heads[k] for k in kept]
    body = [[line[k] for k in kept] for line in body]
    right = [_is_right(column, rows) for column in columns]
    widths = _widths(heads, body, columns, right, terminal.width)
    table = Table(
        box=_RULED_ASCII if terminal.ascii else _RULED,
        show_edge=False,
        pad_edge=False,
        padding=(0, _GAP - 1, 0, 0),
        header_style="bold",
        border_style="dim",
    )
    for column, head, width, is_right in zip(columns, heads, widths, right, strict=True):
        table.add_column(
            Text(crop(head, width, ascii=terminal.ascii)),
            justify="right" if is_right else "left",
            style=column.style,
            width=width,
            no_wrap=not column.wraps,
        )
    for line in body:
        cells = zip(line, widths, columns, strict=True)
        table.add_row(*(Text(t if column.wraps else crop(t, w, ascii=terminal.ascii)) for t, w, column in cells))
    terminal.write(_drawn(table, terminal))
    return len(rows)


def crop(text: str, width: int, *, ascii: bool = False) -> str:  # noqa: A002
    """Return the text in at most `width` cells, with an ellipsis where something was cut."""
    if cell_len(text) <= width:
        return text
    dots = "..." if ascii and width > 3 else "." * width if ascii else "…"
    return set_cell_size(text, max(width - len(dots), 0)).rstrip() + dots


def _told(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> list[Column]:
    """Return the columns without those that would take the room of others to say nothing."""
    empty = (None, "")
    told = [
        column
        for column in columns
        if not (column.grows or column.wraps) or any(row.get(column.key) not in empty for row in rows)
    ]
    return told or list(columns)


def _room_for(heads: Sequence[str], body: Sequence[Sequence[str]], columns: Sequence[Column], room: int) -> list[int]:
    """Return which columns to draw: the spare ones go, last first, until the others stay readable in the room."""
    needs = [max(cell_len(text) for text in texts) for texts in zip(heads, *body, strict=True)]
    needs = [
        min(need, _READABLE) if column.grows or column.wraps else need
        for need, column in zip(needs, columns, strict=True)
    ]
    kept = list(range(len(columns)))
    for k in reversed(range(len(columns))):
        if sum(needs[i] for i in kept) + _GAP * (len(kept) - 1) <= room:
            break
        if columns[k].spare:
            kept.remove(k)
    return kept


def _shown(row: Mapping[str, Any], column: Column, terminal: Terminal) -> str:
    value = row.get(column.key)
    return human(value, column.digits, ascii=terminal.ascii) if column.show is None else safe(column.show(value))


def _is_right(column: Column, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether a column is ranged right: as asked, else where all its values are figures."""
    if column.align is not None:
        return column.align == "right"
    kinds = {type(row.get(column.key)) for row in rows} - {type(None)}
    return bool(kinds) and not any(issubclass(kind, str | bool | list | tuple | dict) for kind in kinds)


def _widths(
    heads: Sequence[str],
    body: Sequence[Sequence[str]],
    columns: Sequence[Column],
    right: Sequence[bool],
    room: int,
) -> list[int]:
    """Give each column what it needs; where that is too much, take cells from the widest that may shrink.

    Growing columns give first while they stay readable, then all text; figures are never cut.
    """
    widths = [min(max(cell_len(text) for text in texts), room) for texts in zip(heads, *body, strict=True)]
    excess = sum(widths) + _GAP * (len(widths) - 1) - room
    growing = [k for k, column in enumerate(columns) if column.grows or column.wraps]
    text = [k for k, is_right in enumerate(right) if not is_right]
    for group, floor in ((growing, _READABLE), (text, _NARROWEST)):
        while excess > 0 and any(widths[k] > floor for k in group):
            widest = max(group, key=widths.__getitem__)
            widths[widest] -= 1
            excess -= 1
    return widths


def _drawn(table: Table, terminal: Terminal) -> str:
    """Return the table as text with, in colour, the codes of a terminal; no line ends in blanks."""
    buffer = StringIO()
    console = Console(
        file=buffer,
        width=terminal.width,
        force_terminal=terminal.color,
        color_system="auto" if terminal.color else None,
        no_color=not terminal.color,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )
    console.print(table)
    return "".join(line.rstrip() + "\n" for line in buffer.getvalue().splitlines())
