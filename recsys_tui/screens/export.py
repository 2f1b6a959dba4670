"""Writing a table to a file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.widgets import Input, Static

from recsys_tui.screens.modal import Modal
from recsys_tui.widgets.text import shown


class Export(Modal[None]):
    """Asks for a file and writes the rows into it; what is wrong with the name is said below it while it is typed."""

    BINDINGS = [Binding("escape", "app.pop_screen", "Back")]  # noqa: RUF012  Textual's

    def __init__(self, name: str, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
        super().__init__()
        self._name, self._columns, self._rows = name, list(columns), rows

    def compose(self) -> ComposeResult:
        """Yield the question."""
        with Vertical(classes="dialog") as box:
            box.border_title = f"export {self._name}"
            box.border_subtitle = "enter writes, esc leaves"
            yield Static(shown(f"{len(self._rows):,} rows to a file ending in .csv, .ndjson or .parquet:"))
            yield Input(f"{self._name}.csv", id="file")
            yield Static(id="wrong", classes="field-error")

    def on_input_changed(self, event: Input.Changed) -> None:
        """Say what is wrong with the name, or that the file is there already."""
        from recsys_tui.exports import check_target
        from store.errors import StoreError

        out = Path(event.value).expanduser()
        try:
            check_target(out)
            wrong = f"{out} is there already and would be replaced" if out.exists() else ""
        except StoreError as error:
            wrong = f"{error}; {error.hint}"
        except (OSError, ValueError) as error:
            wrong = f"this is no file: {error}"
        self.query_one("#wrong", Static).update(shown(wrong))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Write the file in a thread."""
        from recsys_tui.exports import write_rows
        from recsys_tui.screens.base import Place

        out = Path(event.value).expanduser()
        rows = [{name: row.get(name) for name in self._columns} for row in self._rows]
        place = next(screen for screen in self.app.screen_stack if isinstance(screen, Place))

        def done(count: int) -> None:
            place.toast(f"wrote {count:,} rows to {out}")
            if self.is_current:
                self.dismiss()

        def failed(error: Exception) -> None:
            self.query_one("#wrong", Static).update(shown(f"{error}; {getattr(error, 'hint', '')}"))

        place.ask("export", lambda _: write_rows(out, rows, self._columns), done, failed, offline=True)
