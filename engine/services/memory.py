"""What the serving path remembers of the database until anything in it changes."""

from dataclasses import dataclass, field
from types import EllipsisType
from typing import TYPE_CHECKING

from store import canaries, catalog
from store.canaries import Canary
from store.changes import Watch
from store.database import Database

if TYPE_CHECKING:
    from engine.services.manager import Snapshot

_ITEMS = 100_000  # items remembered; about 0.5 KB each

Card = tuple[str, str | None, int | None, tuple[str, ...]]
"""What a list shows of an item: text id, title, year and genres; only the first of one that has left the catalogue."""


@dataclass(eq=False)
class Moment:
    """Facts read since the database last changed. Two are the same only if they are one object.

    Whoever keeps a fact takes the moment first and reads second: a change in between then ends the moment, and with it
    the fact, at the next question.

    Attributes:
        snapshots: what names such as "active" stand for.
        canary: the trial of a version that runs, `...` until it is asked for.
        items: catalogue entries by text id.
        cards: what lists show, by loaded version and index in it.
    """

    snapshots: dict[str, "Snapshot"] = field(default_factory=dict)
    items: dict[str, catalog.Item] = field(default_factory=dict)
    cards: dict["Snapshot", dict[int, Card]] = field(default_factory=dict)
    canary: Canary | EllipsisType | None = ...


class Memory:
    """The moment that is now. Every answer asks `now` once; what it needs further it takes from `latest`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._watch = Watch(database)
        self.latest = Moment()

    def now(self) -> Moment:
        """Return the present moment, a new one where anything in the database has changed: one cheap query."""
        if self._watch.changed():
            self.latest = Moment()
        return self.latest

    def forget(self) -> None:
        """Begin a new moment, for changes that the database does not show."""
        self.latest = Moment()

    def canary(self) -> Canary | None:
        """Return the trial of a version that runs, as of the latest moment."""
        moment = self.latest
        if isinstance(moment.canary, EllipsisType):
            moment.canary = canaries.running(self._database)
        return moment.canary

    def items(self, texts: list[str]) -> dict[str, catalog.Item]:
        """Return the items with these text ids; those that are unknown are missing from the result."""
        known = self.latest.items
        found = {text: known[text] for text in texts if text in known}
        if len(found) < len(texts):
            read = catalog.items_by_id(self._database, [text for text in texts if text not in found])
            if len(known) < _ITEMS:
                known.update(read)
            found |= read
        return found

    def cards(self, snapshot: "Snapshot", picked: list[int]) -> list[Card]:
        """Return what a list shows of items by their index in a version."""
        known = self.latest.cards.setdefault(snapshot, {})
        missing = [index for index in picked if index not in known]
        if missing:
            found = self.items([snapshot.name(index) for index in missing])
            if len(known) > _ITEMS:
                known.clear()
            for index in missing:
                name = snapshot.name(index)
                known[index] = (name, *described(found.get(name)))
        return [known[index] for index in picked]


def described(found: catalog.Item | None) -> tuple[str | None, int | None, tuple[str, ...]]:
    """Return title, year and genres; nothing of an item that has left the catalogue."""
    return (None, None, ()) if found is None else (found.title, found.year, found.genres)
