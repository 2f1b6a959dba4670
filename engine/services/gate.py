"""The gate: whether a version may serve is decided by paired intervals against the active one, and written down."""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from engine.comparison import Row
from engine.errors import DataTooSmall, GateRefused, SettingRefused
from engine.metrics import Metric, metric
from store.errors import DataRefused
from store.registry import ModelVersion

if TYPE_CHECKING:
    from engine.services import Services

_GUARD = re.compile(r"(?P<metric>.+):(?P<sign>[+-])(?P<percent>\d+(?:\.\d+)?)%")


@dataclass(frozen=True)
class Guard:
    """How much worse a metric may become.

    Attributes:
        metric: full name, such as `ndcg@10`.
        loss: greatest loss as a share of the active version's figure, 0 or more.
        text: as typed.
    """

    metric: str
    loss: float
    text: str


@dataclass(frozen=True)
class Gate:
    """What a version must show to be served.

    Attributes:
        better_by: full name of the metric by which it must be better, "" for none.
        guards: what it may lose by others.
    """

    better_by: str = ""
    guards: tuple[Guard, ...] = ()

    def __bool__(self) -> bool:
        """True where there is anything to show."""
        return bool(self.better_by or self.guards)


@dataclass(frozen=True)
class Check:
    """One condition of a gate: the figures of both versions, the difference with its interval, and what came of it."""

    condition: str
    metric: str
    first: float | None
    second: float | None
    difference: float | None
    low: float | None
    high: float | None
    passed: bool
    reason: str


