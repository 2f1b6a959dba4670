"""Versions: a row in the database with a folder of files beside it. Artifact first, row last."""

import json
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from store import errors
from store.artifacts import Bundle, FileFacts, check_file, read_bundle, write_bundles
from store.database import Database

_COLUMNS = (
    "id, model_type, state, trained_at, job, parent, label, hyperparameters, training_data, protocol, lineage, files"
)
_NAME = re.compile(r"v([1-9][0-9]{0,17})")


class MetricRow(NamedTuple):
    """A figure of a version with its 95 % interval and the number of users it was measured on."""

    value: float | None
    low: float | None = None
    high: float | None = None
    users: int | None = None


@dataclass(frozen=True)
class NewVersion:
    """What is registered besides the files: see the columns of table `versions`."""

    model_type: str
    hyperparameters: dict[str, Any]
    training_data: dict[str, Any]
    protocol: dict[str, Any]
    lineage: dict[str, Any]
    metrics: dict[str, MetricRow] = field(default_factory=dict)
    job: int | None = None
    parent: int | None = None


@dataclass(frozen=True)
class ModelVersion:
    """A version as registered; `name` is how people call it."""

    id: int
    model_type: str
    state: str
    trained_at: float
    job: int | None
    parent: int | None
    label: str
    hyperparameters: dict[str, Any]
    training_data: dict[str, Any]
    protocol: dict[str, Any]
    lineage: dict[str, Any]
    files: dict[str, FileFacts]
    metrics: dict[str, MetricRow]

    @property
    def name(self) -> str:
        """The version's name, `v7`."""
        return f"v{self.id}"

    @property
    def active(self) -> bool:
        """True for the version being served."""
        return self.state == "active"

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(facts.bytes for facts in self.files.values())


class Activation(NamedTuple):
    """One line of the audit trail."""

    version: int
    previous: int | None
    at: float
    who: str
    action: str
    why: str


