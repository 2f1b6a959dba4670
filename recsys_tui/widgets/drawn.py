"""Figures drawn in one line of text: intervals on their scale, contributions to both sides, bars of a distribution."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from textual.content import Content

from recsys_tui import render
from recsys_tui.render.table import crop
from recsys_tui.widgets.text import shown

_CURVE = "▁▂▃▄▅▆▇█"


def interval(value: float | None, low: float | None, high: float | None, ends: tuple[float, float], width: int) -> str:
    """Return a value with its bounds on a scale, in exactly `width` cells: `  ├───●─┤    `.

    Args:
        value: the predicted rating; without it there is nothing to draw.
        low: lower bound; without bounds the value stands alone.
        high: upper bound.
        ends: of the scale.
        width: cells, at least 3.
    """
    span = ends[1] - ends[0]
    if value is None or not math.isfinite(value) or span <= 0:
        return " " * width

    def place(at: float) -> int:
        return round(min(max((at - ends[0]) / span, 0.0), 1.0) * (width - 1))

    cells = [" "] * width
    if low is not None and high is not None:
        first, last = place(low), place(high)
        cells[first : last + 1] = "─" * (last + 1 - first)
        cells[first], cells[last] = "├", "┤"
    cells[place(value)] = "●"
    return "".join(cells)


def signed_bar(amount: float, largest: float, width: int) -> str:
    """Return a bar from the middle of `width` cells, to the right for what adds and to the left for what takes away."""
    half = width // 2
    filled = render.bar(abs(amount), largest, half)
    if amount >= 0:
        return " " * half + "│" + filled
    whole = len(filled.rstrip())
    return " " * (half - whole) + "█" * whole + "│" + " " * half


def ranged(rows: Sequence[tuple[str, str, str]], width: int) -> Content:
    """Return lines of a label, a figure and what is drawn beside it; figures stand under each other at the right."""
    figures = max((len(figure) for _, figure, _ in rows), default=0)
    drawn = max((len(mark) for *_, mark in rows), default=0)
    room = max(width - figures - drawn - 2 - bool(drawn), 6)
    labels = max((Content(label).cell_length for label, *_ in rows), default=0)
    room = min(room, max(labels, 1))
    lines = [
        Content.assemble(
            shown(_padded(label, room)),
            "  ",
            shown(figure.rjust(figures), "bold"),
            *((" ", Content(mark).stylize("$text-accent")) if mark else ()),
        )
        for label, figure, mark in rows
    ]
    return Content("\n").join(lines)


def distribution(counts: Mapping[str, int], width: int) -> Content:
    """Return a line for each value with its count, its share and a bar; the longest bar is the largest count."""
    total, largest = sum(counts.values()), max(counts.values(), default=0)
    figures = max((len(render.count(count)) for count in counts.values()), default=0)
    labels = max(map(len, counts), default=0)
    room = max(width - labels - figures - 10, 4)
    lines = [
        Content.assemble(
            shown(label.rjust(labels)),
            "  ",
            Content(render.bar(count, largest, room)).stylize("$text-accent"),
            "  ",
            shown(render.count(count).rjust(figures)),
            shown(f"{100 * count / total if total else 0:5.1f}%", "$text-muted"),
        )
        for label, count in counts.items()
    ]
    return Content("\n").join(lines)


def area(values: Sequence[float], width: int, height: int) -> Content:
    """Return values as columns of eighths from a common zero, `height` lines high: the mean of those that share a cell.

    Args:
        values: none below 0, in the order of time.
        width: cells; fewer values than cells are drawn broader.
        height: lines.
    """
    if not values or width < 1 or height < 1:
        return Content("")
    cells = [_mean(values, column, width) for column in range(width)]
    largest = max(cells) or 1.0
    eighths = [max(round(cell / largest * height * 8), 1 if cell > 0 else 0) for cell in cells]
    lines = []
    for line in range(height - 1, -1, -1):
        full = [min(max(level - 8 * line, 0), 8) for level in eighths]
        lines.append("".join(" " if not level else _CURVE[level - 1] for level in full))
    return Content("\n".join(lines)).stylize("$text-accent")


def _mean(values: Sequence[float], column: int, width: int) -> float:
    first = len(values) * column // width
    part = values[first : max(len(values) * (column + 1) // width, first + 1)]
    return math.fsum(part) / len(part)


def _padded(text: str, width: int) -> str:
    safe = crop(render.safe(text), width)
    return safe + " " * (width - Content(safe).cell_length)


def score_parts(found: Any, most: int) -> tuple[list[dict[str, Any]], float]:
    """Return the rows of a score taken apart, which sum to it: the start, the strongest ratings, the others together.

    Args:
        found: an `Explanation`.
        most: ratings shown one by one.

    Returns:
        rows with `title`, `your_rating`, `amount` and `item` ("" where a row is not one rating); and what is left
        between their sum and the score, which is 0 but for rounding where the model's parts add up.
    """
    rows: list[dict[str, Any]] = []
    if found.baseline is not None:
        start = {"title": "baseline", "your_rating": None, "amount": found.baseline, "item": ""}
        rows.append(start)
    rows += [row | {"title": row["title"] or row["item"]} for row in found.contributions[:most]]
    others = found.contributions[most:]
    if others:
        amount = math.fsum(row["amount"] for row in others)
        title = f"{render.count(len(others))} other ratings"
        rows.append({"title": title, "your_rating": None, "amount": amount, "item": ""})
    return rows, found.score - math.fsum(row["amount"] for row in rows)
