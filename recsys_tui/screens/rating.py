"""What the place Rate reads and stores, in a thread: items to rate, and one rating after another."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from recsys_tui.screens import lists

if TYPE_CHECKING:
    from engine.services import Services
    from engine.services.realtime import Rated

_FOUND = 200


@dataclass(frozen=True)
class Item:
    """An item that can be rated, with the rating of the person there is."""

    item: str
    title: str
    genres: str
    rating: float | None


class Found(NamedTuple):
    """Items for a text, with who rates them: how many ratings they have, None for nobody known."""

    items: list[Item]
    n_ratings: int | None
    scale: tuple[float, float, float | None]


class Change(NamedTuple):
    """A rating to be stored; `value` None takes it back. `undoes` is true where it takes another change back."""

    user: str
    item: Item
    value: float | None
    undoes: bool = False


class Stored(NamedTuple):
    """What a change did; `rated` is None where there was nothing to take back, `now` where no version can say."""

    change: Change
    rated: "Rated | None"
    now: lists.Lists | None


def find(services: "Services", user: str, text: str) -> Found:
    """Return items whose titles hold the text, else the person's latest ratings, else items as they come."""
    from store import catalog, ratings

    database = services.database
    history = ratings.history(database, user) if user else []
    given = {row.item: row.rating for row in history}
    if text:
        found = catalog.search_items(database, text, limit=_FOUND)
    elif history:
        latest = sorted(history, key=lambda row: (-(row.at or 0), row.item))[:_FOUND]
        known = catalog.items_by_id(database, [row.item for row in latest])
        found = [known[row.item] for row in latest]
    else:
        found = catalog.list_items(database, limit=_FOUND)
    items = [Item(row.item, row.title or row.item, ", ".join(row.genres), given.get(row.item)) for row in found]
    scale = ratings.scale(database)
    there = bool(user) and catalog.user_key(database, user) is not None
    return Found(items, len(history) if there else None, (scale.low, scale.high, scale.step))


def store(services: "Services", change: Change, wanted: lists.Wanted, before: list[lists.Line]) -> Stored:
    """Store one change, and tell what it did to the person's list, of which `before` are the lines before."""
    from store import ratings
    from store.errors import NotFound

    realtime = services.realtime
    if change.value is not None:
        rated = realtime.rate(change.user, change.item.item, change.value)
    elif ratings.get(services.database, change.user, change.item.item) is None:
        return Stored(change, None, None)
    else:
        rated = realtime.unrate(change.user, change.item.item)
    try:
        now = lists.lists(services, change.user, replace(wanted, other=""))
    except NotFound:  # no version is active yet
        return Stored(change, rated, None)
    return Stored(change, rated, replace(now, lines=lists.since(before, now.lines), moved=bool(before)))
