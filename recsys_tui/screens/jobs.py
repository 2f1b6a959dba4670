"""Jobs: every run, whoever started it, how it ended and why."""

from typing import TYPE_CHECKING, Any

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.events import Resize
from textual.widgets import Static

from recsys_tui import render
from recsys_tui.actions import Action
from recsys_tui.facts import job_facts
from recsys_tui.render import Column
from recsys_tui.render.values import to_json
from recsys_tui.runs import event_line
from recsys_tui.screens.filtering import Filtering
from recsys_tui.screens.runs import MARKS, short_minute
from recsys_tui.screens.schedulewords import scheduled
from recsys_tui.screens.versionwords import facts_lines, heading, joined
from recsys_tui.widgets.columns import Field, has_words
from recsys_tui.widgets.frame import titled
from recsys_tui.widgets.row_table import RowTable
from recsys_tui.widgets.text import shown
from recsys_tui.widgets.virtual_table import VirtualTable

if TYPE_CHECKING:
    from engine.services import Services
    from store.journal import Event, Job

EMPTY = "no job yet: 1 Train starts one, and so does `recsys-tui train` in a shell or in cron"
COLUMNS = (
    Field("job", "job", width=4, align="right"),
    Field("model", "model", width=11),
    Field("shown_state", "state", width=11),
    Field("origin", "by", width=5, spare=True),
    Field("created_at", "started", width=11, show=short_minute),
    Field("seconds", "took", width=8, align="right", show=render.duration),
    Field("version", "made", width=4, show=lambda name: name or ""),
    Field("exit_code", "exit", width=4, align="right", spare=True, show=render.plainly),
    Field("error", "reason", width=8, grows=True, show=lambda text: text or ""),
)
_MOST = 500
_LINES = 30  # of the log that are shown; more would be laid out anew with each event while keys wait. Copying takes all


