"""Figures as people read them. A value that is missing or not finite is a dash, everywhere."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

DASH = "\u2013"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LEVELS = "▁▂▃▄▅▆▇█"
_LEVELS_ASCII = ".:-=+*#@"
_EIGHTHS = " ▏▎▍▌▋▊▉"


def number(value: float | None, digits: int = 4) -> str:
    """Return a figure with a fixed count of decimals, so that columns line up; no negative zero."""
    if value is None or not math.isfinite(value):
        return DASH
    text = f"{value:,.{digits}f}"
    return text.removeprefix("-") if not text.strip("-0.,") else text


def count(n: float | None) -> str:
    """Return a whole number in groups of three: 1,234,567."""
    return number(n, 0)


def counted(n: int, thing: str) -> str:
    """Return how many there are of a thing: 1 day, 2,391 days."""
    return f"{n:,} {thing}{'' if n == 1 else 's'}"


def size(n_bytes: float | None) -> str:
    """Return bytes in decimal units: 999 B, 1.2 kB, 34.0 MB."""
    if n_bytes is None or not math.isfinite(n_bytes):
        return DASH
    for unit in ("B", "kB", "MB", "GB"):
        if abs(n_bytes) < 999.95:
            return f"{n_bytes:.{0 if unit == 'B' else 1}f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} TB"


def duration(seconds: float | None) -> str:
    """Return a span in its two largest units: 45 ms, 12.9 s, 3m 26s, 2h 05m, 3d 04h."""
    if seconds is None or not math.isfinite(seconds):
        return DASH
    if seconds < 0:
        return "-" + duration(-seconds)
    if seconds < 59.95:
        return f"{seconds:.1f} s" if seconds >= 0.9995 else f"{seconds * 1000:.0f} ms"
    minutes, last = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m {last:02d}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02d}m" if hours < 24 else f"{hours // 24:,}d {hours % 24:02d}h"


def _moment(seconds: float | None) -> datetime | None:
    """Return the time in UTC, or None where there is none or no calendar has it."""
    if seconds is None or not math.isfinite(seconds):
        return None
    try:
        return _EPOCH + timedelta(seconds=seconds)
    except OverflowError:  # the store's mark for "unknown" is the smallest integer
        return None


def iso(seconds: float | None) -> str | None:
    """Return seconds since 1970 as ISO 8601 in UTC for programs, with milliseconds where there are any."""
    moment = _moment(seconds)
    if moment is None:
        return None
    precision = "milliseconds" if moment.microsecond >= 500 else "seconds"
    return moment.isoformat(timespec=precision).replace("+00:00", "Z")


def when(seconds: float | None) -> str:
    """Return seconds since 1970 as date and minute in UTC for people: 2026-11-22 09:12."""
    moment = _moment(seconds)
    return DASH if moment is None else f"{moment:%Y-%m-%d %H:%M}"


def minute(text: str | None) -> str:
    """Return a time of `iso` as date and minute in UTC for people."""
    return text[:16].replace("T", " ") if text else DASH


def plainly(value: object) -> str:
    """Return what stands for itself, such as a year or a setting, without groups and padding."""
    if value is None:
        return DASH
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def bar(value: float | None, maximum: float, width: int = 10, *, ascii: bool = False) -> str:  # noqa: A002
    """Return a horizontal bar of exactly `width` cells, in steps of an eighth of a cell (whole cells in ASCII)."""
    filled = 0.0
    if value is not None and math.isfinite(value) and maximum > 0:
        filled = min(max(value / maximum, 0.0), 1.0) * width
    if ascii:
        whole = round(filled)
        return "#" * whole + "." * (width - whole)
    whole, eighth = divmod(round(filled * 8), 8)
    return ("█" * whole + _EIGHTHS[eighth].strip()).ljust(width)


def sparkline(values: Sequence[float | None], width: int = 20, *, ascii: bool = False) -> str:  # noqa: A002
    """Return a curve one line high, at most `width` cells long: each the mean of its share, a gap a space."""
    cells = [_mean(part) for part in _shares(values, width)]
    known = [cell for cell in cells if cell is not None]
    if not known:
        return " " * len(cells)
    levels = _LEVELS_ASCII if ascii else _LEVELS
    low, high = min(known), max(known)
    span = high - low
    if not 0 < span < math.inf:
        return "".join(" " if cell is None else levels[3] for cell in cells)
    return "".join(" " if cell is None else levels[round((cell - low) / span * 7)] for cell in cells)


def _shares(values: Sequence[float | None], width: int) -> list[Sequence[float | None]]:
    """Cut the values into at most `width` runs of nearly equal length."""
    parts = min(len(values), width)
    return [values[len(values) * k // parts : len(values) * (k + 1) // parts] for k in range(parts)]


def _mean(values: Sequence[float | None]) -> float | None:
    finite = [value for value in values if value is not None and math.isfinite(value)]
    return math.fsum(value / len(finite) for value in finite) if finite else None
