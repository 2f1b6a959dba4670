"""The tree of commands as a list, for the palette of the terminal UI."""

from collections.abc import Iterator
from functools import cache

import click
import typer


@cache
def commands() -> tuple[tuple[str, str, str], ...]:
    """Return every command of the program: its words, its arguments as the help names them, its sentence."""
    from recsys_tui.cli import tree

    root = typer.main.get_command(tree())
    return tuple(_walk(root, ()))


def _walk(command: click.Command, words: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    if isinstance(command, click.Group):
        for name, part in command.commands.items():
            if not part.hidden:
                yield from _walk(part, (*words, name))
    else:
        arguments = [
            (parameter.metavar or (parameter.name or "")).upper()
            for parameter in command.params
            if isinstance(parameter, click.Argument) and parameter.required
        ]
        yield " ".join(words), " ".join(arguments), command.get_short_help_str(200)
