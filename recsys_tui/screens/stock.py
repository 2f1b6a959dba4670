"""What the place Data reads: counts and distribution by the command `stats`, activity, imports and their rejects."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from recsys_tui import child, render

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.services import Services
    from recsys_tui.stream import Ticket
    from store.activity import Activity
    from store.imports import Import, Quarantined
    from store.registry import ModelVersion
    from store.undo import Undoing

_REJECTS = 1000
_MOST_BARS = 12
_DAYS_IN_MONTH = 365.2425 / 12


@dataclass(frozen=True)
class Stock:
    """What is stored, as `stats --json` tells it."""

    users: int
    items: int
    ratings: int
    density: float
    scale: tuple[float, float, float | None]
    first_at: str | None
    last_at: str | None
    distribution: dict[float, int]

    def bars(self, most: int = _MOST_BARS) -> dict[str, int]:
        """Return counts by rating, in equal parts of the scale where there are too many values for the lines."""
        if len(self.distribution) <= most:
            return {f"{value:g}": count for value, count in self.distribution.items()}
        low, high, _ = self.scale
        edges = [low + (high - low) * k / 10 for k in range(11)]
        counts = [0] * 10
        for value, count in self.distribution.items():
            counts[min(max(int(10 * (value - low) / (high - low)), 0), 9)] += count
        return {f"{edges[k]:g} to {edges[k + 1]:g}": counts[k] for k in range(10)}


class Quick(NamedTuple):
    """What is known at once: users and items in the catalogue, and the imports."""

    users: int
    items: int
    imports: "list[Import]"


def sample_folder() -> Path:
    """Return the folder of the sample data, which is installed with the program."""
    from importlib.resources import files

    return Path(str(files("sample_data")))


def quick(services: "Services") -> Quick:
    """Return what can be read at once."""
    from store import catalog, imports

    return Quick(*catalog.counts(services.database), imports.list_imports(services.database, limit=1000))


def stock(services: "Services", ticket: "Ticket") -> Stock:
    """Count everything, in a process of its own: seconds for 25 million ratings, and more memory than a UI may have."""
    told: Mapping[str, Any] = child.run_json(["stats"], services.database.path, stop=lambda: ticket.void)
    scale = told["scale"]
    return Stock(
        told["users"],
        told["items"],
        told["ratings"],
        told["density"],
        (scale["min"], scale["max"], scale["step"]),
        told["first_at"],
        told["last_at"],
        {row["rating"]: row["count"] for row in told["distribution"]},
    )


def when(services: "Services") -> "Activity":
    """Return ratings by day."""
    from store.activity import activity

    return activity(services.database)


def rejected(services: "Services", number: int) -> "list[Quarantined]":
    """Return the rows that an import kept aside, the first thousand."""
    from store.imports import quarantined

    return quarantined(services.database, number, limit=_REJECTS)


def foresee_undo(services: "Services", number: int) -> "Undoing":
    """Return what undoing an import would do."""
    from store.undo import foresee_undo as foresee

    return foresee(services.database, number)


def undo(services: "Services", number: int) -> "Undoing":
    """Undo an import."""
    from store.undo import undo_import

    return undo_import(services.database, number)


def health(services: "Services", ticket: "Ticket") -> "list[dict[str, Any]]":
    """Return the checks of `data health`, made in a process of its own: it looks at all ratings."""
    told = child.run_json(["data", "health"], services.database.path, stop=lambda: ticket.void)
    checks: list[dict[str, Any]] = told["checks"]
    return checks


def by_span(found: "Activity", cells: int) -> tuple[list[int], str]:
    """Return ratings in spans of equal length from the first day to the last, and what a span is in words.

    Args:
        found: ratings by day.
        cells: spans that there is room for; fewer days than cells are shown as days.
    """
    if not found.days:
        return [], ""
    first, last = min(found.days), max(found.days)
    days = last - first + 1
    n = max(min(days, cells), 1)
    counts = [0] * n
    for day, count in found.days.items():
        counts[(day - first) * n // days] += count
    per = days / n
    if per <= 1:
        return counts, "day"
    return counts, f"{per:.0f} days" if per < 2 * _DAYS_IN_MONTH else f"{per / _DAYS_IN_MONTH:.0f} months"


def freshness(found: Stock | None, imports: "Sequence[Import]", active: "ModelVersion | None") -> list[tuple[str, str]]:
    """Return how new data and model are, as names and values: what an operator asks before trusting a list."""
    rows = []
    if found is not None:
        rows.append(("first rating", render.minute(found.first_at)))
        rows.append(("last rating", render.minute(found.last_at)))
    done = [row for row in imports if row.state == "done"]
    if done:
        rows.append(("last import", render.when(done[0].finished_at)))
    if active is not None:
        rows.append((f"{active.name} trained", render.when(active.trained_at)))
        known = active.training_data.get("n_ratings")
        if found is not None and isinstance(known, int):
            rows.append(("learned from", render.count(known)))
    return rows
