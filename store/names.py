"""What the names of versions stand for: v7, active, latest, best, previous."""

import re

from store import audit, errors
from store.database import Database

NAME = re.compile(r"v([1-9][0-9]{0,17})")
_HINTS = {
    "active": "`recsys-tui train mf --activate` makes one; `recsys-tui models list` shows what there is",
    "latest": "`recsys-tui train mf` makes one",
    "best": "only versions with metrics take part: train without --test 0",
    "previous": "a version becomes `previous` when another is activated over it",
}


def number_of(database: Database, name: str) -> int:
    """Return the number of a version by name; whether v7 exists is not looked at.

    Raises:
        NotFound: there is no such version; the hint says what would make one.
        UsageRefused: the name is none of these.
    """
    match = NAME.fullmatch(name)
    if match:
        return int(match[1])
    finders = {"active": active, "latest": _latest, "best": best, "previous": previous}
    if name not in finders:
        raise errors.UsageRefused(f"{name!r} names no version", hint="use v<n>, active, latest, best or previous")
    found = finders[name](database)
    if found is None:
        raise errors.NotFound(f"there is no {name} version", hint=_HINTS[name])
    return found


def active(database: Database) -> int | None:
    """Return the version being served: the cheap question of the serving path."""
    return _number(database, "SELECT id FROM versions WHERE state = 'active'")


def previous(database: Database) -> int | None:
    """Return the version that a rollback goes to: the one that was active before the one being served."""
    serving = active(database)
    return next((version for version in reversed(audit.standing(database)) if version != serving), None)


def best(database: Database, metric: str = "ndcg@10", *, lower_is_better: bool = False) -> int | None:
    """Return the version with the best value of a metric among those that can be compared.

    These are the ones measured like the newest measured one: same split, test share, seed, and fingerprint of the data.
    Of equals the newest is best.
    """
    alike = (
        "json_array(json_extract({0}.protocol, '$.split'), json_extract({0}.protocol, '$.test'), "
        "json_extract({0}.protocol, '$.seed'), json_extract({0}.training_data, '$.fingerprint'))"
    )
    order = "m.value ASC" if lower_is_better else "m.value DESC"
    return _number(
        database,
        "SELECT v.id FROM versions v JOIN metrics m ON m.version = v.id AND m.name = ?1 "
        f"WHERE m.value IS NOT NULL AND {alike.format('v')} = (SELECT {alike.format('w')} FROM versions w "
        "JOIN metrics n ON n.version = w.id AND n.name = ?1 AND n.value IS NOT NULL ORDER BY w.id DESC LIMIT 1) "
        f"ORDER BY {order}, v.id DESC LIMIT 1",
        metric,
    )


def _latest(database: Database) -> int | None:
    return _number(database, "SELECT max(id) FROM versions")


def _number(database: Database, query: str, *values: str) -> int | None:
    with database.read() as db:
        row = db.execute(query, values).fetchone()
    return row[0] if row else None
