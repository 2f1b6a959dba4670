"""A dialog: what to import and how to read it; a preview before anything is stored."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rich.cells import cell_len, set_cell_size
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Input, Static

from recsys_tui import child, render
from recsys_tui.addresses import VARIABLE, is_address
from recsys_tui.quantities import no_scale
from recsys_tui.render.table import crop
from recsys_tui.screens.modal import Modal
from recsys_tui.stream import Answered, Ticket
from recsys_tui.widgets.text import shown
from recsys_tui.widgets.toggle import Toggle

if TYPE_CHECKING:
    from recsys_tui.app import RecsysApp

_POLICIES = ("latest", "first", "mean", "error")
_ROWS = 6
_FIELDS = (
    ("source", "Source", "a file, a folder, or mongodb://host/database"),
    ("format", "Format", "auto: recognised"),
    ("map", "Columns", "found by name; or user=…,item=…,rating=…,time=…"),
    ("table", "Table", "of an SQLite file, or the collection in a MongoDB"),
    ("scale", "Scale", "found; or low:high:step, such as 0.5:5:0.5"),
    ("duplicates", "Duplicates", "latest; or first, mean, error"),
)


@dataclass(frozen=True)
class Importing:
    """An import as the command line has it: the arguments after `import`, and what may not stand among them."""

    arguments: list[str]
    secrets: Mapping[str, str] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """What is read."""
        return self.arguments[0]

    @property
    def line(self) -> str:
        """The command as a person would type it."""
        return child.line_of(["import", *self.arguments])

    def run(self, database: Path, said: Callable[[str], None]) -> dict[str, int]:
        """Import, and return how many rows were read, stored, updated, unchanged and rejected."""
        out = child.run(["import", *self.arguments], database, secrets=self.secrets, said=said)
        told = dict(line.split("\t", 1) for line in out.splitlines() if "\t" in line)
        return {name: int(told.get(name, "0") or 0) for name in ("stored", "updated", "unchanged", "rejected")}

    def preview(self, database: Path, stop: Callable[[], bool]) -> Any:
        """Read and check everything, store nothing; return what `import --dry-run --json` tells."""
        arguments = ["import", *self.arguments, "--dry-run"]
        return child.run_json(arguments, database, secrets=self.secrets, stop=stop)


class ImportDialog(Modal[Importing | None]):
    """Takes a source and how to read it, shows what would be stored, and answers with the import that is wanted."""

    BINDINGS = [Binding("escape", "cancel", "Back")]  # noqa: RUF012  Textual's
    CSS = """
    ImportDialog .dialog { width: 90%; max-width: 110; padding: 0 2; }
    ImportDialog .row { height: 1; }
    ImportDialog .row Static { width: 12; }
    ImportDialog .row Input { width: 1fr; }
    ImportDialog #told { height: auto; max-height: 11; }
    ImportDialog .buttons { margin: 0; }
    ImportDialog #line { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._ticket: Ticket | None = None

    @property
    def ui(self) -> "RecsysApp":
        """The app, with what is its own."""
        return cast("RecsysApp", self.app)

    def compose(self) -> ComposeResult:
        """Yield a line for each choice, the preview, and the command that it equals."""
        with Vertical(classes="dialog") as box:
            box.border_title = "import"
            for name, label, hint in _FIELDS:
                error = f"{name}-error"
                with Horizontal(classes="row"):
                    yield Static(label)
                    yield Input(placeholder=hint, id=name, select_on_focus=False)
                yield Static(id=error, classes="field-error")
            yield Toggle("refuse the whole source where one row is bad", id="strict")
            yield Static(id="line", classes="muted")
            with Horizontal(classes="buttons"):
                yield Button("Preview", id="preview", variant="primary", compact=True)
                yield Button("Import", id="import", compact=True)
                yield Button("Cancel", id="cancel", compact=True)
            yield Static(id="told")

    def on_mount(self) -> None:
        """Begin with the source."""
        self._typed()
        self.query_one("#source").focus()

    def wanted(self) -> Importing:
        """Return the import as it is typed now."""
        texts = {name: self.query_one(f"#{name}", Input).value.strip() for name, *_ in _FIELDS}
        source, secrets = texts["source"], {}
        mongo = source.startswith("mongodb")
        if mongo and is_address(source):
            from store.secrets import has_password

            if has_password(source):
                source, secrets = "mongodb:", {VARIABLE: source}
        path = source if mongo else str(Path(source).expanduser())
        arguments = [path]
        flags = {"format": "--format", "map": "--map", "scale": "--scale", "duplicates": "--duplicates"}
        flags["table"] = "--collection" if mongo else "--table"
        for name, flag in flags.items():
            arguments += [flag, texts[name]] if texts[name] else []
        arguments += ["--strict"] if self.query_one("#strict", Toggle).value else []
        return Importing(arguments, secrets)

    def _errors(self) -> dict[str, str]:
        """Return what is wrong by field."""
        from store.importers import IMPORTERS

        texts = {name: self.query_one(f"#{name}", Input).value.strip() for name, *_ in _FIELDS}
        source, found = texts["source"], {}
        if not source:
            found["source"] = "name a file, a folder, or mongodb://host/database"
        elif not is_address(source) and not Path(source).expanduser().exists():
            found["source"] = f"no file or folder {source}"
        if texts["format"] and texts["format"] not in {"auto", *IMPORTERS}:
            found["format"] = f"one of auto, {', '.join(IMPORTERS)}"
        if texts["map"] and not all("=" in part for part in texts["map"].split(",")):
            found["map"] = "user=…,item=…,rating=… with names or numbers"
        if texts["scale"] and (wrong := no_scale(texts["scale"])):
            found["scale"] = wrong
        if texts["duplicates"] and texts["duplicates"] not in _POLICIES:
            found["duplicates"] = f"one of {', '.join(_POLICIES)}"
        return found

    def _tell(self, errors: Mapping[str, str]) -> None:
        for name, *_ in _FIELDS:
            line = self.query_one(f"#{name}-error", Static)
            line.update(shown(f"! {errors.get(name, '')}"))
            line.display = name in errors

    @on(Input.Changed)
    @on(Toggle.Changed)
    def _typed(self) -> None:
        """Say beside a field what is wrong with it, and what command all equal, while it is typed."""
        errors, source = self._errors(), self.query_one("#source", Input).value
        self._tell({name: wrong for name, wrong in errors.items() if source or name != "source"})
        for name in ("preview", "import"):
            self.query_one(f"#{name}", Button).disabled = bool(errors)
        line = self.wanted().line if source else "recsys-tui import SOURCE"
        self.query_one("#line", Static).update(shown(f"$ {line}"))

    @on(Input.Submitted)
    @on(Button.Pressed, "#preview")
    def _preview(self) -> None:
        if errors := self._errors():
            self._tell(errors)
            return
        self._forget()
        wanted, path = self.wanted(), self.ui.database_path
        self.query_one("#told", Static).update(shown("reading…", "$text-muted"))

        def work(ticket: Ticket) -> Any:
            return wanted.preview(path, lambda: ticket.void)

        self._ticket = Ticket("preview", work, self._told, self._failed)
        self.ui.desk.give(self._ticket, self.post_message)

    def on_answered(self, message: Answered) -> None:
        """Show the preview, unless a newer one was asked for."""
        if message.ticket.void:
            return
        if message.error is not None:
            message.ticket.failed(message.error)
        else:
            message.ticket.then(message.result)

    def _told(self, result: Any) -> None:
        width = self.query_one("#told").content_size.width or 60
        self.query_one("#told", Static).update(preview_text(result, width))
        self.query_one("#import").focus()

    def _failed(self, error: Exception) -> None:
        hint = getattr(error, "hint", "")
        lines = [shown(f"! {error}", "$text-error"), *([shown(hint, "$text-muted")] if hint else [])]
        self.query_one("#told", Static).update(Content("\n").join(lines))

    @on(Button.Pressed, "#import")
    def _import(self) -> None:
        if not self._errors():
            self._forget()
            self.dismiss(self.wanted())

    @on(Button.Pressed, "#cancel")
    def action_cancel(self) -> None:
        """Import nothing."""
        self._forget()
        self.dismiss(None)

    def _forget(self) -> None:
        if self._ticket is not None:
            self._ticket.void = True