class Jobs(Filtering):
    """See every run of any origin, its state, how long it took, why it ended, and its log."""

    NAME = "jobs"
    HELP_TEXT = (
        "Every training, whether started here, by a command or by a schedule. A run whose process is gone without a "
        "word is lost: R goes on from its last checkpoint. enter follows a run on Train."
    )
    ASKED = "Words of model, state, origin or reason; empty shows all:"
    NOTHING = EMPTY
    ACTIONS = (
        Action("jobs.follow", "enter", "Follow", "Show its curves on Train.", "jobs attach {job}"),
        Action("jobs.stop", "x", "Stop", "Stop this run after its epoch.", "jobs cancel {job}", writes=True),
        Action("jobs.resume", "R", "Resume", "Go on from its checkpoint.", "train --resume {job}", writes=True),
        Action("jobs.filter", "slash", "Filter", "Show only runs with these words.", "jobs list"),
        Action("jobs.log", "l", "Log", "Show or hide the log.", "jobs tail {job}"),
    )
    CSS_PATH = "jobs.tcss"

    def __init__(self) -> None:
        super().__init__()
        self._jobs: tuple[Job, ...] = ()
        self._events: tuple[int, list[Event]] = (0, [])

    def body(self) -> ComposeResult:
        """Yield the runs, and the facts and the log of the one under the cursor."""
        with Vertical(id="jobs-pane", classes="pane"):
            yield RowTable(COLUMNS, empty=EMPTY, key="job", id="jobs")
            yield Static(id="schedule")
        with Vertical(id="job-pane", classes="pane"), VerticalScroll(id="job-scroll"):
            yield Static(id="job")

    def on_mount(self) -> None:
        """Stand in the list."""
        self.query_one("#job-pane").display = self.remembered("log", default=True)
        titled(self.query_one("#jobs-pane"), "jobs")
        self.take_up_words()

    # --- showing --------------------------------------------------------------------------------------------------

    def look(self, kinds: frozenset[str]) -> None:
        """Show the runs; those beyond the newest, which the polling has, are read here."""
        if "jobs" in kinds:
            if self.state.schedule is not None:
                self.query_one("#schedule", Static).update(scheduled(self.state.schedule))
            self.ask("jobs", lambda services: tuple(services.journal.recent(_MOST)), self._took)

    def _took(self, jobs: tuple["Job", ...]) -> None:
        self._jobs = jobs
        self.show_rows()

    def show_rows(self) -> None:
        """Show the runs that have all the words, the cursor staying on its own."""
        table = self.query_one(RowTable)
        at = table.current["job"] if table.current else None
        rows = self._rows()
        self.tell_count("#jobs-pane", "jobs", len(rows), len(self._jobs))
        table.renew(rows, cursor=next((k for k, row in enumerate(rows) if row["job"] == at), 0))

    def _rows(self) -> list[dict[str, Any]]:
        rows = [job_facts(job) | {"shown_state": MARKS.get(job.state, "") + job.state} for job in self._jobs]
        return [row for row in rows if has_words(row, self.words)]

    @on(VirtualTable.Highlighted, "#jobs")
    def describe(self) -> None:
        """Read the events of the run under the cursor."""
        job = self._job()
        if job is None:
            self._show(None, [])
            return
        number = job.id
        seen = self._events[1] if self._events[0] == number else []

        def work(services: "Services") -> tuple[int, list["Event"]]:
            return number, seen + services.journal.events(number, seen[-1].seq if seen else 0)

        self.ask("events", work, self._read)

    def _read(self, found: tuple[int, list["Event"]]) -> None:
        self._events = found
        self._show(self._job(), found[1])

    @on(Resize)
    def show_anew(self) -> None:
        """Wrap the facts for the new width, once the pane has it."""
        self.call_after_refresh(lambda: self._show(self._job(), self._events[1]))

    def _show(self, job: "Job | None", events: list["Event"]) -> None:
        titled(self.query_one("#job-pane"), f"job {job.id} {job.model}, {job.state}" if job else "no job")
        self.query_one("#job", Static).update(
            _described(job, events, self.query_one("#job").size.width) if job else shown(EMPTY, "$text-muted")
        )

    def _job(self) -> "Job | None":
        row = self.query_one(RowTable).current
        return next((job for job in self._jobs if row and job.id == row["job"]), None)

    # --- words ----------------------------------------------------------------------------------------------------

    def selected(self) -> dict[str, str]:
        """Return the run under the cursor."""
        job = self._job()
        words = {"listing": "jobs list"}
        return words | {"job": str(job.id), "show": f"jobs show {job.id}"} if job else words

    def copies(self) -> dict[str, str]:
        """Offer the run under the cursor, and its log."""
        job = self._job()
        if job is None:
            return {}
        facts = job_facts(job)
        return {
            "row": "\t".join(str(facts.get(column.key) or "") for column in COLUMNS),
            "JSON": to_json(facts | {"request": job.request}),
            "log": "\n".join(map(_line, self._events[1])),
        }

    def table(self) -> tuple[list[Column | str], list[dict[str, Any]]]:
        """Return the runs shown."""
        columns: list[Column | str] = [column for column in COLUMNS if column.key != "shown_state"]
        return [*columns, "state", "hint"], self._rows()

    # --- what is done ---------------------------------------------------------------------------------------------

    @on(VirtualTable.Chosen, "#jobs")
    async def action_follow(self) -> None:
        """Follow the run under the cursor on Train."""
        if job := self._job():
            await self.ui.follow(job.id)

    def action_stop(self) -> None:
        """Stop the run under the cursor, after a question."""
        if job := self._job():
            self.ui.stop_job(self, job)

    def action_resume(self) -> None:
        """Go on with the run under the cursor from its checkpoint."""
        if job := self._job():
            self.ui.resume_job(self, job)

    def action_log(self) -> None:
        """Show or hide facts and log."""
        pane = self.query_one("#job-pane")
        pane.display = not pane.display
        self.remember("log", pane.display)


def _described(job: "Job", events: list["Event"], width: int) -> Content:
    asked = {key: value for key, value in job.request.items() if value not in ("", None, {}, 0, False, [])}
    asked |= asked.pop("settings", {})
    process = f", process {job.pid}" if job.pid and not job.ended else ""
    facts = {
        "started": f"{render.when(job.started_at)} UTC by {job.origin}" + process,
        "ended": f"{render.when(job.finished_at)} UTC, exit {job.exit_code}" if job.ended else "not yet",
        "asked for": ", ".join(f"{key} {render.plainly(value)}" for key, value in asked.items() if key != "model")
        or "what is asked by default",
    }
    if job.error:
        facts["reason"] = job.error
    if job.hint:
        facts["what to do"] = job.hint
    newest = [shown(_line(event)) for event in reversed(events[-_LINES:])]
    earlier = f", the last {_LINES} of {len(events)}" if len(events) > _LINES else ""
    log = joined(newest) if newest else shown("nothing was logged", "$text-muted")
    return joined([facts_lines(facts, width), heading(f"log, newest first{earlier}"), log])


def _line(event: "Event") -> str:
    return f"{render.when(event.at)[11:]}  {event_line({'kind': event.kind} | event.data)}"
