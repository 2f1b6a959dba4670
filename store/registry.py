"""Versions: a row in the database with a folder of files beside it. Artifact first, row last."""

import json
import re
import shutil
import time
from collections.abc import Callable, Mapping

from store import errors
from store.artifacts import Bundle, check_file, read_bundle, write_bundles
from store.database import Database, decoding
from store.versions import COLUMNS, Activation, MetricRow, ModelVersion, NewVersion, version_of

__all__ = ["Activation", "MetricRow", "ModelVersion", "NewVersion", "Registry"]

_NAME = re.compile(r"v([1-9][0-9]{0,17})")


class Registry:
    """The versions of one database, in the folder `<database>.models/`.

    Args:
        database: where the rows are.
        clock: seconds since 1970.
    """

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self.database = database
        self._clock = clock
        self.folder = database.path.with_name(database.path.name + ".models")

    # --- writing --------------------------------------------------------------------------------------------------

    def save(self, new: NewVersion, bundles: Mapping[str, Bundle]) -> ModelVersion:
        """Write the files, then the row; a crash in between leaves an orphan folder, never a lie."""
        with self.database.write() as db:
            number: int = db.execute("SELECT value FROM meta WHERE key = 'next_version'").fetchone()[0]
            db.execute("UPDATE meta SET value = value + 1 WHERE key = 'next_version'")
        facts = write_bundles(self.folder / f"v{number}", bundles)
        files = {name: fact._asdict() for name, fact in facts.items()}
        described = map(json.dumps, (new.hyperparameters, new.training_data, new.protocol, new.lineage, files))
        with self.database.write() as db:
            db.execute(
                "INSERT INTO versions (id, model_type, state, trained_at, job, parent, hyperparameters, training_data, "
                "protocol, lineage, files) VALUES (?, ?, 'candidate', ?, ?, ?, ?, ?, ?, ?, ?)",
                (number, new.model_type, self._later_than_all(), new.job, new.parent, *described),
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
                made = db.execute("UPDATE versions SET state = 'active' WHERE id = ?", (version,))
                if made.rowcount != 1:
                    raise errors.NotFound(f"v{version} was deleted just now", hint="the active version stays")
                db.execute(
                    "INSERT INTO activations (version, previous, at, who, action, why) VALUES (?, ?, ?, ?, ?, ?)",
                    (version, previous, self._clock(), who, action, why),
                )
        return self.get(version)

    def rollback(self, *, who: str, why: str = "") -> ModelVersion:
        """Take the last activation back: the version that was active before it is active again.

        Each further rollback goes one activation further back; a rollback is never itself taken back. Versions that
        were deleted since are passed over.

        Raises:
            NotFound: no earlier version is left.
            Damaged: the files of the earlier version are not what was written; the active version stays.
        """
        with self.database.write():
            return self.activate(self.resolve("previous").id, who=who, why=why, action="rollback")

    def delete(self, version: int) -> None:
        """Delete a version: the row first, then its files, so that a crash leaves an orphan folder at most.

        Raises:
            UsageRefused: it is the active one.
        """
        folder = self.folder / self.get(version).name
        try:
            self._delete_row(version)
        except errors.NoSpace:  # no room even for the journal of a row's removal: the files make some
            shutil.rmtree(folder, ignore_errors=True)
            self._delete_row(version)
        shutil.rmtree(folder, ignore_errors=True)

    def _delete_row(self, version: int) -> None:
        with self.database.write() as db:
            gone = db.execute("DELETE FROM versions WHERE id = ? AND state <> 'active'", (version,))
        if gone.rowcount != 1:
            raise errors.UsageRefused(
                f"v{version} is active", hint="activate another version first, then delete this one"
            )

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
            if _NAME.fullmatch(path.name.removesuffix(".partial")) and path.name not in known
            if path.is_dir() and not path.is_symlink()
        ]
        for path in orphans:
            shutil.rmtree(path, ignore_errors=True)
        return sorted(path.name for path in orphans)

    # --- reading --------------------------------------------------------------------------------------------------

    def versions(self) -> list[ModelVersion]:
        """Return all versions, newest first."""
        with self.database.read() as db:
            rows = db.execute(f"SELECT {COLUMNS} FROM versions ORDER BY id DESC").fetchall()
            figures = db.execute("SELECT version, name, value, low, high, users FROM metrics").fetchall()
        metrics: dict[int, dict[str, MetricRow]] = {}
        for version, name, *row in figures:
            metrics.setdefault(version, {})[name] = MetricRow(*row)
        with decoding(self.database.path):
            return [version_of(row, metrics.get(row[0], {})) for row in rows]

    def get(self, version: int) -> ModelVersion:
        """Return a version by number.

        Raises:
            NotFound: no such version.
        """
        with self.database.read() as db:
            row = db.execute(f"SELECT {COLUMNS} FROM versions WHERE id = ?", (version,)).fetchone()
            figures = db.execute(
                "SELECT name, value, low, high, users FROM metrics WHERE version = ?", (version,)
            ).fetchall()
        if row is None:
            raise errors.NotFound(f"no version v{version}", hint="`recsys-tui models list` shows all versions")
        with decoding(self.database.path):
            return version_of(row, {name: MetricRow(*rest) for name, *rest in figures})

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
        alike = (
            "json_array(json_extract({0}.protocol, '$.split'), json_extract({0}.protocol, '$.test'), "
            "json_extract({0}.protocol, '$.seed'), json_extract({0}.training_data, '$.fingerprint'))"
        )
        return self._number(
            "SELECT v.id FROM versions v JOIN metrics m ON m.version = v.id AND m.name = 'ndcg@10' "
            f"WHERE {alike.format('v')} = (SELECT {alike.format('w')} FROM versions w "
            "JOIN metrics n ON n.version = w.id AND n.name = 'ndcg@10' ORDER BY w.id DESC LIMIT 1) "
            "ORDER BY m.value DESC, v.id DESC LIMIT 1"
        )

    def _previous(self) -> int | None:
        """Replay the activations as a stack, each rollback taking the top off; return what lies under the top."""
        with self.database.read() as db:
            changes = db.execute("SELECT version, action FROM activations ORDER BY id").fetchall()
            known = {number for (number,) in db.execute("SELECT id FROM versions WHERE state <> 'active'")}
        stack: list[int] = []
        for version, action in changes:
            if action == "rollback":
                del stack[-1:]
                while stack and stack[-1] != version:  # deleted between that activation and the rollback
                    stack.pop()
            if stack[-1:] != [version]:
                stack.append(version)
        return next((version for version in reversed(stack) if version in known), None)

    def _number(self, query: str, *values: int) -> int | None:
        with self.database.read() as db:
            row = db.execute(query, values).fetchone()
        return row[0] if row else None

    def _later_than_all(self) -> float:
        """Return the time, or just after the newest version where the clock went back: a newer one is never older."""
        with self.database.read() as db:
            newest = db.execute("SELECT max(trained_at) FROM versions").fetchone()[0]
        return self._clock() if newest is None else max(self._clock(), newest + 0.001)
