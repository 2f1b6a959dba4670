"""The audit trail: one row for each change of a version, and what follows from them, such as the one to go back to."""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from store.database import Connection, Database, decoding

ACTIVATIONS = ("activate", "rollback")
"""The actions after which another version is served."""


class Change(NamedTuple):
    """One line of the audit trail.

    Attributes:
        version: its number.
        previous: the version that was active until then, for the actions that change it.
        at: seconds since 1970.
        who: name of the operator.
        action: register | import | activate | rollback | refuse | canary | canary-end | alert | label | delete.
        why: a sentence.
        figures: what a decision rests on, as JSON.
    """

    version: int
    previous: int | None
    at: float
    who: str
    action: str
    why: str
    figures: dict[str, Any]


def record(db: Connection, change: Change) -> None:
    """Write a line, in the transaction of the change itself: neither is ever there without the other."""
    db.execute(
        "INSERT INTO audit (version, previous, at, who, action, why, figures) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (*change[:-1], json.dumps(change.figures, allow_nan=False)),
    )


def trail(database: Database, version: int | None = None) -> list[Change]:
    """Return all changes, or those of one version, newest first."""
    with database.read() as db:
        rows = db.execute(
            "SELECT version, previous, at, who, action, why, figures FROM audit "
            "WHERE ?1 IS NULL OR version = ?1 ORDER BY id DESC",
            (version,),
        ).fetchall()
    with decoding(database.path):
        return [Change._make((*row[:6], json.loads(row[6]))) for row in rows]


def standing(database: Database) -> list[int]:
    """Return the versions that were activated and not taken back, the one being served last.

    The activations are replayed as a stack, of which each rollback takes the top off. Versions that were deleted since
    are left out.
    """
    with database.read() as db:
        changes = db.execute(
            "SELECT version, action FROM audit WHERE action IN (?, ?) ORDER BY id", ACTIVATIONS
        ).fetchall()
        known = {number for (number,) in db.execute("SELECT id FROM versions")}
    return [version for version in _replayed(changes) if version in known]


def _replayed(changes: Iterable[tuple[int, str]]) -> list[int]:
    stack: list[int] = []
    for version, action in changes:
        if action == "rollback":
            del stack[-1:]
            while stack and stack[-1] != version:  # deleted between that activation and the rollback
                stack.pop()
        if stack[-1:] != [version]:
            stack.append(version)
    return stack
