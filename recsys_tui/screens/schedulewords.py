"""The weekly training in words: when it is next, and what came of the last one."""

from typing import TYPE_CHECKING

from textual.content import Content

from recsys_tui import render
from recsys_tui.widgets.text import shown

if TYPE_CHECKING:
    from engine.services.timetable import Overview

NOBODY_CALLS = "nothing calls it yet: `recsys-tui schedule install` says how"


def scheduled(found: "Overview") -> Content:
    """Return the line under the list of runs: the next training that is scheduled, or why there is none."""
    plan = found.schedule
    if found.next_at is None:
        return shown("next scheduled none: the schedule is off", "$text-muted")
    when = "due now" if found.due else f"{render.when(found.next_at)} UTC"
    gate = " ".join([*([f"better {plan.better_by}"] if plan.better_by else []), *plan.guards])
    what = f"  {plan.model}" + (f", gate {gate}" if gate else ", served at once")
    line = shown(f"next scheduled {when}", "bold" if found.due else "").append(shown(what))
    if found.looked_at is None:
        return line.append("\n").append(shown(NOBODY_CALLS, "$text-muted"))
    if last := found.last:
        made = f" {last['version']}" if last.get("version") else ""
        why = f": {last['reason']}" if last.get("reason") else ""
        return line.append("\n").append(shown(f"the last one is {last.get('state')}{made}{why}", "$text-muted"))
    return line
