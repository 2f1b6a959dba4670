"""The UI on a terminal of its own: a pseudo-terminal, the bytes that were sent to it, and what they look like."""

import re
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pexpect
import pyte

from tests.cli import environment

ON = {"alternate screen": "1049", "mouse": "1000", "hidden cursor": "25"}


class Terminal:
    """A terminal with the program in it."""

    def __init__(self, db: Path, *arguments: str, size: tuple[int, int] = (80, 24), code: str = "", **env: str) -> None:
        columns, rows = size
        kept = environment(db, XDG_STATE_HOME=str(db.parent / "state"))
        kept |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"} | env
        for name in ("TMUX", "NO_COLOR", "COLUMNS", "LINES"):
            if name not in env:
                kept.pop(name, None)
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.sent_at = 0.0  # when the last of it came; understanding it here takes as long again
        command = [sys.executable, *(["-c", code] if code else ["-m", "recsys_tui"]), *arguments]
        self.child = pexpect.spawn(command[0], command[1:], env=kept, dimensions=(rows, columns), timeout=30)
        self.child.setecho(False)
        self.child.delaybeforesend = None  # pexpect would wait 50 ms before every key

    def read(self, seconds: float = 0.05) -> None:
        """Take what the program sends within this time."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                sent = self.child.read_nonblocking(65536, timeout=left)
            except (pexpect.TIMEOUT, pexpect.EOF):
                if not self.child.isalive():
                    return
                continue
            self.raw += sent
            self.sent_at = time.monotonic()
            self._stream.feed(_understood(sent))

    def wait_for(self, text: str, seconds: float = 30.0) -> float:
        """Wait until this stands on the screen and return how long it took."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            self.read(0.02)
            if re.search(text, self.text):
                return time.monotonic() - began
        raise AssertionError(f"{text!r} did not appear:\n{self.text}")

    def wait_gone(self, text: str, seconds: float = 30.0) -> None:
        """Wait until this stands on the screen no more."""
        began = time.monotonic()
        while re.search(text, self.text):
            assert time.monotonic() - began < seconds, f"{text!r} stayed:\n{self.text}"
            self.read(0.02)

    def press(self, keys: str) -> None:
        """Send keys."""
        self.child.send(keys)

    def resize(self, columns: int, rows: int) -> None:
        """Change the size as a window does."""
        self.screen.resize(rows, columns)
        self.screen.reset()
        self.child.setwinsize(rows, columns)

    def end(self, number: signal.Signals | None = None, *, seconds: float = 20.0) -> int:
        """Send a signal, wait for the end and return the exit code."""
        if number is not None:
            self.child.kill(number)
        end = time.monotonic() + seconds
        while self.child.isalive() and time.monotonic() < end:
            self.read(0.05)
        assert not self.child.isalive(), f"it goes on:\n{self.text}"
        self.read(0.1)
        return int(self.child.exitstatus if self.child.exitstatus is not None else 128 + self.child.signalstatus)

    def cut(self) -> None:
        """Take the terminal away, as a connection that drops does."""
        self.child.ptyproc.fileobj.close()
        self.child.ptyproc.closed = self.child.closed = True

    def close(self) -> None:
        """End the program whatever it does."""
        if not self.child.closed and self.child.isalive():
            self.child.kill(signal.SIGKILL)
            self.child.wait()  # however long a busy machine takes to end it
        self.child.close(force=True)

    @property
    def lines(self) -> list[str]:
        """The screen, line by line."""
        return list(self.screen.display)

    @property
    def text(self) -> str:
        """The screen as text."""
        return "\n".join(self.lines)

    def left_on(self) -> set[str]:
        """Return what the program turned on and did not turn off again."""
        left = set()
        for name, number in ON.items():
            last = re.findall(rb"\x1b\[\?%s([hl])" % number.encode(), self.raw)
            if last and last[-1] == (b"l" if name == "hidden cursor" else b"h"):
                left.add(name)
        return left


def _understood(sent: bytes) -> bytes:
    """Return what pyte can read: without private sequences that it takes for text."""
    return re.sub(rb"\x1b\[[<>=?][0-9;]*[a-zA-Z]|\x1b\[\?[0-9;]*\$p|\x1bP[^\x1b]*\x1b\\", _kept, sent)


def _kept(found: Any) -> bytes:
    known: bytes = found.group(0)
    return known if re.fullmatch(rb"\x1b\[\?(25|1049|7)[hl]", known) else b""
