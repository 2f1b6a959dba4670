"""Long answers, written in parts beside the target: what is there when a run ends early need not be made again."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recsys_tui.exports import check_target, join_files, write_rows
from store.errors import NotFound, UsageRefused, translate

PART_ROWS = 50_000


class Parts:
    """The rows of one task. Until the first part is full they are in memory only, and nothing lies beside the target.

    Args:
        out: the target; its suffix decides the format.
        columns: what is written, in this order.
        task: what the rows are of, as JSON; a run that goes on must be of the same.
        resume: go on after the parts of a run that ended early, instead of beginning anew.

    Attributes:
        mark: how far the parts reach, as `add` was told; None at the beginning.
        users, rows: so many were given so far, with those of the run before.

    Raises:
        UsageRefused: a suffix that stands for no format, or parts of another task.
        NotFound: no folder for the target, or no parts to go on after.
    """

    def __init__(self, out: Path, columns: list[str], task: Mapping[str, Any], *, resume: bool) -> None:
        check_target(out)
        self._out, self._columns, self._task = out, columns, dict(task)
        self._folder = out.with_name(f"{out.name}.parts")
        self._waiting: list[Mapping[str, Any]] = []
        self._names: list[str] = []
        self._reached: Any = None
        self.mark: Any = None
        self.users = self.rows = 0
        if resume:
            self._take_up()
        elif self._folder.is_dir():
            shutil.rmtree(self._folder)

    def add(self, rows: Sequence[Mapping[str, Any]], mark: Any = None, *, users: int = 0) -> None:
        """Take rows, of so many users; `mark` says how far all rows so far reach, and goes to the disk with them.

        Raises:
            NoSpace, NoPermission: the parts before stay.
        """
        self._waiting.extend(rows)
        self._reached = mark
        self.users += users
        self.rows += len(rows)
        if len(self._waiting) >= PART_ROWS:
            self._write_part()

    def finish(self) -> None:
        """Put all rows into the target, which appears whole, and remove the parts.

        Raises:
            NoSpace, NoPermission: the parts stay.
        """
        if not self._names:
            write_rows(self._out, self._waiting, self._columns)
            return
        if self._waiting:
            self._write_part()
        join_files([self._folder / name for name in self._names], self._out)
        shutil.rmtree(self._folder)

    @property
    def advice(self) -> str:
        """What to do about a run that ended early."""
        if not self._names:
            return "nothing was written; the same command can be given again"
        return f"what is done lies in {self._folder}: the same command with --resume goes on from there"

    def _write_part(self) -> None:
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            name = f"{len(self._names) + 1:06}{self._out.suffix}"
            write_rows(self._folder / name, self._waiting, self._columns)
            self._names.append(name)
            state = {
                "task": self._task,
                "mark": self._reached,
                "users": self.users,
                "rows": self.rows,
                "parts": self._names,
            }
            partial = self._folder / "state.json.partial"
            partial.write_text(json.dumps(state), encoding="utf-8")
            partial.replace(self._folder / "state.json")
        except OSError as error:
            raise translate(error, self._folder) from error
        self._waiting = []

    def _take_up(self) -> None:
        """Read how far the run before has come."""
        try:
            state = json.loads((self._folder / "state.json").read_text(encoding="utf-8"))
            task, names = state["task"], list(state["parts"])
            mark, users, rows = state["mark"], int(state["users"]), int(state["rows"])
        except FileNotFoundError as error:
            raise NotFound(
                f"no run towards {self._out} has ended early", hint="leave out --resume to begin it"
            ) from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageRefused(
                f"{self._folder} is not as it was left ({error})", hint="leave out --resume to begin anew"
            ) from error
        if task != self._task:
            other = ", ".join(key for key in self._task if task.get(key) != self._task[key]) or "other settings"
            raise UsageRefused(
                f"the parts beside {self._out} are of another run: {other}",
                hint="give the command as it was, or leave out --resume to begin anew",
            )
        self._names, self.users, self.rows = names, users, rows
        self.mark = self._reached = mark
