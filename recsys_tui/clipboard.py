"""Copying out of a terminal, by three routes, and the truth about which of them was taken."""

import base64
import os
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from store.database import make_folder

_LONGEST_OSC52 = 74_000  # bytes that common terminals take in one sequence
_SECONDS = 2.0


def copy(text: str, write: Callable[[str], None], file: Path, env: Mapping[str, str]) -> str:
    """Copy by every route there is and return a sentence that says which; no terminal says whether it obeyed.

    Args:
        text: what is copied.
        write: sends a control sequence to the terminal.
        file: is written in any case, for the owner alone.
        env: tells whether tmux is around the program.
    """
    size = f"{len(text.encode(errors='replace')):,} bytes"
    kept = f"it is in {file}" if _written(file, text) else "it could not be written to a file either"
    if env.get("TMUX") and _by_tmux(text):
        return f"{size} are in the tmux buffer (prefix ] pastes); {kept}"
    coded = base64.b64encode(text.encode(errors="replace")).decode()
    if len(coded) > _LONGEST_OSC52:
        return f"{size} are too many for the terminal's clipboard; {kept}"
    sequence = f"\x1b]52;c;{coded}\a"
    write(_through_tmux(sequence) if env.get("TMUX") else sequence)
    return f"{size} sent to the terminal by OSC 52; if it takes none, {kept}"


def _by_tmux(text: str) -> bool:
    try:
        done = subprocess.run(
            ["tmux", "load-buffer", "-w", "-"],
            input=text.encode(errors="replace"),
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _through_tmux(sequence: str) -> str:
    """Wrap a sequence so that tmux hands it on to the terminal around it."""
    return "\x1bPtmux;" + sequence.replace("\x1b", "\x1b\x1b") + "\x1b\\"


def _written(file: Path, text: str) -> bool:
    with suppress(OSError):
        make_folder(file.parent)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as out:
            out.write(text)
        return True
    return False
