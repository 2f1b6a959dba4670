"""Train: a new run, the curves of those that go on, the runs there were."""

from typing import TYPE_CHECKING, Any

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.events import Resize
from textual.widgets import RichLog, Static

from recsys_tui import render
from recsys_tui.actions import Action
from recsys_tui.render import Column
from recsys_tui.render.values import to_json
from recsys_tui.runview import Curve, RunView, headline, resident
from recsys_tui.screens.filtering import Filtering
from recsys_tui.screens.runs import RUN_COLUMNS, run_row
from recsys_tui.widgets.charts import Curves
from recsys_tui.widgets.columns import has_words
from recsys_tui.widgets.frame import titled
from recsys_tui.widgets.row_table import RowTable
from recsys_tui.widgets.text import shown
from recsys_tui.widgets.virtual_table import VirtualTable

if TYPE_CHECKING:
    from engine.services import Services
    from store.journal import Event, Job

EMPTY = "No run yet: t trains a first model. Without ratings: 5 Data imports them, or `recsys-tui demo` brings some."


class Train(Filtering):
    """Start trainings and watch them, whoever started them. A run goes on when this program is left."""

    NAME = "train"
    HELP_TEXT = (
        "Start a training with t and watch its curves. Every run has a process of its own: it goes on when this "
        "program is left, and is found here again. The list holds the runs of commands and schedules too; enter "
        "follows one, space lays its curves over those of the one that is followed. Beside the loss stands what the "
        "model makes of some held-out ratings after an epoch: it is shown and decides nothing, and epochs are passed "
        "over so that measuring takes a twentieth of the time at most."
    )
    ASKED = "Words of model, state, origin or reason; empty shows all:"
    NOTHING = "no runs yet"
    ACTIONS = (
        Action("train.new", "t", "Train", "Start a new training.", "train {model}", writes=True),
        Action("train.follow", "enter", "Follow", "Show the curves and the log of this run.", "jobs attach {job}"),
        Action("train.stop", "x", "Stop", "Stop this run after its epoch.", "jobs cancel {job}", writes=True),
        Action("train.mark", "space", "Mark", "Lay the curves of this run over the others.", "jobs tail {job}"),
        Action("train.resume", "R", "Resume", "Go on from its checkpoint.", "train --resume {job}", writes=True),
        Action("train.log_axis", "L", "Log axis", "Draw the losses on a logarithmic axis.", "jobs tail {job}"),
        Action("train.log", "l", "Log", "Show or hide the log of the run.", "jobs tail {job} -f"),
        Action("train.filter", "slash", "Filter", "Show only runs with these words.", "jobs list", footer=False),
        Action("train.clear", "C", "Unmark", "Take all marks away.", "jobs list", footer=False),
    )
    CSS_PATH = "train.tcss"

    def __init__(self) -> None:
        super().__init__()
        self._views: dict[int, RunView] = {}
        self._followed: int | None = None
        self._cursor_to: int | None = None
        self._memory: int | None = None
        self._logged = (0, 0.0)

    def body(self) -> ComposeResult:
        """Yield the state of the run, its curves, the runs and the log."""
        yield Static(id="run")
        with Vertical(id="curves-pane", classes="pane"):
            yield Curves(id="curves")
        with Vertical(id="runs-pane", classes="pane"):
            yield RowTable(RUN_COLUMNS, empty=self.NOTHING, key="job", id="runs")
        with Vertical(id="log-pane", classes="pane"):
            yield RichLog(id="log", markup=False, max_lines=400, wrap=True, min_width=20)

    def on_mount(self) -> None:
        """Set up what is kept between sessions."""
        curves = self.query_one(Curves)
        curves.log_axis = self.remembered("log_axis", default=False)
        curves.sparse, curves.plain = self.ui.slow, self.ui.ascii
        self._show_log(shown=self.remembered("log", default=True))
        self.take_up_words()
        titled(self.query_one("#log-pane"), "log")
        titled(self.query_one("#runs-pane"), "runs")
        curves.show([], EMPTY)
        self._titles()

    # --- showing --------------------------------------------------------------------------------------------------

    def look(self, kinds: frozenset[str]) -> None:
        """Show the runs, and read what is new of those whose curves are shown."""
        if "jobs" not in kinds:
            return
        jobs = self.state.jobs
        if self._job(self._followed) is None:
            chosen = self.state.running or (jobs[0] if jobs else None)
            self._followed = chosen.id if chosen else None
        self.show_rows()
        self._read()

    def show_rows(self) -> None:
        """Show the runs that have all the words, the cursor staying on its own."""
        table = self.query_one("#runs", RowTable)
        rows = self._rows()
        if any(row["job"] == self._cursor_to for row in rows):
            at, self._cursor_to = self._cursor_to, None  # a run that was just started
        else:
            at = table.current["job"] if table.current else self._followed
        self.tell_count("#runs-pane", "runs", len(rows), len(self.state.jobs))
        table.renew(rows, cursor=next((k for k, row in enumerate(rows) if row["job"] == at), 0))

    def _rows(self) -> list[dict[str, Any]]:
        rows = [run_row(job, self.state, self._views.get(job.id)) for job in self.state.jobs]
        return [row for row in rows if has_words(row, self.words)]

    def _read(self) -> None:
        """Read the new events of the runs that are shown, in a thread."""
        wanted = {job: self._view(job).seen for job in self._drawn()}
        followed = self._job(self._followed)
        pid = followed.pid if followed and followed.state == "running" else None

        def work(services: "Services") -> tuple[dict[int, list["Event"]], int | None]:
            return {job: services.journal.events(job, seen) for job, seen in wanted.items()}, resident(pid)

        if wanted:
            self.ask("events", work, self._took)
        else:
            self._draw()

    def _took(self, found: tuple[dict[int, list["Event"]], int | None]) -> None:
        events, self._memory = found
        for job, new in events.items():
            view = self._view(job)
            view.take([event for event in new if event.seq > view.seen])
        if any(events.values()):
            self.show_rows()
        self._draw()

    def _draw(self) -> None:
        """Put what is known of the run into the widgets."""
        self._titles()
        job = self._job(self._followed)
        if job is None:
            self.query_one("#run", Static).update(shown("no run is followed", "$text-muted"))
            self.query_one(Curves).show([], EMPTY)
            return
        view = self._view(job.id)
        width = self.query_one("#run").size.width - 2
        line = headline(job, view, self._memory, width, ascii=self.ui.ascii)
        self.query_one("#run", Static).update(shown(line, "bold" if not job.ended else ""))
        empty = f"job {job.id} is {job.state}: it had no epoch" if job.ended else "its first epoch goes on …"
        self.query_one(Curves).show(self._curves(), empty)
        self._log(job.id, view)

    def _curves(self) -> list[Curve]:
        several = len(self._drawn()) > 1
        return [
            curve._replace(name=f"{number} {curve.name}") if several else curve
            for number in self._drawn()
            for curve in self._view(number).curves
        ]

    def _log(self, job: int, view: RunView) -> None:
        """Write the lines that are new; another run begins an empty log."""
        log = self.query_one(RichLog)
        shown_job, count = self._logged
        if shown_job != job:
            log.clear()
            count = 0
        new = [line for line in view.lines if line[0] > count]
        for at, text in new:
            line = f"{render.when(at)[11:]}  {text}"
            fits = len(line) <= log.scrollable_content_region.width
            log.write(render.safe(line if fits else line.replace("  ", " ")))
        self._logged = (job, new[-1][0] if new else count)

    @on(Resize)
    def log_anew(self) -> None:
        """Write the log for the new width: lines keep the width they were written for."""
        self.call_after_refresh(self._log_anew)

    def _log_anew(self) -> None:
        job = self._job(self._followed)
        if job is not None:
            self._logged = (0, 0.0)
            self._log(job.id, self._view(job.id))

    def _titles(self) -> None:
        pane, curves = self.query_one("#curves-pane"), self.query_one(Curves)
        names = ", ".join(" ".join(filter(None, (f"job {job}", self._view(job).model))) for job in self._drawn())
        titled(pane, f"loss by epoch, {names}" if names else "loss by epoch", "log axis" if curves.log_axis else "")

    def _drawn(self) -> list[int]:
        """Return the runs whose curves are shown: the one that is followed, and those that are marked."""
        marks = sorted(self.query_one("#runs", RowTable).marks - {self._followed})
        return [job for job in [self._followed, *marks] if job is not None and self._job(job) is not None]

    def _job(self, number: int | None) -> "Job | None":
        return next((job for job in self.state.jobs if job.id == number), None)

    def _view(self, job: int) -> RunView:
        return self._views.setdefault(job, RunView())

    # --- what is done ---------------------------------------------------------------------------------------------

    def selected(self) -> dict[str, str]:
        """Return the run under the cursor."""
        model = self.remembered("model", "mf")
        words = {"listing": "jobs list", "model": model}
        row = self.query_one("#runs", RowTable).current
        return words | ({"job": str(row["job"]), "show": f"jobs show {row['job']}"} if row else {})

    def copies(self) -> dict[str, str]:
        """Offer the run under the cursor, and its log."""
        row = self.query_one("#runs", RowTable).current
        if not row:
            return {}
        lines = [f"{render.when(at)}\t{text}" for at, text in self._view(row["job"]).lines]
        return {
            "row": "\t".join(str(row[column.key] or "") for column in RUN_COLUMNS),
            "JSON": to_json(dict(row)),
            "log": "\n".join(lines),
        }

    def table(self) -> tuple[list[Column | str], list[dict[str, Any]]]:
        """Return the runs."""
        return list(RUN_COLUMNS), self._rows()

    def action_new(self) -> None:
        """Open the form."""
        from recsys_tui.screens.train_form import TrainForm

        self.app.push_screen(TrainForm(self, self.remembered("model", "mf")), self._follow_new)

    def _follow_new(self, job: int | None) -> None:
        if job is not None:
            self._followed = self._cursor_to = job
            self.ui.tell_started(job)

    @on(VirtualTable.Chosen, "#runs")
    def choose(self, message: VirtualTable.Chosen) -> None:
        """Follow the run that was entered or clicked."""
        self.follow(message.row["job"])

    def action_follow(self) -> None:
        """Follow the run under the cursor."""
        if row := self.query_one("#runs", RowTable).current:
            self.follow(row["job"])

    def follow(self, job: int) -> None:
        """Show the curves and the log of this run from now on."""
        self._followed = job
        self._read()

    def action_mark(self) -> None:
        """Mark the run under the cursor, or take its mark away."""
        self.query_one("#runs", RowTable).toggle_mark()

    @on(VirtualTable.Marked, "#runs")
    def marked(self) -> None:
        """Draw the curves of what is marked now."""
        self._read()

    def action_clear(self) -> None:
        """Take all marks away."""
        table = self.query_one("#runs", RowTable)
        table.marks.clear()
        table.refresh()
        self._draw()

    def action_stop(self) -> None:
        """Stop the run under the cursor, after a question."""
        if job := self._under_cursor():
            self.ui.stop_job(self, job)

    def action_resume(self) -> None:
        """Go on with the run under the cursor from its checkpoint."""
        if job := self._under_cursor():
            self.ui.resume_job(self, job, self._follow_new)

    def _under_cursor(self) -> "Job | None":
        row = self.query_one("#runs", RowTable).current
        return self._job(row["job"]) if row else None

    def action_log_axis(self) -> None:
        """Draw the losses on the other axis."""
        curves = self.query_one(Curves)
        curves.log_axis = not curves.log_axis
        self.remember("log_axis", curves.log_axis)
        curves.refresh()
        self._titles()

    def action_log(self) -> None:
        """Show or hide the log."""
        self._show_log(shown=not self.query_one("#log-pane").display)
        self.remember("log", self.query_one("#log-pane").display)

    def _show_log(self, *, shown: bool) -> None:
        self.query_one("#log-pane").display = shown
        self.set_class(not shown, "-nolog")
