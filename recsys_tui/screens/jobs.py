"""Jobs."""

from textual.app import ComposeResult
from textual.widgets import Static

from recsys_tui.screens.base import Place


class Jobs(Place):
    """Jobs."""

    NAME = "jobs"

    def body(self) -> ComposeResult:
        """Yield the widgets."""
        yield Static("…", classes="pane")