def preview_text(result: Mapping[str, Any], width: int) -> Content:
    """Return what an import would do: what was recognised, the counts, the first rows as they would be stored."""
    columns = ", ".join(role if role == name else f"{role} = {name}" for role, name in result["mapping"].items())
    counts = [f"{render.count(result[name])} {name}" for name in ("read", "stored", "updated", "unchanged", "rejected")]
    lines = [
        Content.assemble(shown(result["format"], "bold"), shown(f"  {columns}", "$text-muted")),
        shown(", ".join(counts)),
    ]
    if result["reasons"]:
        why = ", ".join(f"{reason} {render.count(count)}" for reason, count in result["reasons"].items())
        lines.append(shown(crop(render.safe(f"rejected: {why}"), width), "$text-warning"))
    return Content("\n").join([*lines, *_first_rows(result["preview"][:_ROWS], width)])


def _first_rows(rows: Sequence[Mapping[str, Any]], width: int) -> list[Content]:
    """Return rows as they would be stored, under the names of their columns; behind a refused one stands why."""
    names = ("line", "user", "item", "rating", "time")
    cells = [names] + [
        tuple(
            crop(render.safe(text), 20)
            for text in (
                str(row["line"]),
                str(row["user"]),
                str(row["item"]),
                render.plainly(row["rating"]),
                render.when(row["time"]),
            )
        )
        for row in rows
    ]
    widths = [max(cell_len(row[k]) for row in cells) for k in range(len(names))]
    reasons = ["", *(row["reason"] for row in rows)]
    lines: list[Content] = []
    for texts, reason in zip(cells, reasons, strict=True):
        line = "  ".join(set_cell_size(text, size) for text, size in zip(texts, widths, strict=True))
        lines.append(shown(crop(f"{line}  {render.safe(reason)}".rstrip(), width), "" if lines else "$text-muted"))
    return lines
