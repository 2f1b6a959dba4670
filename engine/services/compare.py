"""`ComparisonService`: versions against one another, on the same users and the same held-out rows."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.comparison import holm, paired
from engine.evaluation import evaluate
from engine.metrics import DEFAULT, Metric, Values, by_name, metric
from engine.models import model_class
from engine.services.heldout import HELD_OUT, PER_USER, aligned, held_out_of, measured, model_of, unseen
from engine.services.verdict import verdict_of
from store.errors import DataRefused, UsageRefused
from store.registry import ModelVersion

if TYPE_CHECKING:
    from engine.services import Services

SURE = 0.05
"""Corrected p-value below which a metric has a winner."""


@dataclass(frozen=True)
class Row:
    """A metric of two versions on the same users.

    Attributes:
        metric: full name, such as `ndcg@10`.
        first, second: names of the versions.
        values: figure by version, None for one that has none, such as the rating errors of a model that only ranks.
        difference: first minus second.
        low, high: ends of its 95 % interval; None for a metric of the whole catalogue, which has none.
        p: two-sided p-value of this metric alone.
        p_adjusted: corrected for all metrics of the comparison (Holm).
        effect: difference in standard deviations over users.
        users: how many have a value under both versions.
        users_needed: about how many would show this difference at 5 % with 80 % power.
        better: which values are: "higher" or "lower".
        winner: the better version where `p_adjusted` is below 0.05.
    """

    metric: str
    first: str
    second: str
    values: dict[str, float | None]
    difference: float | None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_adjusted: float | None = None
    effect: float | None = None
    users: int = 0
    users_needed: int | None = None
    better: str = "higher"
    winner: str | None = None

    @property
    def sign(self) -> int:
        """1 where higher values are better, -1 where lower ones are."""
        return 1 if self.better == "higher" else -1


@dataclass(frozen=True)
class Comparison:
    """What comparing versions found: the first against each of the others, metric by metric.

    Attributes:
        versions: names, in the order given.
        users: how many the versions were compared on.
        protocol: on which rows: `rows` says "held out" or "unseen by all", `test_rows` how many there are.
        rows: one a metric and opponent.
        verdict: one sentence by the first metric.
    """

    versions: tuple[str, ...]
    users: int
    protocol: dict[str, Any]
    rows: tuple[Row, ...]
    verdict: str = ""

    def row(self, name: str) -> Row:
        """Return the row of a metric, `ndcg` or `ndcg@10`, against the first opponent.

        Raises:
            SettingRefused: no such metric.
            DataRefused: the versions were not compared by it.
        """
        key = metric(name).key
        for row in self.rows:
            if row.metric == key:
                return row
        raise DataRefused(f"{' and '.join(self.versions)} have no {key} in common", hint="choose another metric")

    def plain(self) -> dict[str, Any]:
        """Return all of it as plain values under the names of the contract."""
        return asdict(self)


class _Figures(NamedTuple):
    """A version's figures on the rows of a comparison.

    Attributes:
        per_user: float64 (U,) by full name of the metric.
        whole: metrics of the whole catalogue, by full name.
        rows: int64 (U,), test rows of each user.
    """

    per_user: dict[str, Values]
    whole: dict[str, float]
    rows: NDArray[np.int64]


class ComparisonService:
    """Compares versions, from the figures by user that each keeps, or anew where those are not of the same rows."""

    def __init__(self, services: "Services") -> None:
        self._services = services

    def compare(self, versions: Sequence[str], metrics: Sequence[str] | None = None) -> Comparison:
        """Compare the first version with each of the others.

        Versions that hold the same rows out are compared by the figures kept with them. All others are measured again,
        on the rows that none of them has trained on.

        Args:
            versions: two or more, by `v7`, active, latest, best or previous.
            metrics: names; the verdict goes by the first. None compares by all, the verdict by NDCG.

        Raises:
            NotFound: no such version.
            UsageRefused: fewer than two versions, or one of them twice.
            SettingRefused: no such metric.
            DataRefused: there is no row that none of the versions has seen; the message says why.
            Damaged: the files of a version are not what was written.
        """
        found = [self._services.registry.resolve(name) for name in versions]
        _refuse_unlike(found)
        chosen = by_name(DEFAULT if metrics is None else metrics)
        figures, users, protocol = self._stored(found, chosen, strict=metrics is not None) or self._anew(found, chosen)
        first, names = found[0], tuple(version.name for version in found)
        rows = [
            _row(one, {version.name: figures[version.id] for version in (first, other)})
            for one, other in product(chosen.values(), found[1:])
        ]
        rows = _with_winners([row for row in rows if any(value is not None for value in row.values.values())])
        primary = next(iter(chosen)) if metrics else "ndcg@10"
        return Comparison(names, users, protocol, tuple(rows), verdict_of(rows, primary))

    def _stored(
        self, versions: list[ModelVersion], chosen: dict[str, Metric], *, strict: bool
    ) -> tuple[dict[int, _Figures], int, dict[str, Any]] | None:
        """Return the figures kept with the versions, or None where they are of other rows.

        Under `strict` also where one lacks a metric that its model has; otherwise such a metric is passed over.
        """
        first = versions[0]
        if _rows_key(first) is None or any(_rows_key(version) != _rows_key(first) for version in versions):
            return None
        arrays = {version.id: self._services.registry.load(version, PER_USER).arrays for version in versions}
        users = arrays[first.id]["users"]
        if any(not np.array_equal(kept["users"], users) for kept in arrays.values()):
            return None
        lacking = {
            name
            for version in versions
            for name, one in chosen.items()
            if name not in (arrays[version.id] if one.per_user else version.metrics)
            if one.needs != "ratings" or model_class(version.model_type).predicts_ratings
        }
        if strict and lacking:
            return None
        figures = {}
        for version in versions:
            kept, names = arrays[version.id], chosen.keys() - lacking
            per_user = {name: kept[name].astype(np.float64) for name in names & kept.keys()}
            whole = {
                name: row.value for name, row in version.metrics.items() if name in names and row.value is not None
            }
            figures[version.id] = _Figures(per_user, whole, kept["rows"].astype(np.int64))
        return figures, len(users), first.protocol | {"rows": "held out"}

    def _anew(
        self, versions: list[ModelVersion], chosen: dict[str, Metric]
    ) -> tuple[dict[int, _Figures], int, dict[str, Any]]:
        """Measure all versions on the rows of today that none of them has trained on."""
        services = self._services
        data = services.training.load_data()
        models = {version.id: model_of(services, version) for version in versions}
        clean = np.ones(len(data), np.bool_)
        for version in versions:
            facts = models[version.id].facts
            fresh = unseen(version, held_out_of(services.registry, version, facts), facts, data)
            if not fresh.any():
                raise _nothing_unseen(version)
            clean &= fresh
        if not clean.any():
            names = ", ".join(version.name for version in versions)
            raise DataRefused(
                f"there is no rating that none of {names} has trained on: each holds other rows out",
                hint="train them again with the same --split, --test and --seed, on the same ratings",
            )
        test = measured(data.rows(clean), 0)
        train = data.rows(~clean)
        figures = {}
        later = [version.name for version in versions if _knows_later(version, versions)]
        for version in versions:
            facts = models[version.id].facts
            report = evaluate(models[version.id], aligned(train, facts), aligned(test, facts), metrics=chosen)
            whole = {name: value.value for name, value in report.metrics.items()}
            figures[version.id] = _Figures(report.per_user, whole, report.rows)
        counted = int(np.count_nonzero(test.user_counts))
        notes = [
            f"{name} has trained on ratings later than these, the others of a temporal split not" for name in later
        ]
        return figures, counted, {"rows": "unseen by all", "test_rows": len(test), "notes": notes}


def _refuse_unlike(versions: list[ModelVersion]) -> None:
    """Refuse fewer than two versions, and one twice."""
    if len(versions) < 2:
        raise UsageRefused("a comparison takes two versions or more", hint="recsys-tui compare v2 v1")
    names = [version.name for version in versions]
    for name in names:
        if names.count(name) > 1:
            raise UsageRefused(
                f"{name} cannot be compared with itself: every difference is 0",
                hint="`recsys-tui models list` shows the other versions",
            )


def _rows_key(version: ModelVersion) -> tuple[Any, ...] | None:
    """Return what versions whose figures are of the same held-out rows have in common; None without such figures."""
    held_out = version.files.get(f"{HELD_OUT}.safetensors")
    if held_out is None or f"{PER_USER}.safetensors" not in version.files:
        return None
    return held_out.sha256, version.training_data.get("fingerprint"), version.protocol.get("measured_users")


def _knows_later(version: ModelVersion, versions: list[ModelVersion]) -> bool:
    """Tell whether a version may know what came after the rows by which it is compared with a temporal split."""
    others = any(other.protocol.get("split") == "temporal" for other in versions)
    return others and version.protocol.get("split") != "temporal"


def _nothing_unseen(version: ModelVersion) -> DataRefused:
    """Return why there is no row that a version has not seen."""
    name = version.name
    if version.protocol.get("full"):
        reason = f"{name} was fitted on all rows (--full); its figures are of other rows or metrics than the others'"
    elif f"{HELD_OUT}.safetensors" not in version.files:
        reason = f"{name} holds no rows out (--test 0): there is nothing that it has not trained on"
    else:
        reason = f"none of the ratings that {name} holds out is in the database any more"
    return DataRefused(
        reason, hint="train both on the same ratings with the same --split, --test and --seed, then compare"
    )


def _row(found: Metric, sides: dict[str, _Figures]) -> Row:
    """Compare two versions, given by name with their figures, by one metric."""
    (first, one), (second, other) = sides.items()
    key = found.key
    if key in one.per_user and key in other.per_user:
        pair = paired(found, one.per_user[key], other.per_user[key], one.rows)
        values = {first: _known(pair.first), second: _known(pair.second)}
        return Row(
            key,
            first,
            second,
            values,
            difference=_known(pair.difference),
            low=_known(pair.low),
            high=_known(pair.high),
            p=_known(pair.p),
            effect=_known(pair.effect),
            users=pair.users,
            users_needed=pair.users_needed,
            better=found.better,
        )
    values = {name: _figure(found, side) for name, side in sides.items()}
    here, there = values[first], values[second]
    difference = None if here is None or there is None else here - there
    return Row(key, first, second, values, difference, better=found.better)


def _figure(found: Metric, side: _Figures) -> float | None:
    """Return the figure of one version alone, None where it has none."""
    if found.key not in side.per_user:
        return _known(side.whole.get(found.key, np.nan))
    totals, weights = found.terms(side.per_user[found.key], side.rows)
    return _known(float(found.mean(totals.sum(), weights.sum())))


def _with_winners(rows: list[Row]) -> list[Row]:
    """Correct the p-values for being several and mark the winners."""
    corrected = holm([np.nan if row.p is None else row.p for row in rows])
    marked = []
    for row, p in zip(rows, corrected, strict=True):
        sure = p < SURE and row.difference is not None
        winner = (row.first if row.sign * (row.difference or 0) > 0 else row.second) if sure else None
        marked.append(replace(row, p_adjusted=_known(p), winner=winner))
    return marked


def _known(value: float) -> float | None:
    """Return a figure, None for NaN."""
    return None if np.isnan(value) else float(value)
