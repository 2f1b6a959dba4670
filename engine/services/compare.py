"""`ComparisonService`: versions against one another, on the same users and the same held-out rows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.comparison import Figures, Row, rows_of_pairs
from engine.evaluation import evaluate
from engine.metrics import DEFAULT, Metric, by_name, metric
from engine.models import model_class
from engine.services.heldout import HELD_OUT, INFLUENCE, PER_USER, aligned, held_out_of, measured, snapshot_of, unseen
from engine.services.verdict import verdict_of
from store.errors import DataRefused, UsageRefused
from store.registry import ModelVersion

__all__ = ["Comparison", "ComparisonService", "Row"]

if TYPE_CHECKING:
    from engine.services import Services


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
        pairs = [{version.name: figures[version.id] for version in (first, other)} for other in found[1:]]
        rows = rows_of_pairs(chosen.values(), pairs)
        primary = next(iter(chosen)) if metrics else "ndcg@10"
        return Comparison(names, users, protocol, tuple(rows), verdict_of(rows, primary))

    def _stored(
        self, versions: list[ModelVersion], chosen: dict[str, Metric], *, strict: bool
    ) -> tuple[dict[int, Figures], int, dict[str, Any]] | None:
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
            figures[version.id] = Figures(per_user, whole, kept["rows"].astype(np.int64), _influences(kept, names))
        return figures, len(users), first.protocol | {"rows": "held out"}

    def _anew(
        self, versions: list[ModelVersion], chosen: dict[str, Metric]
    ) -> tuple[dict[int, Figures], int, dict[str, Any]]:
        """Measure all versions on the rows of today that none of them has trained on."""
        services = self._services
        data = services.training.load_data()
        models = {version.id: snapshot_of(services, version).model for version in versions}
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
            figures[version.id] = Figures(report.per_user, whole, report.rows, report.influences)
        counted = int(np.count_nonzero(test.user_counts))
        notes = [
            f"{name} has trained on ratings later than these, the others of a temporal split not" for name in later
        ]
        return figures, counted, {"rows": "unseen by all", "test_rows": len(test), "notes": notes}


def _influences(kept: Mapping[str, NDArray[np.generic]], names: Iterable[str]) -> dict[str, NDArray[np.float64]]:
    """Return how much each user moves the metrics of the whole catalogue, as far as it was kept."""
    return {name: kept[f"{INFLUENCE}{name}"].astype(np.float64) for name in names if f"{INFLUENCE}{name}" in kept}


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
