"""What was perhaps meant by a name that is not there."""

from collections.abc import Iterable
from difflib import get_close_matches

_MOST = 10


def near_names(name: str, names: Iterable[str]) -> str:
    """Return a hint: the names near this one in any case of letters, else the first of those there are."""
    known = sorted(names)
    lower = {other.lower(): other for other in known}
    near = [lower[other] for other in get_close_matches(name.lower(), lower, n=3, cutoff=0.5)]
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"there are {', '.join(known[:_MOST])}{', …' if len(known) > _MOST else ''}" if known else "there are none"
