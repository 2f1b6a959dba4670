"""What a version is: its row, its figures, its files, and the audit trail of which one was served."""

import json
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from store.artifacts import FileFacts

COLUMNS = (
    "id, model_type, state, trained_at, job, parent, label, hyperparameters, training_data, protocol, lineage, files"
)


class MetricRow(NamedTuple):
    """A figure of a version with its 95 % interval and the number of users it was measured on."""

    value: float | None
    low: float | None = None
    high: float | None = None
    users: int | None = None


@dataclass(frozen=True)
class NewVersion:
    """What is registered besides the files: see the columns of table `versions`."""

    model_type: str
    hyperparameters: dict[str, Any]
    training_data: dict[str, Any]
    protocol: dict[str, Any]
    lineage: dict[str, Any]
    metrics: dict[str, MetricRow] = field(default_factory=dict)
    job: int | None = None
    parent: int | None = None


@dataclass(frozen=True)
class ModelVersion:
    """A version as registered; `name` is how people call it."""

    id: int
    model_type: str
    state: str
    trained_at: float
    job: int | None
    parent: int | None
    label: str
    hyperparameters: dict[str, Any]
    training_data: dict[str, Any]
    protocol: dict[str, Any]
    lineage: dict[str, Any]
    files: dict[str, FileFacts]
    metrics: dict[str, MetricRow]

    @property
    def name(self) -> str:
        """The version's name, `v7`."""
        return f"v{self.id}"

    @property
    def active(self) -> bool:
        """True for the version being served."""
        return self.state == "active"

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(facts.bytes for facts in self.files.values())


class Activation(NamedTuple):
    """One line of the audit trail."""

    version: int
    previous: int | None
    at: float
    who: str
    action: str
    why: str


def version_of(row: tuple[Any, ...], metrics: dict[str, MetricRow]) -> ModelVersion:
    """Return a version from its row, in the order of `COLUMNS`, and its figures."""
    values = dict(zip(COLUMNS.split(", "), row, strict=True))
    for name in ("hyperparameters", "training_data", "protocol", "lineage", "files"):
        values[name] = json.loads(values[name])
    values["files"] = {name: FileFacts(**facts) for name, facts in values["files"].items()}
    return ModelVersion(**values, metrics=metrics)
