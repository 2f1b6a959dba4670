"""What is asked of a training run, and what it says while it goes."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

AUTO = "auto"
"""Stands in a request in place of a model: what suits the data is trained, and the best is taken."""

LEAST_RATINGS = 100
"""Fewer are not trained on."""


@dataclass(frozen=True)
class TrainingRequest:
    """Everything that decides a run; it is stored with the job, so that the run can be resumed and repeated.

    Attributes:
        model: a name of the table of models, or `AUTO`.
        settings: hyper-parameters as given.
        split, test, seed: which rows are held out; `test` 0 holds out none.
        full: after measuring, fit once more on all rows with the same settings.
        activate: make the version the one being served.
        better_by: activate only where this metric is better than the active version's.
        guards: and where these lose no more than they say, such as `coverage:-5%`.
        like: the version that is made again, "" for none.
        beside: a version whose held-out rows are held out here too, so that the two can be compared on all of them; ""
            for none.
        time_limit: seconds for the run, 0 for none; between its fits, where there are two, they are shared by rows.
        once_apart: what is done once, such as compiling and choosing a setting, does not count towards `time_limit`.
        threads: 0 for all that the process may use.
        memory_limit: bytes, 0 for what is available.
    """

    model: str
    settings: dict[str, Any] = field(default_factory=dict)
    split: str = "random"
    test: float = 0.2
    seed: int = 42
    full: bool = False
    activate: bool = False
    better_by: str = ""
    time_limit: float = 0.0
    threads: int = 0
    memory_limit: int = 0
    guards: list[str] = field(default_factory=list)
    like: str = ""
    beside: str = ""
    once_apart: bool = False

    @classmethod
    def recorded(cls, told: Mapping[str, Any], *, without: tuple[str, ...] = ()) -> Self:
        """Return a request as it was recorded, by this program or an earlier one, less what is not asked for again."""
        kept = {one.name for one in fields(cls)}.difference(without)
        return cls(**{name: value for name, value in told.items() if name in kept})


@dataclass(frozen=True)
class Progress:
    """One event of a run, and its data: kind "stage", "epoch", "note" or "version"; of `auto` "candidate", "choice"."""

    kind: str
    data: dict[str, Any]
