"""What is answered: lists of recommendations and predicted ratings."""

from dataclasses import dataclass
from typing import Any, NamedTuple


@dataclass(frozen=True)
class Prediction:
    """A predicted rating; bounds hold the true one with 80 % probability, None where they were never measured.

    `confidence` is the probability that the rating is at or above the user's own mean; `lower_95` and `upper_95` hold
    the rating with 95 % probability. `percentile` is the share of all items, in per cent, whose score is not above this
    one, where a model that only ranks is asked for one item.
    """

    prediction: float | None
    lower: float | None
    upper: float | None
    confidence: float | None
    rung: str
    version: str
    lower_95: float | None = None
    upper_95: float | None = None
    percentile: float | None = None


class Recommendation(NamedTuple):
    """One item of a list. `percentile` says where the score lies among all items: a score has no unit of its own."""

    rank: int
    item: str
    title: str | None
    year: int | None
    genres: tuple[str, ...]
    score: float
    percentile: float
    prediction: float | None
    lower: float | None
    upper: float | None
    confidence: float | None
    rung: str
    reasons: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class RecommendationList:
    """A user's list and what the operator must know about it."""

    user: str
    version: str
    rung: str
    items: tuple[Recommendation, ...]
    notes: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """Return the fields by name, and those of the items."""
        return vars(self) | {"items": [item._asdict() for item in self.items]}
