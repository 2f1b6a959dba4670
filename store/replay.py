"""Undoing an import where later ones spoke of the same pairs: what they said is said again, as if it had not been.

What stands of a pair today is followed from the undone import on, from what each later import replaced or offered;
beside it goes what would stand without that import, each later one by its own policy for duplicates.
"""

import json

import numpy as np

from store.database import Connection
from store.importers.base import NO_TIME
from store.loading.duplicates import RULES, Rule, check_policy
from store.loading.spool import Rows
from store.offers import Offer, keep_offer, offers_of

_PAIRS = """
CREATE TEMP TABLE pairs (
    user, item,
    was_rating, was_at, was_import,  -- what stood in truth, as far as the imports have been followed
    rating, at, import,              -- what would have stood; rating NULL: nothing
    PRIMARY KEY (user, item)
) WITHOUT ROWID
"""
_SAID = "CREATE TEMP TABLE said (user, item, rating, at, source, PRIMARY KEY (user, item)) WITHOUT ROWID"
_AFTER = "CREATE TEMP TABLE after (import, user, item, rating, at, PRIMARY KEY (import, user, item)) WITHOUT ROWID"
_LINKS = "CREATE TEMP TABLE links (user, item, rating, at, previous_import, import)"
_TABLES = ("pairs", "said", "after", "links")
_SAME = "r.user = s.user AND r.item = s.item"
_BEFORE = "LEFT JOIN replaced p ON p.import = ? AND p.user = m.user AND p.item = m.item"
# two imports that ran at once may have taken turns: such pairs have no order to be followed in
_IN_ORDER = "coalesce(p.previous_import, 0) < ?"


def replay(db: Connection, number: int) -> int:
    """Take an import out of the history of the pairs that later imports had too, inside the caller's transaction.

    Returns:
        How many of the ratings that stood by the import are those of a later one now.
    """
    for table in _TABLES:
        db.execute(f"DROP TABLE IF EXISTS temp.{table}")
    for statement in (_PAIRS, _SAID, _AFTER, _LINKS):
        db.execute(statement)
    _collect(db, number)
    left = 0
    if db.execute("SELECT 1 FROM temp.pairs LIMIT 1").fetchone():
        later = "SELECT id, options FROM imports WHERE id > ? AND state <> 'undone' ORDER BY id"
        for following, options in db.execute(later, (number,)).fetchall():
            _follow(db, following, RULES[check_policy(json.loads(options).get("duplicates", "latest"))])
        left = _write_back(db, number)
    for table in _TABLES:
        db.execute(f"DROP TABLE temp.{table}")
    return left


def _collect(db: Connection, number: int) -> None:
    """Find the pairs, what stood by the import, what stood before it, and what stood after each later one."""
    take = (
        "INSERT OR IGNORE INTO temp.pairs SELECT m.user, m.item, m.rating, m.at, ?, p.rating, p.at, p.previous_import "
    )
    values = (number, number, number, number)
    db.execute(f"{take} FROM replaced m {_BEFORE} WHERE m.previous_import = ? AND {_IN_ORDER}", values)
    if db.execute("SELECT 1 FROM offered WHERE import > ? LIMIT 1", (number,)).fetchone():
        db.execute(f"{take} FROM ratings m {_BEFORE} WHERE m.import = ? AND {_IN_ORDER}", values)
    db.execute(
        "INSERT OR IGNORE INTO temp.after SELECT r.previous_import, r.user, r.item, r.rating, r.at "
        f"FROM replaced r CROSS JOIN temp.pairs s ON {_SAME} WHERE r.import > ? AND r.previous_import > ?",
        (number, number),
    )
    db.execute(
        "INSERT OR IGNORE INTO temp.after SELECT r.import, r.user, r.item, r.rating, r.at "
        f"FROM temp.pairs s CROSS JOIN ratings r ON {_SAME} WHERE r.import > ?",
        (number,),
    )


def _follow(db: Connection, number: int, rule: Rule) -> None:
    """Let a later import say again what it said."""
    mine = f"FROM replaced r CROSS JOIN temp.pairs s ON {_SAME} WHERE r.import = ?"
    db.execute(  # where something else came between, such as a person's rating, both ways go on from that
        "INSERT OR REPLACE INTO temp.pairs SELECT r.user, r.item, r.rating, r.at, r.previous_import, r.rating, r.at, "
        f"r.previous_import {mine} AND r.previous_import IS NOT s.was_import",
        (number,),
    )
    db.execute("DELETE FROM temp.said")
    for offer in offers_of(db, number):
        _say_again(db, offer)
    after = (
        "FROM temp.after a CROSS JOIN replaced l ON l.import = a.import AND l.user = a.user AND l.item = a.item "
        "WHERE a.import = ?"
    )
    db.execute(
        f"INSERT OR IGNORE INTO temp.said SELECT a.user, a.item, a.rating, coalesce(a.at, {NO_TIME}), 'link' {after}",
        (number,),
    )
    _judge(db, number, rule)
    db.execute(
        "UPDATE temp.pairs SET was_rating = f.rating, was_at = f.at, was_import = f.import "
        f"FROM (SELECT a.* {after}) f WHERE f.user = pairs.user AND f.item = pairs.item",
        (number,),
    )


