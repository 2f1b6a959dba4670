"""What a schedule does when it is looked at: watch what serves, train when it is due, gate, and clear old versions."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from engine.services import alerts, retention, timetable
from engine.services.alerts import Alert
from engine.services.request import AUTO, TrainingRequest
from engine.services.timetable import Schedule
from engine.services.worker import submit
from store import canaries
from store import timetable as stored
from store.registry import ModelVersion

if TYPE_CHECKING:
    from engine.services import Services
    from engine.services.canary import Watched

ACTIVE = "active"
"""Stands in a schedule in place of a model: train what serves, anew."""

MOST_ATTEMPTS = 3
"""Trainings that may fail for one time of the schedule; then the next time is waited for."""


@dataclass(frozen=True)
class Trained:
    """What came of a scheduled training.

    Attributes:
        state: done | refused by the gate | unchanged, nothing to train on | failed | cancelled.
        job: its number, None where nothing was trained.
        version: that it made, or that is of the same ratings; None where there is none.
        active: that version serves.
        reason: why it does not, or why the training failed.
        code, hint: kind of error by which it ended, and what to do; empty where it did not.
        deleted: names of the versions that went, being beyond those that are kept.
    """

    state: str
    job: int | None = None
    version: str | None = None
    active: bool = False
    reason: str = ""
    code: str = ""
    hint: str = ""
    deleted: tuple[str, ...] = ()


@dataclass(frozen=True)
class Looked:
    """What one look at the schedule did.

    Attributes:
        trained: None where no training was due.
        watched: the canary, None where none runs.
        alerts: what stands now.
        fresh: those of them that did not stand at the last look.
        next_at: when the next training is to begin, in seconds since 1970; None while the schedule is off.
    """

    trained: Trained | None
    watched: "Watched | None"
    alerts: tuple[Alert, ...]
    fresh: tuple[Alert, ...]
    next_at: float | None


@dataclass(frozen=True)
class Means:
    """What a look may use.

    Attributes:
        follow: waits for a training by the number of its job.
        keep: versions of each model that stay; 0 keeps all.
        threads, memory_limit: of the training, as in a request.
    """

    follow: Callable[[int], None]
    keep: int
    threads: int = 0
    memory_limit: int = 0


def run_due(services: "Services", means: Means, *, who: str, force: bool = False) -> Looked:
    """Look at what serves, and train where that is due; looking again does nothing until the next time.

    Args:
        services: over the database.
        means: what the look may use.
        who: name of the operator, for the audit trail.
        force: train now, due or not, changed or not.

    Raises:
        Busy: another look, or another training, goes on; what is due stays due.
        DataTooSmall: `force` where there are fewer than 100 ratings.
    """
    database = services.database
    with stored.one_at_a_time(database):
        now, schedule, state = time.time(), timetable.schedule_of(database), stored.kept(database, stored.STATE)
        due = now if force else timetable.due_since(database, schedule, state, now)
        watched = services.canary.look(who=who)
        found = list(alerts.look(services))
        state["looked_at"] = now
        stored.keep(database, stored.STATE, state)
        trained = None
        if due is not None:
            services.training.check_enough()
            trained = _trained(services, _request(services, schedule, means), means, unless_changed=not force)
            trained = replace(trained, deleted=_cleared(services, means.keep, who))
            state |= _remembered(state, trained, due, now)
            if trained.state == "failed":
                text = f"the scheduled training failed: {trained.reason}"
                found.append(Alert("failure", text, {"job": trained.job}, services.registry.active() or 0))
        fresh = tuple(_recorded(services, found, state.get("alerts", []), who))
        stored.keep(database, stored.STATE, state | {"alerts": [f"{one.kind}: {one.text}" for one in found]})
        coming = timetable.overview(database).next_at
        return Looked(trained, watched, tuple(found), fresh, coming)


def _request(services: "Services", schedule: Schedule, means: Means) -> TrainingRequest:
    """Return what is to be trained: as the active version was, where the schedule says so and it can be done again.

    What the active version holds out is held out again, so that the two are compared on all of it. While a canary runs,
    the new version waits for its end.
    """
    number = services.registry.active()
    active = None if number is None else services.registry.get(number)
    asked = TrainingRequest(AUTO if schedule.model == ACTIVE else schedule.model)
    if schedule.model == ACTIVE and active is not None:
        asked = _again(active) or asked
    asked = replace(
        asked,
        beside="" if active is None else active.name,
        time_limit=schedule.time_limit,
        threads=means.threads,
        memory_limit=means.memory_limit,
    )
    if canaries.running(services.database) is not None:
        return asked
    return replace(asked, activate=True, better_by=schedule.better_by, guards=list(schedule.guards))


def _again(version: ModelVersion) -> TrainingRequest | None:
    """Return what makes such a version of today's ratings; None for one of members, which are to be trained too."""
    recorded = version.lineage.get("request")
    if not isinstance(recorded, dict) or version.members:
        return None
    return TrainingRequest.recorded(recorded, without=("activate", "better_by", "guards", "like"))


def _trained(services: "Services", request: TrainingRequest, means: Means, *, unless_changed: bool) -> Trained:
    """Train in a process of its own, wait for its end, and say what came of it."""
    same = services.training.unchanged_version(request) if unless_changed else None
    if same is not None:
        active = services.registry.resolve(same).active
        return Trained("unchanged", None, same, active, "no rating has changed since it was trained")
    job = submit(services, request, origin="cron")
    means.follow(job)
    ended = services.journal.get(job)
    version = f"v{ended.version}" if ended.version else None
    active = version is not None and services.registry.resolve(version).active
    reason, code, hint = ended.error or "", ended.code or "", ended.hint or ""
    if ended.state == "cancelled":
        return Trained("cancelled", job, version, active, "it was cancelled", "interrupted", hint)
    if code == "gate_refused":
        return Trained("refused", job, version, active, reason, code, hint)
    if ended.state != "done":
        return Trained("failed", job, version, active, reason, code or "training_failed", hint)
    waits = "" if active else "a canary runs: it waits for the end of that"
    return Trained("done", job, version, active, waits)


def _cleared(services: "Services", keep: int, who: str) -> tuple[str, ...]:
    """Delete the versions beyond those that are kept and return their names."""
    if not keep:
        return ()
    return tuple(version.name for version in retention.collect(services.registry, keep, who=who)[0])


def _remembered(state: dict[str, Any], trained: Trained, due: float, began: float) -> dict[str, Any]:
    """Return what is kept of a training; one that failed is tried again at the next looks, a few times."""
    attempts = 1 + (state.get("attempts", 0) if state.get("attempted_for") == due else 0)
    settled = trained.state != "failed" or attempts >= MOST_ATTEMPTS
    last = {
        "due_at": due,
        "started_at": began,
        "finished_at": time.time(),
        "state": trained.state,
        "job": trained.job,
        "version": trained.version,
        "active": trained.active,
        "reason": trained.reason,
        "deleted": list(trained.deleted),
    }
    done = {"done_for": due} if settled else {}
    return {"last": last, "attempts": attempts, "attempted_for": due} | done


def _recorded(services: "Services", found: list[Alert], before: list[str], who: str) -> Iterator[Alert]:
    """Write alerts of a kind that did not stand before into the audit trail of their version, and yield them."""
    known = {text.partition(":")[0] for text in before}
    for alert in found:
        if alert.kind not in known:
            if alert.version:
                services.registry.note(alert.version, who=who, action="alert", why=alert.text, figures=alert.figures)
            yield alert
