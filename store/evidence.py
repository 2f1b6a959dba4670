"""The numbers behind a reason: each function is one query that an operator can repeat by hand."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from store.database import Database

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_CHUNK = 500  # bound variables in one statement


class GenreTaste(NamedTuple):
    """How a user rates one genre: number of rated items that have it, and their mean rating."""

    genre: str
    n_ratings: int
    mean: float


class Crowd(NamedTuple):
    """A group of raters of an item: how many, and their mean rating of it (None where nobody)."""

    count: int  # type: ignore[assignment]  # hides the method of tuples, which nobody misses here
    mean: float | None


class ItemTotals(NamedTuple):
    """What all ratings of an item come to: how many, their sum, and the sum of their squares."""

    item: str
    n_ratings: int
    total: float
    squares: float


class Raters(NamedTuple):
    """Who rated an item, those of the lowest rating first.

    Attributes:
        users: dense ids (n,), as wide as indices are: looking others up by narrower ones takes half as long again.
        ratings: theirs (n,).
        values: the ratings that occur, each once.
        starts: where those of each value begin, and where the last end.
    """

    users: "NDArray[np.int64]"
    ratings: "NDArray[np.float64]"
    values: list[float]
    starts: list[int]

    def between(self, low: float, high: float) -> "NDArray[np.int64]":
        """Return who gave a rating from low to high."""
        first, last = bisect_left(self.values, low), bisect_right(self.values, high)
        return self.users[self.starts[first] : self.starts[last]]


def item_totals(database: Database) -> list[ItemTotals]:
    """Return the totals of every item of the catalogue, in byte order of the ids."""
    with database.read() as db:
        rows = db.execute(
            "WITH totals AS (SELECT item, count(*) AS n, sum(rating) AS s, sum(rating * rating) AS q "
            "FROM ratings GROUP BY item) "
            "SELECT i.item, coalesce(n, 0), coalesce(s, 0.0), coalesce(q, 0.0) "
            "FROM items i LEFT JOIN totals t ON t.item = i.id ORDER BY i.item"
        ).fetchall()
    return [ItemTotals(*row) for row in rows]


def genre_tastes(database: Database, user_id: int) -> list[GenreTaste]:
    """Return the genres of a user's rated items, most rated first."""
    with database.read() as db:
        rows = db.execute(
            "SELECT g.name, count(*), avg(r.rating) FROM ratings r JOIN item_genres ig ON ig.item = r.item "
            "JOIN genres g ON g.id = ig.genre WHERE r.user = ? GROUP BY g.id ORDER BY count(*) DESC, g.name",
            (user_id,),
        ).fetchall()
    return [GenreTaste(*row) for row in rows]


def raters(database: Database, items: Sequence[int]) -> dict[int, Raters]:
    """Return who rated each of some items, by dense id; an item without ratings has empty arrays.

    The users of one rating come as one text: several times as quick as a row for each.
    """
    import numpy as np

    parts: dict[int, list[tuple[float, NDArray[np.int64]]]] = {item: [] for item in items}
    with database.read() as db:
        for start in range(0, len(items), _CHUNK):
            some = items[start : start + _CHUNK]
            marks = ",".join("?" * len(some))
            query = (
                f"SELECT item, rating, group_concat(user) FROM ratings WHERE item IN ({marks}) GROUP BY item, rating"
            )
            for item, rating, users in db.execute(query, tuple(some)):
                parts[item].append((rating, np.fromstring(str(users), np.int64, sep=",")))
    return {item: _raters(found) for item, found in parts.items()}


def _raters(parts: "list[tuple[float, NDArray[np.int64]]]") -> Raters:
    """Put the users of each rating together."""
    import numpy as np

    values, sizes = [rating for rating, _ in parts], [len(users) for _, users in parts]
    users = np.concatenate([np.zeros(0, np.int64), *(users for _, users in parts)])
    ratings = np.repeat(np.array(values, np.float64), sizes)
    return Raters(users, ratings, values, [0, *accumulate(sizes)])


def given_by(database: Database, user_id: int) -> dict[int, float]:
    """Return a user's ratings by dense item id."""
    with database.read() as db:
        return dict(db.execute("SELECT item, rating FROM ratings WHERE user = ?", (user_id,)).fetchall())


def levels(database: Database, users: Sequence[int]) -> dict[int, tuple[int, float]]:
    """Return (number of ratings, their mean) of some users, by dense id; those without ratings are missing."""
    found: dict[int, tuple[int, float]] = {}
    with database.read() as db:
        for start in range(0, len(users), _CHUNK):
            some = tuple(users[start : start + _CHUNK])
            marks = ",".join("?" * len(some))
            query = f"SELECT user, count(*), avg(rating) FROM ratings WHERE user IN ({marks}) GROUP BY user"
            found |= {user: (count, mean) for user, count, mean in db.execute(query, some)}
    return found


def genres_by_id(database: Database, items: Sequence[int]) -> dict[int, frozenset[int]]:
    """Return the dense ids of the genres of each of some items, by dense id."""
    found: dict[int, set[int]] = {item: set() for item in items}
    with database.read() as db:
        for start in range(0, len(items), _CHUNK):
            some = tuple(items[start : start + _CHUNK])
            marks = ",".join("?" * len(some))
            for item, genre in db.execute(f"SELECT item, genre FROM item_genres WHERE item IN ({marks})", some):
                found[item].add(genre)
    return {item: frozenset(genres) for item, genres in found.items()}


def everybody(database: Database, item_id: int) -> Crowd:
    """Return how many have rated an item and their mean."""
    with database.read() as db:
        return Crowd(*db.execute("SELECT count(*), avg(rating) FROM ratings WHERE item = ?", (item_id,)).fetchone())
