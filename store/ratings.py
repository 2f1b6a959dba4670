"""Single ratings: a user's history, counts; and by way of `store.writes`, ratings put and taken away.

Light: on the way of every recommendation.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from store.database import CACHE_KIB, Database
from store.scales import Acceptance, StoredScale, read_scale
from store.writes import DEFAULT_SCALE, Entry, Put, bump, put, put_many, remove

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from store.bulk import RatingRows

__all__ = [
    "DEFAULT_SCALE",
    "Entry",
    "Put",
    "Rating",
    "Stats",
    "Timed",
    "all_rows",
    "bump",
    "count",
    "ensure_item_index",
    "get",
    "history",
    "put",
    "put_many",
    "read_all",
    "remove",
    "revision",
    "scale",
    "stats",
    "timed",
]

_CHUNK = 500  # bound variables in one statement
_NO_TIME = -(2**63)  # as everywhere in arrays
_TIMED = (
    f"SELECT user, group_concat(item), group_concat(rating), group_concat(coalesce(at, {_NO_TIME})) "
    "FROM ratings WHERE user IN ({}) GROUP BY user"
)


class Rating(NamedTuple):
    """A rating of one user: item as text and as dense id; `at` in seconds since 1970 UTC, None where unknown."""

    item: str
    rating: float
    at: int | None
    item_id: int


class Timed(NamedTuple):
    """Ratings of one user in any order, each (k,): dense items, ratings, seconds since 1970 UTC, -2⁶³ where unknown."""

    items: "NDArray[np.int64]"
    ratings: "NDArray[np.float64]"
    times: "NDArray[np.int64]"


class Stats(NamedTuple):
    """Counts over all ratings: users and items that have any, their density, and ratings by value."""

    users: int
    items: int
    ratings: int
    density: float
    scale: StoredScale
    first_at: int | None
    last_at: int | None
    histogram: dict[float, int]


def history(database: Database, user: str) -> list[Rating]:
    """Return the ratings of a user by dense item id; empty for an unknown user."""
    query = (
        "SELECT i.item, r.rating, r.at, r.item FROM ratings r JOIN items i ON i.id = r.item "
        "WHERE r.user = (SELECT id FROM users WHERE user = ?) ORDER BY r.item"
    )
    with database.read() as db:
        return [Rating(*row) for row in db.execute(query, (user,))]


def timed(database: Database, users: Sequence[int]) -> dict[int, Timed]:
    """Return all ratings of users by dense id: what a fold-in needs; those without ratings are missing.

    The columns of a user come as one text each. Threads take turns with the interpreter after every row that SQLite
    gives, so that a row for each rating makes those who read at once wait for each other thousands of times.
    """
    import numpy as np

    found: dict[int, Timed] = {}
    with database.read() as db:
        for start in range(0, len(users), _CHUNK):
            some = tuple(users[start : start + _CHUNK])
            marks = ",".join("?" * len(some))
            for user, items, given, times in db.execute(_TIMED.format(marks), some).fetchall():
                found[user] = Timed(
                    np.fromstring(items, np.int64, sep=","),
                    np.fromstring(given, np.float64, sep=","),
                    np.fromstring(times, np.int64, sep=","),
                )
    return found


def all_rows(database: Database, *, page: int = 10_000) -> Iterator[Entry]:
    """Yield every rating by dense user and item, reading a page at a time so that writers never wait long."""
    query = (
        "SELECT r.user, r.item, u.user, i.item, r.rating, r.at FROM ratings r JOIN users u ON u.id = r.user "
        "JOIN items i ON i.id = r.item WHERE (r.user, r.item) > (?, ?) ORDER BY r.user, r.item LIMIT ?"
    )
    after = (-1, -1)
    while True:
        with database.read() as db:
            rows = db.execute(query, (*after, page)).fetchall()
        yield from (Entry(*row[2:]) for row in rows)
        if len(rows) < page:
            return
        after = rows[-1][:2]


def get(database: Database, user: str, item: str) -> Rating | None:
    """Return one rating, or None."""
    query = (
        "SELECT i.item, r.rating, r.at, r.item FROM users u JOIN items i "
        "JOIN ratings r ON r.user = u.id AND r.item = i.id WHERE u.user = ? AND i.item = ?"
    )
    with database.read() as db:
        row = db.execute(query, (user, item)).fetchone()
    return Rating(*row) if row else None


def count(database: Database) -> int:
    """Return the number of ratings."""
    with database.read() as db:
        n: int = db.execute("SELECT count(*) FROM ratings").fetchone()[0]
    return n


def scale(database: Database) -> StoredScale:
    """Return the scale of the ratings; `DEFAULT_SCALE` before the first one."""
    with database.read() as db:
        found = read_scale(db)
    return DEFAULT_SCALE if found is None else found.scale


def revision(database: Database) -> int:
    """Return the revision of the data: it grows with every change of ratings."""
    with database.read() as db:
        value: int = db.execute("SELECT value FROM meta WHERE key = 'revision'").fetchone()[0]
    return value


def stats(database: Database) -> Stats:
    """Count the ratings in one pass; 25 million take some seconds."""
    from store.bulk import totals

    found = totals(database)
    cells = found.users * found.items
    density = found.ratings / cells if cells else 0.0
    return Stats(
        found.users,
        found.items,
        found.ratings,
        density,
        scale(database),
        found.first_at,
        found.last_at,
        found.histogram,
    )


def check_value(database: Database, value: float) -> None:
    """Refuse a rating that could not be stored.

    Raises:
        DataRefused: it is not on the scale of the database.
    """
    with database.read() as db:
        known = read_scale(db)
    (known or Acceptance(DEFAULT_SCALE, stated=False)).check(value)


def read_all(database: Database) -> "RatingRows":
    """Return all ratings, all items of the catalogue and all users that have ratings, as arrays for training.

    Rows that others write meanwhile may or may not be in; those up to `revision` are.
    """
    from store import bulk

    return bulk.read_all(database)


def ensure_item_index(database: Database) -> None:
    """Make the index of ratings by item where it is missing; large imports drop it, training asks for it.

    All of it is built in memory (about 75 bytes a rating) and written at the end: with the rollback journal a
    transaction whose pages go to the file early keeps every reader out for as long as it lasts.
    """
    with database.read() as db:
        if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'ratings_by_item'").fetchall():
            return
        db.execute("PRAGMA cache_spill = OFF")
        db.execute("PRAGMA cache_size = -4000000")
    try:
        with database.write() as db:
            db.execute("CREATE INDEX IF NOT EXISTS ratings_by_item ON ratings (item, rating)")
    finally:
        with database.read() as db:
            db.execute("PRAGMA cache_spill = ON")
            db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
