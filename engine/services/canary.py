"""Canaries: a version serves a share of the users; what they rate meanwhile decides whether it stays."""

import random
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.comparison import Figures, Row, rows_of_pairs
from engine.data import Interactions, Scale
from engine.errors import DataTooSmall
from engine.evaluation import evaluate
from engine.metrics import by_name
from engine.models.base import Model
from engine.services.gate import Gate, Guard, read_gate
from engine.services.heldout import aligned, positions
from store import canaries, ratings
from store.canaries import Canary
from store.errors import DataRefused
from store.registry import ModelVersion

if TYPE_CHECKING:
    from engine.services import Services

METRICS = ("rmse", "ndcg@10", "hit_rate@10", "coverage")
"""What is compared besides the metrics of the guards."""

MOST_USERS = 5_000
"""Users whose new ratings are looked at; their histories are held in memory meanwhile."""

LEAST_USERS = 30
"""Users that it takes to believe a figure without an interval."""


@dataclass(frozen=True)
class Arm:
    """The users that one version serves, as far as they have rated since: how many, and what they thought of it."""

    version: str
    users: int
    ratings: int
    mean_rating: float | None


@dataclass(frozen=True)
class Watched:
    """What a look at a canary found.

    Attributes:
        canary: the trial, as it stands after the look.
        arms: the version that is tried first.
        users: how many the versions are compared on: those with new ratings whom both know.
        rows: the version that is tried against the other, metric by metric, on the ratings that came in since.
        breached: sentences on the guards that are breached.
    """

    canary: Canary
    arms: tuple[Arm, ...] = ()
    users: int = 0
    rows: tuple[Row, ...] = ()
    breached: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


@dataclass
class _Fresh:
    """Ratings since a canary began, and what the same users had rated before."""

    test: list[tuple[str, str, float]]
    train: list[tuple[str, str, float]] = field(default_factory=list)


class CanaryService:
    """Begins trials, looks at them, ends them."""

    def __init__(self, services: "Services") -> None:
        self._services = services
        self._database = services.database

    def begin(self, version: ModelVersion, share: float, guards: Iterable[str], *, who: str, why: str = "") -> Canary:
        """Serve a share of the users from a version.

        Args:
            version: not the active one.
            share: above 0 and below 1.
            guards: such as `rmse:+1%`; one that is breached ends the trial at the next look.
            who: name of the operator.
            why: a sentence.

        Raises:
            NotFound: no version is active.
            UsageRefused: it is active, or another canary runs.
            SettingRefused: a guard that is none.
            Damaged: its files are not what was written, or make no model.
        """
        gate = read_gate("", guards)
        self._services.manager.check(version)
        texts = tuple(guard.text for guard in gate.guards)
        return canaries.begin(self._database, version.id, share, texts, who=who, why=why, at=time.time())

    def stop(
        self, outcome: str = "stopped", *, who: str, why: str = "", watched: Watched | None = None
    ) -> Canary | None:
        """Serve everybody from the active version again; return the trial that was ended, None where none ran."""
        figures = {} if watched is None else watched.plain() | {"canary": None}
        return canaries.end(self._database, outcome, who=who, why=why, figures=figures, at=time.time())

    def look(self, *, who: str) -> Watched | None:
        """Compare the versions of the trial that runs, and end it where a guard is breached; None where none runs.

        A guard is breached where the version that is tried has lost more than the guard allows, and is worse than the
        other by the whole 95 % interval of the paired difference; or where its files cannot be used.
        """
        canary = canaries.running(self._database)
        if canary is None:
            return None
        watched = self._compared(canary)
        if not watched.breached:
            return watched
        self.stop("rolled back", who=who, why=watched.breached[0], watched=watched)
        ended = canaries.newest(self._database)
        return watched if ended is None else replace(watched, canary=ended)

    def _compared(self, canary: Canary) -> Watched:
        registry = self._services.registry
        versions = [registry.get(number) for number in (canary.version, canary.base)]
        fresh = canaries.fresh_ratings(self._database, canary)
        arms = tuple(_arm(version, canary, fresh) for version in versions)
        try:
            models = {version.name: self._services.manager.check(version) for version in versions}
        except DataRefused as error:
            return Watched(canary, arms, breached=(f"{versions[0].name} cannot be used: {error}",))
        gate = read_gate("", canary.guards)
        names = dict.fromkeys((*METRICS, *(guard.metric for guard in gate.guards)))
        try:
            rows, users = _rows(models, self._with_histories(fresh), tuple(names))
        except DataTooSmall:  # nobody whom both know has rated anything that both know
            return Watched(canary, arms)
        return Watched(canary, arms, users, tuple(rows), tuple(_breached(rows, gate, users)))

    def _with_histories(self, fresh: list[tuple[str, str, float]]) -> _Fresh:
        """Add what the users had rated before; of very many users those drawn, always the same ones."""
        found = _Fresh([])
        by_user = {user: list(own) for user, own in groupby(fresh, key=lambda row: row[0])}
        users = sorted(random.Random(0).sample(list(by_user), min(len(by_user), MOST_USERS)))
        for user in users:
            found.test += by_user[user]
            new = {item for _, item, _ in by_user[user]}
            history = ratings.history(self._database, user)
            found.train += [(user, row.item, row.rating) for row in history if row.item not in new]
        return found


