"""What can be done here: the keys with a sentence and the command line of each."""

from collections.abc import Mapping, Sequence

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from recsys_tui.actions import Action, spelled
from recsys_tui.screens.modal import Modal
from recsys_tui.widgets.text import shown

MOVING = (
    ("j k up down", "Move in a list; g and G, or home and end, go to its ends; ^d ^u by half a page."),
    ("n N", "Go to the next and the previous row with the words that / was given; past the end it begins again."),
    ("tab", "Go to the next pane; shift+tab goes back."),
    ("esc", "Close a dialog, undo zoom, show all rows again. It never quits."),
    ("shift+drag", "Select text with the mouse past the program, in most terminals."),
)


class Help(Modal[None]):
    """The help of one place."""

    BINDINGS = [  # noqa: RUF012  Textual's
        Binding("escape,q,question_mark", "app.pop_screen", "Back"),
        Binding("j", "down", "Down"),
        Binding("k", "up", "Up"),
    ]

    def __init__(
        self, title: str, about: str, groups: Sequence[tuple[str, Sequence[Action]]], keys: Mapping[str, str]
    ) -> None:
        super().__init__()
        self._title, self._about, self._groups, self._keys = title, about, groups, keys

    def compose(self) -> ComposeResult:
        """Yield what the place is for, then its actions, then those of everywhere."""
        with VerticalScroll(classes="dialog help") as box:
            box.border_title = self._title
            box.border_subtitle = "esc closes"
            yield Static(self._page())  # one, for each widget has to be laid out before a key is answered

    def _page(self) -> Content:
        lines = [shown(self._about)]
        for title, actions in self._groups:
            lines += [Content(), shown(title, "bold"), *self._described(actions)]
        lines += [Content(), Content("Moving").stylize("bold")]
        for key, sentence in MOVING:
            lines.append(Content.assemble((f"{key:>12}  ", "bold $text-accent"), shown(sentence)))
        return Content("\n").join(lines)

    def _described(self, actions: Sequence[Action]) -> list[Content]:
        lines = []
        for action in actions:
            key = " ".join(map(spelled, self._keys.get(action.id, action.key).split(",")))
            lines.append(Content.assemble((f"{key:>12}  ", "bold $text-accent"), shown(action.sentence)))
            command = " ".join(action.command_line({}).split())
            lines.append(Content.assemble((" " * 14), shown(command, "$text-muted")))
        return lines

    def action_down(self) -> None:
        """Scroll on."""
        self.query_one(VerticalScroll).scroll_down(animate=False)

    def action_up(self) -> None:
        """Scroll back."""
        self.query_one(VerticalScroll).scroll_up(animate=False)
