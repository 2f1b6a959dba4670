"""A dialog: which items may be in a list."""

from collections.abc import Sequence
from dataclasses import replace

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, Input, Static

from recsys_tui.screens.lists import Wanted
from recsys_tui.screens.modal import Modal
from recsys_tui.widgets.text import shown
from recsys_tui.widgets.toggle import Toggle

_FIELDS = (
    ("only", "Only genres", "such as Comedy, Drama"),
    ("without", "Not genres", "such as Horror"),
    ("since", "Since year", "any"),
    ("diversity", "Diversity", "0 by score alone, to 1"),
)


class FilterDialog(Modal[Wanted | None]):
    """Takes genres, a year and diversity, and answers with the list wanted; None where nothing is to change."""

    BINDINGS = [Binding("escape", "cancel", "Back")]  # noqa: RUF012  Textual's
    CSS = """
    FilterDialog .dialog { width: 60; }
    FilterDialog .row { height: 1; }
    FilterDialog .row Static { width: 14; }
    FilterDialog .row Input { width: 1fr; }
    """

    def __init__(self, wanted: Wanted) -> None:
        super().__init__()
        self._wanted = wanted
        self._genres: Sequence[str] | None = None  # what is typed is not held up by reading them

    def know(self, genres: Sequence[str]) -> None:
        """Take the genres there are, and check what was typed by them."""
        self._genres = genres
        if self.is_mounted:
            self._check()

    def compose(self) -> ComposeResult:
        """Yield a line for each filter, with its error below."""
        wanted = self._wanted
        values = {
            "only": ", ".join(wanted.only),
            "without": ", ".join(wanted.without),
            "since": str(wanted.since or ""),
            "diversity": f"{wanted.diversity:g}" if wanted.diversity else "",
        }
        with Vertical(classes="dialog") as box:
            box.border_title = "which items"
            for name, label, hint in _FIELDS:
                error = f"{name}-error"
                with Horizontal(classes="row"):
                    yield Static(label)
                    yield Input(values[name], placeholder=hint, id=name, select_on_focus=False)
                yield Static(id=error, classes="field-error")
            yield Toggle("also what they have rated", wanted.seen, id="seen")
            with Horizontal(classes="buttons"):
                yield Button("Show", id="show", variant="primary", compact=True)
                yield Button("Clear", id="clear", compact=True)

    def on_mount(self) -> None:
        """Begin with the genres."""
        self.query_one("#only").focus()

    @on(Input.Changed)
    def _check(self) -> None:
        """Say beside a field what is wrong with it, while it is typed."""
        self._tell(self._errors(whole=False))

    def _tell(self, errors: dict[str, str]) -> None:
        for name, *_ in _FIELDS:
            self.query_one(f"#{name}-error", Static).update(shown(f"! {errors[name]}" if name in errors else ""))
        self.query_one("#show", Button).disabled = bool(errors)

    def _errors(self, *, whole: bool) -> dict[str, str]:
        """Return what is wrong by field; the beginning of a genre is right as long as it is not `whole`."""
        found = {}
        for field in ("only", "without"):
            for name in self._listed(field):
                if not self._is_genre(name, whole=whole):
                    there = ", ".join(self._genres or ()) or "none: the items have no genres"
                    found[field] = f"no genre {name!r}; there are {there}"
        since, diversity = self._text("since"), self._text("diversity")
        if since and not (since.isdecimal() and len(since) == 4):
            found["since"] = "a year of four digits"
        try:
            sound = not diversity or 0 <= float(diversity) <= 1
        except ValueError:
            sound = False
        if not sound:
            found["diversity"] = "a number from 0 to 1"
        return found

    def _is_genre(self, name: str, *, whole: bool) -> bool:
        known, typed = [one.casefold() for one in self._genres or ()], name.casefold()
        return self._genres is None or (typed in known if whole else any(one.startswith(typed) for one in known))

    def _text(self, name: str) -> str:
        return self.query_one(f"#{name}", Input).value.strip()

    def _listed(self, name: str) -> tuple[str, ...]:
        return tuple(filter(None, map(str.strip, self._text(name).split(","))))

    @on(Input.Submitted)
    @on(Button.Pressed, "#show")
    def _show(self) -> None:
        if errors := self._errors(whole=True):
            self._tell(errors)
            return
        only, without = self._listed("only"), self._listed("without")
        since, diversity = int(self._text("since") or 0), float(self._text("diversity") or 0)
        seen = self.query_one("#seen", Toggle).value
        self.dismiss(replace(self._wanted, only=only, without=without, since=since, diversity=diversity, seen=seen))

    @on(Button.Pressed, "#clear")
    def _clear(self) -> None:
        self.dismiss(Wanted(n=self._wanted.n, version=self._wanted.version, other=self._wanted.other))

    def action_cancel(self) -> None:
        """Change nothing."""
        self.dismiss(None)
