'''The frame of a place, and how one is written.

    class Users(Place):
        """What it is for, in a sentence."""

        NAME = "users"                       # its line in `recsys_tui.screens.SCREENS`
        ACTIONS = (                          # keys, footer, help and palette all come from these
            Action("users.why", "w", "Why", "Why this item for this user.", "explain {user} {item}"),
        )

        def body(self) -> ComposeResult:     # 80 columns x 21 lines at the least; see app.tcss for .pane and .wide
            yield ...

        def look(self, kinds: frozenset[str]) -> None:   # on the loop, whenever it is shown and something changed
            if "ratings" in kinds:
                self.ask("page", lambda services: catalog.users(services.database, limit=50), self.show_page)

        def show_page(self, page) -> None:   # on the loop: put the result into widgets
            ...

        def action_why(self) -> None:        # `users.why` calls this
            ...

        def selected(self) -> dict[str, str]:   # fills the command lines: {user}, {item}; `show` and `listing` too
            return {"user": ..., "show": f"users show {...}", "listing": "users list"}

- Nothing that may take more than 5 ms runs on the loop. `ask(group, work, then)` runs `work(services)` in a thread and
  gives the result to `then` on the loop; a newer question of the same group makes the older one void, so that typing
  ahead is safe. Errors go to `failed`, by default the notice line. `work` may take a second parameter, its `Ticket`,
  and stop where `ticket.void` is true. Services are had only that way.
- `self.state` is a `StoreState` (jobs, versions, active, revision of the ratings): read it, do not query for it.
  `look` gets which `kinds` changed: "jobs", "versions", "ratings"; all three when the place is first shown and on `r`.
- All text of the data goes through `widgets.text.shown` (widgets) or `cell` and `figure` (tables). Never a plain str.
- `self.toast(message)` tells what was done; `self.notice(message, hint)` what is wrong and lasts.
- `self.confirm(question, then, word="")` asks before anything that cannot be undone; `word` must be typed.
- `copies()` gives what `y` offers besides the command; `table()` gives columns and rows for `e`.
- `remember(name, value)` and `remembered(name, default)` keep a choice between sessions, such as sort and filter.
- Actions that change anything but the view have `writes=True`: refused under `--read-only` before they are called.
- `self.app.slow` is true on thin links: draw less, and less often. `self.app.ascii` needs no care: a filter draws every
  border, block and Braille dot in ASCII.
- Digits switch places by bindings of the app; a widget that needs digits takes the key in `on_key` and stops it there.
'''

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.screen import Screen

from recsys_tui.actions import EVERYWHERE, PLACES, Action
from recsys_tui.render import Column
from recsys_tui.stream import Answered, StoreState, StoreTrouble, Ticket
from recsys_tui.widgets.frame import Header, Keys, Notice, Pressed, TooSmall, run_in_short

if TYPE_CHECKING:
    from recsys_tui.app import RecsysApp

LEAST_COLUMNS, LEAST_ROWS = 60, 16
ALL_KINDS = frozenset({"jobs", "versions", "ratings"})


