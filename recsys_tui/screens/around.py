"""The actions of everywhere: palette, help, copying, exporting, mouse, themes, pictures of the screen."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.screen import Screen
from textual.widget import Widget

from recsys_tui import clipboard, render
from recsys_tui.actions import EVERYWHERE, Action, spelled
from recsys_tui.screens import screen_class
from recsys_tui.screens.base import Place
from recsys_tui.screens.going import Going
from recsys_tui.ui_state import state_file

if TYPE_CHECKING:
    from recsys_tui.app import Options
    from recsys_tui.ui_state import UiState
    from store.journal import Job

WELCOME = "Everything here has a command that does the same: the palette (:) shows it, y copies it."


class Around(Going):
    """What the app does on any place."""

    options: "Options"
    kept: "UiState"
    keys: dict[str, str]

    def place(self) -> Place:
        """Return the place that is shown, under any dialog."""
        return next(screen for screen in self.screen_stack if isinstance(screen, Place))

    def toast(self, message: str, *, severity: str = "information", seconds: float = 5) -> None:
        """Tell what was done, for a few seconds."""
        level: Any = severity
        self.notify(render.safe(message), severity=level, markup=False, timeout=seconds)

    # --- words ----------------------------------------------------------------------------------------------------

    def selected(self) -> dict[str, str]:
        """Return what is selected on the place that is shown, with what command lines of everywhere need."""
        place = self.place()
        words = {"place": place.NAME, "theme": self.theme, "show": "--help", "listing": "--help"}
        return words | dict(place.selected())

    def command_of(self, action: Action) -> str:
        """Return the command line that does what an action would do now."""
        words = self.selected()
        command = action.command
        for name in ("show", "listing"):  # these are commands themselves, quoted already where they need to be
            command = command.replace(f"{{{name}}}", words[name])
        return Action(action.id, "", "", "", command).command_line(words) if "{" in command else f"recsys-tui {command}"

    def actions(self) -> list[tuple[str, Action]]:
        """Return every action with its place: of the one shown first, then of everywhere, then of the others."""
        here = self.place()
        found = [(here.NAME, action) for action in here.ACTIONS]
        found += [("", action) for action in EVERYWHERE]
        for name in self.places:
            if name != here.NAME:
                found += [(name, action) for action in screen_class(name).ACTIONS]
        return found

    def action_palette(self) -> None:
        """Choose an action by name."""
        if self._dialog_open():
            return
        from recsys_tui.screens.choose import Choice, Choose
        from recsys_tui.screens.commands import command_choices

        here = self.place().NAME
        choices = []
        for name, action in self.actions():
            title = f"{name.title()}: {action.label}" if name else action.label
            key = self.keys.get(action.id, action.key).split(",")[0]
            mark = spelled(key) if name in {"", here} else ""
            command = self.command_of(action) if name in {"", here} else action.command_line({})
            choices.append(Choice(title, action, mark, command, action.sentence))
        choices += command_choices({choice.more.split(" ")[1] for choice in choices})
        self.push_screen(self.dialog(Choose, "commands").fill("commands", choices), self._run_chosen)

    async def _run_chosen(self, chosen: Any) -> None:
        if isinstance(chosen, str):
            from recsys_tui.screens.commands import RunCommand

            self.push_screen(RunCommand(chosen))
        elif chosen is not None:
            owner = chosen.id.partition(".")[0]
            if owner == "app":
                await self.run_action(f"app.{chosen.method}")
                return
            if owner != self.place().NAME:
                await self.switch_mode(owner)
            await self.run_action(f"screen.{chosen.method}")

    def action_help(self) -> None:
        """Show what can be done on this place."""
        if self._dialog_open():
            return
        from recsys_tui.screens.help import Help

        place = self.place()
        about = " ".join(part for part in (place.HELP_TEXT or (type(place).__doc__ or ""), WELCOME) if part)
        groups = [(f"On {place.NAME.title()}", place.ACTIONS), ("Everywhere", EVERYWHERE)]
        self.push_screen(self.dialog(Help, "help").fill(f"help: {place.NAME.title()}", about, groups, self.keys))

    # --- runs, on Train and on Jobs -------------------------------------------------------------------------------

    def look_now(self) -> None:
        """Look at the database without waiting for the next turn."""
        raise NotImplementedError

    def tell_started(self, job: int) -> None:
        """Tell that a run was started, and that it needs nobody to watch it."""
        self.toast(f"job {job} runs in a process of its own: it goes on when you leave")
        self.look_now()

    async def follow(self, job: int) -> None:
        """Show the curves of a run on Train."""
        from recsys_tui.screens.train import Train

        await self.switch_mode("train")
        if isinstance(self.screen, Train):
            self.screen.follow(job)

    def stop_job(self, place: Place, job: "Job") -> None:
        """Stop a run, after a question."""
        if job.ended:
            self.toast(f"job {job.id} is {job.state}: there is nothing to stop", severity="warning")
            return

        def stopping(now: "Job") -> None:
            self.toast(f"job {now.id} is {now.state}" if now.ended else f"job {now.id} stops after this epoch")
            self.look_now()

        place.confirm(
            f"Stop job {job.id} ({job.model})?",
            lambda: place.ask("cancel", lambda services: services.journal.request_cancel(job.id), stopping),
            detail="It stops after the epoch it is in and keeps a checkpoint: R goes on from there.",
        )

    def resume_job(self, place: Place, job: "Job", then: Callable[[int], None] | None = None) -> None:
        """Go on with a run from its checkpoint, as a new job, whose number `then` takes."""

        def work(services: Any) -> int:
            from engine.services.request import TrainingRequest
            from recsys_tui.runs import submit_run

            return submit_run(services, TrainingRequest(""), job.id, origin="tui")

        def failed(error: Exception) -> None:
            self.toast(f"{error}; {getattr(error, 'hint', '')}", severity="error")

        place.ask("submit", work, then or self.tell_started, failed)

    # --- taking things out ----------------------------------------------------------------------------------------

    def action_copy(self) -> None:
        """Choose what is copied of what is selected."""
        if self._dialog_open():
            return
        from recsys_tui.screens.choose import Choice, Choose

        place = self.place()
        offers = [
            Choice(name, text, sentence=render.safe(text[:200]).replace("\\t", "  "))
            for name, text in place.copies().items()
        ]
        if show := place.selected().get("show"):
            offers.append(Choice("command", f"recsys-tui {show}", "", f"recsys-tui {show}"))
        if not offers:
            self.toast("nothing is selected that could be copied", severity="warning")
            return
        self.push_screen(
            Choose().fill("copy", offers, filtered=False),
            lambda text: self.copy_out(text) if text is not None else None,
        )

    def copy_out(self, text: str) -> None:
        """Copy a text and tell by which route."""
        driver = self._driver
        file = state_file(os.environ).with_name("clipboard.txt")

        def write(sequence: str) -> None:
            if driver is not None:
                driver.write(sequence)

        place = self.place()
        place.ask("copy", lambda _: clipboard.copy(text, write, file, os.environ), self.toast, offline=True)

    def action_copy_text(self, text: str) -> None:
        """Copy this text."""
        self.copy_out(text)

    def action_export(self) -> None:
        """Write the table of the place to a file."""
        if self._dialog_open():
            return
        place = self.place()
        table = place.table()
        if table is None:
            self.toast("there is no table here to export", severity="warning")
            return
        from recsys_tui.screens.export import Export

        columns, rows = table
        keys = [column if isinstance(column, str) else column.key for column in columns]
        self.push_screen(Export(place.NAME, keys, list(rows)))

    def action_screenshot(self, filename: str | None = None, path: str | None = None) -> None:
        """Save the screen as SVG and as text in the working folder."""
        from time import strftime

        stem = filename or f"recsys-{self.place().NAME}-{strftime('%Y%m%d-%H%M%S')}"
        out = Path(path or Path.cwd()) / f"{stem}.svg"
        svg, text = self.export_screenshot(), screen_text(self.screen)

        def write(_: object) -> str:
            out.write_text(svg, encoding="utf-8")
            out.with_suffix(".txt").write_text(text, encoding="utf-8")
            return f"saved {out.name} and {stem}.txt in {out.parent}"

        def failed(error: Exception) -> None:
            self.toast(f"the picture was not saved: {error}", severity="error")

        self.place().ask("screenshot", write, self.toast, failed, offline=True)

    # --- how it looks ---------------------------------------------------------------------------------------------

    def action_zoom(self) -> None:
        """Give the pane with the focus the whole screen, or all panes their places again."""
        if self.screen.maximized is not None:
            self.screen.minimize()
        elif self.focused is not None:
            around = (node for node in self.focused.ancestors_with_self if isinstance(node, Widget))
            panes = [node for node in around if node.has_class("pane")]
            if panes:
                panes[0].ALLOW_MAXIMIZE = True  # type: ignore[misc]
                self.screen.maximize(panes[0], container=False)

    def action_theme(self) -> None:
        """Choose the colours."""
        if self._dialog_open():
            return
        from recsys_tui.screens.choose import Choice, Choose

        themes = [Choice(name, name, ">" if name == self.theme else "") for name in sorted(self.available_themes)]
        self.push_screen(Choose().fill("theme", themes), self._take_theme)

    def _take_theme(self, name: str | None) -> None:
        if name:
            self.theme = name
            self.kept.set("app.theme", name)

    def action_mouse(self) -> None:
        """Give the mouse to the terminal, or take it back."""
        driver: Any = self._driver
        self.mouse_on = not self.mouse_on
        for name in ("_enable_mouse_support",) if self.mouse_on else ("_disable_mouse_support",):
            if driver is not None and hasattr(driver, name):  # only drivers of real terminals have it
                driver._mouse = True  # noqa: SLF001  it would else refuse to send the sequences
                getattr(driver, name)()
        self.toast("the mouse works here" if self.mouse_on else "the mouse is the terminal's: drag selects text")

    mouse_on = True

    def _dialog_open(self) -> bool:
        """Tell whether a dialog is open: letters are its own then."""
        return not isinstance(self.screen, Place)


def screen_text(screen: Screen[Any]) -> str:
    """Return what a screen shows as lines of text."""
    strips = screen._compositor.render_strips()  # noqa: SLF001  Textual has no public way to text
    return "\n".join(strip.text.rstrip() for strip in strips) + "\n"
