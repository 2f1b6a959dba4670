"""What goes to stderr for people, the JSON form of an error for programs, and the exit codes."""

import sys
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, TextIO

from recsys_tui.render.safe import safe
from recsys_tui.render.terminal import Terminal
from recsys_tui.render.values import cell, human, to_json

EXIT_CODES: Mapping[str, int] = MappingProxyType(
    {
        "usage": 2,
        "not_found": 3,
        "data_refused": 4,
        "training_failed": 5,
        "gate_refused": 6,
        "busy": 75,
    }
)
"""The exit code of each `code` that errors of the store, the engine and the settings carry; all others are 1."""


def exit_code(error: BaseException) -> int:
    """Return the exit code of an error: by its `code`, or 1."""
    return EXIT_CODES.get(str(getattr(error, "code", "")), 1)


def say(text: str, *, stream: TextIO | None = None) -> None:
    """Write a sentence for people to stderr: one line, or on a terminal as many as its width asks for."""
    terminal = Terminal.of(stream or sys.stderr)
    lines = wrapped(text, terminal.width - 2) if terminal.tty and len(text) > terminal.width else [safe(text)]
    terminal.write("\n  ".join(lines) + "\n")


def error(
    message: str, hint: str = "", *, as_json: bool = False, code: str = "error", stream: TextIO | None = None
) -> None:
    """Write to stderr what happened and what to do next: two lines, or one JSON object."""
    terminal = Terminal.of(stream or sys.stderr)
    if as_json:
        terminal.write(to_json({"error": {"code": code, "message": message, "hint": hint}}) + "\n")
        return
    terminal.write(f"{terminal.styled('error:', 'red')} {safe(message)}\n")
    if hint:
        terminal.write(f"{terminal.styled('hint:', 'bold')} {safe(hint)}\n")


def panel(title: str, facts: Mapping[str, Any], *, stream: TextIO | None = None) -> None:
    """Write names and values to stdout: aligned under a title on a terminal, TSV without the title otherwise.

    In TSV a value inside another has the names of both, as in `scale.min`.
    """
    terminal = Terminal.of(stream or sys.stdout)
    if not terminal.tty:
        terminal.write("".join(f"{safe(name)}\t{safe(cell(value))}\n" for name, value in _flat(facts)))
        return
    column = max(map(len, facts), default=0)
    if title:
        terminal.write(terminal.styled(safe(title), "bold") + "\n")
    for name, value in facts.items():
        head = terminal.styled(safe(name).ljust(column), "dim")
        lines = wrapped(human(value, ascii=terminal.ascii), terminal.width - column - 4)
        terminal.write(f"  {head}  " + f"\n{'':{column + 4}}".join(lines) + "\n")


def _flat(facts: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in facts.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{within}{name}.")
        else:
            yield within + str(name), value


def wrapped(text: str, width: int) -> list[str]:
    """Return text, made safe, as lines of at most `width` characters, broken between words where that is possible."""
    shown, width = safe(text), max(width, 20)
    if len(shown) <= width:
        return [shown]
    lines = [""]
    for word in shown.split(" "):
        for start in range(0, max(len(word), 1), width):
            part = word[start : start + width]
            if not lines[-1] or len(lines[-1]) + 1 + len(part) > width:
                lines.append(part)
            else:
                lines[-1] += f" {part}"
    return lines[1:]
