"""Which versions are kept: the newest of each model, and those that something rests on."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from store import canaries, names
from store.errors import Busy, UsageRefused
from store.journal import training_lock
from store.registry import ModelVersion, Registry

KEEP = 5
"""Versions of each model that are kept for comparison."""


@dataclass(frozen=True)
class Fate:
    """What becomes of a version, and why it is kept; `reason` is empty where it goes."""

    version: ModelVersion
    reason: str

    @property
    def kept(self) -> bool:
        """True where the version stays."""
        return bool(self.reason)


def plan(registry: Registry, keep: int = KEEP) -> list[Fate]:
    """Return the fate of every version, newest first; nothing is changed.

    Kept are the newest `keep` of each model, the active version, its predecessor, the versions of a running canary,
    those with a label, and the members of every ensemble that is kept.
    """
    versions = registry.versions()
    reasons = _reasons(registry, versions, keep)
    for version in versions:  # newest first, so that an ensemble comes before its members
        if version.id in reasons:
            for name in version.members:
                reasons.setdefault(int(name.removeprefix("v")), f"member of {version.name}")
    return [Fate(version, reasons.get(version.id, "")) for version in versions]


def _reasons(registry: Registry, versions: Sequence[ModelVersion], keep: int) -> dict[int, str]:
    """Return why versions are kept for their own sake, by number."""
    reasons: dict[int, str] = {}
    seen: Counter[str] = Counter()
    for version in versions:
        seen[version.model_type] += 1
        if seen[version.model_type] <= keep:
            reasons[version.id] = f"one of the newest {keep} of {version.model_type}"
        if version.label:
            reasons[version.id] = "labelled"
    canary = canaries.running(registry.database)
    if canary is not None:
        reasons |= {canary.version: "canary", canary.base: "serves beside the canary"}
    before, active = names.previous(registry.database), names.active(registry.database)
    if before is not None:
        reasons[before] = "what a rollback goes to"
    if active is not None:
        reasons[active] = "active"
    return reasons


def collect(registry: Registry, keep: int = KEEP, *, who: str) -> tuple[list[ModelVersion], list[str]]:
    """Delete the versions that are not kept; return them, and the leftovers of killed runs that went with them.

    A version that has become needed in the meantime stays. Leftovers stay while a training runs: they may be its own.
    """
    gone = []
    for fate in plan(registry, keep):
        if not fate.kept:
            with suppress(UsageRefused):
                registry.delete(
                    fate.version.id, who=who, why=f"not among the newest {keep} of {fate.version.model_type}"
                )
                gone.append(fate.version)
    leftovers: list[str] = []
    with suppress(Busy), training_lock(registry.folder):
        leftovers = registry.collect_orphans()
    return gone, leftovers
