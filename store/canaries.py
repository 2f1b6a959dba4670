"""Canaries: a version tried on a share of the users while another serves the rest; at most one at a time."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from store import audit, errors, names
from store.database import Database, decoding

_COLUMNS = "id, version, base, share, guards, revision, began_at, ended_at, outcome"


@dataclass(frozen=True)
class Canary:
    """A trial of a version.

    Attributes:
        version: number of the version that is tried.
        base: number of the version that served everybody when it began.
        share: of the users, above 0 and below 1.
        guards: as typed, such as "rmse:+1%".
        revision: state of the ratings when it began; what came later is its evidence.
        began_at, ended_at: seconds since 1970; `ended_at` is None while it runs.
        outcome: None while it runs, then promoted | replaced | stopped | rolled back.
    """

    id: int
    version: int
    base: int
    share: float
    guards: tuple[str, ...]
    revision: int
    began_at: float
    ended_at: float | None = None
    outcome: str | None = None

    def takes(self, user: str) -> bool:
        """Tell whether a user is served from the version that is tried: always the same ones, by hash of their id.

        A larger share of the same version has the users of a smaller one among them; of another version others.
        """
        drawn = sha256(f"v{self.version} {user}".encode(errors="surrogatepass")).digest()
        return int.from_bytes(drawn[:8], "big") < self.share * 2**64


def running(database: Database) -> Canary | None:
    """Return the trial that runs now."""
    with database.read() as db:
        row = db.execute(f"SELECT {_COLUMNS} FROM canaries WHERE ended_at IS NULL").fetchone()
    return _canary(database, row) if row else None


def newest(database: Database) -> Canary | None:
    """Return the trial that began last, whether it still runs or not."""
    with database.read() as db:
        row = db.execute(f"SELECT {_COLUMNS} FROM canaries ORDER BY id DESC LIMIT 1").fetchone()
    return _canary(database, row) if row else None


def begin(
    database: Database, version: int, share: float, guards: tuple[str, ...], *, who: str, why: str, at: float
) -> Canary:
    """Serve a share of the users from a version, the others from the active one.

    Raises:
        NotFound: no such version, or none is active.
        UsageRefused: the version is the active one, or another canary runs.
    """
    with database.write() as db:
        base = names.number_of(database, "active")
        other = running(database)
        if other is not None:
            raise errors.UsageRefused(
                f"v{other.version} is a canary already",
                hint=f"`recsys-tui models activate v{other.version}` promotes it, `recsys-tui models rollback` ends it",
            )
        if base == version:
            raise errors.UsageRefused(f"v{version} serves everybody already", hint="name a version that is not active")
        if db.execute("SELECT 1 FROM versions WHERE id = ?", (version,)).fetchone() is None:
            raise errors.NotFound(f"no version v{version}", hint="`recsys-tui models list` shows all versions")
        db.execute(
            "INSERT INTO canaries (version, base, share, guards, revision, began_at) "
            "SELECT ?, ?, ?, ?, value, ? FROM meta WHERE key = 'revision'",
            (version, base, share, json.dumps(guards), at),
        )
        figures = {"share": share, "guards": list(guards)}
        audit.record(db, audit.Change(version, base, at, who, "canary", why, figures))
        made = running(database)
    assert made is not None  # noqa: S101  it was inserted above
    return made


def end(
    database: Database, outcome: str, *, who: str, why: str, figures: Mapping[str, Any], at: float
) -> Canary | None:
    """End the trial that runs, by one of the outcomes of `Canary`; return what it was, None where none ran."""
    with database.write() as db:
        found = running(database)
        if found is not None:
            db.execute("UPDATE canaries SET ended_at = ?, outcome = ? WHERE ended_at IS NULL", (at, outcome))
            change = audit.Change(found.version, found.base, at, who, "canary-end", why, dict(figures))
            audit.record(db, change)
    return found


def _canary(database: Database, row: tuple[object, ...]) -> Canary:
    values = dict(zip(_COLUMNS.split(", "), row, strict=True))
    with decoding(database.path):
        return Canary(**{**values, "guards": tuple(json.loads(str(values["guards"])))})  # type: ignore[arg-type]


def fresh_ratings(database: Database, canary: Canary, *, limit: int = 100_000) -> list[tuple[str, str, float]]:
    """Return ratings that came in after a canary began, as (user, item, rating) in order of users and items.

    Of more than `limit` those of users drawn by a hash of their number; most users' ratings are then there whole.
    """
    with database.read() as db:
        rows = db.execute(
            "SELECT u.user, i.item, r.rating "
            "FROM users u JOIN ratings r ON r.user = u.id JOIN items i ON i.id = r.item "
            "WHERE u.revision > :revision AND (-r.import > :revision "
            "OR r.import IN (SELECT id FROM imports WHERE started_at >= :began)) "
            "ORDER BY (u.id * 2654435761) % 4294967296, u.id LIMIT :limit",
            {"revision": canary.revision, "began": canary.began_at, "limit": limit},
        ).fetchall()
    return sorted(rows)
