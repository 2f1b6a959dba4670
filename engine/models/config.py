"""Hyper-parameters: frozen dataclasses whose fields carry a sentence and a range, checked before any work."""

from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from math import isfinite
from typing import Any, Self

from engine.errors import SettingRefused


def setting(
    default: Any, sentence: str, *, low: float | None = None, high: float | None = None, choices: tuple[str, ...] = ()
) -> Any:
    """Declare a hyper-parameter: default, what it does in one sentence, which values it may take (inclusive)."""
    return field(default=default, metadata={"sentence": sentence, "low": low, "high": high, "choices": choices})


@dataclass(frozen=True)
class Config:
    """Base of the settings of a model; each subclass is a frozen dataclass of `setting(…)` fields."""

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> Self:
        """Build from names and values (text as typed on a command line, or numbers).

        Raises:
            SettingRefused: an unknown name (the hint has the nearest), a value of the wrong kind or out of range.
        """
        known = {f.name: f for f in fields(cls)}
        for name in settings:
            if name not in known:
                near = get_close_matches(name, known, n=1)
                guess = f"did you mean {near[0]}? " if near else ""
                names = ", ".join(known) or "none"
                raise SettingRefused(f"unknown setting {name!r}", hint=f"{guess}settings of this model: {names}")
        return cls(**{name: _checked(known[name], value) for name, value in settings.items()})


def allowed(meta: Any) -> str:
    """Describe in words which values a setting may take."""
    if meta["choices"]:
        return "one of " + ", ".join(meta["choices"])
    low, high = meta["low"], meta["high"]
    if low is not None and high is not None:
        return f"from {_in_full(low)} to {_in_full(high)}"
    return f"at least {low:g}" if low is not None else f"at most {high:g}" if high is not None else "any number"


def _in_full(number: float) -> str:
    """Return a bound as one would type it: 1048576, 0.5, 1e-06."""
    return str(number) if isinstance(number, int) else f"{number:g}"


def _checked(declared: Any, value: Any) -> Any:
    """Convert a value to the kind of the default and check its range."""
    meta, name = declared.metadata, declared.name
    converted = _converted(type(declared.default), value)
    low, high = meta["low"], meta["high"]
    outside = converted is None or (meta["choices"] and converted not in meta["choices"])
    for number in converted if isinstance(converted, list) else [converted]:
        if not outside and isinstance(number, (int, float)):
            too_low, too_high = low is not None and number < low, high is not None and number > high
            outside = too_low or too_high or (isinstance(number, float) and not isfinite(number))
    if outside:
        kind = _KINDS.get(type(declared.default), "")
        wanted = ", ".join(part for part in (kind, allowed(meta) if kind != "true or false" else "") if part)
        default = declared.default
        usual = ",".join(map(str, default)) if isinstance(default, tuple) else default
        raise SettingRefused(f"{name} = {value} is refused", hint=f"{name} must be {wanted}; default {usual}")
    return converted


def _converted(kind: type, value: Any) -> Any:
    """Return the value as `kind`, or None where that is impossible without loss."""
    text = str(value).strip()
    try:
        if kind is bool:
            return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(text.lower())
        if kind is int:
            return int(value) if isinstance(value, int) else int(text)
        if kind is tuple:  # whole numbers: a list, or text as in 64,32,16
            given = value if isinstance(value, (list, tuple)) else text.strip("[]()").split(",")
            return [int(str(part)) for part in given] or None
        return kind(value)
    except (TypeError, ValueError, OverflowError):
        return None


_KINDS = {int: "a whole number", float: "a number", bool: "true or false", tuple: "whole numbers with commas between"}
