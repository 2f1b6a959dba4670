"""What is typed for a duration, a share of the users, a scale of ratings, or several settings at once."""

from store.errors import UsageRefused

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str, flag: str) -> float:
    """Read a duration: 90, 90s, 10m or 1h.

    Raises:
        UsageRefused: it is none of these, or not above zero.
    """
    unit = _UNITS.get(text[-1:])
    try:
        value = float(text[:-1]) * unit if unit else float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise UsageRefused(
            f"{flag} {text} is no duration", hint=f"write {flag} 90, {flag} 90s, {flag} 10m or {flag} 1h"
        )
    return value


def share(text: str, flag: str) -> float:
    """Read a share of the users: 10%.

    Raises:
        UsageRefused: it is none, or not between nobody and everybody.
    """
    try:
        value = float(text.removesuffix("%")) / 100 if text.endswith("%") else -1.0
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise UsageRefused(f"{flag} {text} is no share of the users", hint=f"write {flag} 10%: above 0% and below 100%")
    return value


def no_share(text: str) -> str:
    """Return what is wrong with a share of the users, or nothing."""
    try:
        share(text.strip(), "")
    except UsageRefused:
        return "write 10%: above 0% and below 100%"
    return ""


def scale_of(text: str, flag: str) -> tuple[float, float, float | None]:
    """Read a scale of ratings, low:high or low:high:step; without a step it is None.

    Raises:
        UsageRefused: it is none.
    """
    try:
        low, high, *rest = map(float, text.split(":"))
        step = rest[0] if rest else None
        if -float("inf") < low < high < float("inf") and len(rest) < 2 and (step is None or 0 < step <= high - low):
            return low, high, step
    except ValueError:
        pass
    raise UsageRefused(f"{flag} {text} is no scale", hint=f"write low:high or low:high:step, such as {flag} 0.5:5:0.5")


def no_scale(text: str) -> str:
    """Return what is wrong with a scale of ratings, or nothing."""
    try:
        scale_of(text, "")
    except UsageRefused:
        return "write low:high or low:high:step, such as 0.5:5:0.5"
    return ""


def pairs(items: list[str], flag: str) -> dict[str, str]:
    """Read KEY=VALUE items, each of which may hold several with commas between; a part without `=` goes on the value.

    So `--set epochs=5,hidden_layers=64,32` holds two settings.

    Raises:
        UsageRefused: an item that begins without `=`.
    """
    found: dict[str, str] = {}
    for item in items:
        key = ""
        for part in (part for part in item.split(",") if part):
            name, equals, value = part.partition("=")
            if equals:
                key = name.strip()
                found[key] = value.strip()
            elif key:
                found[key] += f",{part.strip()}"
            else:
                raise UsageRefused(f"{flag} {part} has no value", hint=f"write {flag} KEY=VALUE")
    return found
