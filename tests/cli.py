"""Runs the program as a user does: a process of its own, a database of its own."""

import io
import json
import os
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from recsys_tui import cli

SAMPLE = Path(__file__).parent.parent / "sample_data"


def few_ratings(folder: Path, rows: int = 4000) -> Path:
    """Make a folder of the first ratings of the sample data, about a hundred users, and all its titles."""
    folder.mkdir()
    shutil.copy(SAMPLE / "movies.csv", folder)
    with (SAMPLE / "ratings.csv").open() as file:
        (folder / "ratings.csv").write_text("".join(islice(file, rows + 1)))
    return folder


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
    """Return an environment in which nothing but `db` is set up, and modules stay compiled as for any user."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RECSYS_", "XDG_"))}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
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


class Screen(io.StringIO):
    """A stream that a person looks at."""

    def isatty(self) -> bool:
        return True


def call(db: Path, *arguments: str | Path, expect: int | None = 0, screen: bool = False) -> Done:
    """Run a command in this process, which is quicker, where no terminal and no signal matters.

    With `screen` it says what it says to a person, without colours.
    """
    out, err = (Screen() if screen else io.StringIO()), io.StringIO()
    arguments = (*arguments, "--color", "never") if screen else arguments
    with redirect_stdout(out), redirect_stderr(err):
        code = cli.run(["--db", str(db), *map(str, arguments)])
    result = Done(code, out.getvalue(), err.getvalue())
    if expect is not None:
        assert result.code == expect, f"{arguments} ended with {result.code}\n{result.out}\n{result.err}"
    return result


def start(db: Path, *arguments: str | Path) -> subprocess.Popen[bytes]:
    """Start `recsys-tui` and return at once."""
    command = [sys.executable, "-m", "recsys_tui", *map(str, arguments)]
    return subprocess.Popen(command, env=environment(db), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
