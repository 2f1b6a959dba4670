"""A command of this program in a process of its own, for work that the terminal UI must not wait for or die with.

It has its own session and writes to files, so that it goes on when the UI is left or its terminal is lost.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from recsys_tui.ui_state import state_file
from store.database import make_folder
from store.errors import StoreError

_POLL_SECONDS = 0.1
_TAIL = 4096


class ChildFailed(StoreError):
    """The command ended with an error: its own words."""

    code = "child"


def line_of(arguments: Sequence[str]) -> str:
    """Return the command as a person would type it."""
    from shlex import join

    return join(["recsys-tui", *arguments])


def run(
    arguments: Sequence[str],
    database: Path,
    *,
    secrets: Mapping[str, str] | None = None,
    stop: Callable[[], bool] = lambda: False,
    said: Callable[[str], None] = lambda _: None,
) -> str:
    """Run a command to its end and return what it wrote to stdout.

    Args:
        arguments: without the name of the program and without --db.
        database: what it works on.
        secrets: variables of its environment, for what may not stand in the list of processes.
        stop: asked several times a second; true ends the command.
        said: called with the last line on stderr whenever there is a new one.

    Raises:
        ChildFailed: it ended with an error, or was stopped.
    """
    folder = state_file(os.environ).parent / "commands"
    make_folder(folder)
    with tempfile.TemporaryFile(dir=folder) as out, tempfile.TemporaryFile(dir=folder) as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "recsys_tui", *arguments, "--db", str(database)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
            env=os.environ | {"NO_COLOR": "1"} | dict(secrets or {}),
        )
        last = ""
        while process.poll() is None:
            time.sleep(_POLL_SECONDS)
            if stop():
                process.terminate()
            line = _last_line(err.fileno())
            if line and line != last:
                last = line
                said(line)
        out.seek(0)
        err.seek(0)
        if process.returncode:
            raise _failure(err.read().decode("utf-8", "replace"), process.returncode)
        return out.read().decode("utf-8", "replace")


def run_json(arguments: Sequence[str], database: Path, **options: Any) -> Any:
    """Run a command with --json and return its document; see `run`."""
    return json.loads(run([*arguments, "--json"], database, **options))


def _last_line(descriptor: int) -> str:
    size = os.fstat(descriptor).st_size
    lines = os.pread(descriptor, _TAIL, max(size - _TAIL, 0)).decode("utf-8", "replace").split("\n")
    return next((line.strip() for line in reversed(lines[:-1]) if line.strip()), "")


def _failure(words: str, code: int) -> ChildFailed:
    """Return the error that a command told on stderr, as lines for people or as JSON."""
    lines = [line for line in words.splitlines() if line.strip()]
    for line in reversed(lines):
        if line.startswith('{"error"'):
            told = json.loads(line)["error"]
            return ChildFailed(told["message"], hint=told["hint"])
    found = {name: line for line in lines for name, sign, line in [line.partition(": ")] if sign}
    message = found.get("error") or (lines[-1] if lines else f"the command ended with {code}")
    return ChildFailed(message, hint=found.get("hint", ""))
