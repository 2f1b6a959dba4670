"""The terminal UI: six places over one database, which other processes train into and activate in at the same time."""

import asyncio
import gc
import os
import signal
import threading
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual.binding import Binding
from textual.filter import LineFilter, NoColor

from recsys_tui.actions import EVERYWHERE, PLACES
from recsys_tui.screens import SCREENS
from recsys_tui.screens.around import Around
from recsys_tui.screens.base import Place
from recsys_tui.stream import Desk, StoreChanged, StoreState, StoreTrouble, Stream, refuse_migration
from recsys_tui.stylesheet import KeptStylesheet
from recsys_tui.ui_state import UiState
from recsys_tui.widgets.plain import PlainCharacters

if TYPE_CHECKING:
    from engine.services import Services

_CACHE_KIB = 1024  # a thread: what is on a screen is little, and there are several threads
_STILL_SECONDS = 0.15  # at most, until the first place is drawn: by then it has mostly something to show
_BEGUN_SECONDS = 2.0  # after the first place was asked for: what is there by then stays for good
_END_SECONDS = {signal.SIGTERM: 15.0, signal.SIGHUP: 3.0, signal.SIGINT: 15.0}
EXIT_BY_SIGNAL = {signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGINT: 130}


@dataclass(frozen=True)
class Options:
    """How the UI is started; see `recsys-tui tui --help`."""

    screen: str = ""
    read_only: bool = False
    slow: bool = False
    ascii: bool = False
    mouse: bool = True
    paused: bool = False
    theme: str = ""
    keys: dict[str, str] = field(default_factory=dict)
    notice: str = ""
    threads: int = 0
    memory_gb: float = 0.0


