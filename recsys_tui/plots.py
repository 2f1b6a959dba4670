"""Pictures of figures, as PNG: the one module that draws with matplotlib. It knows lists of numbers and names only."""

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INK, _SOFT, _LINE = "#1f2937", "#9ca3af", "#2563eb"
_DPI = 144


class Span(NamedTuple):
    """A named figure with its interval; None for an end that is not known."""

    name: str
    value: float
    low: float | None
    high: float | None


def can_draw() -> bool:
    """Tell whether matplotlib is installed."""
    from importlib.util import find_spec

    return find_spec("matplotlib") is not None


def intervals(spans: Sequence[Span], title: str) -> bytes:
    """Draw figures below each other, each a dot on the line of its interval."""
    figure, axes = _canvas(6.4, 0.8 + 0.28 * len(spans))
    places = list(range(len(spans)))[::-1]
    for place, span in zip(places, spans, strict=True):
        if span.low is not None and span.high is not None:
            axes.plot([span.low, span.high], [place, place], color=_LINE, linewidth=2)
        axes.plot([span.value], [place], "o", color=_LINE, markersize=5)
    axes.set_yticks(places, [span.name for span in spans], parse_math=False)
    axes.set_xlim(left=min(0.0, *(span.value if span.low is None else span.low for span in spans)))
    axes.set_title(title, loc="left", fontsize=10, color=_INK, parse_math=False)
    axes.grid(axis="x", color="#e5e7eb")
    return _png(figure)


def reliability(bins: Sequence[tuple[float, float]], title: str) -> bytes:
    """Draw what was given over what was predicted, with the diagonal on which the two agree."""
    figure, axes = _canvas(4.2, 4.2)
    ends = [min(min(one) for one in bins), max(max(one) for one in bins)]
    axes.plot(ends, ends, color=_SOFT, linewidth=1, linestyle="--")
    axes.plot([one[0] for one in bins], [one[1] for one in bins], "o-", color=_LINE, markersize=4)
    axes.set_xlabel("mean predicted rating")
    axes.set_ylabel("mean rating given")
    axes.set_title(title, loc="left", fontsize=10, color=_INK)
    axes.grid(color="#e5e7eb")
    return _png(figure)


def _canvas(width: float, height: float) -> "tuple[Any, Axes]":
    """Return a figure of this size in inches with its axes; no window system is asked for."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.tick_params(labelsize=8, colors=_INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _png(figure: Any) -> bytes:
    """Return the figure as a PNG without the date, so that equal figures are equal files."""
    import warnings

    buffer = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names in scripts that the font does not have
        figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()
