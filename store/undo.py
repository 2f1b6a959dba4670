"""Undoing an import: its ratings go, what they replaced comes back, also where later imports came on top.

A pair's history is a chain: each import that changed it keeps in `replaced` what was there before. Undoing import n
takes its link out: where n's value stands, the value before n returns. Where later imports said something of the pair
too, they say it again, on top of what was before n (`store.replay`). Items of the catalogue have the same chain in
`replaced_items`. A rating that a person has changed since by `rate` stays.
"""

import json
import time
from contextlib import suppress
from typing import Any, NamedTuple

from store import errors
from store.database import Connection, Database
from store.imports import Import, get_import
from store.processes import is_running
from store.ratings import bump
from store.replay import replay
from store.scales import Acceptance, StoredScale, accepted, read_scale, shown, write_scale


class Undoing(NamedTuple):
    """What undoing an import does.

    Attributes:
        import_id: the import.
        removed: ratings that it brought and that go.
        restored: ratings that return to the value before it.
        kept: ratings of it that were changed or taken away since, and are left alone.
        users, items: those it created and nobody else has rated since.
        titles: other items whose title, year or genres return to what they were.
        versions: names of versions that were trained on its ratings.
        left: of the removed and restored ones, those that later imports had too, and that are theirs now.
    """

    import_id: int
    removed: int
    restored: int
    kept: int
    users: int
    items: int
    titles: int
    versions: list[str]
    left: int


class _Extent(NamedTuple):
    """How far the store went: last ids, revision of the data, and the scale as (low, high, step, stated) or None."""

    users: int
    items: int
    revision: int
    scale: list[Any] | None


_MINE = "SELECT count(*) FROM ratings WHERE import = ?"
_RETURNS = (
    "FROM replaced p CROSS JOIN ratings r ON r.user = p.user AND r.item = p.item WHERE p.import = ? AND r.import = ?"
)
_TOUCHED = "SELECT user FROM ratings WHERE import = ? UNION SELECT user FROM replaced WHERE previous_import = ?"
_CREATED = (
    "EXISTS (SELECT 1 FROM imports m WHERE (m.id = ? OR m.state = 'undone') "
    "AND {1} > json_extract(m.footprint, '$.before.{0}') "
    "AND {1} <= coalesce(json_extract(m.footprint, '$.after.{0}'), 9e18))"
)
_NEXT = (
    "(SELECT min(later.import) FROM replaced_items later WHERE later.item = replaced_items.item AND later.import > ?)"
)


def foresee_undo(database: Database, number: int) -> Undoing:
    """Return what undoing an import would do.

    Raises:
        NotFound: no such import.
        Busy: it is running.
        DataRefused: it was undone before.
    """
    found = get_import(database, number)
    with suppress(_Foreseen), database.write() as db:
        undoing = _undo(db, found)
        raise _Foreseen
    return undoing


def undo_import(database: Database, number: int) -> Undoing:
    """Undo an import in one transaction and return what was done; for the errors see `foresee_undo`."""
    found = get_import(database, number)
    with database.write() as db:
        return _undo(db, found)


class _Foreseen(Exception):
    """Leaves the transaction of a preview, which is rolled back: so it says exactly what would happen."""


def _refuse(db: Connection, found: Import) -> None:
    (state,) = db.execute("SELECT state FROM imports WHERE id = ?", (found.import_id,)).fetchone()
    if state == "undone":
        raise errors.DataRefused(f"import {found.import_id} was undone before", hint="`recsys-tui imports list`")
    if state == "running" and is_running(found.options.get("pid")):
        raise errors.Busy(f"import {found.import_id} is running", hint="wait for its end, or stop it first")


