"""What can be done in the terminal UI: each action with its key, its words, and the command line that does the same.

Footer, help, palette and key map all read these; a test holds every action to a command that exists.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter


@dataclass(frozen=True)
class Action:
    """One thing a person can do on a place.

    Attributes:
        id: `place.name`, by which `[keys]` of the settings file remaps it; the screen's method is `action_<name>`.
        key: keys of Textual with commas between; the first is shown.
        label: one or two words for the footer.
        sentence: what it does, for help and palette.
        command: the arguments of `recsys-tui` that do the same; `{version}` is filled from what is selected.
        writes: True where it changes anything but the view: refused under `--read-only`.
        footer: True where it stands in the footer; those that do not are in help and palette all the same.
    """

    id: str
    key: str
    label: str
    sentence: str
    command: str
    writes: bool = False
    footer: bool = True

    @property
    def method(self) -> str:
        """The action's name for Textual: `activate` of `models.activate`."""
        return self.id.rpartition(".")[2]

    @property
    def key_label(self) -> str:
        """The first key as people know it."""
        return spelled(self.key.split(",")[0])

    def command_line(self, selected: Mapping[str, str]) -> str:
        """Return the command line with what is selected in it; what is not selected stays a word in capitals."""
        return line_of(self.command, selected)


def line_of(command: str, selected: Mapping[str, str]) -> str:
    """Return `recsys-tui` and its arguments, each quoted for a shell where it needs to be."""
    from shlex import quote

    parts = []
    for text, field, _, _ in Formatter().parse(command):
        parts.append(text)
        if field:
            parts.append(quote(selected[field]) if field in selected else field.upper())
    return " ".join(["recsys-tui", *"".join(parts).split(" ")]).strip()


def check_keys(keys: object) -> None:
    """Check a table of keys by action.

    Raises:
        ValueError, TypeError: it is no table of text to text, or an id has no `place.name` of a known place.
    """
    if not isinstance(keys, Mapping):
        raise TypeError
    for name, key in keys.items():
        place, _, action = str(name).partition(".")
        if place not in (*PLACES, "app") or not action or not isinstance(key, str) or not key.strip():
            raise ValueError


_SPELLED = {
    "question_mark": "?",
    "colon": ":",
    "slash": "/",
    "space": "space",
    "enter": "enter",
    "escape": "esc",
    "ctrl+c": "^c",
    "ctrl+p": "^p",
    "ctrl+d": "^d",
    "ctrl+u": "^u",
}


def spelled(key: str) -> str:
    """Return a key as people know it: `?`, `^p`, `esc`."""
    return _SPELLED.get(key, key)


PLACES = ("train", "models", "users", "rate", "data", "jobs")
"""The six places in the order of their number keys."""

EVERYWHERE = (
    *(
        Action(f"app.{name}", str(n), name.title(), f"Go to {name.title()}.", f"tui --screen {name}", footer=False)
        for n, name in enumerate(PLACES, 1)
    ),
    Action("app.palette", "colon,ctrl+p", "Commands", "Find any action by name; see the command it equals.", "--help"),
    Action("app.help", "question_mark", "Help", "Show what can be done here, with the keys.", "keys"),
    Action(
        "app.copy",
        "y",
        "Copy",
        "Copy what is selected: its value, its row, as JSON, or the command that shows it.",
        "{show}",
        footer=False,
    ),
    Action("app.export", "e", "Export", "Write the table shown to a CSV or NDJSON file.", "{listing}", footer=False),
    Action(
        "app.zoom", "z", "Zoom", "Give the pane with the focus the whole screen, or back.", "{listing}", footer=False
    ),
    Action("app.refresh", "r", "Refresh", "Read everything shown again.", "{listing}", footer=False),
    Action(
        "app.pause", "p", "Pause", "Hold the screen still while the database changes.", "tui --paused", footer=False
    ),
    Action(
        "app.mouse", "m", "Mouse", "Leave the mouse to the terminal, or take it back.", "tui --no-mouse", footer=False
    ),
    Action("app.theme", "T", "Theme", "Choose the colours.", "tui --theme {theme}", footer=False),
    Action(
        "app.screenshot",
        "P",
        "Picture",
        "Save the screen as SVG and as text.",
        "tui --screen {place} --screenshot FILE",
        footer=False,
    ),
    Action(
        "app.clear",
        "escape",
        "Back",
        "Close a dialog, give all panes their places, show all rows again; never quits.",
        "{listing}",
        footer=False,
    ),
    Action("app.back", "q", "Quit", "Go back; at the top quit. A training goes on.", "jobs list", footer=False),
    Action("app.quit_now", "ctrl+c", "Quit", "Leave at once. A training goes on.", "jobs list", footer=False),
)
"""What can be done on every place."""