class RecsysApp(Around):
    """The six places, what they share, and the ends: quitting, signals, a database that goes away."""

    TITLE = "recsys-tui"
    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [(0, "-tiny"), (60, "-narrow"), (120, "-wide")]  # noqa: RUF012  Textual's
    VERTICAL_BREAKPOINTS = [(0, "-flat"), (16, "-low"), (34, "-high")]  # noqa: RUF012  Textual's
    BINDINGS: ClassVar[list[Any]] = [
        Binding(action.key, action.method, action.label, show=False, id=action.id, priority=action.key == "ctrl+c")
        for action in EVERYWHERE
    ]

    def __init__(self, database: Path, options: Options | None = None, *, kept: UiState | None = None) -> None:
        self._plain = PlainCharacters(enabled=False)
        super().__init__()
        for name in SCREENS:
            self.add_mode(name, partial(self.make_place, name))
        self.stylesheet = KeptStylesheet(variables=self.get_css_variables())
        self.options = options or Options()
        self.kept = kept or UiState()
        self.database_path = database
        self.places = [name for name in PLACES if name in SCREENS]
        self._begin_in(self.options.screen or self.kept.get("app.place", ""))
        self.keys = dict(self.options.keys)
        self.desk = Desk()
        self.state = StoreState()
        self.trouble: StoreTrouble | None = None
        self.seen_store = False
        self.paused = self.options.paused
        self.mouse_on = self.options.mouse
        self.animation_level = "none"
        self._services: Services | None = None
        self._opening = threading.Lock()
        self._stream = Stream(self.services, self.post_message, seconds=2.0 if self.slow else 0.5)
        self._plain.enabled = self.ascii = self.options.ascii
        self._still = False
        self.failure: Exception | None = None
        self.farewell = ""
        self.theme = self._first_theme()
        if self.keys:
            self.set_keymap(self.keys)

    # --- what places ask for --------------------------------------------------------------------------------------

    @property
    def read_only(self) -> bool:
        """True where nothing may be changed."""
        return self.options.read_only

    @property
    def slow(self) -> bool:
        """True on a thin link."""
        return self.options.slow

    @property
    def database_name(self) -> str:
        """The file as the header names it."""
        return self.database_path.name

    def services(self) -> "Services":
        """Return the services, opening them at first; for threads, since it may wait for a lock.

        Raises:
            StoreError: what keeps the database from being opened.
        """
        with self._opening:
            if self._services is None:
                from engine.services import Services

                if self.read_only:
                    refuse_migration(self.database_path)
                self._services = Services.open(self.database_path, cache_kib=_CACHE_KIB)
            return self._services

    def look_now(self) -> None:
        """Look at the database without waiting for the next turn."""
        self._stream.look_now()

    def forget_services(self) -> None:
        """Open the database again at the next question: it was made, or replaced."""
        self._services = None  # without the lock, which a thread may hold for as long as the database is locked
        self._stream.look_now(anew=True)

    def say_read_only(self) -> None:
        """Tell why an action does nothing."""
        self.toast("started with --read-only: nothing is changed", severity="warning")

    def _begin_in(self, place: str) -> None:
        """Make this the mode that is shown first, instead of an empty screen that Textual would show before it."""
        self._current_mode = place if place in self.places else self.places[0]
        self._screen_stacks = {self._current_mode: []}

    # --- beginning and end ----------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        """Begin to watch the database."""
        if not self.is_headless:
            loop = asyncio.get_running_loop()
            for number in EXIT_BY_SIGNAL:
                signal.signal(number, lambda got, _: self._end_by(signal.Signals(got), loop))
        self._stream.start()
        self._hold_still()
        self.set_timer(_BEGUN_SECONDS, self._begun)
        for notice in (self.options.notice, self.kept.notice):
            if notice:
                self.toast(notice, severity="warning", seconds=20)

    def _hold_still(self) -> None:
        """Draw nothing until there is something to show: drawing empty panes first would hold that up."""
        self._still = True
        self._begin_batch()
        self.set_timer(_STILL_SECONDS, self.show_first)

    def show_first(self) -> None:
        """Draw the first place, if it was not drawn yet."""
        if self._still:
            self._still = False
            self._end_batch()
            self.screen.refresh(layout=True)

    def _begun(self) -> None:
        """Make what comes next, and collect garbage, but not among what there is: that would hold up the keys."""
        if not self.is_headless:
            self.make_ahead()
        gc.freeze()
        gc.enable()

    def on_unmount(self) -> None:
        """Keep what was chosen for the next session."""
        self._stream.stop()
        self.kept.save()

    def _end_by(self, number: signal.Signals, loop: asyncio.AbstractEventLoop) -> None:
        """End by a signal: by way of the loop, which restores the terminal; without it where it hangs.

        It hangs where the terminal is gone: Textual's queue of what is to be written then fills up.
        """
        code = EXIT_BY_SIGNAL[number]
        loop.call_soon_threadsafe(lambda: self.exit(code, return_code=code))
        last = threading.Timer(_END_SECONDS[number], self._end_at_once, (code,))
        last.daemon = True
        last.start()

    def _end_at_once(self, code: int) -> None:
        self.kept.save()
        os._exit(code)

    def _first_theme(self) -> str:
        """Return the theme asked for, else the one of the last session; without colours the terminal's own."""
        wanted = self.options.theme or self.kept.get("app.theme", "")
        if os.environ.get("NO_COLOR") or (not wanted and self.console.color_system in {None, "standard"}):
            return "ansi-dark"
        return wanted if wanted in self.available_themes else "textual-dark"

    def get_line_filters(self) -> list[LineFilter]:
        """Return what changes a line before it is written: no colour under NO_COLOR, ASCII where it is asked for."""
        filters = list(super().get_line_filters())
        if os.environ.get("NO_COLOR"):
            filters = [NoColor()]
        return [*filters, self._plain] if self._plain.enabled else filters

    # --- what the database tells ----------------------------------------------------------------------------------

    def on_store_changed(self, message: StoreChanged) -> None:
        """Hand what changed to every place that was shown, and tell which job has ended."""
        if self.paused and self.seen_store:
            return
        before, self.state = self.state, message.state
        self.trouble, first = None, not self.seen_store
        self.seen_store = True
        for screen in self.places_made():
            screen.take_changes(message.kinds)
        if not any(screen.busy for screen in self.places_made()):  # while the app ends there is none
            self.show_first()
        if not first:
            self._tell_endings(before, message.state)

    def on_store_trouble(self, message: StoreTrouble) -> None:
        """Show what is wrong on every place."""
        self.trouble = message
        self._services = None
        for screen in self.places_made():
            screen.take_trouble(message)
        self.show_first()

    def places_made(self) -> list[Place]:
        """Return the places that were shown so far."""
        return [screen for stack in self._screen_stacks.values() for screen in stack if isinstance(screen, Place)]

    def _tell_endings(self, before: StoreState, now: StoreState) -> None:
        running = {job.id for job in before.jobs if not job.ended}
        for job in now.jobs:
            if job.ended and job.id in running:
                what = f"job {job.id} {job.model} is {job.state}"
                what += f": v{job.version}" if job.version else f": {job.error}" if job.error else ""
                self.toast(what, severity="information" if job.state == "done" else "warning")

    # --- actions of everywhere ------------------------------------------------------------------------------------

    def action_refresh(self) -> None:
        """Read everything shown again."""
        self._stream.look_now(anew=True)
        self.place().look_again()

    async def action_back(self) -> None:
        """Go back from a dialog; at the top ask, where a training goes on, and quit."""
        if len(self.screen_stack) > 1:
            self.pop_screen()
        else:
            self.action_quit_now()

    def action_clear(self) -> None:
        """Give all panes their places or show all rows again; quitting takes another key."""
        if self.screen.maximized is not None:
            self.screen.minimize()
        elif not self.place().clear():
            self.toast("q quits; a training goes on")

    def action_quit_now(self) -> None:
        """Leave; a training goes on, and the farewell says so."""
        if job := self.state.running:
            self.farewell = (
                f"job {job.id} ({job.model}) goes on; `recsys-tui` or `recsys-tui jobs attach {job.id}` shows it"
            )
        self.exit(0)

    def action_pause(self) -> None:
        """Hold the screen still, or go on with what happened meanwhile."""
        self.paused = not self.paused
        self.toast("paused: the screen holds still, the database does not" if self.paused else "live again")
        if not self.paused:
            self._stream.look_now(anew=True)

    def _handle_exception(self, error: Exception) -> None:
        """End with the terminal restored; the command line then tells the error in one line."""
        self.failure = error
        if self.is_headless or os.environ.get("RECSYS_DEBUG"):
            super()._handle_exception(error)
        else:
            self.exit(1, return_code=1)
