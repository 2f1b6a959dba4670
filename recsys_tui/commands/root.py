"""The root of the command tree: its commands by what they are for, and a near name where one is mistyped."""

import os
import sys
from collections.abc import Iterator, Sequence
from difflib import get_close_matches

import click
import typer.core

SECTIONS = {
    "Data": ("init", "import", "imports", "stats", "data", "export", "backup", "restore"),
    "Training": ("train", "jobs"),
    "Versions": ("models", "schedule", "monitor", "evaluate", "compare", "diff", "metrics"),
    "Answers": ("recommend", "predict", "explain", "similar", "rate", "onboard"),
    "Browsing": ("users", "items"),
    "This machine": ("tui", "demo", "doctor", "config", "keys", "tty-reset"),
}
MODULES = {
    "data": ("init", "stats", "export", "backup", "restore"),
    "health": ("data",),
    "imported": ("imports",),
    "imports": ("import",),
    "training": ("train",),
    "jobs": ("jobs",),
    "versions": ("models",),
    "scheduling": ("schedule",),
    "watching": ("monitor",),
    "measuring": ("evaluate", "metrics"),
    "comparing": ("compare", "diff"),
    "serving": ("recommend", "predict"),
    "explaining": ("explain", "similar"),
    "onboarding": ("onboard",),
    "rating": ("rate",),
    "browse": ("users", "items"),
    "people": ("users",),
    "machine": ("doctor", "config"),
    "demo": ("demo",),
    "tui": ("tui", "keys", "tty-reset"),
}
"""Which names of the root each module of commands brings, in the order of the tree."""
_TAKE_A_VALUE = {"--db", "--color"}
_INDENT = 6  # what click puts before and between the columns of a help page


class Root(typer.core.TyperGroup):
    """Lists the commands in sections; help of a terminal is read from the top, and the first steps stand there."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a section for each purpose, and one for commands that have none yet."""
        named = {name for names in SECTIONS.values() for name in names}
        others = tuple(name for name in self.list_commands(ctx) if name not in named)
        widest = max(map(len, self.list_commands(ctx)))
        room = formatter.width - _INDENT - widest
        for title, names in {**SECTIONS, "More": others}.items():
            rows = [
                (name.ljust(widest), command.get_short_help_str(room))
                for name in names
                if (command := self.get_command(ctx, name)) is not None
            ]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def nearest(error: click.ClickException) -> Iterator[str]:
    """Yield the names that were perhaps meant by a command that does not exist."""
    context = getattr(error, "ctx", None)
    if context is None or not isinstance(context.command, click.Group) or "No such command" not in str(error):
        return
    typed = str(error).split("'")[1]
    yield from get_close_matches(typed, context.command.list_commands(context), n=2)


def modules(arguments: Sequence[str] | None) -> list[str]:
    """Return the modules that a command line needs: those of the command it names, else all.

    Help, completion and names that do not exist need all; no command at all on a terminal opens the UI.
    """
    if arguments is None or "_RECSYS_TUI_COMPLETE" in os.environ:
        return list(MODULES)
    rest = iter(arguments)
    for word in rest:
        if word in _TAKE_A_VALUE:
            next(rest, None)
        elif not word.startswith("-"):
            return [name for name, names in MODULES.items() if word in names] or list(MODULES)
        elif word.partition("=")[0] not in {*_TAKE_A_VALUE, "--json", "--version"}:
            return list(MODULES)
    return ["tui"] if sys.stdin.isatty() and sys.stdout.isatty() else list(MODULES)
