"""How `auto` spends its time: a share for each candidate, enough kept for the ensemble, which trains each once more."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Self

from store.registry import ModelVersion

_ROOM = 0.85  # of the time that is left: forecasts are forecasts
_ONCE = 1.2  # an ensemble's member takes a little longer than the candidate did: it is weighed as well
_USEFUL = 1.0  # seconds that a fit gets where they are there: compiled code is loaded in them too
_SCORED = 0.5  # of the time beside the fit is for scores, which the ensemble needs of every member; it reads once


@dataclass(frozen=True)
class Spent:
    """What a candidate took.

    Attributes:
        version: what it became, None where it failed.
        fitting: seconds of one fit.
        beside: seconds of the rest: reading, measuring, saving.
    """

    version: ModelVersion | None
    fitting: float
    beside: float

    @classmethod
    def of(cls, version: ModelVersion | None, took: float, fitting: float, compiling: float, fits: int) -> Self:
        """Return what a candidate took of `took` seconds, in which it was fitted `fits` times in `fitting` seconds.

        What went into compiling counts for nothing: no other fit, and no part of the ensemble, waits for that again.
        """
        return cls(version, max(fitting - compiling, 0.0) / fits, max(took - fitting, 0.0))


@dataclass
class Plan:
    """The time of one run of `auto`.

    Attributes:
        limit: seconds for everything, 0 for no limit.
        fits: how often a candidate is fitted: twice where the last fit is on all rows.
        clock: seconds that go on, however the clock of the machine is set.
    """

    limit: float
    fits: int
    clock: Callable[[], float] = time.monotonic
    spent: list[Spent] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin now."""
        self._began = self.clock()
        self._slowness = 1.0

    def left(self) -> float:
        """Return the seconds that are left of the limit."""
        return self.limit - (self.clock() - self._began)

    def share(self, to_come: int, forecast: float) -> tuple[float, str]:
        """Return the seconds that the next candidate may fit for, 0 for no limit, and else why it is left out.

        Args:
            to_come: how many candidates there are from this one on.
            forecast: seconds of the shortest fit of it, on a machine like the one that they were measured on.
        """
        if not self.limit:
            return 0.0, ""
        least = forecast * self._slowness
        free = (self.left() - self._ensemble(self.spent)) * _ROOM
        needed = (1 + _SCORED) * self._beside()
        alone = (free - needed) / (self.fits + _ONCE)
        if alone < least:
            told = f"it takes about {least:.0f} s to fit and {needed:.0f} s beside, with its part in the ensemble"
            return 0.0, f"{told}, and {max(free, 0):.0f} s are left for all that"
        return max((free / to_come - needed) / (self.fits + _ONCE), least, min(alone, _USEFUL)), ""

    def add(self, one: Spent, forecast: float) -> None:
        """Take note of what a candidate took, and of how this machine compares where it is slower than was forecast."""
        self.spent.append(one)
        if forecast >= 1.0:  # of quicker ones start-up is the most
            self._slowness = max(self._slowness, one.fitting / forecast)

    def members(self, best: Sequence[ModelVersion]) -> list[ModelVersion]:
        """Return the versions whose ensemble can be made in the time that is left: the best ones, then the quick ones.

        Args:
            best: versions that come first.
        """
        made = [one for one in self.spent if one.version is not None]
        if self.limit:
            first = {version.id: place for place, version in enumerate(best)}
            made.sort(key=lambda one: (first.get(one.version.id, len(first)) if one.version else 0, one.fitting))
            while made and self._ensemble(made) > self.left():
                made.pop()
        return [one.version for one in made if one.version is not None]

    def _ensemble(self, made: Sequence[Spent]) -> float:
        """Return the seconds that the ensemble of these takes."""
        beside = self._beside() if made else 0.0
        return beside + sum(_ONCE * one.fitting + _SCORED * beside for one in made)

    def _beside(self) -> float:
        """Return the seconds that a candidate takes beside its fit.

        The first one's hold what is loaded and compiled once: half of it counts until another is known, then nothing.
        """
        later = [one.beside for one in self.spent[1:]]
        return median(later) if later else sum(one.beside for one in self.spent) / 2


def shortest_fit(model: str, n_users: int, n_items: int, n_ratings: int) -> float:
    """Return about how many seconds the shortest useful fit of a model takes on two processors; see docs/models.md."""
    from engine.models.ease_steps import has_factors
    from engine.models.implicit_ridge import MANY

    millions, part = n_ratings / 1e6, min(n_items, 4000) / 4000
    size = n_users if has_factors(n_users, n_items) else n_items
    forecasts = {
        "popularity": 0.2 * millions,
        "mf": 0.5 * millions,
        "ease": 2 * millions + 8 * (size / 5000) ** 3 + n_users * n_items / 1e8,
        "next": 2 * millions + 5 * part**3,
        "ials": (1.0 if n_ratings >= MANY else 30.0) * millions,  # of few the ridge is chosen first
        "bayesian-mf": 5 * millions,
        "ncf": 3 + 15 * millions,  # torch is loaded first
    }
    return forecasts.get(model, 0.0)
