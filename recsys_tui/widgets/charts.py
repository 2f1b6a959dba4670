"""Curves, drawn by plotext; on thin links a line of text a curve instead."""

from collections.abc import Sequence
from math import ceil, isfinite, log10
from typing import Any

from rich.text import Text
from textual.content import Content
from textual.widget import Widget

from recsys_tui import render
from recsys_tui.runview import Curve, Point, thinned
from recsys_tui.widgets.text import shown

STYLES = (
    ("blue", "braille", "⠶"),
    ("green", "dot", "•"),
    ("magenta", "x", "×"),
    ("orange", "+", "+"),
    ("red", "o", "o"),
    ("cyan", "*", "*"),
    ("white", "#", "#"),
    ("blue", "@", "@"),
)
"""Colour, marker of plotext and what stands for it in the legend: no curve is told from another by colour alone."""
_ASCII_MARKERS = "*.x+o%#@"
_LEAST_HEIGHT = 4
_LEGEND_SHARE = 8  # lines of the pane for each line of the legend


class Curves(Widget):
    """Curves over one axis, with a legend that has the latest value of each."""

    DEFAULT_CSS = "Curves { height: 1fr; }"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  Textual's
        super().__init__(id=id)
        self._curves: tuple[Curve, ...] = ()
        self._empty = ""
        self.log_axis = False
        self.sparse = False
        self.plain = False

    def show(self, curves: Sequence[Curve], empty: str = "") -> None:
        """Draw these, or say `empty` where there are none; nothing is drawn again where nothing is new."""
        new = tuple(curve for curve in curves if curve.points)
        if (new, empty) != (self._curves, self._empty):
            self._curves, self._empty = new, empty
            self.refresh()

    def render(self) -> Text | Content:
        """Draw what there is in the room that there is."""
        width, height = self.size
        if not self._curves:
            return shown(self._empty, "$text-muted")
        if self.sparse or height < _LEAST_HEIGHT or width < 20:
            return self._lines(width)
        if all(len(curve.points) == 1 for curve in self._curves):
            return self._values()
        legend = self._legend(width, max(1, height // _LEGEND_SHARE))
        plot = self._plot(width, height - len(legend))
        for line in legend:
            plot.append("\n")
            plot.append_text(line)
        return plot

    def _legend(self, width: int, most: int) -> list[Text]:
        """Return the mark, the name and the latest value of each curve, in so many lines at most."""
        lines = [Text("      ", no_wrap=True)]
        for k, curve in enumerate(self._curves):
            color, _, mark = STYLES[k % len(STYLES)]
            mark = _ASCII_MARKERS[k % len(_ASCII_MARKERS)] if self.plain else mark
            piece = f"{mark} {render.safe(curve.name)} {render.number(curve.points[-1][1])}"
            piece += " (right)" if self._right(curve) else ""
            if lines[-1].cell_len + 3 + len(piece) > width:
                if len(lines) == most:
                    lines[-1].append(f"   +{len(self._curves) - k}"[: max(width - lines[-1].cell_len, 0)])
                    break
                lines.append(Text("      ", no_wrap=True))
            lines[-1].append("   " if lines[-1].plain.strip() else "")
            lines[-1].append(piece, style=_rich(color))
        return lines

    def _lines(self, width: int) -> Content:
        """One line a curve: its name, a sparkline, first and last value."""
        lines = []
        for curve in self._curves[: max(self.size.height, 1)]:
            values = [y for _, y in curve.points]
            ends = f" {render.number(values[0])} > {render.number(values[-1])}"
            room = width - 14 - len(ends)
            line = render.sparkline(values, max(room, 8), ascii=self.plain)
            lines.append(shown(f"{curve.name[:13]:13} {line}{ends}"))
        return Content("\n").join(lines)

    def _values(self) -> Content:
        """What there is after one epoch, which is no curve yet."""
        widest = max(len(render.safe(curve.name)) for curve in self._curves)
        lines = [
            shown(f"{render.safe(curve.name):{widest}}  {render.number(y):>9}  after epoch {x:g}")
            for curve in self._curves
            for x, y in curve.points
        ]
        return Content("\n").join([*lines, Content(""), shown("A curve takes two epochs.", "$text-muted")])

    def _plot(self, width: int, height: int) -> Text:
        from textual_plotext.plot import Plot

        plot = Plot()
        plot.plotsize(width, height)
        plot._set_size(width, height)  # noqa: SLF001  as textual_plotext does: the public call is not enough
        plot.theme("clear")
        plot.frame(False)
        plot.xaxes(False, False)
        plot.yaxes(True, any(map(self._right, self._curves)))
        sides: dict[str, list[Point]] = {"left": [], "right": []}
        for k, curve in enumerate(self._curves):
            color, marker, _ = STYLES[k % len(STYLES)]
            side = "right" if self._right(curve) else "left"
            points = [
                (x, self._scaled(y, side)) for x, y in curve.points if isfinite(y) and (y > 0 or not self._log(side))
            ]
            points = thinned(points, 2 * width)
            sides[side] += points
            marker = _ASCII_MARKERS[k % len(_ASCII_MARKERS)] if self.plain else marker
            plot.plot([x for x, _ in points], [y for _, y in points], marker=marker, color=color, yside=side)
        _whole_numbers(plot, [x for points in sides.values() for x, _ in points], width)
        for side, points in sides.items():
            self._figures(plot, side, [y for _, y in points], height)
        return Text.from_ansi(plot.build().rstrip("\n"), no_wrap=True)

    def _right(self, curve: Curve) -> bool:
        """Tell whether a curve belongs to the axis at the right: that of the first metric there is."""
        return bool(curve.metric) and curve.metric == next(one.metric for one in self._curves if one.metric)

    def _log(self, side: str) -> bool:
        """Tell whether an axis is logarithmic: that of the losses may be, that of the figures at the right is not."""
        return self.log_axis and side == "left"

    def _scaled(self, value: float, side: str) -> float:
        return log10(value) if self._log(side) else value

    def _figures(self, plot: Any, side: str, values: Sequence[float], height: int) -> None:
        """Put as many figures beside an axis as have room."""
        if not values:
            return
        bottom, top = min(values), max(values)
        rows = max(2, min(5, height // 3))
        places = [bottom + (top - bottom) * k / (rows - 1) for k in range(rows)] if top > bottom else [bottom]
        labels = [render.number(10**place if self._log(side) else place) for place in places]
        widest = max(map(len, labels))
        plot.yticks(places, [label.rjust(widest) for label in labels], yside=side)


def _whole_numbers(plot: Any, values: Sequence[float], width: int) -> None:
    """Put whole numbers under the axis."""
    if not values:
        return
    low, high = min(values), max(values)
    step = _round_step((high - low) / max(1, min(8, width // 10)))
    places = [k * step for k in range(ceil(low / step), int(high // step) + 1)]
    plot.xticks(places, [f"{place:g}" for place in places])


def _round_step(least: float) -> int:
    """Return the smallest of 1, 2, 5, 10, 20, 50 … that is no less than this."""
    power = 1
    while True:
        for factor in (1, 2, 5):
            if factor * power >= least:
                return factor * power
        power *= 10


def _rich(color: str) -> str:
    return {"orange": "yellow"}.get(color, color)
