"""Titles, genres and years of a source into the catalogue, rated or not."""

from collections.abc import Iterable, Iterator
from itertools import islice

from store.database import Connection, Database
from store.importers.base import Title

_IN_ONE_TRANSACTION = 5_000


def store_titles(database: Database, titles: Iterable[Title]) -> int:
    """Store what a source knows of items and return how many it told of; what is equal already is not written again.

    A missing title or year leaves the stored one; genres, where the source has any, replace the stored ones.
    """
    rest: Iterator[Title] = iter(titles)
    total = 0
    while part := list(islice(rest, _IN_ONE_TRANSACTION)):
        total += len(part)
        with database.write() as db:
            _store(db, {title.item: title for title in part})
    return total


def _store(db: Connection, titles: dict[str, Title]) -> None:
    db.executemany(
        "INSERT INTO items (item, title, year) VALUES (?, ?, ?) ON CONFLICT (item) DO UPDATE SET "
        "title = coalesce(excluded.title, title), year = coalesce(excluded.year, year) "
        "WHERE coalesce(excluded.title, title) IS NOT title OR coalesce(excluded.year, year) IS NOT year",
        [(title.item, title.title, title.year) for title in titles.values()],
    )
    names = {name for title in titles.values() for name in title.genres}
    db.executemany("INSERT OR IGNORE INTO genres (name) VALUES (?)", [(name,) for name in sorted(names)])
    genre_ids: dict[str, int] = dict(db.execute("SELECT name, id FROM genres").fetchall())
    find = "SELECT id FROM items WHERE item = ?"
    links = [(db.execute(find, (title.item,)).fetchone()[0], title.genres) for title in titles.values() if title.genres]
    db.executemany("DELETE FROM item_genres WHERE item = ?", [(item,) for item, _ in links])
    db.executemany(
        "INSERT OR IGNORE INTO item_genres (item, genre) VALUES (?, ?)",
        [(item, genre_ids[name]) for item, genres in links for name in genres],
    )
