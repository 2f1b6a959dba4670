"""Users and items as the operator knows them: text ids, titles, genres, search. Point reads for the serving path."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from store import errors
from store.database import Database

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_CHUNK = 500  # bound variables in one statement
_WORDS = 3  # words of a mistyped title that are looked for, the longest first
_LONGEST_STEM = 64  # characters of an id that a mistyped one is compared with


@dataclass(frozen=True)
class User:
    """A user with the revision of the data at which their ratings last changed, and their number of ratings."""

    id: int
    user: str
    revision: int
    n_ratings: int
    mean: float | None
    last_at: int | None


@dataclass(frozen=True)
class Item:
    """An item of the catalogue; title and year may be unknown."""

    id: int
    item: str
    title: str | None
    year: int | None
    genres: tuple[str, ...]


class Genres(NamedTuple):
    """Genres and years for a given order of items.

    Attributes:
        matrix: uint8 (n_items, n_genres).
        names: the columns of `matrix`.
        years: int16 (n_items,), 0 where unknown.
    """

    matrix: "NDArray[np.uint8]"
    names: tuple[str, ...]
    years: "NDArray[np.int16]"


SELECT_USER = """
SELECT id, user, revision, (SELECT count(*) FROM ratings r WHERE r.user = users.id),
       (SELECT avg(rating) FROM ratings r WHERE r.user = users.id),
       (SELECT max(at) FROM ratings r WHERE r.user = users.id)
FROM users
"""
_ITEM = """
SELECT id, item, title, year, (SELECT json_group_array(name) FROM (
    SELECT g.name FROM item_genres ig JOIN genres g ON g.id = ig.genre WHERE ig.item = items.id ORDER BY g.name))