def _undo(db: Connection, found: Import) -> Undoing:
    _refuse(db, found)
    number = found.import_id
    before, after = _extents(db, found)
    touched = db.execute(_TOUCHED, (number, number)).fetchall()
    mine: int = db.execute(_MINE, (number,)).fetchone()[0]
    restored: int = db.execute(f"SELECT count(*) {_RETURNS}", (number, number)).fetchone()[0]
    left = replay(db, number)
    _take_out_ratings(db, number)
    returned = _take_out_titles(db, number, before, after)
    users, dropped = _remove_unused(db, number)
    items, titles = len(dropped), len(returned - dropped)
    _put_scale_back(db, found, before, after)
    revision = bump(db)
    db.executemany("UPDATE users SET revision = ? WHERE id = ?", ((revision, user) for (user,) in touched))
    versions = _mark_versions(db, number, before, found)
    db.execute(
        "UPDATE imports SET state = 'undone', footprint = json_set(footprint, '$.undone_at', ?) WHERE id = ?",
        (time.time(), number),
    )
    kept = max(0, found.stored + found.updated - mine)
    return Undoing(number, mine - restored, restored, kept, users, items, titles, versions, left)


def _extents(db: Connection, found: Import) -> tuple[_Extent | None, _Extent | None]:
    """Return how far the store went before and after an import; None where older programs did not write it down."""
    (text,) = db.execute("SELECT footprint FROM imports WHERE id = ?", (found.import_id,)).fetchone()
    known = json.loads(text)
    before = _Extent(**known["before"]) if "before" in known else None
    if "after" in known:
        return before, _Extent(**known["after"])
    # a killed import wrote no end: whatever came until the next one began
    row = db.execute("SELECT footprint FROM imports WHERE id > ? ORDER BY id LIMIT 1", (found.import_id,)).fetchone()
    following = json.loads(row[0]).get("before") if row else None
    if following is None:
        return before, None
    db.execute(
        "UPDATE imports SET footprint = json_set(footprint, '$.after', json(?)) WHERE id = ?",
        (json.dumps(following), found.import_id),
    )
    return before, _Extent(**following)


def _take_out_ratings(db: Connection, number: int) -> None:
    """Let replaced values return where nobody came later, drop the others."""
    both = (number, number)
    db.execute(
        "INSERT OR REPLACE INTO ratings (user, item, rating, at, import) "
        f"SELECT p.user, p.item, p.rating, p.at, p.previous_import {_RETURNS}",
        both,
    )
    db.execute("DELETE FROM ratings WHERE import = ?", (number,))
    # where an import that ran at the same time replaced this one's value, it keeps the one before it from now on
    db.execute(
        "INSERT OR REPLACE INTO replaced (import, user, item, rating, at, previous_import) "
        "SELECT m.import, m.user, m.item, p.rating, p.at, p.previous_import FROM replaced m JOIN replaced p "
        "ON p.import = ? AND p.user = m.user AND p.item = m.item WHERE m.previous_import = ?",
        both,
    )
    db.execute("DELETE FROM replaced WHERE previous_import = ?", (number,))
    db.execute("DELETE FROM replaced WHERE import = ?", (number,))
    db.execute("DELETE FROM offered WHERE import = ?", (number,))


def _take_out_titles(db: Connection, number: int, before: _Extent | None, after: _Extent | None) -> set[int]:
    """Let titles, years and genres return; return the items whose others they were."""
    rows = db.execute(
        f"SELECT item, created, title, year, genres, {_NEXT} FROM replaced_items WHERE import = ?", (number, number)
    ).fetchall()
    if before and after:  # an item that this import's ratings brought is from now on brought by who titled it
        db.execute(
            "UPDATE replaced_items SET created = 1 WHERE item > ? AND item <= ? AND import = "
            "(SELECT min(o.import) FROM replaced_items o WHERE o.item = replaced_items.item AND o.import > ?)",
            (before.items, after.items, number),
        )
    returned = set[int]()
    for item, created, title, year, genres, later in rows:
        if later is not None:
            db.execute(
                "UPDATE replaced_items SET created = ?, title = ?, year = ?, genres = ? WHERE import = ? AND item = ?",
                (created, title, year, genres, later, item),
            )
            continue
        if _set_title(db, item, (None, None, "[]") if created else (title, year, genres)):
            returned.add(item)
    return returned


