"""What came in after a version was trained: users whose ratings changed, and the ratings that are new.

A rating given by `rate` carries the revision of the data at which it was stored, one of an import the import's number.
Revisions count up, so that a clock which goes back changes nothing.
"""

import json
from typing import Any, NamedTuple

from store.database import Database, decoding


class Arrivals(NamedTuple):
    """How many users had a rating changed, taken back or added since, and how many ratings were added or changed."""

    users: int
    ratings: int


class LateRating(NamedTuple):
    """A rating that came in after the training, by text ids; `at` in seconds since 1970, None where unknown."""

    user: str
    item: str
    rating: float
    at: int | None


def arrivals(database: Database, revision: int) -> Arrivals:
    """Count what came in after a revision of the data."""
    with database.read() as db:
        users: int = db.execute("SELECT count(*) FROM users WHERE revision > ?", (revision,)).fetchone()[0]
        ratings: int = db.execute(f"SELECT count(*) {_LATE}", {"revision": revision}).fetchone()[0]
    return Arrivals(users, ratings)


def late_ratings(database: Database, revision: int, *, limit: int) -> list[LateRating]:
    """Return ratings that came in after a revision; of more than `limit` those of users drawn by their number."""
    with database.read() as db:
        rows = db.execute(
            f"SELECT u.user, i.item, r.rating, r.at {_LATE} "
            "ORDER BY (u.id * 2654435761) % 4294967296, u.id LIMIT :limit",
            {"revision": revision, "limit": limit},
        ).fetchall()
    return [LateRating(*row) for row in rows]


def late_items(database: Database, user: str, revision: int) -> set[str]:
    """Return the items that a user has rated, or rated anew, after a revision."""
    with database.read() as db:
        rows = db.execute(f"SELECT i.item {_LATE} AND u.user = :user", {"revision": revision, "user": user}).fetchall()
    return {item for (item,) in rows}


def late_raters(database: Database, item_id: int, revision: int, *, limit: int) -> list[tuple[str, float]]:
    """Return (user, rating) of those who rated an item after a revision, at most the latest `limit`."""
    with database.read() as db:
        found: list[tuple[str, float]] = db.execute(
            "SELECT u.user, r.rating FROM ratings r CROSS JOIN users u ON u.id = r.user "
            f"WHERE r.item = :item AND u.revision > :revision AND {_IS_LATE} "
            "ORDER BY u.revision DESC, u.id LIMIT :limit",
            {"item": item_id, "revision": revision, "limit": limit},
        ).fetchall()
    return found


def kept_gap(database: Database) -> dict[str, Any] | None:
    """Return what `keep_gap` was given last, or None."""
    with database.read() as db:
        row = db.execute("SELECT value FROM meta WHERE key = 'retrain_gap'").fetchone()
    if row is None:
        return None
    with decoding(database.path):
        found: dict[str, Any] = json.loads(row[0])
    return found


def keep_gap(database: Database, gap: dict[str, Any]) -> None:
    """Keep a measurement of what fold-in loses against training again, in place of the one before."""
    with database.write() as db:
        db.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('retrain_gap', ?)", (json.dumps(gap),))


_IS_LATE = """(-r.import > :revision OR r.import IN (
    SELECT id FROM imports WHERE coalesce(json_extract(footprint, '$.before.revision'), -1) >= :revision))"""

_LATE = f"""
FROM users u CROSS JOIN ratings r ON r.user = u.id CROSS JOIN items i ON i.id = r.item
WHERE u.revision > :revision AND {_IS_LATE}
"""
