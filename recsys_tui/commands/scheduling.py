"""Commands on the weekly training: schedule."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recsys_tui import render
from recsys_tui.commands.runs import follow
from recsys_tui.commands.watching import canary_facts
from recsys_tui.quantities import seconds
from recsys_tui.session import Session, command, group

if TYPE_CHECKING:
    from engine.services.scheduled import Looked, Trained
    from engine.services.timetable import Overview, Schedule


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    schedule = group(app, "schedule", "Training once a week by itself.")
    command(schedule, "show")(show)
    command(schedule, "set")(change)
    command(schedule, "run-due")(run_due)
    command(schedule, "install")(install)


def show(session: Session) -> None:
    """Show what is scheduled, when it is next, and what came of it.

    \b
    recsys-tui schedule show
    recsys-tui schedule show --json
    """
    from engine.services.timetable import overview

    _show(session, overview(session.services.database), "the schedule")


def change(
    session: Session,
    *,
    at: Annotated[str, typer.Option("--at", metavar="'sun 02:00'", help="Day of the week and time.")] = "",
    zone: Annotated[
        str | None, typer.Option("--zone", help="Its time zone, such as Europe/Berlin; local for the machine's.")
    ] = None,
    model: Annotated[
        str, typer.Option("--model", help="What to train: active for what serves, auto, or a model.")
    ] = "",
    better: Annotated[
        str | None, typer.Option("--if-better", metavar="METRIC", help="Serve it only if better; none takes it off.")
    ] = None,
    guards: Annotated[
        list[str] | None,
        typer.Option("--guard", metavar="METRIC:-1%", help="In place of the guards; repeat. none takes them off."),
    ] = None,
    time_limit: Annotated[str, typer.Option(help="Stop the training after this long: 90, 10m, 1h; none.")] = "",
    on: Annotated[bool | None, typer.Option("--on/--off", help="Whether anything is done.")] = None,
) -> None:
    """Change the schedule; what is not named stays.

    Without a gate by --if-better the new version serves unless a guard refuses it: newer ratings are a reason.

    \b
    recsys-tui schedule set --at 'sat 23:30' --zone Europe/Berlin
    recsys-tui schedule set --model auto --time-limit 1h --if-better ndcg@10 --guard coverage:-5%
    recsys-tui schedule set --off
    """
    from dataclasses import replace

    from engine.services.timetable import overview, read_time, read_zone, schedule_of, set_schedule

    database = session.services.database
    changed: dict[str, Any] = {}
    if at:
        changed |= dict(zip(("weekday", "hour", "minute"), read_time(at), strict=True))
    if zone is not None:
        changed["zone"] = read_zone(zone)
    if model:
        changed["model"] = _known_model(model)
    if time_limit:
        changed["time_limit"] = 0.0 if time_limit == "none" else seconds(time_limit, "--time-limit")
    if on is not None:
        changed["on"] = on
    changed |= _gate(better, guards)
    set_schedule(database, replace(schedule_of(database), **changed))
    _show(session, overview(database), "the schedule is set")


def _known_model(name: str) -> str:
    """Return a name that a schedule may give for a model.

    Raises:
        SettingRefused: no such model.
    """
    from engine.models import model_class
    from engine.services.request import AUTO
    from engine.services.scheduled import ACTIVE

    if name not in {ACTIVE, AUTO}:
        model_class(name)
    return name


def _gate(better: str | None, guards: list[str] | None) -> dict[str, Any]:
    """Return the parts of a gate that were named.

    Raises:
        SettingRefused: an unknown metric, or a guard that is none.
    """
    from engine.services.gate import read_gate

    better = "" if better == "none" else better
    guards = [] if guards == ["none"] else guards
    read_gate(better or "", guards or ())
    found: dict[str, Any] = {} if better is None else {"better_by": better}
    return found if guards is None else found | {"guards": tuple(guards)}


def run_due(
    session: Session, *, force: Annotated[bool, typer.Option("--force", help="Train now, due or not.")] = False
) -> None:
    """Do what is due: watch, train, gate, clear up.

    Call it every hour, `schedule install` sees to that; calling it again does nothing until the next time. Exit code 6
    where the gate refused the new version, 5 where the training failed, 75 where another run goes on.

    \b
    recsys-tui schedule run-due
    recsys-tui schedule run-due --force --json
    """
    from engine.errors import RunFailed
    from engine.services.lineage import whoami
    from engine.services.scheduled import Means
    from engine.services.scheduled import run_due as look

    services, settings = session.services, session.settings
    means = Means(
        lambda job: follow(session, services, job), settings.keep, settings.threads, int(settings.memory_gb * 2**30)
    )
    found = look(services, means, who=f"schedule ({whoami()})", force=force)
    for alert in found.alerts:
        session.say(f"{alert.kind}: {alert.text}")
    if found.trained is not None and found.trained.deleted:
        session.say(f"deleted, beyond the newest {settings.keep} of each model: {', '.join(found.trained.deleted)}")
    if found.trained is not None and found.trained.code:
        raise RunFailed(
            found.trained.reason,
            hint=found.trained.hint or f"`recsys-tui jobs show {found.trained.job}` has more",
            code=found.trained.code,
        )
    session.document(_looked(found), title="looked at the schedule", shown=_looked_for_people(found))


def install(
    session: Session,
    *,
    cron: Annotated[bool, typer.Option("--cron", help="Write the line into your crontab.")] = False,
    systemd: Annotated[bool, typer.Option("--systemd", help="Write a timer into your systemd, and start it.")] = False,
) -> None:
    """Have `schedule run-due` called every hour.

    Without a flag nothing is touched: what would be written is shown.

    \b
    recsys-tui schedule install
    recsys-tui schedule install --cron
    """
    import os

    from engine.services.timetable import schedule_of
    from recsys_tui.timers import Timer, unit_folder, write_cron, write_units
    from store.errors import UsageRefused

    if cron and systemd:
        raise UsageRefused("--cron and --systemd would call it twice", hint="take one of them")
    database = session.services.database
    timer, folder = Timer(database.path, schedule_of(database).minute), unit_folder(dict(os.environ))
    if cron or systemd:
        changed = write_cron(timer) if cron else write_units(timer, folder)
        way = "`crontab -e`, delete the line" if cron else f"`systemctl --user disable --now {timer.unit}.timer`"
        facts = {"installed": "cron" if cron else "systemd", "changed": changed, "undo": way}
        session.document(facts, title="installed" if changed else "it was installed already")
        return
    units = {str(folder / name): text for name, text in timer.units().items()}
    if session.as_json:
        session.document({"installed": None, "cron": timer.cron, "systemd": units})
        return
    out = render.Terminal.of(sys.stdout)
    session.say("nothing was touched; --cron adds this line to your crontab:")
    out.write(f"{render.safe(timer.cron)}\n")
    session.say(f"--systemd writes these files into {folder} and starts the timer:")
    for name, text in timer.units().items():
        out.write(f"\n# {name}\n" + "\n".join(map(render.safe, text.splitlines())) + "\n")


def _show(session: Session, found: "Overview", title: str) -> None:
    schedule = found.schedule
    facts = {
        "at": schedule.words,
        "on": schedule.on,
        "model": schedule.model,
        "if_better": schedule.better_by or None,
        "guards": list(schedule.guards),
        "time_limit": schedule.time_limit or None,
        "keep": session.settings.keep,
        "next_at": render.iso(found.next_at),
        "due": found.due,
        "looked_at": render.iso(found.looked_at),
        "last": _kept(found.last) if found.last else None,
        "alerts": list(found.alerts),
    }
    session.document(facts, title=title, shown=_for_people(found, session.settings.keep))


def _kept(last: dict[str, Any]) -> dict[str, Any]:
    """Return the record of a training with its times as programs read them."""
    return last | {name: render.iso(last[name]) for name in ("due_at", "started_at", "finished_at")}


def _for_people(found: "Overview", keep: int) -> dict[str, Any]:
    schedule, last = found.schedule, found.last
    gate = _gate_in_words(schedule)
    begins = "off" if found.next_at is None else f"{render.when(found.next_at)} UTC"
    shown: dict[str, Any] = {
        "every": schedule.words if schedule.on else f"{schedule.words}, but it is off",
        "trains": "what serves, on today's ratings" if schedule.model == "active" else schedule.model,
        "serves it": gate,
        "keeps": f"the newest {keep} of each model" if keep else "all versions",
        "next": f"now: it has been due since {render.when(found.next_at)} UTC" if found.due else begins,
        "looked at": "never: `recsys-tui schedule install` has it looked at every hour"
        if found.looked_at is None
        else f"{render.when(found.looked_at)} UTC",
    }
    if last:
        what = f"{last['version'] or 'no version'} {last['state']}" + (", active" if last["active"] else "")
        shown["last"] = f"{render.when(last['started_at'])} UTC: {what}"
        if last["reason"]:
            shown["because"] = last["reason"]
    for number, alert in enumerate(found.alerts, 1):
        shown[f"look {number}"] = alert
    return shown


def _gate_in_words(schedule: "Schedule") -> str:
    better = f"if it is better by {schedule.better_by}" if schedule.better_by else ""
    guards = f"unless a guard refuses it: {', '.join(schedule.guards)}" if schedule.guards else ""
    return ", ".join(filter(None, (better, guards))) or "always"


def _looked(found: "Looked") -> dict[str, Any]:
    return {
        "due": found.trained is not None,
        "trained": None if found.trained is None else _trained(found.trained),
        "canary": None if found.watched is None else canary_facts(found.watched.canary),
        "alerts": [{"kind": one.kind, "text": one.text, "new": one in found.fresh} for one in found.alerts],
        "next_at": render.iso(found.next_at),
    }


def _trained(trained: "Trained") -> dict[str, Any]:
    names = ("state", "job", "version", "active", "reason")
    return {name: getattr(trained, name) for name in names} | {"deleted": list(trained.deleted)}


def _looked_for_people(found: "Looked") -> dict[str, Any]:
    trained, watched = found.trained, found.watched
    shown: dict[str, Any] = {"training": "none was due"}
    if trained is not None:
        what = f"{trained.version} {trained.state}" + (", active" if trained.active else "")
        shown["training"] = what + (f": {trained.reason}" if trained.reason else "")
    if watched is not None:
        shown["canary"] = f"v{watched.canary.version}: {'; '.join(watched.breached) or 'it runs on'}"
    shown["to look at"] = "; ".join(alert.text for alert in found.alerts) or "nothing"
    return shown | {"next": f"{render.when(found.next_at)} UTC" if found.next_at is not None else "off"}