def _set_title(db: Connection, item: int, old: tuple[str | None, int | None, str]) -> bool:
    """Give an item its former title, year and genres; return whether any of them was another one."""
    row = db.execute("SELECT title, year FROM items WHERE id = ?", (item,)).fetchone()
    query = "SELECT g.name FROM item_genres ig JOIN genres g ON g.id = ig.genre WHERE ig.item = ?"
    genres = {name for (name,) in db.execute(query, (item,))}
    if row is None or (tuple(row) == old[:2] and genres == set(json.loads(old[2]))):
        return False
    db.execute("UPDATE items SET title = ?, year = ? WHERE id = ?", (*old[:2], item))
    db.execute("DELETE FROM item_genres WHERE item = ?", (item,))
    db.execute(
        "INSERT INTO item_genres (item, genre) SELECT ?, g.id FROM json_each(?) j JOIN genres g ON g.name = j.value",
        (item, old[2]),
    )
    return True


def _remove_unused(db: Connection, number: int) -> tuple[int, set[int]]:
    """Remove users, items and genres that this import or one undone before created and nothing else uses.

    Returns:
        How many users, and which items.
    """
    users = db.execute(
        f"DELETE FROM users WHERE {_CREATED.format('users', 'users.id')} "
        "AND NOT EXISTS (SELECT 1 FROM ratings r WHERE r.user = users.id)",
        (number,),
    ).rowcount
    db.execute("DELETE FROM live_vectors WHERE user NOT IN (SELECT id FROM users)")
    unused = (
        f"SELECT i.id FROM items i WHERE ({_CREATED.format('items', 'i.id')} OR i.id IN "
        "(SELECT item FROM replaced_items WHERE import = ? AND created)) "
        "AND i.id NOT IN (SELECT DISTINCT item FROM ratings) "
        "AND NOT EXISTS (SELECT 1 FROM replaced_items o WHERE o.item = i.id AND o.import <> ?)"
    )
    dropped = db.execute(unused, (number, number, number)).fetchall()
    db.executemany("DELETE FROM item_genres WHERE item = ?", dropped)
    db.executemany("DELETE FROM items WHERE id = ?", dropped)
    db.execute("DELETE FROM replaced_items WHERE import = ?", (number,))
    db.execute("DELETE FROM genres WHERE id NOT IN (SELECT genre FROM item_genres)")
    return users, {item for (item,) in dropped}


def _put_scale_back(db: Connection, found: Import, before: _Extent | None, after: _Extent | None) -> None:
    """Return to the scale before the import, or to the one that the ratings show where others came since."""
    now: int = db.execute("SELECT value FROM meta WHERE key = 'revision'").fetchone()[0]
    values = {value for (value,) in db.execute("SELECT DISTINCT rating FROM ratings").fetchall()}
    current = read_scale(db)
    if not values or (before is not None and after is not None and after.revision == now):
        db.execute("DELETE FROM meta WHERE key LIKE 'scale#_%' ESCAPE '#'")
        *ends, stated = (before.scale if before is not None else None) or [None, False]
        if stated or (values and ends != [None]):
            write_scale(db, Acceptance(StoredScale(*ends), bool(stated)))
    elif current is not None and not current.stated and found.stored + found.updated:
        taken = Acceptance(accepted(current), stated=False)
        write_scale(db, Acceptance(shown(None, taken, values), stated=False))


def _mark_versions(db: Connection, number: int, before: _Extent | None, found: Import) -> list[str]:
    """Write into the lineage of versions that learned from the import that it was undone; return their names."""
    query = "SELECT id, lineage FROM versions WHERE trained_at >= ?"
    value: float = found.started_at
    if before is not None:
        query = "SELECT id, lineage FROM versions WHERE coalesce(json_extract(training_data, '$.revision'), 0) > ?"
        value = before.revision
    names = []
    for version, lineage in db.execute(query, (value,)).fetchall():
        known = json.loads(lineage)
        known["undone_imports"] = [*known.get("undone_imports", []), number]
        db.execute("UPDATE versions SET lineage = ? WHERE id = ?", (json.dumps(known), version))
        names.append(f"v{version}")
    return names
