"""Train."""

from textual.app import ComposeResult
from textual.widgets import Static

from recsys_tui.screens.base import Place


class Train(Place):
    """Train."""

    NAME = "train"

    def body(self) -> ComposeResult:
        """Yield the widgets."""
        yield Static("…", classes="pane")
