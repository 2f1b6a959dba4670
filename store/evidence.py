"""The numbers behind a reason: each function is one query that an operator can repeat by hand."""

from collections.abc import Sequence
from typing import NamedTuple

from store.database import Database


class GenreTaste(NamedTuple):
    """How a user rates one genre: number of rated items that have it, and their mean rating."""

    genre: str
    n_ratings: int
    mean: float


class Crowd(NamedTuple):
    """A group of raters of an item: how many, and their mean rating of it (None where nobody)."""

    count: int  # type: ignore[assignment]  # hides the method of tuples, which nobody misses here
    mean: float | None


def genre_tastes(database: Database, user_id: int) -> list[GenreTaste]:
    """Return the genres of a user's rated items, most rated first."""
    with database.read() as db:
        rows = db.execute(
            "SELECT g.name, count(*), avg(r.rating) FROM ratings r JOIN item_genres ig ON ig.item = r.item "
            "JOIN genres g ON g.id = ig.genre WHERE r.user = ? GROUP BY g.id ORDER BY count(*) DESC, g.name",
            (user_id,),
        ).fetchall()
    return [GenreTaste(*row) for row in rows]


def liked_share(database: Database, user_id: int, item_id: int) -> float | None:
    """Return the share of what a user likes that has a genre of the item; None without liked ratings or genres.

    Liked is what the user rates at or above their own mean.
    """
    with database.read() as db:
        found: float | None = db.execute(
            "WITH liked AS (SELECT item FROM ratings WHERE user = :user AND item <> :item AND rating >= "
            "(SELECT avg(rating) - 1e-9 FROM ratings WHERE user = :user)) "
            "SELECT avg(EXISTS (SELECT 1 FROM item_genres a JOIN item_genres b ON b.genre = a.genre "
            "WHERE a.item = liked.item AND b.item = :item)) FROM liked "
            "WHERE EXISTS (SELECT 1 FROM item_genres WHERE item = :item)",
            {"user": user_id, "item": item_id},
        ).fetchone()[0]
    return found


def agreeing_raters(database: Database, user_id: int, item_id: int, shared: Sequence[int], tolerance: float) -> Crowd:
    """Count the raters of an item who rated at least one of the `shared` items as this user did, within `tolerance`.

    Args:
        database: the store.
        user_id: dense id in the database.
        item_id: likewise.
        shared: dense ids of items that the user has rated.
        tolerance: largest difference that counts as agreement, in rating units.
    """
    marks = ",".join("?" * len(shared))
    with database.read() as db:
        count, mean = db.execute(
            f"SELECT count(*), avg(rating) FROM ratings WHERE item = ? AND user IN ("
            f"SELECT other.user FROM ratings mine JOIN ratings other ON other.item = mine.item "
            f"WHERE mine.user = ? AND mine.item IN ({marks}) AND other.user <> mine.user "
            f"AND other.rating BETWEEN mine.rating - ? AND mine.rating + ?)",
            (item_id, user_id, *shared, tolerance, tolerance),
        ).fetchone()
    return Crowd(count, mean)


def everybody(database: Database, item_id: int) -> Crowd:
    """Return how many have rated an item and their mean."""
    with database.read() as db:
        return Crowd(*db.execute("SELECT count(*), avg(rating) FROM ratings WHERE item = ?", (item_id,)).fetchone())


def latest_raters(database: Database, item_id: int, *, limit: int) -> list[tuple[str, float]]:
    """Return (user, rating) of those who rated an item, the latest first, at most `limit`."""
    with database.read() as db:
        found: list[tuple[str, float]] = db.execute(
            "SELECT u.user, r.rating FROM ratings r JOIN users u ON u.id = r.user WHERE r.item = ? "
            "ORDER BY r.at DESC, r.user LIMIT ?",
            (item_id, limit),
        ).fetchall()
    return found
