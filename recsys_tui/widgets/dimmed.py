"""What stands behind a dialog: the place it is over, with the dialog's background laid over its colours."""

from functools import lru_cache

from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.css.styles import RulesMap
from textual.screen import Screen
from textual.strip import Strip
from textual.style import Style as Look
from textual.visual import RenderOptions, Visual


class Dimmed(Visual):
    """Draws a screen in the colours it has under a tint; each style is mixed once, not once for every piece of text.

    Without a tint everything is drawn faint, in the colour of plain text.
    """

    def __init__(self, screen: Screen[object], tint: Color | None) -> None:
        self._screen, self._tint = screen, tint

    def render_strips(self, width: int, height: int | None, style: Look, options: RenderOptions) -> list[Strip]:  # noqa: ARG002  Textual's
        """Return the lines of the screen."""
        strips = self._screen._compositor.render_strips()  # noqa: SLF001  Textual has no public way to them
        return [self._mixed(strip) for strip in strips[:height]]

    def get_optimal_width(self, rules: RulesMap, container_width: int) -> int:  # noqa: ARG002  Textual's
        """Return the whole width."""
        return container_width

    def get_height(self, rules: RulesMap, width: int) -> int:  # noqa: ARG002  Textual's
        """Return the height of the screen."""
        return self._screen.size.height

    def _mixed(self, strip: Strip) -> Strip:
        tint = self._tint
        return Strip([Segment(text, mixed(style, tint), control) for text, style, control in strip], strip.cell_length)


@lru_cache(2048)
def mixed(style: Style | None, tint: Color | None) -> Style:
    """Return a style under a tint, without the links and actions of what has it."""
    if tint is None:
        return Style(dim=True, reverse=style.reverse if style else None)  # reversed is which place this is
    bare = Style.null() if style is None else style.clear_meta_and_links()
    return bare + Style.from_color(
        *(
            None if color is None else (Color.from_rich_color(color) + tint).rich_color
            for color in (bare.color, bare.bgcolor)
        )
    )