def _arm(version: ModelVersion, canary: Canary, fresh: list[tuple[str, str, float]]) -> Arm:
    tried = version.id == canary.version
    own = [(user, rating) for user, _, rating in fresh if canary.takes(user) is tried]
    mean = sum(rating for _, rating in own) / len(own) if own else None
    return Arm(version.name, len({user for user, _ in own}), len(own), mean)


def _rows(models: dict[str, Model], fresh: _Fresh, metrics: tuple[str, ...]) -> tuple[list[Row], int]:
    """Measure both models on the same new ratings: those whose user and item both know."""
    scale = next(iter(models.values())).facts.scale
    test, train = _table(fresh.test, fresh, scale), _table(fresh.train, fresh, scale)
    known = np.ones(len(test), np.bool_)
    for model in models.values():
        known &= positions(test, model.facts)[2]
    test = test.rows(known)
    chosen = by_name(metrics)
    figures = {}
    for name, model in models.items():
        report = evaluate(model, aligned(train, model.facts), aligned(test, model.facts), metrics=chosen)
        whole = {key: found.value for key, found in report.metrics.items()}
        figures[name] = Figures(report.per_user, whole, report.rows, report.influences)
    return rows_of_pairs(chosen.values(), [figures]), int(np.count_nonzero(test.user_counts))


def _table(rows: list[tuple[str, str, float]], fresh: _Fresh, scale: Scale) -> Interactions:
    """Return rows over the ids of all rows at hand."""
    everything = fresh.test + fresh.train
    users, items = sorted({row[0] for row in everything}), sorted({row[1] for row in everything})
    user_code, item_code = ({text: code for code, text in enumerate(texts)} for texts in (users, items))
    return Interactions.build(
        users,
        items,
        np.array([user_code[row[0]] for row in rows], np.int64),
        np.array([item_code[row[1]] for row in rows], np.int64),
        np.array([row[2] for row in rows], np.float32),
        scale=scale,
    )


def _breached(rows: list[Row], gate: Gate, users: int) -> Iterator[str]:
    found = {row.metric: row for row in rows}
    for guard in gate.guards:
        row = found.get(guard.metric)
        if row is not None and row.difference is not None and _is_breached(row, guard, users):
            here, there = row.values[row.first], row.values[row.second]
            yield f"guard {guard.text} is breached: {guard.metric} {here:.4f} against {there:.4f} of {row.second}"


def _is_breached(row: Row, guard: Guard, users: int) -> bool:
    loss = -row.sign * (row.difference or 0.0)
    allowed = guard.loss * abs(row.values[row.second] or 0.0)
    if row.low is None or row.high is None:
        sure = users >= LEAST_USERS
    else:
        sure = max(row.sign * row.low, row.sign * row.high) < 0
    return sure and loss > allowed