@dataclass(frozen=True)
class Decision:
    """What a gate came to, as it is kept in the audit trail.

    Attributes:
        passed: every condition is met.
        reason: one sentence; where the gate refuses, of the first condition that is not met.
        against: name of the version that was active, None where none was.
        checks: one for each condition.
    """

    passed: bool
    reason: str
    against: str | None = None
    checks: tuple[Check, ...] = ()

    def plain(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


def read_gate(better_by: str, guards: Iterable[str]) -> Gate:
    """Read a gate as typed: a metric, and guards such as `coverage:-5%` and `rmse:+1%`.

    Raises:
        SettingRefused: an unknown metric, or a guard that is none.
    """
    found = _known(better_by) if better_by else None
    return Gate(found.key if found else "", tuple(_read_guard(text) for text in guards))


def _known(name: str) -> Metric:
    """Return a metric of which one value is better than another whatever they are."""
    found = metric(name)
    if found.better not in {"higher", "lower"}:
        raise SettingRefused(
            f"{found.key} is neither better when higher nor when lower: no gate can go by it",
            hint="take another metric",
        )
    return found


def _read_guard(text: str) -> Guard:
    parts = _GUARD.fullmatch(text.strip())
    if parts is None:
        name = text.partition(":")[0]
        raise SettingRefused(
            f"--guard {text} says not how much worse {name or 'what'} may become",
            hint="write METRIC:-5% where higher is better, METRIC:+1% where lower is: coverage:-5%, rmse:+1%",
        )
    found = _known(parts["metric"])
    worse = "-" if found.better == "higher" else "+"
    if parts["sign"] != worse:
        raise SettingRefused(
            f"--guard {text}: {found.key} is worse when it is {'lower' if worse == '-' else 'higher'}",
            hint=f"write --guard {found.key}:{worse}{parts['percent']}%",
        )
    return Guard(found.key, float(parts["percent"]) / 100, text.strip())


def decide(services: "Services", version: ModelVersion, active: ModelVersion | None, gate: Gate) -> Decision:
    """Compare a version with the active one by all conditions of a gate; nothing is changed or written down.

    A version is better where the whole 95 % interval of the paired difference lies on the better side: of versions that
    are equally good, one in forty passes. A guard holds where the whole interval stays within what may be lost. Of a
    metric of the whole catalogue, versions that were made before its influences were kept have no interval: there the
    figures themselves are taken.
    """
    if active is None:
        return Decision(True, "no version was active: there was nothing to compare with")
    if active.id == version.id:
        return Decision(False, f"{version.name} is active already: there is nothing to compare it with", active.name)
    names = list(dict.fromkeys(filter(None, (gate.better_by, *(guard.metric for guard in gate.guards)))))
    try:
        compared = services.comparison.compare([version.name, active.name], names)
    except (DataRefused, DataTooSmall) as error:
        return Decision(False, f"{version.name} cannot be compared with {active.name}: {error}", active.name)
    rows = {row.metric: row for row in compared.rows}
    checks = [_better(rows.get(gate.better_by), gate.better_by, version, active)] if gate.better_by else []
    checks += [_kept(rows.get(guard.metric), guard, version, active) for guard in gate.guards]
    failed = next((check for check in checks if not check.passed), None)
    return Decision(failed is None, (failed or checks[0]).reason, active.name, tuple(checks))


def _better(row: Row | None, name: str, version: ModelVersion, active: ModelVersion) -> Check:
    condition = f"better by {name}"
    if row is None or row.difference is None or row.low is None or row.high is None:
        return _unknown(condition, name, row, version, active)
    passed = min(row.sign * row.low, row.sign * row.high) > 0
    claim = "is better than" if passed else "is not shown to be better than"
    reason = f"{version.name} {claim} {active.name}: {name} {_against(row)}"
    return _check(condition, row, passed, reason)


def _kept(row: Row | None, guard: Guard, version: ModelVersion, active: ModelVersion) -> Check:
    condition = f"guard {guard.text}"
    if row is None or row.difference is None:
        return _unknown(condition, guard.metric, row, version, active)
    base = abs(row.values[active.name] or 0.0)
    ends = [row.difference if end is None else end for end in (row.low, row.high)]
    worst = min(row.sign * end for end in ends)  # below 0: a loss
    passed = worst >= -guard.loss * base - 1e-12
    room = f"may {'fall' if row.sign > 0 else 'rise'} by {100 * guard.loss:g}% at most"
    share = f", {100 * row.sign * worst / base:+.2f}% at worst" if base else ""
    reason = f"guard {guard.text}: {guard.metric} of {version.name} {room}: {_against(row)}{share}"
    return _check(condition, row, passed, reason)


def _against(row: Row) -> str:
    """Return both figures and the difference with its interval."""
    here, there = row.values[row.first], row.values[row.second]
    words = f"{here:.4f} against {there:.4f}, difference {row.difference:+.4f}"
    return words if row.low is None else f"{words} (95% {row.low:+.4f} to {row.high:+.4f}, {row.users:,} users)"


def _check(condition: str, row: Row, passed: bool, reason: str) -> Check:
    here, there = row.values[row.first], row.values[row.second]
    return Check(condition, row.metric, here, there, row.difference, row.low, row.high, passed, reason)


def _unknown(condition: str, name: str, row: Row | None, version: ModelVersion, active: ModelVersion) -> Check:
    """Return a condition that nothing can be said about, which is as good as not met."""
    lacking = [one.name for one in (version, active) if row is None or row.values.get(one.name) is None]
    who = " and ".join(lacking)
    reason = f"{who} {'has' if len(lacking) == 1 else 'have'} no {name}" if lacking else f"too few users have {name}"
    return Check(condition, name, None, None, None, None, None, passed=False, reason=f"{condition}: {reason}")


def activate(
    services: "Services", version: ModelVersion, *, who: str, why: str = "", gate: Gate | None = None
) -> tuple[ModelVersion, Decision | None]:
    """Serve a version, if the gate lets it pass; return it as it then stands, and the decision.

    Raises:
        GateRefused: it may not be served; the reason and the figures are in the audit trail, nothing else has changed.
        Damaged: its files are not what was written, or make no model.
        Busy: another version was activated in between; it stays.
    """
    registry = services.registry
    before = registry.active()
    services.manager.check(version)
    if not gate:
        return registry.activate(version.id, who=who, why=why, expect=before), None
    active = None if before is None else registry.get(before)
    decision = decide(services, version, active, gate)
    if not decision.passed:
        registry.refuse(version.id, who=who, why=decision.reason, figures=decision.plain())
        stays = "" if active is None or active.id == version.id else f"{active.name} stays active; "
        raise GateRefused(
            decision.reason, hint=f"{stays}`recsys-tui models lineage {version.name}` has the figures of the decision"
        )
    why = f"{why}: {decision.reason}" if why else decision.reason
    return registry.activate(version.id, who=who, why=why, figures=decision.plain(), expect=before), decision
