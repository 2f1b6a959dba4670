"""Versions: a row in the database with a folder of files beside it. Artifact first, row last."""

import json
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import EllipsisType
from typing import Any

from store import audit, canaries, errors, names
from store.artifacts import Bundle, FileFacts, read_bundle, write_bundles
from store.audit import Change
from store.database import Database, decoding
from store.soundness import damage, damage_of_member
from store.versions import COLUMNS, MetricRow, ModelVersion, NewVersion, version_of

__all__ = ["Change", "MetricRow", "ModelVersion", "NewVersion", "Registry"]


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
        return self.add(new, lambda folder: write_bundles(folder, bundles))

    def add(self, new: NewVersion, write: Callable[[Path], Mapping[str, FileFacts]]) -> ModelVersion:
        """Register a version whose files `write` puts into a new folder, whole or not at all."""
        with self.database.write() as db:
            number: int = db.execute("SELECT value FROM meta WHERE key = 'next_version'").fetchone()[0]
            db.execute("UPDATE meta SET value = value + 1 WHERE key = 'next_version'")
        files = {name: fact._asdict() for name, fact in write(self.folder / f"v{number}").items()}
        described = map(
            json.dumps, (new.hyperparameters, new.training_data, new.protocol, new.lineage, files, new.members)
        )
        with self.database.write() as db:
            at = self._later_than_all()
            db.execute(
                "INSERT INTO versions (id, model_type, state, trained_at, job, parent, hyperparameters, training_data, "
                "protocol, lineage, files, members) VALUES (?, ?, 'candidate', ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (number, new.model_type, at, new.job, new.parent, *described),
            )
            self.set_metrics(number, new.metrics)
            audit.record(db, Change(number, None, at, new.who, new.action, new.why, {}))
        return self.get(number)

    def set_metrics(self, version: int, metrics: Mapping[str, MetricRow]) -> None:
        """Record figures of a version, replacing those of the same name."""
        with self.database.write() as db:
            db.executemany(
                "INSERT OR REPLACE INTO metrics (version, name, value, low, high, users) VALUES (?, ?, ?, ?, ?, ?)",
                [(version, name, *row) for name, row in metrics.items()],
            )

    def activate(
        self,
        version: int,
        *,
        who: str,
        why: str = "",
        figures: Mapping[str, Any] | None = None,
        expect: int | EllipsisType | None = ...,
    ) -> ModelVersion:
        """Make a version the one being served; the one before is retired, and the change is written to the audit trail.

        Args:
            version: its number; the one being served already is left as it is.
            who: name of the operator.
            why: a sentence.
            figures: what the decision rests on.
            expect: the version that must still be active; anything will do where it is left out.

        Raises:
            NotFound: no such version.
            Damaged: one of its files is not what was written; the active version stays.
            Busy: another version than `expect` is active by now; it stays.
        """
        self._refuse_damaged(version)
        self._switch(Change(version, None, self._clock(), who, "activate", why, dict(figures or {})), expect)
        return self.get(version)

    def rollback(self, *, who: str, why: str = "", figures: Mapping[str, Any] | None = None) -> ModelVersion:
        """Take the last activation back: the version that was active before it is active again.

        Each further rollback goes one activation further back; a rollback is never itself taken back. Versions that
        were deleted since are passed over. Only the files that serve are read for it: seconds count here.

        Raises:
            NotFound: no earlier version is left.
            Damaged: the files of the earlier version are not what was written; the active version stays.
            Busy: another activation or rollback came in between; it stands.
        """
        serving = self.active()
        found = self.resolve("previous").id
        self._refuse_damaged(found, "model.")
        self._switch(Change(found, None, self._clock(), who, "rollback", why, dict(figures or {})), serving)
        return self.get(found)

    def _refuse_damaged(self, version: int, files: str = "") -> None:
        problems = self.verify(version, files)
        if problems:
            hint = "this version cannot be served; the active version stays. `models list` shows the others to activate"
            raise errors.Damaged(problems[0], hint=hint)

    def _switch(self, change: Change, expect: int | EllipsisType | None) -> None:
        """Retire the active version, activate another and write it down, all at once or not at all."""
        with self.database.write() as db:
            serving = names.active(self.database)
            if expect is not ... and serving != expect:
                raise errors.Busy(
                    f"v{serving} was activated at the same moment", hint=f"v{serving} stays active; look, then repeat"
                )
            if serving == change.version:
                return
            tried = canaries.running(self.database)
            if tried is not None:
                outcome = "promoted" if tried.version == change.version else "replaced"
                canaries.end(self.database, outcome, who=change.who, why=outcome, figures={}, at=change.at)
            db.execute("UPDATE versions SET state = 'retired' WHERE state = 'active'")
            made = db.execute("UPDATE versions SET state = 'active' WHERE id = ?", (change.version,))
            if made.rowcount != 1:
                raise errors.NotFound(f"v{change.version} was deleted just now", hint="the active version stays")
            audit.record(db, change._replace(previous=serving))

    def refuse(self, version: int, *, who: str, why: str, figures: Mapping[str, Any]) -> None:
        """Write down that a version was to be activated and was not; nothing else changes."""
        with self.database.write() as db:
            change = Change(version, names.active(self.database), self._clock(), who, "refuse", why, dict(figures))
            audit.record(db, change)

    def note(self, version: int, *, who: str, action: str, why: str, figures: Mapping[str, Any]) -> None:
        """Write down what was noticed about a version, such as an "alert"; nothing else changes."""
        with self.database.write() as db:
            audit.record(db, Change(version, None, self._clock(), who, action, why, dict(figures)))

    def delete(self, version: int, *, who: str = "", why: str = "") -> None:
        """Delete a version: the row first, then its files, so that a crash leaves an orphan folder at most.

        Raises:
            NotFound: no such version.
            UsageRefused: it is the active one, a running canary, or a member of an ensemble.
        """
        folder = self.folder / self.get(version).name
        self.refuse_needed(version)
        change = Change(version, None, self._clock(), who, "delete", why, {})
        try:
            self._delete_row(change)
        except errors.NoSpace:  # no room even for the journal of a row's removal: the files make some
            shutil.rmtree(folder, ignore_errors=True)
            self._delete_row(change)
        shutil.rmtree(folder, ignore_errors=True)

    def _delete_row(self, change: Change) -> None:
        with self.database.write() as db:
            self.refuse_needed(change.version)
            db.execute("DELETE FROM versions WHERE id = ?", (change.version,))
            audit.record(db, change)

    def refuse_needed(self, version: int) -> None:
        """Refuse to lose a version that something else rests on.

        Raises:
            UsageRefused: it is the active one, takes part in a canary, or is a member of an ensemble.
        """
        if names.active(self.database) == version:
            raise errors.UsageRefused(
                f"v{version} is active", hint="activate another version first, then delete this one"
            )
        canary = canaries.running(self.database)
        if canary is not None and version in (canary.version, canary.base):
            raise errors.UsageRefused(
                f"v{version} takes part in a canary", hint="`recsys-tui models rollback` ends the canary"
            )
        users = [other.name for other in self.versions() if f"v{version}" in other.members]
        if users:
            raise errors.UsageRefused(
                f"v{version} is a member of {', '.join(users)}", hint=f"delete {users[0]} first, or keep both"
            )

    def label(self, version: int, text: str, *, who: str = "") -> ModelVersion:
        """Give a version a short text of the operator's own; one with a label is kept by `models gc`."""
        self.get(version)
        with self.database.write() as db:
            db.execute("UPDATE versions SET label = ? WHERE id = ?", (text, version))
            audit.record(db, Change(version, None, self._clock(), who, "label", text, {}))
        return self.get(version)

    def collect_orphans(self) -> list[str]:
        """Remove folders without a row, left by killed runs; call it while holding the training lock."""
        if not self.folder.exists():
            return []
        known = {version.name for version in self.versions()}
        orphans = [
            path
            for path in self.folder.iterdir()
            if names.NAME.fullmatch(path.name.removesuffix(".partial")) and path.name not in known
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
        return names.active(self.database)

    def resolve(self, name: str) -> ModelVersion:
        """Return a version by `v7`, `active`, `latest`, `best` or `previous`.

        Raises:
            NotFound: there is no such version; the hint says what would make one.
            UsageRefused: the name is none of these.
        """
        return self.get(names.number_of(self.database, name))

    def load(self, version: ModelVersion, bundle: str = "model") -> Bundle:
        """Read a bundle of a version after checking its checksum.

        Raises:
            Damaged: the files are not what was written.
        """
        return read_bundle(self.folder / version.name, bundle, version.files)

    def verify(self, version: int, files: str = "") -> list[str]:
        """Compare the files of a version with their checksums; return one line for each that is not as written.

        Args:
            version: its number; the versions that an ensemble is made of are looked at too.
            files: only those whose names begin so, and no other version's.
        """
        found = self.get(version)
        problems = damage(self.folder, found, files)
        if not files and found.members:
            others = {other.name: other for other in self.versions()}
            for name in found.members:
                problems += damage_of_member(self.folder, found, name, others.get(name))
        return problems

    def audit(self, version: int | None = None) -> list[Change]:
        """Return every change of the versions, or of one of them, newest first."""
        return audit.trail(self.database, version)

    def _later_than_all(self) -> float:
        """Return the time, or just after the newest version where the clock went back: a newer one is never older."""
        with self.database.read() as db:
            newest = db.execute("SELECT max(trained_at) FROM versions").fetchone()[0]
        return self._clock() if newest is None else max(self._clock(), newest + 0.001)
