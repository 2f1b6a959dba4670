r"""Text from outside made safe to show: whatever could move a cursor or reorder a line becomes visible instead."""

from functools import cache
from unicodedata import category

MARKS_IN_A_ROW = 8  # the longest run in living scripts is about 5
JOINS_IN_A_CHAIN = 8  # the longest standard emoji joins 4

_CONTROLS = (*range(0x20), *range(0x7F, 0xA0))
_SEPARATORS = (0x2028, 0x2029)
_BIDI = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_SURROGATES = range(0xD800, 0xE000)
_JOINER = "\u200d"
_INVISIBLE = frozenset({"\u200b", "\u200c", _JOINER, "\u2060", "\ufeff"})

FORBIDDEN = frozenset((*_CONTROLS, *_SEPARATORS, *_BIDI, *_SURROGATES))
"""Code points that no output of this program holds, other than those it writes itself."""

_VISIBLE = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in FORBIDDEN}
_VISIBLE |= {ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t"}


def safe(text: str) -> str:
    r"""Return the text with every control, bidi control, separator and lone surrogate in visible form.

    ESC becomes `\x1b`, a right-to-left override `\u202e`, a line end `\n`; long runs of combining marks and long
    chains of joined emoji are cut short. Everything else, markup included, stays character for character.

    A second pass changes nothing. A backslash of the data stays single, so that the form is for eyes, not for
    reading back: the four characters `\x1b` and the escape itself look alike.
    """
    if text.isascii():
        return text if text.isprintable() else text.translate(_VISIBLE)
    return _bounded(text.translate(_VISIBLE))


def json_safe(document: str) -> str:
    r"""Return a JSON text in which no string holds a raw C1 or bidi control: they become `\uXXXX`, the data stays true.

    Controls below U+0020 in strings are escaped by JSON itself; those left in the text are its own line ends.
    """
    return document if document.isascii() and "\x7f" not in document else document.translate(_json_forms())


@cache
def _json_forms() -> dict[int, str]:
    return {code: f"\\u{code:04x}" for code in FORBIDDEN if code >= 0x20}


def _bounded(text: str) -> str:
    """Cut runs of zero-width characters to `MARKS_IN_A_ROW` and show the joiners past `JOINS_IN_A_CHAIN`."""
    shown: list[str] = []
    run = joins = bases = 0  # marks since the last base; joiners in this chain; bases since the last joiner
    for char in text:
        if char in _INVISIBLE or category(char) in {"Mn", "Me"}:
            run += 1
            joins += char == _JOINER
            bases = 0 if char == _JOINER else bases
            if run > MARKS_IN_A_ROW:
                char = "…" if run == MARKS_IN_A_ROW + 1 else ""  # noqa: PLW2901  what is shown for it
            elif char == _JOINER and joins > JOINS_IN_A_CHAIN:
                char = "\\u200d"  # noqa: PLW2901
        else:
            run, bases = 0, bases + 1
            joins = joins if bases < 2 else 0
        shown.append(char)
    return "".join(shown)
