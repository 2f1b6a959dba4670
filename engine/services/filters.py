"""What may be in a list, decided before the cut to its length; and which filter it was that left too little."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.data import ItemFeatures
from engine.errors import SettingRefused
from engine.models.base import Model
from engine.services.ladder import View


class Filters(NamedTuple):
    """What may be in a list; the number of items asked for is cut after this, never before."""

    include_seen: bool = False
    only_genres: tuple[str, ...] = ()
    exclude_genres: tuple[str, ...] = ()
    since_year: int | None = None


_NO_FILTERS = (Filters(), Filters(include_seen=True))


def allowed_items(model: Model, filters: Filters) -> NDArray[np.bool_] | None:
    """Return which items pass the filters (n_items,), or None where all do.

    Raises:
        SettingRefused: a genre that no item has; the hint lists those there are.
    """
    if filters in _NO_FILTERS:
        return None
    allowed = np.ones(len(model.facts.items), bool)
    for _, passes in _each(model.facts.features, filters):
        allowed &= passes
    return allowed


def why_short(view: View, filters: Filters, found: int, wanted: int) -> list[str]:
    """Say which filters leave fewer items than asked for; empty where none does.

    Where nothing is left it names the filter that took the last item away, and whether it would do so alone.
    """
    if found >= wanted:
        return []
    total = len(view.model.facts.items)
    left, parts = np.ones(total, bool), [f"{total:,} items in the model"]
    culprit = "" if total else "the model has no items"
    steps = list(_each(view.model.facts.features, filters))
    if not filters.include_seen and len(view.items):
        unseen = np.ones(total, bool)
        unseen[view.items] = False
        steps.insert(0, (_SEEN, unseen))
    for name, passes in steps:
        left &= passes
        parts.append(f"{name} leaves {np.count_nonzero(left):,}")
        if not culprit and not left.any():
            culprit = f"{name} takes out all that is left before it" if passes.any() else f"no item passes {name}"
            culprit = _SEEN if name == _SEEN else culprit
    if culprit == _SEEN:
        return ["no item is eligible: everything is rated already; --include-seen lists it again"]
    if culprit:
        return [f"no item is eligible: {culprit} ({'; '.join(parts)})"]
    return [f"only {found} of {wanted} items are eligible: " + "; ".join(parts)]


def _each(features: ItemFeatures, filters: Filters) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield the name of each filter that is set and which items pass it (n_items,)."""
    if filters.only_genres:
        yield f"--only-genre {', '.join(filters.only_genres)}", _has(features, filters.only_genres)
    if filters.exclude_genres:
        yield f"--exclude-genre {', '.join(filters.exclude_genres)}", ~_has(features, filters.exclude_genres)
    if filters.since_year is not None:
        yield f"--since-year {filters.since_year}", features.years >= filters.since_year


def _has(features: ItemFeatures, genres: tuple[str, ...]) -> NDArray[np.bool_]:
    """Return which items have one of the genres (n_items,)."""
    column = {name.casefold(): index for index, name in enumerate(features.genre_names)}
    for name in genres:
        if name.casefold() not in column:
            known = ", ".join(features.genre_names) or "none: the catalogue has no genres"
            raise SettingRefused(f"no item has the genre {name!r}", hint=f"genres: {known}")
    having: NDArray[np.bool_] = np.any(features.genres[:, [column[name.casefold()] for name in genres]], axis=1)
    return having


_SEEN = "taking out what is rated already"