class Place(Screen[None]):
    """One of the six places: header, notice, body, keys."""

    NAME: ClassVar[str] = ""
    ACTIONS: ClassVar[tuple[Action, ...]] = ()
    AUTO_FOCUS: ClassVar[str | None] = "VirtualTable"
    """What has the keys at first, before anything else could: a line would take those meant for the list."""
    HELP_TEXT: ClassVar[str] = ""
    """What the place is for and how it is worked with, for `?`."""

    def __init_subclass__(cls, **arguments: Any) -> None:
        own: list[BindingType] = [
            Binding(action.key, action.method, action.label, show=False, id=action.id) for action in cls.ACTIONS
        ]
        cls.BINDINGS = [*cls.__dict__.get("BINDINGS", []), *own]
        super().__init_subclass__(**arguments)

    def __init__(self) -> None:
        super().__init__()
        self._pending: set[str] = set(ALL_KINDS)
        self._tickets: dict[str, Ticket] = {}

    @property
    def state(self) -> StoreState:
        """What the polling knows of the database."""
        return self.ui.state

    @property
    def ui(self) -> "RecsysApp":
        """The app, with what is its own."""
        return cast("RecsysApp", self.app)

    # --- what a place brings --------------------------------------------------------------------------------------

    def body(self) -> ComposeResult:
        """Yield the widgets of the place."""
        raise NotImplementedError

    def look(self, kinds: frozenset[str]) -> None:
        """Show what changed; called on the loop while the place is shown."""

    def selected(self) -> Mapping[str, str]:
        """Return what is selected by the names in command lines; `show` is the command for it, `listing` for all."""
        return {}

    def copies(self) -> Mapping[str, str]:
        """Return what can be copied by what it is called, such as "row"; the command is added."""
        return {}

    def clear(self) -> bool:
        """Show all again that a filter hides; return False where there is nothing of the kind."""
        return False

    def table(self) -> tuple[list[Column | str], Iterable[Mapping[str, Any]]] | None:
        """Return columns and rows of the table shown, to be exported, or None where there is none."""
        return None

    # --- what a place uses ----------------------------------------------------------------------------------------

    def ask(
        self,
        group: str,
        work: Callable[..., Any],
        then: Callable[[Any], None],
        failed: Callable[[Exception], None] | None = None,
        *,
        offline: bool = False,
    ) -> None:
        """Run `work(services)` or `work(services, ticket)` in a thread and give its result to `then` on the loop.

        `offline` work gets None for the services: it has to go on without a database.
        """
        if group in self._tickets:
            self._tickets[group].void = True
        takes_ticket = len(inspect.signature(work).parameters) > 1

        def run(ticket: Ticket) -> Any:
            services = None if offline else self.ui.services()
            return work(services, ticket) if takes_ticket else work(services)

        ticket = self._tickets[group] = Ticket(group, run, then, failed or self._refused)
        self.ui.desk.give(ticket, self.post_message)

    def toast(self, message: str, *, severity: str = "information") -> None:
        """Tell what was done, for a few seconds."""
        self.ui.toast(message, severity=severity)

    def notice(self, message: str, hint: str = "") -> None:
        """Tell what is wrong and what to do next until something else is told; "" takes it away."""
        self.query_one(Notice).tell(message, hint)

    def confirm(self, question: str, then: Callable[[], None], *, detail: Any = "", word: str = "") -> None:
        """Ask before something is done; `detail` says what it means, and where `word` is given it must be typed."""
        from recsys_tui.screens.confirm import Confirm

        self.app.push_screen(Confirm(question, detail, word), lambda yes: then() if yes else None)

    def stand_in(self, selector: str) -> None:
        """Give a widget the keys, from the next one on."""
        self.set_focus(self.query_one(selector))

    def remember(self, name: str, value: Any) -> None:
        """Keep a choice for the next session."""
        self.ui.kept.set(f"{self.NAME}.{name}", value)

    def remembered(self, name: str, default: Any) -> Any:
        """Return a choice of an earlier session, or the default."""
        return self.ui.kept.get(f"{self.NAME}.{name}", default)

    @property
    def busy(self) -> bool:
        """True while work was asked for that has not been answered."""
        return bool(self._tickets or self._pending)

    def look_again(self) -> None:
        """Read everything shown anew."""
        self._pending = set(ALL_KINDS)
        self._catch_up()

    # --- the frame ------------------------------------------------------------------------------------------------

    def _compositor_refresh(self) -> None:
        """Draw what changed; while the app holds still Textual would draw it too, and throw it away."""
        if not self.app._batch_count:  # noqa: SLF001  Textual has no public way to ask
            super()._compositor_refresh()

    def compose(self) -> ComposeResult:
        """Yield the frame with the body in it."""
        self._take_size()
        yield Header(self.NAME, [name for name in PLACES if name in self.ui.places], self.ui.database_name)
        yield Notice()
        with Container(id="body"):
            yield from self.body()
        yield TooSmall(LEAST_COLUMNS, LEAST_ROWS)
        yield Keys([*self.ACTIONS, *EVERYWHERE], self.ui.keys)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002  Textual's
        """Refuse what writes under `--read-only`, with a word why."""
        if self.ui.read_only and any(a.method == action and a.writes for a in self.ACTIONS):
            self.ui.say_read_only()
            return None
        return True

    def take_changes(self, kinds: frozenset[str]) -> None:
        """Take note of what changed; the place looks at once if it is shown, else when it is."""
        self._pending |= kinds
        if self.is_current:
            self._catch_up()

    def take_trouble(self, trouble: StoreTrouble | None) -> None:
        """Show or take away what keeps the database from being read."""
        if self.is_mounted:
            self.notice(trouble.message if trouble else "", trouble.hint if trouble else "")

    def _take_size(self) -> None:
        """Have the classes of the size before there are widgets: each would get its styles twice otherwise."""
        size = self.app.size
        ways = ((size.width, self.ui.HORIZONTAL_BREAKPOINTS), (size.height, self.ui.VERTICAL_BREAKPOINTS))
        self.add_class(
            *(name for room, steps in ways for name in self._get_breakpoint_classes(room, steps)), update=False
        )

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        """Show what changed while another place was shown."""
        event.refresh_styles = False  # classes and themes that change do so by themselves
        if not self.is_current:
            return  # made ahead, and not shown yet
        self.ui.kept.set("app.place", self.NAME)
        self.call_after_refresh(self._catch_up)  # the first time its widgets are still being made

    def _catch_up(self) -> None:
        if not self.is_mounted or not self.query(Header):
            return
        self.query_one(Header).take(self.state if self.ui.seen_store else None)
        self.query_one(TooSmall).tell(run_in_short(self.state))
        self.take_trouble(self.ui.trouble)
        if self._pending and self.ui.trouble is None and self.ui.seen_store:
            kinds, self._pending = frozenset(self._pending), set()
            self.look(kinds)

    def on_answered(self, message: Answered) -> None:
        """Give a result to whoever asked, unless a newer question made it void."""
        ticket = message.ticket
        if ticket.void:
            return
        self._tickets.pop(ticket.group, None)
        if message.error is not None:
            ticket.failed(message.error)
        else:
            ticket.then(message.result)
        self.ui.show_first()

    def _refused(self, error: Exception) -> None:
        hint = getattr(error, "hint", None)
        if hint is None:
            self.notice(f"unexpected {type(error).__name__}: {error}", "please report it")
        else:
            self.notice(str(error), hint)

    @on(Pressed)
    async def _press(self, message: Pressed) -> None:
        owner, _, name = message.action.rpartition(".")
        await self.run_action(f"app.{name}" if owner == "app" else f"screen.{name}")

    def on_resize(self, event: events.Resize) -> None:  # noqa: ARG002  Textual's
        """Draw the lines of the frame for the new width."""
        for widget in self.query("#header, #keys, #too-small"):
            widget.refresh()