class Registry:
    """The versions of one database, in the folder `<database>.models/`."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.folder = database.path.with_name(database.path.name + ".models")

    # --- writing --------------------------------------------------------------------------------------------------

    def save(self, new: NewVersion, bundles: Mapping[str, Bundle]) -> ModelVersion:
        """Write the files, then the row; a crash in between leaves an orphan folder, never a lie."""
        with self.database.write() as db:
            number: int = db.execute("SELECT value FROM meta WHERE key = 'next_version'").fetchone()[0]
            db.execute("UPDATE meta SET value = value + 1 WHERE key = 'next_version'")
        facts = write_bundles(self.folder / f"v{number}", bundles)
        columns = (
            number,
            new.model_type,
            self._later_than_all(time.time()),
            new.job,
            new.parent,
            *(json.dumps(part) for part in (new.hyperparameters, new.training_data, new.protocol, new.lineage)),
            json.dumps({name: fact._asdict() for name, fact in facts.items()}),
        )
        with self.database.write() as db:
            db.execute(
                "INSERT INTO versions (id, model_type, state, trained_at, job, parent, hyperparameters, training_data, "
                "protocol, lineage, files) VALUES (?, ?, 'candidate', ?, ?, ?, ?, ?, ?, ?, ?)",
                columns,
            )
            self.set_metrics(number, new.metrics)
        return self.get(number)

    def set_metrics(self, version: int, metrics: Mapping[str, MetricRow]) -> None:
        """Record figures of a version, replacing those of the same name."""
        with self.database.write() as db:
            db.executemany(
                "INSERT OR REPLACE INTO metrics (version, name, value, low, high, users) VALUES (?, ?, ?, ?, ?, ?)",
                [(version, name, *row) for name, row in metrics.items()],
            )

    def activate(self, version: int, *, who: str, why: str = "", action: str = "activate") -> ModelVersion:
        """Make a version the one being served; the one before is retired, and the change is written to the audit trail.

        Raises:
            NotFound: no such version.
            Damaged: one of its files is not what was written; the active version stays.
        """
        problems = self.verify(version)
        if problems:
            raise errors.Damaged(problems[0], hint="this version cannot be served; the active version stays")
        with self.database.write() as db:
            row = db.execute("SELECT id FROM versions WHERE state = 'active'").fetchone()
            previous = row[0] if row else None
            if previous != version:
                db.execute("UPDATE versions SET state = 'retired' WHERE state = 'active'")
                db.execute("UPDATE versions SET state = 'active' WHERE id = ?", (version,))
                db.execute(
                    "INSERT INTO activations (version, previous, at, who, action, why) VALUES (?, ?, ?, ?, ?, ?)",
                    (version, previous, time.time(), who, action, why),
                )
        return self.get(version)

    def rollback(self, *, who: str, why: str = "") -> ModelVersion:
        """Activate the version that was active before the present one came; again and again while there is one."""
        return self.activate(self.resolve("previous").id, who=who, why=why, action="rollback")

    def delete(self, version: int) -> None:
        """Delete a version: the row first, then its files, so that a crash leaves an orphan folder at most.

        Raises:
            UsageRefused: it is the active one.
        """
        if self.get(version).active:
            raise errors.UsageRefused(
                f"v{version} is active", hint="activate another version first, then delete this one"
            )
        with self.database.write() as db:
            db.execute("DELETE FROM versions WHERE id = ? AND state <> 'active'", (version,))
        shutil.rmtree(self.folder / f"v{version}", ignore_errors=True)

    def label(self, version: int, text: str) -> ModelVersion:
        """Give a version a short text of the operator's own."""
        self.get(version)
        with self.database.write() as db:
            db.execute("UPDATE versions SET label = ? WHERE id = ?", (text, version))
        return self.get(version)

    def collect_orphans(self) -> list[str]:
        """Remove folders without a row, left by killed runs; call it while holding the training lock."""
        if not self.folder.exists():
            return []
        known = {version.name for version in self.versions()}
        orphans = [
            path
            for path in self.folder.iterdir()
            if path.is_dir() and _NAME.fullmatch(path.name.removesuffix(".partial")) and path.name not in known
        ]
        for path in orphans:
            shutil.rmtree(path, ignore_errors=True)
        return sorted(path.name for path in orphans)

    # --- reading --------------------------------------------------------------------------------------------------

    def versions(self) -> list[ModelVersion]:
        """Return all versions, newest first."""
        with self.database.read() as db:
            rows = db.execute(f"SELECT {_COLUMNS} FROM versions ORDER BY id DESC").fetchall()
            figures = db.execute("SELECT version, name, value, low, high, users FROM metrics").fetchall()
        metrics: dict[int, dict[str, MetricRow]] = {}
        for version, name, *row in figures:
            metrics.setdefault(version, {})[name] = MetricRow(*row)
        return [_version(row, metrics.get(row[0], {})) for row in rows]

    def get(self, version: int) -> ModelVersion:
        """Return a version by number.

        Raises:
            NotFound: no such version.
        """
        with self.database.read() as db:
            row = db.execute(f"SELECT {_COLUMNS} FROM versions WHERE id = ?", (version,)).fetchone()
            figures = db.execute(
                "SELECT name, value, low, high, users FROM metrics WHERE version = ?", (version,)
            ).fetchall()
        if row is None:
            raise errors.NotFound(f"no version v{version}", hint="`recsys-tui models list` shows all versions")
        return _version(row, {name: MetricRow(*rest) for name, *rest in figures})

    def active(self) -> int | None:
        """Return the number of the version being served: the cheap question of the serving path."""
        return self._number("SELECT id FROM versions WHERE state = 'active'")

    def resolve(self, name: str) -> ModelVersion:
        """Return a version by `v7`, `active`, `latest`, `best` or `previous`.

        Raises:
            NotFound: there is no such version; the hint says what would make one.
            UsageRefused: the name is none of these.
        """
        match = _NAME.fullmatch(name)
        if match:
            return self.get(int(match[1]))
        finders = {
            "active": self.active,
            "latest": self._latest,
            "best": self._best,
            "previous": self._previous,
        }
        if name not in finders:
            raise errors.UsageRefused(f"{name!r} names no version", hint="use v<n>, active, latest, best or previous")
        found = finders[name]()
        if found is None:
            hints = {
                "active": "`recsys-tui train mf --activate` makes one; `recsys-tui models list` shows what there is",
                "latest": "`recsys-tui train mf` makes one",
                "best": "only versions with metrics take part: train without --test 0",
                "previous": "a version becomes `previous` when another is activated over it",
            }
            raise errors.NotFound(f"there is no {name} version", hint=hints[name])
        return self.get(found)

    def load(self, version: ModelVersion, bundle: str = "model") -> Bundle:
        """Read a bundle of a version after checking its checksum.

        Raises:
            Damaged: the files are not what was written.
        """
        return read_bundle(self.folder / version.name, bundle, version.files)

    def verify(self, version: int) -> list[str]:
        """Compare every file of a version with its checksum; return one line for each that is not as written."""
        found = self.get(version)
        problems = (check_file(self.folder / found.name, name, found.files) for name in sorted(found.files))
        return [problem for problem in problems if problem]

    def audit(self) -> list[Activation]:
        """Return every change of the active version, newest first."""
        with self.database.read() as db:
            rows = db.execute(
                "SELECT version, previous, at, who, action, why FROM activations ORDER BY id DESC"
            ).fetchall()
        return [Activation(*row) for row in rows]

    # --- names ----------------------------------------------------------------------------------------------------

    def _latest(self) -> int | None:
        return self._number("SELECT max(id) FROM versions")

    def _best(self) -> int | None:
        """Highest NDCG@10 among versions measured like the newest measured one: same split, seed and data."""
        return self._number(
            "SELECT v.id FROM versions v JOIN metrics m ON m.version = v.id AND m.name = 'ndcg@10' "
            "WHERE (json_extract(v.protocol, '$.split'), json_extract(v.protocol, '$.test'), "
            "json_extract(v.protocol, '$.seed'), json_extract(v.training_data, '$.fingerprint')) IN ("
            "SELECT json_extract(w.protocol, '$.split'), json_extract(w.protocol, '$.test'), "
            "json_extract(w.protocol, '$.seed'), json_extract(w.training_data, '$.fingerprint') FROM versions w "
            "JOIN metrics n ON n.version = w.id AND n.name = 'ndcg@10' ORDER BY w.id DESC LIMIT 1) "
            "ORDER BY m.value DESC, v.id DESC LIMIT 1"
        )

    def _previous(self) -> int | None:
        """Walk back from the active version along the activations that brought each one in, skipping deleted ones."""
        current = self.active()
        seen = {current}
        while current is not None:
            current = self._number(
                "SELECT previous FROM activations WHERE version = ? AND action = 'activate' ORDER BY id DESC LIMIT 1",
                current,
            )
            if current in seen:
                return None
            seen.add(current)
            if current is not None and self._number("SELECT id FROM versions WHERE id = ?", current) is not None:
                return current
        return None

    def _number(self, query: str, *values: int) -> int | None:
        with self.database.read() as db:
            row = db.execute(query, values).fetchone()
        return row[0] if row else None

    def _later_than_all(self, now: float) -> float:
        """Return `now`, or just after the newest version where the clock went back: a newer version is never older."""
        with self.database.read() as db:
            newest = db.execute("SELECT max(trained_at) FROM versions").fetchone()[0]
        return now if newest is None else max(now, newest + 0.001)


def _version(row: tuple[Any, ...], metrics: dict[str, MetricRow]) -> ModelVersion:
    values = dict(zip(_COLUMNS.split(", "), row, strict=True))
    for name in ("hyperparameters", "training_data", "protocol", "lineage", "files"):
        values[name] = json.loads(values[name])
    values["files"] = {name: FileFacts(**facts) for name, facts in values["files"].items()}
    return ModelVersion(**values, metrics=metrics)
