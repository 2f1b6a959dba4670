"""Runs the program as a user does: a process of its own, a database of its own."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The document on stdout."""
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, str]:
        """The error object on stderr, as --json gives it."""
        return json.loads(self.err.strip().splitlines()[-1])["error"]


def environment(db: Path, **extra: str) -> dict[str, str]:
    """Return an environment in which nothing but `db` is set up."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RECSYS_", "XDG_"))}
    return (
        kept | {"RECSYS_DB": str(db), "PYTHONWARNINGS": "error", "XDG_CONFIG_HOME": str(db.parent / "config")} | extra
    )


def run(db: Path, *arguments: str | Path, stdin: bytes = b"", expect: int | None = 0, timeout: float = 120.0) -> Done:
    """Run `recsys-tui` and return how it ended; an exit code other than `expect` fails the test with its output."""
    command = [sys.executable, "-m", "recsys_tui", *map(str, arguments)]
    done = subprocess.run(command, input=stdin, env=environment(db), capture_output=True, timeout=timeout, check=False)
    result = Done(done.returncode, done.stdout.decode(), done.stderr.decode())
    assert "Traceback" not in result.err, result.err
    if expect is not None:
        assert result.code == expect, f"{command[3:]} ended with {result.code}\n{result.out}\n{result.err}"
    return result
