"""The commands that are no action of a place: run from the palette, their output shown in a pane."""

import os
import shlex
import subprocess
import sys

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Input, Static

from recsys_tui.screens.choose import Choice
from recsys_tui.screens.modal import Modal
from recsys_tui.widgets.text import shown

_SECONDS = 600
_LONGEST = 200_000  # characters of output that are shown
NEEDS_A_TERMINAL = {"tui"}


def command_choices(known: set[str]) -> list[Choice]:
    """Return a choice for every command; those whose first word is `known` come last, since actions stand for them."""
    from recsys_tui.commands.tree import commands

    found = [
        Choice(words, f"{words} {arguments}".strip(), "$", f"recsys-tui {words} {arguments}".strip(), sentence)
        for words, arguments, sentence in commands()
        if words.split(" ")[0] not in NEEDS_A_TERMINAL
    ]
    return sorted(found, key=lambda choice: choice.name.split(" ")[0] in known)


class RunCommand(Modal[None]):
    """A command line to complete, and below it what it printed."""

    BINDINGS = [Binding("escape", "app.pop_screen", "Back")]  # noqa: RUF012  Textual's

    def __init__(self, line: str) -> None:
        super().__init__()
        self._line = line

    def compose(self) -> ComposeResult:
        """Yield the line and the pane for the output."""
        with Vertical(classes="dialog run") as box:
            box.border_title = "recsys-tui …"
            box.border_subtitle = "enter runs, esc leaves; --help explains"
            yield Input(self._line, id="line")
            with VerticalScroll(id="output", can_focus=True):
                yield Static(id="printed")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Run the command in a process of its own."""
        from recsys_tui.app import RecsysApp
        from recsys_tui.screens.base import Place

        app = self.app
        assert isinstance(app, RecsysApp)  # noqa: S101  there is no other
        place = next(screen for screen in app.screen_stack if isinstance(screen, Place))
        printed = self.query_one("#printed", Static)
        try:
            arguments = shlex.split(event.value)
        except ValueError as error:
            printed.update(shown(f"this is no command line: {error}"))
            return
        if app.read_only:
            app.say_read_only()
            return
        printed.update("runs …")
        database = str(app.database_path)
        place.ask(
            "command",
            lambda _: _run(arguments, database),
            lambda text: printed.update(shown_lines(text)),
            lambda error: printed.update(shown(str(error))),
            offline=True,
        )


def shown_lines(text: str) -> Content:
    """Return output line by line: line ends are the program's own, whatever else is in the lines is made safe."""
    return Content("\n").join([shown(line) for line in text[:_LONGEST].split("\n")])


def _run(arguments: list[str], database: str) -> str:
    """Run a command on the same database and return what it printed and how it ended."""
    from recsys_tui.render import EXIT_CODES

    environment = os.environ | {"RECSYS_DB": database, "COLUMNS": "100", "PYTHONIOENCODING": "utf-8"}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "recsys_tui", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"stopped after {_SECONDS} s; run it in a shell"
    words = {code: name for name, code in EXIT_CODES.items()}
    ended = "done" if not done.returncode else f"ended with {done.returncode} ({words.get(done.returncode, 'error')})"
    return done.stdout.decode(errors="replace") + f"\n{ended}"
