"""Checkpoints of a run between two epochs, in the same files and with the same checks as a version."""

import json
import shutil
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from engine.errors import ResumeRefused
from engine.models.base import State
from store import errors
from store.artifacts import Bundle, FileFacts, packed, read_bundle, write_file, write_packed

_DEAR = 20  # times what a state holds the training up that lie between two at least: it loses a twentieth at most
_PRESUMED = 0.01  # seconds that the first one is taken to hold it up
_TURNS = ("turn0", "turn1")
_OTHER = dict(zip(_TURNS, reversed(_TURNS), strict=True))


class Checkpoints:
    """The newest state of one job, replaced whole; two folders take turns, so that one is always complete.

    A state is copied while the training waits, and checked and flushed to the disk beside the next epoch.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._taken, self._held_up = time.monotonic(), _PRESUMED
        self._newest = ""
        self._beside = ThreadPoolExecutor(1, "checkpoints")
        self._writing: Future[None] | None = None

    @property
    def exist(self) -> bool:
        """True where a state was written, sound or not."""
        return (self._folder / "newest.json").exists()

    @property
    def due(self) -> bool:
        """True where the last state is written and one more holds the training up by a twentieth at most."""
        idle = self._writing is None or self._writing.done()
        return idle and time.monotonic() - self._taken >= _DEAR * self._held_up

    def save(self, gather: Callable[[], State], rows: str) -> None:
        """Copy a state, and begin to write it.

        Args:
            gather: returns the state of the model between two epochs; what that takes is part of the price.
            rows: fingerprint of the training rows.

        Raises:
            NoSpace, NoPermission: the state before this one could not be written.
        """
        self.wait()
        began = time.monotonic()
        state = gather()
        files = dict(packed("state", Bundle(state.arrays, state.extra | {"rows": rows})))
        self._writing = self._beside.submit(self._write, files)
        self._taken = time.monotonic()
        self._held_up = self._taken - began

    def wait(self) -> None:
        """Return when the last state is on the disk.

        Raises:
            NoSpace, NoPermission: it could not be written; the one before is still there.
        """
        if self._writing is not None:
            self._writing.result()

    def _write(self, files: dict[str, bytes]) -> None:
        target = self._folder / _OTHER.get(self._newest, _TURNS[0])
        facts = write_packed(target, files.items())
        index = self._folder / "newest.json.partial"
        content = {"folder": target.name, "files": {name: fact._asdict() for name, fact in facts.items()}}
        try:
            index.unlink(missing_ok=True)
            write_file(index, json.dumps(content).encode())
            index.replace(self._folder / "newest.json")
        except OSError as error:
            raise errors.translate(error, index) from error
        self._newest = target.name

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
        self._newest = index["folder"]
        if extra.pop("rows") != rows:
            raise ResumeRefused("ratings have changed since the run began", hint="train anew, without --resume")
        return State(arrays, extra)

    def remove(self) -> None:
        """Delete the folder of a run that has ended."""
        self._beside.shutdown()
        shutil.rmtree(self._folder, ignore_errors=True)
