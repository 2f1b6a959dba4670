"""`EvaluationService`: metrics of a version on rows that it has not trained on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from engine.data import NO_TIME, Interactions
from engine.errors import DataTooSmall, LeakRefused
from engine.evaluation import Report, evaluate
from engine.leaks import refuse_future, refuse_overtrained
from engine.metrics import DEFAULT
from engine.metrics.base import contains, pair_keys
from engine.metrics.rating import reliability
from engine.models.base import TrainingFacts
from engine.segments import segments
from engine.services.heldout import HELD_OUT, PER_USER, aligned, bundle_of, held_out_of, measured, snapshot_of, unseen
from engine.splits import split
from store import ratings
from store.errors import DataRefused
from store.registry import ModelVersion

if TYPE_CHECKING:
    from engine.services import Services

__all__ = ["HELD_OUT", "PER_USER", "Evaluated", "EvaluationService", "OutsideRow", "bundle_of"]


class OutsideRow(NamedTuple):
    """A rating from outside the database; `at` in seconds since 1970 UTC, None where unknown."""

    user: str
    item: str
    rating: float
    at: float | None = None


@dataclass(frozen=True)
class Evaluated:
    """A version's report with the protocol under which it was measured."""

    version: str
    protocol: dict[str, Any]
    report: Report

    def plain(self) -> dict[str, Any]:
        """Return it as plain values under the names of the contract; a metric without an interval has None for both."""
        report = self.report
        counts = [value for name, value in report.metrics.items() if name in report.per_user]
        return {
            "version": self.version,
            "protocol": self.protocol,
            "users": report.n_users,
            "excluded": max((value.users + value.excluded for value in counts), default=report.n_users)
            - report.n_users,
            "metrics": {
                name: {"value": value.value, "low": value.low, "high": value.high}
                for name, value in report.metrics.items()
            },
            "segments": [
                {
                    "by": part.by,
                    "segment": part.name,
                    "users": part.users,
                    "rows": part.rows,
                    "metrics": {
                        name: dict(zip(("value", "low", "high"), figure, strict=True))
                        for name, figure in part.metrics.items()
                    },
                }
                for part in segments(report.evidence)
            ],
            "reliability": [found._asdict() for found in reliability(report.evidence)],
        }


class EvaluationService:
    """Measures versions; the held-out rows of a version travel with it, so that no later import can leak into them."""

    def __init__(self, services: "Services") -> None:
        self._services = services

    def report(self, version: str = "active", *, metrics: Sequence[str] = DEFAULT, negatives: int = 0) -> Evaluated:
        """Measure a version on its own held-out rows; among the whole catalogue, or so many drawn items a user.

        Raises:
            DataRefused: it was fitted once more on all rows, these among them.
            NotFound: no such version.
            DataTooSmall: it holds no rows out (`--test 0`).
            LeakRefused: it was trained on more than what it did not hold out.
        """
        found = self._services.registry.resolve(version)
        model = snapshot_of(self._services, found).model
        seen, held_out = self._rows(found, model.facts)
        if found.training_data.get("revision") == ratings.revision(self._services.database):
            refuse_overtrained(model.facts.user_counts, seen, held_out, found.name)
        test, protocol = _sample(held_out, found, found.protocol)
        removed = np.maximum(model.facts.user_counts - seen.user_counts, 0)[test.user_counts > 0].sum()
        if removed:  # the lists may hold what these users have seen, and nobody can tell
            protocol["removed_training_rows"] = int(removed)
        if negatives:
            protocol["candidates"] = f"sampled: {negatives} drawn unseen items a user and the held-out ones"
        return Evaluated(found.name, protocol, evaluate(model, seen, test, metrics=metrics, negatives=negatives))

    def report_on(self, version: str, rows: Iterable[OutsideRow], *, metrics: Sequence[str] = DEFAULT) -> Evaluated:
        """Measure a version on ratings from outside the database.

        Raises:
            LeakRefused: the version has, or may have, trained on some of them, or on what came after them.
            DataTooSmall: none of the rows has a user and an item of the version.
        """
        found = self._services.registry.resolve(version)
        snapshot = snapshot_of(self._services, found)
        facts = snapshot.model.facts
        outside, unknown = _outside(rows, facts)
        data = self._services.training.load_data()
        held_out = held_out_of(self._services.registry, found, facts)
        trained = aligned(data.rows(~unseen(found, held_out, facts, data)), facts)
        leaked = int(contains(pair_keys(trained), pair_keys(outside)).sum())
        if leaked:
            raise LeakRefused(
                f"{leaked:,} of {len(outside):,} test ratings are in the database, where {found.name} may have "
                "trained on them",
                hint="test on ratings that were never imported, or that the version held out",
            )
        refuse_overtrained(facts.user_counts, trained, outside, found.name)
        if "from" in found.protocol and not found.protocol.get("full"):
            refuse_future(int(found.protocol["from"]), outside, found.name)
        protocol = {"split": "outside", "test_rows": len(outside), "unknown_rows": unknown}
        test, protocol = _sample(outside, found, protocol)
        known = aligned(data, facts)
        seen = known.rows(~contains(pair_keys(outside), pair_keys(known)))
        calibration = snapshot.calibration
        return Evaluated(
            found.name, protocol, evaluate(snapshot.model, seen, test, metrics=metrics, calibration=calibration)
        )

    def report_split(
        self, version: str, how: str, test: float, seed: int, *, metrics: Sequence[str] = DEFAULT
    ) -> Evaluated:
        """Measure a version on the rows that another split of today's ratings holds out.

        Raises:
            LeakRefused: the version was trained on some of these rows.
        """
        found = self._services.registry.resolve(version)
        model = snapshot_of(self._services, found).model
        seen, held_out = self._rows(found, model.facts)
        parts = split(aligned(self._services.training.load_data(), model.facts), how, test=test, seed=seed)
        leaked = int((~contains(pair_keys(held_out), pair_keys(parts.test))).sum())
        own = found.protocol
        if leaked:
            raise LeakRefused(
                f"{found.name} was trained on {leaked:,} of the {len(parts.test):,} rows that this split holds out",
                hint=f"its own split: --split {own['split']} --test {own['test']} --seed {own['seed']}; or train anew",
            )
        rows, protocol = _sample(parts.test, found, parts.protocol)
        return Evaluated(found.name, protocol, evaluate(model, seen, rows, metrics=metrics))

    def calculate_rmse(self, version: str = "active") -> float:
        """Return the RMSE over all held-out rows, in rating units."""
        return self._one(version, "rmse")

    def calculate_precision_at_k(self, version: str = "active", k: int = 10) -> float:
        """Return precision at k, the mean over users with held-out rows."""
        return self._one(version, f"precision@{k}")

    def calculate_recall_at_k(self, version: str = "active", k: int = 10) -> float:
        """Return recall at k, the mean over users with held-out rows."""
        return self._one(version, f"recall@{k}")

    def calculate_coverage(self, version: str = "active", k: int = 10) -> float:
        """Return the share of the catalogue that occurs in somebody's best k."""
        return self._one(version, f"coverage@{k}")

    def generate_report(self, version: str = "active", *, metrics: Sequence[str] = DEFAULT) -> dict[str, Any]:
        """Return every metric with its interval, the protocol and the number of users, as plain values.

        A version that was fitted once more on all rows has seen its test rows: the figures of its first fit stand.
        """
        found = self._services.registry.resolve(version)
        if found.protocol.get("full") and found.metrics:
            return _of_first_fit(found)
        return self.report(version, metrics=metrics).plain()

    def _one(self, version: str, metric: str) -> float:
        (value,) = self.report(version, metrics=(metric,)).report.metrics.values()
        return value.value

    def _rows(self, version: ModelVersion, facts: TrainingFacts) -> tuple[Interactions, Interactions]:
        """Return the rows that a version knows as seen, and those that it is tested on.

        The test rows are the ones kept with the version. Seen are all rows of the database but those: a rating that
        came after training is no candidate either.
        """
        if version.protocol.get("full"):
            raise DataRefused(
                f"{version.name} was fitted on its test rows too (--full)",
                hint=f"`recsys-tui models show {version.name}` has the figures of its first fit",
            )
        held_out = held_out_of(self._services.registry, version, facts)
        if held_out is None:
            raise DataTooSmall(f"{version.name} holds no rows out", hint="train without --test 0, or pass --on FILE")
        if "from" in version.protocol:
            refuse_future(int(version.protocol["from"]), held_out, version.name)
        stored = aligned(self._services.training.load_data(), facts)
        return stored.rows(~contains(pair_keys(held_out), pair_keys(stored))), held_out


