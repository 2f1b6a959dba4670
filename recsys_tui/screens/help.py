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

    def __init__(self) -> None:
        super().__init__()
        self._title, self._page = "", Content()

    def fill(
        self, title: str, about: str, groups: Sequence[tuple[str, Sequence[Action]]], keys: Mapping[str, str]
    ) -> "Help":
        """Explain this: what a place is for, then the actions of each group with their keys."""
        self._title, before = title, self._page
        self._page = _page(about, groups, keys)
        if self.is_mounted:
            self._begin()
            if self._page != before:  # the same one is drawn already
                self.query_one("#page", Static).update(self._page)
        return self

    def compose(self) -> ComposeResult:
        """Yield the page."""
        with VerticalScroll(classes="dialog help") as box:
            box.border_subtitle = "esc closes"
            yield Static(id="page")  # one, for each widget has to be laid out before a key is answered

    def on_mount(self) -> None:
        """Show what was given before there were widgets."""
        self._begin()
        self.query_one("#page", Static).update(self._page)

    def _begin(self) -> None:
        box = self.query_one(VerticalScroll)
        box.border_title = shown(self._title)
        box.scroll_home(animate=False)

    def action_down(self) -> None:
        """Scroll on."""
        self.query_one(VerticalScroll).scroll_down(animate=False)

    def action_up(self) -> None:
        """Scroll back."""
        self.query_one(VerticalScroll).scroll_up(animate=False)


def _page(about: str, groups: Sequence[tuple[str, Sequence[Action]]], keys: Mapping[str, str]) -> Content:
    lines = [shown(about)]
    for title, actions in groups:
        lines += [Content(), shown(title, "bold"), *_described(actions, keys)]
    lines += [Content(), Content("Moving").stylize("bold")]
    for key, sentence in MOVING:
        lines.append(Content.assemble((f"{key:>12}  ", "bold $text-accent"), shown(sentence)))
    return Content("\n").join(lines)


def _described(actions: Sequence[Action], keys: Mapping[str, str]) -> list[Content]:
    lines = []
    for action in actions:
        key = " ".join(map(spelled, keys.get(action.id, action.key).split(",")))
        lines.append(Content.assemble((f"{key:>12}  ", "bold $text-accent"), shown(action.sentence)))
        command = " ".join(action.command_line({}).split())
        lines.append(Content.assemble((" " * 14), shown(command, "$text-muted")))
    return lines
