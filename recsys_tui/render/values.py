"""One value as programs read it and as people do, and the column that says which value of a row is shown and how."""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from typing import Any, Literal

from recsys_tui.render.figures import DASH, iso, number
from recsys_tui.render.safe import json_safe, safe

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_PLAIN_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True)
class Column:
    """One column of a list.

    Attributes:
        key: which value of a row it shows.
        header: what stands over it in a table; CSV and TSV have the key.
        digits: decimals of a float in a table.
        align: left or right; by default right where the values are numbers.
        grows: True where it takes the room that is left and is cropped first (titles); left out where all are empty.
        wraps: like `grows`, but what has no room goes on in the next line: for sentences.
        spare: left out of a table for which the terminal is too narrow; CSV and TSV always have it.
        show: how a person sees the value, for those that are neither text nor figure: `when`, `duration`, `size`.
        style: a style of rich for the cells.
    """

    key: str
    header: str = ""
    digits: int = 4
    align: Literal["left", "right"] | None = None
    grows: bool = False
    wraps: bool = False
    spare: bool = False
    show: Callable[[Any], str] | None = None
    style: str = ""

    @property
    def title(self) -> str:
        """The header as shown."""
        return self.header or self.key.replace("_", " ")


def to_json(value: Any, indent: int | None = None) -> str:
    """Return the value as JSON that any reader takes and any terminal survives."""
    return json_safe(json.dumps(plain(value), ensure_ascii=False, allow_nan=False, indent=indent))


def record(row: Any) -> Mapping[str, Any]:
    """Return a row as a mapping, in the order of its fields."""
    if isinstance(row, Mapping):
        return row
    return {field.name: getattr(row, field.name) for field in fields(row)}


def plain(value: Any) -> Any:  # noqa: PLR0911  one a kind
    """Return the value in JSON's own kinds: NaN and infinities null, times ISO 8601, arrays lists, the rest text."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if is_dataclass(value) and not isinstance(value, type):
        return plain(record(value))
    if isinstance(value, datetime):
        return iso(value.timestamp())
    if hasattr(value, "tolist"):  # arrays and scalars of NumPy, without importing it
        return plain(value.tolist())
    return str(value)


def guard(text: str) -> str:
    """Return the text so that no spreadsheet runs it: a quote goes before what begins with = + - @, TAB or CR.

    Plain numbers stay. What begins with quotes and then such a character gets one more, so that taking one quote away
    always gives the original back.
    """
    return "'" + text if _FORMULA.match(text) and not _PLAIN_NUMBER.fullmatch(text) else text


def cell(value: Any) -> str:
    """Return a value as one cell of CSV or TSV: empty where there is none, lists joined by `|`, full precision."""
    if type(value) is str:  # most of what is written
        return value
    value = plain(value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list) and not any(isinstance(part, list | dict) for part in value):
        return "|".join(cell(part) for part in value)
    return to_json(value) if isinstance(value, list | dict) else str(value)


def human(value: Any, digits: int = 4, *, ascii: bool = False) -> str:  # noqa: A002
    """Return a value as a person reads it, safe: grouped and rounded figures, yes and no, lists with commas."""
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or isinstance(value, int | float):
        text = number(value, 0 if isinstance(value, int) else digits)
        return "-" if ascii and text == DASH else text
    if isinstance(value, list | tuple) and all(isinstance(part, str) for part in value):
        return safe(", ".join(value))
    return safe(cell(value))
