"""`EvaluationService`: metrics of a version on rows that it has not trained on."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.data import NO_TIME, Interactions
from engine.errors import DataTooSmall, GateRefused
from engine.evaluation import Report, evaluate
from engine.intervals import bootstrap, interval
from engine.metrics import DEFAULT, Metric, metric
from engine.metrics.base import pair_keys
from engine.models.base import TrainingFacts
from engine.services.heldout import HELD_OUT, PER_USER, aligned, bundle_of, rows_of
from engine.splits import split
from store.errors import DataRefused
from store.registry import ModelVersion

__all__ = ["HELD_OUT", "PER_USER", "Difference", "Evaluated", "EvaluationService", "bundle_of"]

if TYPE_CHECKING:
    from engine.services import Services


@dataclass(frozen=True)
class Evaluated:
    """A version's report with the protocol under which it was measured."""

    version: str
    protocol: dict[str, Any]
    report: Report


@dataclass(frozen=True)
class Difference:
    """A metric of two versions on the same users, with the 95 % interval of first minus second."""

    first: float
    second: float
    low: float
    high: float
    better_high: bool

    @property
    def better(self) -> bool:
        """True where the whole interval lies on the side that is better."""
        return self.low > 0 if self.better_high else self.high < 0


class EvaluationService:
    """Measures versions; the held-out rows of a version travel with it, so that no later import can leak into them."""

    def __init__(self, services: "Services") -> None:
        self._services = services

    def report(self, version: str = "active", *, metrics: tuple[str, ...] = DEFAULT) -> Evaluated:
        """Measure a version on its own held-out rows.

        Raises:
            DataRefused: it was fitted once more on all rows, these among them.
            NotFound: no such version.
            DataTooSmall: it holds no rows out (`--test 0`).
        """
        found = self._services.registry.resolve(version)
        snapshot = self._services.manager.snapshot(found.name)
        train, test = self._rows(found)
        return Evaluated(found.name, found.protocol, evaluate(snapshot.model, train, test, metrics=metrics))

    def report_on(self, version: str, rows: Iterable[tuple[str, str, float]]) -> dict[str, Any]:
        """Measure a version on ratings from outside the database, as (user, item, rating).

        Raises:
            DataRefused: a row is in the database, so that the version may have been trained on it.
            DataTooSmall: none of the rows has a user and an item of the version.
        """
        snapshot = self._services.manager.snapshot(self._services.registry.resolve(version).name)
        facts = snapshot.model.facts
        test, unknown = _outside(rows, facts)
        stored = aligned(self._services.training.load_data(), facts)
        leaked = int(np.isin(pair_keys(test), pair_keys(stored)).sum())
        if leaked:
            raise DataRefused(
                f"{leaked} of {len(test)} test ratings are in the database: {snapshot.version.name} may know them",
                hint="test on ratings that were never imported",
            )
        protocol = {"split": "outside", "test_rows": len(test), "unknown_rows": unknown}
        return _plain(Evaluated(snapshot.version.name, protocol, evaluate(snapshot.model, stored, test)))

    def report_split(self, version: str, how: str, test: float, seed: int) -> dict[str, Any]:
        """Measure a version on the rows that another split of today's ratings holds out.

        Raises:
            DataRefused: the version was trained on some of these rows.
        """
        found = self._services.registry.resolve(version)
        seen, held_out = self._rows(found)
        model = self._services.manager.snapshot(found.name).model
        parts = split(aligned(self._services.training.load_data(), model.facts), how, test=test, seed=seed)
        leaked = int((~np.isin(pair_keys(parts.test), pair_keys(held_out))).sum())
        own = found.protocol
        if leaked:
            raise DataRefused(
                f"{found.name} was trained on {leaked} of the {len(parts.test)} rows that this split holds out",
                hint=f"its own split: --split {own['split']} --test {own['test']} --seed {own['seed']}; or train anew",
            )
        return _plain(Evaluated(found.name, parts.protocol, evaluate(model, seen, parts.test)))

    def paired(self, version: str, other: str, metric_name: str) -> Difference:
        """Compare two versions by a metric on the same users: the difference of the first from the second.

        Raises:
            GateRefused: they were not measured on the same rows, or not by this metric.
            SettingRefused: no such metric.
        """
        found = metric(metric_name)
        first, second = (self._services.registry.resolve(name) for name in (version, other))
        for key in ("split", "test", "seed"):
            if first.protocol.get(key) != second.protocol.get(key):
                raise GateRefused(
                    f"{first.name} and {second.name} hold different rows out ({key})",
                    hint=f"train both with the same --split, --test and --seed; {second.name} stays active",
                )
        terms = [self._terms(one, found) for one in (first, second)]
        if not np.array_equal(terms[0][0], terms[1][0]):
            raise GateRefused(
                f"{first.name} and {second.name} were measured on other users",
                hint=f"train the model of {second.name} again on today's ratings, then compare",
            )
        columns = [np.stack([one[side] for one in terms], axis=1) for side in (1, 2)]  # (U, 2) each
        drawn = bootstrap(columns[0], columns[1], seed=0)
        means = found.mean(*drawn)  # (draws, 2)
        here = found.mean(columns[0].sum(axis=0), columns[1].sum(axis=0))
        low, high = interval(means[:, 0] - means[:, 1])
        return Difference(float(here[0]), float(here[1]), low, high, better_high=found.better == "higher")

    def _terms(self, version: ModelVersion, found: Metric) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Return users and the terms of a metric by user, (U,) each, as kept with a version."""
        if f"{PER_USER}.safetensors" not in version.files:
            raise GateRefused(f"{version.name} has no figures by user", hint="train without --test 0")
        arrays = self._services.registry.load(version, PER_USER).arrays
        if found.key not in arrays:
            kept = ", ".join(sorted(set(arrays) - {"users", "rows"}))
            raise GateRefused(f"{version.name} was not measured by {found.key}", hint=f"figures by user: {kept}")
        values, rows = arrays[found.key].astype(np.float64), arrays["rows"].astype(np.int64)
        return arrays["users"], *found.terms(values, rows)

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

    def generate_report(self, version: str = "active") -> dict[str, Any]:
        """Return every metric with its interval, the protocol and the number of users, as plain values.

        A version that was fitted once more on all rows has seen its test rows: the figures of its first fit stand.
        """
        found = self._services.registry.resolve(version)
        if found.protocol.get("full") and found.metrics:
            figures = {
                name: {"value": row.value, "low": row.low, "high": row.high} for name, row in found.metrics.items()
            }
            protocol = found.protocol | {"measured": "on the first fit, without the test rows"}
            users = max(row.users or 0 for row in found.metrics.values())
            return {"version": found.name, "protocol": protocol, "users": users, "metrics": figures}
        return _plain(self.report(version))

    def _one(self, version: str, metric: str) -> float:
        return self.report(version, metrics=(metric,)).report.metrics[metric].value

    def _rows(self, version: ModelVersion) -> tuple[Interactions, Interactions]:
        """Return the rows that a version knows as seen, and those that it is tested on.

        The test rows are the ones kept with the version. Seen are all rows of the database but those: a rating that
        came after training is no candidate either.
        """
        if version.protocol.get("full"):
            raise DataRefused(
                f"{version.name} was fitted on its test rows too (--full)",
                hint=f"`recsys-tui models show {version.name}` has the figures of its first fit",
            )
        if f"{HELD_OUT}.safetensors" not in version.files:
            raise DataTooSmall(f"{version.name} holds no rows out", hint="train without --test 0, or pass --on FILE")
        facts = self._services.manager.snapshot(version.name).model.facts
        held_out = rows_of(self._services.registry.load(version, HELD_OUT), facts)
        stored = aligned(self._services.training.load_data(), facts)
        return stored.rows(~np.isin(pair_keys(stored), pair_keys(held_out))), held_out


def _outside(rows: Iterable[tuple[str, str, float]], facts: TrainingFacts) -> tuple[Interactions, int]:
    """Return rows over the ids of a model, and how many have a user or an item that it does not know."""
    found: dict[tuple[int, int], float] = {}
    unknown = 0
    for user_text, item_text, rating in rows:
        user, item = facts.users.index(user_text), facts.items.index(item_text)
        if user is None or item is None:
            unknown += 1
        else:
            found[user, item] = rating
    if not found:
        raise DataTooSmall("no test rating has a user and an item that the version knows", hint="check the ids")
    pairs = np.array(sorted(found), np.int32)  # (n, 2)
    ratings = np.array([found[user, item] for user, item in sorted(found)], np.float32)
    times = np.full(len(ratings), NO_TIME)
    return Interactions(
        facts.users, facts.items, pairs[:, 0], pairs[:, 1], ratings, times, facts.scale, facts.features
    ), unknown


def _plain(measured: Evaluated) -> dict[str, Any]:
    """Return a report as plain values under the names of the contract."""
    figures = {
        name: {"value": value.value, "low": value.low, "high": value.high}
        for name, value in measured.report.metrics.items()
    }
    return {
        "version": measured.version,
        "protocol": measured.protocol,
        "users": measured.report.n_users,
        "metrics": figures,
    }
