"""Titles, genres and years of a source into the catalogue, rated or not."""

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from store.database import Connection, Database
from store.importers.base import Title

_IN_ONE_TRANSACTION = 5_000


def store_titles(database: Database, titles: Iterable[Title], import_id: int | None = None) -> int:
    """Store what a source knows of items and return how many it told of; what is equal already is not written again.

    A missing title or year leaves the stored one; genres, where the source has any, replace the stored ones. How items
    were before an import told of them is kept in `replaced_items`, so that it can be undone.
    """
    rest: Iterator[Title] = iter(titles)
    total = 0
    while part := list(islice(rest, _IN_ONE_TRANSACTION)):
        total += len(part)
        with database.write() as db:
            told = {title.item: title for title in part}
            before = _known(db, list(told))
            changed = [title for title in told.values() if _differs(title, before.get(title.item))]
            if import_id is not None:
                _keep(db, import_id, list(before.values()))  # also what it only confirms
            _store(db, {title.item: title for title in changed})
            if import_id is not None:
                created = [title.item for title in changed if title.item not in before]
                _keep(db, import_id, [known._replace(created=1) for known in _known(db, created).values()])
    return total


class _Known(NamedTuple):
    """An item of the catalogue: dense id, whether this import brought it, title, year, genres."""

    id: int
    created: int
    title: str | None
    year: int | None
    genres: tuple[str, ...]


def _known(db: Connection, items: list[str]) -> dict[str, _Known]:
    """Return items of the catalogue by text id."""
    rows = db.execute(
        "SELECT i.item, i.id, i.title, i.year, (SELECT json_group_array(g.name) FROM item_genres ig "
        "JOIN genres g ON g.id = ig.genre WHERE ig.item = i.id) "
        "FROM json_each(?) j CROSS JOIN items i ON i.item = j.value",
        (json.dumps(items),),
    ).fetchall()
    return {item: _Known(dense, 0, title, year, tuple(json.loads(genres))) for item, dense, title, year, genres in rows}


def _differs(title: Title, known: _Known | None) -> bool:
    """Tell whether storing a title would change anything."""
    if known is None:
        return True
    renamed = title.title is not None and title.title != known.title
    dated = title.year is not None and title.year != known.year
    return renamed or dated or bool(title.genres and set(title.genres) != set(known.genres))


def _keep(db: Connection, import_id: int, rows: list[_Known]) -> None:
    """Remember how items were before the import, the first time it touches them."""
    db.executemany(
        "INSERT OR IGNORE INTO replaced_items (import, item, created, title, year, genres) VALUES (?, ?, ?, ?, ?, ?)",
        [(import_id, row.id, row.created, row.title, row.year, json.dumps(row.genres)) for row in rows],
    )


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
