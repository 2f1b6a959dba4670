"""Single ratings: a user's history, one rating put or taken away, counts. Light: on the way of every recommendation.

Every change counts `meta.revision` up by one and gives the new number to the users it touched, in the same
transaction.
"""

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from store import errors
from store.catalog import need_item
from store.database import CACHE_KIB, Connection, Database
from store.scales import Acceptance, StoredScale, read_scale, shown, write_scale

if TYPE_CHECKING:
    from store.bulk import RatingRows

DEFAULT_SCALE = StoredScale(0.5, 5.0, 0.5)


class Rating(NamedTuple):
    """A rating of one user: item as text and as dense id; `at` in seconds since 1970 UTC, None where unknown."""

    item: str
    rating: float
    at: int | None
    item_id: int


class Put(NamedTuple):
    """What became of a rating: the value before, the revision of the data, and whether anything changed."""

    previous: float | None
    revision: int
    state: Literal["stored", "updated", "unchanged"]


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


class Entry(NamedTuple):
    """A rating to put; `at` in seconds since 1970 UTC, None for now."""

    user: str
    item: str
    rating: float
    at: int | None = None


def history(database: Database, user: str) -> list[Rating]:
    """Return the ratings of a user by dense item id; empty for an unknown user."""
    query = (
        "SELECT i.item, r.rating, r.at, r.item FROM ratings r JOIN items i ON i.id = r.item "
        "WHERE r.user = (SELECT id FROM users WHERE user = ?) ORDER BY r.item"
    )
    with database.read() as db:
        return [Rating(*row) for row in db.execute(query, (user,))]


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


def put(database: Database, user: str, item: str, value: float, at: int | None = None, *, now: float) -> Put:
    """Store one rating, durably; the user is created where unknown.

    Args:
        database: the store.
        user: text id, created where unknown.
        item: text id, in the catalogue.
        value: a rating on the scale of the database (0.5 to 5 before the first rating).
        at: when it was given, in seconds since 1970 UTC; None for `now`.
        now: the current time in seconds.

    Raises:
        NotFound: no such item; the hint names the nearest.
        DataRefused: the value is not on the scale, or the user id is empty or too long.
    """
    return put_many(database, [Entry(user, item, value, at)], now=now)[0]


def put_many(database: Database, entries: Iterable[Entry], *, now: float) -> list[Put]:
    """Store ratings in one transaction: all or none; see `put`. They share one revision."""
    with database.write() as db:
        scale = read_scale(db)
        rows = [(entry, *_place(database, db, entry, scale)) for entry in entries]
        changes = [_upsert(db, user, item, entry, int(now)) for entry, user, item in rows]
        current = revision(database)
        if any(state != "unchanged" for _, state in changes):
            current = bump(db)
            _follow(db, scale, {float(entry.rating) for entry, _, _ in rows})
        for (_, user, _), (_, state) in zip(rows, changes, strict=True):
            if state != "unchanged":
                db.execute("UPDATE users SET revision = ? WHERE id = ?", (current, user))
    return [Put(previous, current, state) for previous, state in changes]


def remove(database: Database, user: str, item: str) -> float:
    """Take one rating away, durably, and return its value.

    Raises:
        NotFound: the user has not rated the item.
    """
    with database.write() as db:
        found = db.execute(
            "DELETE FROM ratings WHERE user = (SELECT id FROM users WHERE user = ?) "
            "AND item = (SELECT id FROM items WHERE item = ?) RETURNING user, rating",
            (user, item),
        ).fetchall()
        if not found:
            raise errors.NotFound(
                f"user {user!r} has no rating of item {item!r}",
                hint=f"`recsys-tui users show {user}` lists the ratings",
            )
        dense, value = found[0]
        db.execute("UPDATE users SET revision = ? WHERE id = ?", (bump(db), dense))
    return float(value)


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


def bump(db: Connection) -> int:
    """Count the revision of the data up by one, inside the caller's transaction, and return it."""
    query = "UPDATE meta SET value = value + 1 WHERE key = 'revision' RETURNING value"
    value: int = db.execute(query).fetchall()[0][0]
    return value


def _place(database: Database, db: Connection, entry: Entry, found: Acceptance | None) -> tuple[int, int]:
    """Check an entry and return the dense ids of its user and item, creating the user."""
    known = found or Acceptance(DEFAULT_SCALE, stated=False)
    value = entry.rating
    if not math.isfinite(value) or not known.scale.holds(value) or (known.stated and not known.scale.is_step(value)):
        raise errors.DataRefused(
            f"rating {value:g} is not on the scale, which goes from {known.scale}",
            hint=f"give a value from {known.scale}",
        )
    user = entry.user.strip()
    if not user or len(user.encode()) > 512 or "\0" in user:
        raise errors.DataRefused("a user id has 1 to 512 bytes", hint="pass the id as it stands in your own data")
    found_item = db.execute("SELECT id FROM items WHERE item = ?", (entry.item,)).fetchone()
    item: int = found_item[0] if found_item else need_item(database, entry.item).id
    db.execute("INSERT OR IGNORE INTO users (user) VALUES (?)", (user,))
    dense: int = db.execute("SELECT id FROM users WHERE user = ?", (user,)).fetchone()[0]
    return dense, item


def _upsert(
    db: Connection, user: int, item: int, entry: Entry, now: int
) -> tuple[float | None, Literal["stored", "updated", "unchanged"]]:
    row = db.execute("SELECT rating FROM ratings WHERE user = ? AND item = ?", (user, item)).fetchone()
    if row is not None and row[0] == entry.rating:
        return row[0], "unchanged"
    values: tuple[Any, ...] = (user, item, float(entry.rating), now if entry.at is None else entry.at)
    db.execute("INSERT OR REPLACE INTO ratings (user, item, rating, at, import) VALUES (?, ?, ?, ?, NULL)", values)
    return (None, "stored") if row is None else (row[0], "updated")


def _follow(db: Connection, found: Acceptance | None, values: set[float]) -> None:
    """Let a scale that nobody stated follow the values: 4.5 among whole stars makes the step 0.5."""
    if found is None:
        write_scale(
            db, Acceptance(shown(None, Acceptance(StoredScale(0.5, 5.0, None), stated=False), values), stated=False)
        )
    elif not found.stated and (new := shown(found.scale, found, values)) != found.scale:
        write_scale(db, Acceptance(new, stated=False))
