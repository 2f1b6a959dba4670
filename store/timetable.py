"""What a database keeps about its schedule: the plan as set, and what came of the last look at it."""

import json
from contextlib import AbstractContextManager
from typing import Any

from store import errors, locks
from store.database import Database, decoding

PLAN, STATE = "schedule", "schedule_state"


def kept(database: Database, key: str) -> dict[str, Any]:
    """Return what was kept under `PLAN` or `STATE`; empty where nothing was."""
    with database.read() as db:
        row = db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    if row is None:
        return {}
    with decoding(database.path):
        found: dict[str, Any] = json.loads(row[0])
    return found


def keep(database: Database, key: str, values: dict[str, Any]) -> None:
    """Keep values under `PLAN` or `STATE`, in place of the ones before."""
    with database.write() as db:
        db.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (key, json.dumps(values)))


def filled_at(database: Database) -> float:
    """Return when the first import ended, in seconds since 1970; 0 where none has."""
    return _number(database, "SELECT min(finished_at) FROM imports WHERE state = 'done'")


def trained_at(database: Database) -> float:
    """Return when the version that serves was trained, in seconds since 1970; 0 where none serves."""
    return _number(database, "SELECT trained_at FROM versions WHERE state = 'active'")


def enough(database: Database, least: int) -> bool:
    """Tell whether there are so many ratings, without counting them all."""
    return _number(database, "SELECT count(*) FROM (SELECT 1 FROM ratings LIMIT ?)", least) >= least


def _number(database: Database, query: str, *values: int) -> float:
    with database.read() as db:
        row = db.execute(query, values).fetchone()
    return 0.0 if row is None or row[0] is None else float(row[0])


def one_at_a_time(database: Database) -> AbstractContextManager[None]:
    """Hold the lock that lets one look at the schedule at a time.

    Raises:
        Busy: another process holds it.
    """
    busy = errors.Busy("another `schedule run-due` is at work", hint="nothing to do: what is due is being done")
    return locks.held(database.path.with_name(database.path.name + ".models") / "schedule.lock", busy)
