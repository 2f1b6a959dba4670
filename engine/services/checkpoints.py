"""Checkpoints of a run between two epochs, in the same files and with the same checks as a version."""

import json
import shutil
import time
from pathlib import Path

from engine.errors import ResumeRefused
from engine.models.base import State
from store import errors
from store.artifacts import Bundle, FileFacts, read_bundle, write_bundles, write_file

_LEAST_SECONDS = 5.0  # a run of short epochs spends its time training, not writing


class Checkpoints:
    """The newest state of one job, replaced whole; two folders take turns, so that one is always complete."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written = time.monotonic()
        self._turn = 0

    @property
    def exist(self) -> bool:
        """True where a state was written, sound or not."""
        return (self._folder / "newest.json").exists()

    @property
    def due(self) -> bool:
        """True where the last state is older than five seconds; gathering a state has its price too."""
        return time.monotonic() - self._written >= _LEAST_SECONDS

    def save(self, state: State, rows: str) -> None:
        """Write a state.

        Args:
            state: of the model between two epochs.
            rows: fingerprint of the training rows.
        """
        self._turn = 1 - self._turn
        target = self._folder / f"turn{self._turn}"
        facts = write_bundles(target, {"state": Bundle(state.arrays, state.extra | {"rows": rows})})
        index = self._folder / "newest.json.partial"
        content = {"folder": target.name, "files": {name: fact._asdict() for name, fact in facts.items()}}
        index.unlink(missing_ok=True)
        write_file(index, json.dumps(content).encode())
        index.replace(self._folder / "newest.json")
        self._written = time.monotonic()

    def load(self, rows: str) -> State | None:
        """Return the newest complete state, or None; a damaged one counts as none.

        Raises:
            ResumeRefused: it belongs to other training rows than those with the fingerprint `rows`.
        """
        try:
            index = json.loads((self._folder / "newest.json").read_text())
            facts = {name: FileFacts(**fact) for name, fact in index["files"].items()}
            arrays, extra = read_bundle(self._folder / index["folder"], "state", facts)
        except (OSError, ValueError, KeyError, errors.Damaged):
            return None
        if extra.pop("rows") != rows:
            raise ResumeRefused("ratings have changed since the run began", hint="train anew, without --resume")
        return State(arrays, extra)

    def remove(self) -> None:
        """Delete the folder of a run that has ended."""
        shutil.rmtree(self._folder, ignore_errors=True)
