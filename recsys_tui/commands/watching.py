"""The command that looks at what is being served: monitor."""

from typing import TYPE_CHECKING, Any

import typer

from recsys_tui import render
from recsys_tui.session import Session, command

if TYPE_CHECKING:
    from engine.services.canary import Watched
    from store.canaries import Canary


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    command(app, "monitor")(monitor)


def monitor(session: Session) -> None:
    """Look at what serves: the active version and a canary.

    The versions of a canary are compared on the ratings that came in since it began. Where one of its guards is
    breached it is ended, and everybody is served by the active version again: run it from cron.

    \\b
    recsys-tui monitor
    recsys-tui models activate v7 --canary 10% --guard rmse:+1%
    """
    from engine.services.lineage import whoami

    services = session.services
    active = services.registry.resolve("active")
    notes = list(services.manager.snapshot("active").notes)
    watched = services.canary.look(who=f"monitor ({whoami()})")
    facts: dict[str, Any] = {"active": active.name, "model_type": active.model_type, "notes": notes, "canary": None}
    shown: dict[str, Any] = {"active": f"{active.name} {active.model_type}"}
    if notes:
        shown["look"] = "; ".join(notes)
    if watched is None:
        session.document(facts, title="what serves", shown=shown | {"canary": "none"})
        return
    facts |= _watched_facts(watched)
    session.document(facts, title="what serves", shown=shown | _watched_for_people(watched))


def show_canary(session: Session, canary: "Canary") -> None:
    """Answer that a canary has begun."""
    facts = {"version": f"v{canary.version}", "active": f"v{canary.base}", "canary": canary_facts(canary)}
    shown = {
        "share": f"{100 * canary.share:g}% of the users",
        "the others": f"v{canary.base}",
        "guards": ", ".join(canary.guards) or "none: it ends by `models rollback` or `models activate` alone",
        "next": "recsys-tui monitor",
    }
    session.document(facts, title=f"v{canary.version} is tried", shown=shown)


def canary_facts(canary: "Canary") -> dict[str, Any]:
    """Return a canary as programs get it."""
    return {
        "version": f"v{canary.version}",
        "base": f"v{canary.base}",
        "share": canary.share,
        "guards": list(canary.guards),
        "began_at": render.iso(canary.began_at),
        "ended_at": render.iso(canary.ended_at),
        "outcome": canary.outcome or "running",
    }


def _watched_facts(watched: "Watched") -> dict[str, Any]:
    plain = watched.plain()
    found = {name: plain[name] for name in ("arms", "users", "rows")}
    return {"canary": canary_facts(watched.canary)} | found | {"breached": list(watched.breached)}


def _watched_for_people(watched: "Watched") -> dict[str, Any]:
    canary = watched.canary
    shown: dict[str, Any] = {
        "canary": f"v{canary.version}, {100 * canary.share:g}% of the users since {render.when(canary.began_at)} UTC",
        "guards": ", ".join(canary.guards) or "none",
    }
    for arm in watched.arms:
        rated = f"{arm.ratings:,} new ratings of {arm.users:,} users, mean {render.number(arm.mean_rating, 2)}"
        shown[f"served by {arm.version}"] = rated
    shown["compared on"] = f"{watched.users:,} users with new ratings"
    for row in watched.rows:
        figures = " against ".join(render.number(row.values[name]) for name in (row.first, row.second))
        bounds = "" if row.low is None else f" (95% {render.number(row.low)} to {render.number(row.high)})"
        shown[row.metric] = f"{figures}, difference {render.number(row.difference)}{bounds}"
    shown["outcome"] = "; ".join((*watched.breached, canary.outcome or "it runs on"))
    return shown
