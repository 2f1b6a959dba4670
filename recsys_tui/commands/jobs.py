"""Commands on runs: jobs."""

import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recsys_tui import render
from recsys_tui.commands.options import Limit
from recsys_tui.commands.runs import POLL_SECONDS, ending, epochs_of, watch
from recsys_tui.commands.training import answer
from recsys_tui.facts import job_facts
from recsys_tui.progress import figures_of
from recsys_tui.render import Column
from recsys_tui.runs import event_line
from recsys_tui.session import Columns, Session, command, group

if TYPE_CHECKING:
    from engine.services import Services

Number = Annotated[int, typer.Argument(help="Number of the job.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    jobs = group(app, "jobs", "Training runs, whoever started them.")
    command(jobs, "list", lists=True)(list_jobs)
    command(jobs, "show")(show_job)
    command(jobs, "tail", lists=True)(tail)
    command(jobs, "attach")(attach)
    command(jobs, "cancel")(cancel)


def list_jobs(session: Session, *, limit: Limit = 20) -> None:
    """List the newest runs.

    \b
    recsys-tui jobs list
    """
    columns: Columns = [
        "job",
        "model",
        "state",
        "version",
        Column("started_at", "started (UTC)", show=render.minute),
        Column("seconds", "took", show=render.duration),
        Column("error", grows=True),
        Column("origin", spare=True),
    ]
    rows = [job_facts(job) for job in session.services.journal.recent(limit)]
    session.rows(rows, columns, empty="no runs yet: recsys-tui train mf")


def show_job(session: Session, number: Number) -> None:
    """Show one run: what was asked for, and how it ended.

    \b
    recsys-tui jobs show 3 --json
    """
    services = session.services
    job = services.journal.get(number)
    facts = job_facts(job) | {"request": job.request, "epochs": epochs_of(services, number)}
    session.document(facts, title=f"job {number}: {job.model}", shown=_job_for_people(facts))


def tail(
    session: Session,
    number: Number,
    *,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Wait for more until the run ends.")] = False,
) -> None:
    """Print the events of a run, one a line.

    \b
    recsys-tui jobs tail 3 -f
    recsys-tui jobs tail 3 -f --format ndjson
    """
    session.services.journal.get(number)  # before the beginning of a document is written
    events = _events(session.services, number, follow=follow)
    if session.format != "auto":
        session.rows(events, ["seq", "at", "kind", "text"])
        return
    for row in events:
        render.say(f"{row['at']}  {row['text']}", stream=sys.stdout)


def attach(session: Session, number: Number) -> None:
    """Follow a run to its end; Ctrl-C leaves it alone.

    \b
    recsys-tui jobs attach 3
    """
    try:
        watch(session, session.services, number)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"job {number} goes on; `recsys-tui jobs cancel {number}` stops it") from None
    answer(session, ending(session.services, number))


def cancel(session: Session, number: Number) -> None:
    """Stop a run after its epoch; `train --resume` goes on.

    \b
    recsys-tui jobs cancel 3
    """
    services = session.services
    services.journal.request_cancel(number)
    deadline = time.monotonic() + 30.0
    while not (job := services.journal.get(number)).ended and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    facts = job_facts(job)
    shown = {"model": job.model, "took": render.duration(facts["seconds"])}
    session.document(facts, title=f"job {number} is {job.state}", shown=shown)


def _job_for_people(facts: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {"state": facts["state"], "version": facts["version"] or "-", "origin": facts["origin"]}
    shown |= {"created": f"{render.minute(facts['created_at'])} UTC", "took": render.duration(facts["seconds"])}
    asked = {key: value for key, value in facts["request"].items() if value not in ("", None, {}, 0, False)}
    asked |= asked.pop("settings", {})
    shown["asked for"] = ", ".join(f"{key} {render.plainly(value)}" for key, value in asked.items() if key != "model")
    if facts["epochs"]:
        last = facts["epochs"][-1]
        shown["epochs"] = ", ".join([f"{last['number']} of {last['of']}", *figures_of(last)])
    return shown | {key: facts[key] for key in ("error", "hint") if facts[key]}


def _events(services: "Services", number: int, *, follow: bool) -> Iterator[dict[str, Any]]:
    """Yield the events of a run as rows, each with a line of `text` for people."""
    seen = 0
    while True:
        job = services.journal.get(number)
        for event in services.journal.events(number, seen):
            seen = event.seq
            row = {"seq": event.seq, "at": render.iso(event.at), "kind": event.kind} | event.data
            yield row | {"text": event_line(row)}
        if job.ended or not follow:
            return
        render.Terminal.of(sys.stdout).flush()
        time.sleep(POLL_SECONDS)
