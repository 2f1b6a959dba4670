"""Ratings of an import that is undone, offered again by the imports that came after it, each by its own policy."""

import json

import numpy as np

from store.database import Connection
from store.importers.base import NO_TIME
from store.loading.duplicates import RULES, check_policy
from store.offers import Offer, offers_after

_PAIR = "r.user = s.user AND r.item = s.item"


def remember_taken(db: Connection, number: int) -> None:
    """Keep the ratings that stand by an import and are about to go, where later imports offered any."""
    db.execute("DROP TABLE IF EXISTS temp.taken")
    db.execute("CREATE TEMP TABLE taken (user, item, rating, at, PRIMARY KEY (user, item)) WITHOUT ROWID")
    if db.execute("SELECT 1 FROM offered WHERE import > ? LIMIT 1", (number,)).fetchone():
        db.execute("INSERT INTO temp.taken SELECT user, item, rating, at FROM ratings WHERE import = ?", (number,))


def leave_to_later(db: Connection, number: int) -> int:
    """Let later imports have what they offered of those ratings; return how many are theirs now."""
    if db.execute("SELECT 1 FROM temp.taken LIMIT 1").fetchone():
        db.execute("CREATE TEMP TABLE again (user, item, rating, at, PRIMARY KEY (user, item)) WITHOUT ROWID")
        for offer in offers_after(db, number):
            _offer_again(db, offer)
        db.execute("DROP TABLE temp.again")
    left: int = db.execute(
        f"SELECT count(*) FROM temp.taken s CROSS JOIN ratings r ON {_PAIR} WHERE r.import > ?",
        (number,),
    ).fetchone()[0]
    db.execute("DROP TABLE temp.taken")
    db.execute("DELETE FROM offered WHERE import = ?", (number,))
    return left


def _offer_again(db: Connection, offer: Offer) -> None:
    """Store what an import offered, by its policy, as `store.loading.ingest` does; only pairs taken away matter."""
    options, state = db.execute("SELECT options, state FROM imports WHERE id = ?", (offer.import_id,)).fetchone()
    if state == "undone":
        return
    rule = RULES[check_policy(json.loads(options).get("duplicates", "latest"))]
    _fill(db, offer)
    number = (offer.import_id,)
    db.execute(
        "INSERT OR IGNORE INTO replaced (import, user, item, rating, at, previous_import) "
        "SELECT ?, r.user, r.item, r.rating, r.at, r.import FROM temp.again s CROSS JOIN ratings r "
        f"ON {_PAIR} WHERE {rule.changes}",
        number,
    )
    db.execute(
        "INSERT OR REPLACE INTO ratings (user, item, rating, at, import) "
        f"SELECT s.user, s.item, {rule.rating}, {rule.at}, r.import "
        f"FROM temp.again s CROSS JOIN replaced r ON r.import = ? AND {_PAIR}",
        number,
    )
    db.execute(
        "INSERT OR IGNORE INTO ratings (user, item, rating, at, import) "
        f"SELECT user, item, rating, CASE WHEN at > {NO_TIME} THEN at END, ? FROM temp.again",
        number,
    )


def _fill(db: Connection, offer: Offer) -> None:
    """Put the offered rows of pairs that were taken away into `temp.again`, unknown times as `NO_TIME`."""
    db.execute("DELETE FROM temp.again")
    users, items = (offer.keys >> 32).tolist(), (offer.keys & np.int64(0xFFFFFFFF)).tolist()
    if offer.rows is None:
        db.executemany(
            f"INSERT INTO temp.again SELECT user, item, rating, coalesce(at, {NO_TIME}) FROM temp.taken "
            "WHERE user = ? AND item = ?",
            zip(users, items, strict=True),
        )
    else:
        db.executemany(
            "INSERT INTO temp.again SELECT user, item, ?, ? FROM temp.taken WHERE user = ? AND item = ?",
            zip(offer.rows.ratings.tolist(), offer.rows.times.tolist(), users, items, strict=True),
        )
