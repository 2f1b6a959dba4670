"""A filter that draws everything with ASCII: borders, blocks, Braille dots and arrows, cell for cell."""

import unicodedata
from functools import lru_cache

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_ONE_BY_ONE = {
    "–": "-", "—": "-", "−": "-", "…": ".", "·": ".", "•": "*", "●": "*", "○": "o", "×": "x", "✓": "+", "✗": "x",
    "▲": "^", "▼": "v", "△": "^", "▽": "v", "►": ">", "▶": ">", "◀": "<", "→": ">", "←": "<", "↑": "^", "↓": "v",
    "“": '"', "”": '"', "’": "'", "\xa0": " ", "⏎": "<",
}  # fmt: skip
_SHADES = {"░": ".", "▒": ":", "▓": "#", "█": "#"}
_LEVELS = dict(zip("▁▂▃▄▅▆▇", ".:-=+*#", strict=True))


@lru_cache(8192)
def plain(text: str) -> str:
    """Return the text in ASCII, as many cells wide as before."""
    return text if text.isascii() else "".join(char if char.isascii() else _plain(char) for char in text)


def _plain(char: str) -> str:
    """Return what stands for one character, as wide as it: a letter loses its marks, what has no likeness is `?`."""
    code = ord(char)
    if 0x2500 <= code < 0x2580:
        return _border(char)
    if 0x2800 <= code < 0x2900:
        return "*" if code > 0x2800 else " "
    known = _ONE_BY_ONE.get(char) or _SHADES.get(char) or _LEVELS.get(char)
    if known:
        return known
    if 0x2580 <= code < 0x25A0:
        return "#"
    width = cell_len(char)
    letter = unicodedata.normalize("NFKD", char)[:1]
    return (letter if letter.isascii() else "?").ljust(width, "?")[:width]


def _border(char: str) -> str:
    name = unicodedata.name(char, "")
    if "HORIZONTAL" in name and "VERTICAL" not in name and "DOWN" not in name and "UP" not in name:
        return "-"
    if "VERTICAL" in name and "HORIZONTAL" not in name and "LEFT" not in name and "RIGHT" not in name:
        return "|"
    return "+"


class PlainCharacters(LineFilter):
    """Draws every character that is not ASCII by one that is."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:  # noqa: ARG002  Textual's
        """Return the segments in ASCII."""
        return [Segment(plain(text), style, control) for text, style, control in segments]
