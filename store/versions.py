"""What a version is: its row, its figures, its files."""

import json
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from store.artifacts import FileFacts

COLUMNS = (
    "id, model_type, state, trained_at, job, parent, label, hyperparameters, training_data, protocol, lineage, files, "
    "members"
)


class MetricRow(NamedTuple):
    """A figure of a version with its 95 % interval and the number of users it was measured on."""

    value: float | None
    low: float | None = None
    high: float | None = None
    users: int | None = None


@dataclass(frozen=True)
class NewVersion:
    """What is registered besides the files: see the columns of table `versions`.

    Attributes:
        parent: number of the version that it follows.
        members: of an ensemble, name -> sha256 of its model.safetensors; a member cannot be deleted before it.
        who, why, action: for the audit trail.
    """

    model_type: str
    hyperparameters: dict[str, Any]
    training_data: dict[str, Any]
    protocol: dict[str, Any]
    lineage: dict[str, Any]
    metrics: dict[str, MetricRow] = field(default_factory=dict)
    job: int | None = None
    parent: int | None = None
    members: dict[str, str] = field(default_factory=dict)
    who: str = ""
    why: str = ""
    action: str = "register"


@dataclass(frozen=True)
class ModelVersion:
    """A version as registered; `name` is how people call it.

    The number 0 is of what is made on the spot where no version can be read; it is called by its model.
    """

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
    members: dict[str, str]
    metrics: dict[str, MetricRow]

    @property
    def name(self) -> str:
        """The version's name, `v7`."""
        return f"v{self.id}" if self.id else self.model_type

    @property
    def active(self) -> bool:
        """True for the version being served."""
        return self.state == "active"

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(facts.bytes for facts in self.files.values())


def version_of(row: tuple[Any, ...], metrics: dict[str, MetricRow]) -> ModelVersion:
    """Return a version from its row, in the order of `COLUMNS`, and its figures."""
    values = dict(zip(COLUMNS.split(", "), row, strict=True))
    for name in ("hyperparameters", "training_data", "protocol", "lineage", "files", "members"):
        values[name] = json.loads(values[name])
    values["files"] = {name: FileFacts(**facts) for name, facts in values["files"].items()}
    return ModelVersion(**values, metrics=metrics)