def _sample(test: Interactions, version: ModelVersion, protocol: dict[str, Any]) -> tuple[Interactions, dict[str, Any]]:
    """Return the rows of as many users as are measured, and the protocol, which says so and how items are ranked."""
    rows = measured(test, int(protocol.get("seed", 0)))
    drawn = {"measured_users": int(np.count_nonzero(rows.user_counts))} if len(rows) < len(test) else {}
    return rows, protocol | {"candidates": "all unseen items"} | drawn | _interactions(version)


def _interactions(version: ModelVersion) -> dict[str, Any]:
    """Return the rule by which ratings entered the training of a model that ranks by who rated what."""
    rule = version.hyperparameters.get("confidence")
    return {"interactions": rule} if rule else {}


def _of_first_fit(version: ModelVersion) -> dict[str, Any]:
    """Return the report of a version whose model has since been fitted on all rows: the figures kept with it."""
    figures = {name: {"value": row.value, "low": row.low, "high": row.high} for name, row in version.metrics.items()}
    return {
        "version": version.name,
        "protocol": version.protocol | {"measured": "on the first fit, without the test rows"} | _interactions(version),
        "users": max(row.users or 0 for row in version.metrics.values()),
        "excluded": None,
        "metrics": figures,
        "segments": [],
        "reliability": [],
    }


def _outside(rows: Iterable[OutsideRow], facts: TrainingFacts) -> tuple[Interactions, int]:
    """Return rows over the ids of a model, and how many have a user or an item that it does not know."""
    users, items = ({text: index for index, text in enumerate(ids.texts())} for ids in (facts.users, facts.items))
    found: dict[tuple[int, int], OutsideRow] = {}
    unknown = 0
    for row in rows:
        user, item = users.get(row.user), items.get(row.item)
        if user is None or item is None:
            unknown += 1
        else:
            found[user, item] = row
    if not found:
        raise DataTooSmall("no test rating has a user and an item that the version knows", hint="check the ids")
    ordered = sorted(found.items())
    pairs = np.array([pair for pair, _ in ordered], np.int32)  # (n, 2)
    values = np.array([row.rating for _, row in ordered], np.float32)
    times = np.array([NO_TIME if row.at is None else int(row.at) for _, row in ordered], np.int64)
    return Interactions(
        facts.users, facts.items, pairs[:, 0], pairs[:, 1], values, times, facts.scale, facts.features
    ), unknown