FROM items
"""


def find_user(database: Database, user: str) -> User | None:
    """Return a user by text id, or None."""
    with database.read() as db:
        row = db.execute(f"{SELECT_USER} WHERE user = ?", (user,)).fetchone()
    return User(*row) if row else None


def user_key(database: Database, user: str) -> tuple[int, int] | None:
    """Return (dense id, revision) of a user, or None: the cheap look-up of the serving path."""
    with database.read() as db:
        found: tuple[int, int] | None = db.execute("SELECT id, revision FROM users WHERE user = ?", (user,)).fetchone()
    return found


def list_users(database: Database, *, after: str = "", limit: int = 50) -> list[User]:
    """Return a page of users by text id, beginning after the id `after`."""
    with database.read() as db:
        rows = db.execute(f"{SELECT_USER} WHERE user > ? ORDER BY user LIMIT ?", (after, limit)).fetchall()
    return [User(*row) for row in rows]


def user_ids(database: Database, *, after: str = "", page: int = 1000) -> Iterator[str]:
    """Yield the ids of all users after one in order, reading a page at a time so that writers never wait long."""
    while True:
        with database.read() as db:
            rows = db.execute("SELECT user FROM users WHERE user > ? ORDER BY user LIMIT ?", (after, page)).fetchall()
        if not rows:
            return
        yield from (user for (user,) in rows)
        after = rows[-1][0]


def find_item(database: Database, item: str) -> Item | None:
    """Return an item by text id, or None."""
    with database.read() as db:
        row = db.execute(f"{_ITEM} WHERE item = ?", (item,)).fetchone()
    return _item(row) if row else None


def need_item(database: Database, item: str) -> Item:
    """Return an item by text id.

    Raises:
        NotFound: the hint names items whose title or id is near.
    """
    found = find_item(database, item)
    if found is None:
        near = [f"{near.item} ({near.title})" if near.title else near.item for near in nearest_items(database, item)]
        hint = f"nearest: {'; '.join(near)}" if near else "`recsys-tui items search TEXT` finds items by title"
        raise errors.NotFound(f"unknown item {item!r}", hint=hint)
    return found


def items_by_id(database: Database, items: Iterable[str]) -> dict[str, Item]:
    """Return the items with these text ids; those that are unknown are missing from the result."""
    wanted = list(items)
    found: dict[str, Item] = {}
    with database.read() as db:
        for start in range(0, len(wanted), _CHUNK):
            part = wanted[start : start + _CHUNK]
            marks = ",".join("?" * len(part))
            for row in db.execute(f"{_ITEM} WHERE item IN ({marks})", part):
                found[row[1]] = _item(row)
    return found


def list_items(database: Database, *, after: str = "", limit: int = 50) -> list[Item]:
    """Return a page of items by text id, beginning after the id `after`."""
    with database.read() as db:
        rows = db.execute(f"{_ITEM} WHERE item > ? ORDER BY item LIMIT ?", (after, limit)).fetchall()
    return [_item(row) for row in rows]


def all_items(database: Database, *, page: int = 1000) -> Iterator[Item]:
    """Yield the whole catalogue by text id, reading a page at a time so that writers never wait long."""
    after = ""
    while rows := list_items(database, after=after, limit=page):
        yield from rows
        after = rows[-1].item


def search_items(database: Database, text: str, *, limit: int = 20) -> list[Item]:
    """Return items whose title holds `text` (any case), or whose id is `text`; best-known titles have no preference."""
    with database.read() as db:
        if len(text) < 3 or "\0" in text:  # a trigram index cannot answer these
            phrase, matches = text, "instr(lower(title), lower(?))"
        else:
            phrase = '"' + text.replace('"', '""') + '"'
            matches = "id IN (SELECT rowid FROM item_titles WHERE item_titles MATCH ?)"
        rows = db.execute(
            f"{_ITEM} WHERE item = ? OR {matches} ORDER BY item = ? DESC, length(title), title LIMIT ?",
            (text, phrase, text, limit),
        ).fetchall()
    return [_item(row) for row in rows]


def nearest_items(database: Database, text: str, *, limit: int = 3) -> list[Item]:
    """Return items that the operator may have meant: by title words first, then by ids with the same beginning."""
    found = _like(database, text)[:limit]
    with database.read() as db:
        for length in range(min(len(text), _LONGEST_STEM), 0, -1):
            if len(found) >= limit:
                break
            stem = text[:length]
            rows = db.execute(
                f"{_ITEM} WHERE item >= ? AND item < ? ORDER BY length(item), item LIMIT ?",
                (stem, stem + "\U0010ffff", limit),
            )
            found += [item for item in map(_item, rows) if item not in found]
    return found[:limit]


def _like(database: Database, text: str) -> list[Item]:
    """Return items whose titles hold the text or one of its words, those most like it first."""
    from difflib import SequenceMatcher

    text = text[:_LONGEST_STEM]
    words = [text, *sorted(text.split(), key=len, reverse=True)[:_WORDS]]
    found = {item.id: item for word in words if len(word) >= 3 for item in search_items(database, word, limit=50)}
    matcher = SequenceMatcher(b=text.casefold())  # compares many with its second sequence

    def likeness(item: Item) -> float:
        matcher.set_seq1((item.title or item.item)[:_LONGEST_STEM].casefold())
        return matcher.ratio()

    return sorted(found.values(), key=likeness, reverse=True)


def counts(database: Database) -> tuple[int, int]:
    """Return the numbers of users and of items."""
    with database.read() as db:
        users, items = db.execute("SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM items)").fetchone()
    return users, items


def genre_names(database: Database) -> list[str]:
    """Return the names of all genres in alphabetical order."""
    with database.read() as db:
        return [name for (name,) in db.execute("SELECT name FROM genres ORDER BY name")]


def genres_of(database: Database, items: Sequence[str]) -> Genres:
    """Return genres and years of items in the given order, as arrays for training."""
    import numpy as np

    position = {item: index for index, item in enumerate(items)}
    names = tuple(genre_names(database))
    matrix = np.zeros((len(items), len(names)), np.uint8)
    years = np.zeros(len(items), np.int16)
    column = {name: index for index, name in enumerate(names)}
    with database.read() as db:
        for item, year in db.execute("SELECT item, year FROM items WHERE year IS NOT NULL"):
            if item in position:
                years[position[item]] = year
        links = (
            "SELECT i.item, g.name FROM item_genres ig JOIN items i ON i.id = ig.item JOIN genres g ON g.id = ig.genre"
        )
        for item, name in db.execute(links):
            if item in position:
                matrix[position[item], column[name]] = 1
    return Genres(matrix, names, years)


def item_texts(database: Database, items: Sequence[int]) -> list[tuple[int, str]]:
    """Return (dense id, text id) of items by dense id; those that are unknown are missing from the result."""
    found: list[tuple[int, str]] = []
    with database.read() as db:
        for start in range(0, len(items), _CHUNK):
            part = items[start : start + _CHUNK]
            found += db.execute(f"SELECT id, item FROM items WHERE id IN ({','.join('?' * len(part))})", part)
    return found


def item_keys(database: Database) -> list[tuple[int, str]]:
    """Return (dense id, text id) of every item: what a loaded model needs to read histories by dense id."""
    with database.read() as db:
        return db.execute("SELECT id, item FROM items").fetchall()


def _item(row: tuple[int, str, str | None, int | None, str]) -> Item:
    identity, item, title, year, genres = row
    return Item(identity, item, title, year, tuple(json.loads(genres)))