def _say_again(db: Connection, offer: Offer) -> None:
    """Put the offered rows of these pairs into `temp.said`, unknown times as `NO_TIME`."""
    users, items = (offer.keys >> 32).tolist(), (offer.keys & np.int64(0xFFFFFFFF)).tolist()
    if offer.rows is None:  # it said what stood
        db.executemany(
            f"INSERT OR REPLACE INTO temp.said SELECT user, item, was_rating, coalesce(was_at, {NO_TIME}), 'stood' "
            "FROM temp.pairs WHERE user = ? AND item = ?",
            zip(users, items, strict=True),
        )
    else:
        db.executemany(
            "INSERT OR REPLACE INTO temp.said SELECT user, item, ?, ?, 'row' FROM temp.pairs "
            "WHERE user = ? AND item = ?",
            zip(offer.rows.ratings.tolist(), offer.rows.times.tolist(), users, items, strict=True),
        )


def _judge(db: Connection, number: int, rule: Rule) -> None:
    """Apply what was said to what would stand, as `store.loading.ingest` does, and remember what it replaces."""
    both = f"FROM temp.said s CROSS JOIN temp.pairs r ON {_SAME}"
    rows = db.execute(  # what changed something then and would not now, and what agreed then and does not now
        f"SELECT s.user, s.item, s.rating, s.at {both} WHERE r.rating IS NOT NULL AND ("
        f"(s.source = 'link' AND NOT coalesce({rule.changes}, 0)) OR "
        f"(s.source = 'stood' AND (s.rating <> r.rating OR s.at <> coalesce(r.at, {NO_TIME})))) "
        "ORDER BY s.user, s.item"
    ).fetchall()
    if rows:
        users, items, ratings, times = (np.array(column) for column in zip(*rows, strict=True))
        offered = Rows(users << 32 | items, ratings.astype(np.float64), times.astype(np.int64))
        keep_offer(db, number, offered, as_stored=False)
    db.execute(
        f"INSERT INTO temp.links SELECT r.user, r.item, r.rating, r.at, r.import, ? {both} "
        f"WHERE r.rating IS NOT NULL AND {rule.changes}",
        (number,),
    )
    db.execute(
        "INSERT OR REPLACE INTO temp.pairs SELECT r.user, r.item, w.was_rating, w.was_at, w.was_import, "
        f"{rule.rating}, {rule.at}, ? FROM temp.links r CROSS JOIN temp.said s ON {_SAME} "
        "CROSS JOIN temp.pairs w ON w.user = r.user AND w.item = r.item WHERE r.import = ?",
        (number, number),
    )
    db.execute(
        "INSERT OR REPLACE INTO temp.pairs SELECT r.user, r.item, r.was_rating, r.was_at, r.was_import, s.rating, "
        f"CASE WHEN s.at > {NO_TIME} THEN s.at END, ? {both} WHERE r.rating IS NULL",
        (number,),
    )


def _write_back(db: Connection, number: int) -> int:
    """Store the history of the pairs without the import, and what stands now where nobody has changed it since."""
    db.execute(
        "DELETE FROM replaced WHERE import > ? AND EXISTS "
        "(SELECT 1 FROM temp.pairs s WHERE s.user = replaced.user AND s.item = replaced.item)",
        (number,),
    )
    db.execute(
        "INSERT INTO replaced (import, user, item, rating, at, previous_import) "
        "SELECT import, user, item, rating, at, previous_import FROM temp.links"
    )
    db.execute(
        "INSERT OR REPLACE INTO ratings (user, item, rating, at, import) "
        "SELECT s.user, s.item, s.rating, s.at, s.import "
        f"FROM temp.pairs s CROSS JOIN ratings r ON {_SAME} WHERE s.rating IS NOT NULL AND r.import IS s.was_import",
    )
    left: int = db.execute(
        "SELECT count(*) FROM temp.pairs WHERE was_import = ? AND import > ?", (number, number)
    ).fetchone()[0]
    return left
