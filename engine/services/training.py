"""`TrainingService`: from the database to a registered version, as an iterator of events that a front end can show."""

import time
from collections.abc import Generator
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import resources
from engine.calibration import beside
from engine.confidence import Calibration
from engine.data import Interactions, ItemFeatures, Scale
from engine.errors import DataTooSmall, GateRefused, TrainingFailed
from engine.evaluation import Report, evaluate
from engine.models import model_class
from engine.models.base import Model
from engine.models.ensemble import Ensemble
from engine.services import stacking
from engine.services.auto import run_auto
from engine.services.checkpoints import Checkpoints
from engine.services.curve import HeldOutCurve
from engine.services.epochs import fit_seconds, train_epochs
from engine.services.evaluation import HELD_OUT, PER_USER, bundle_of
from engine.services.gate import activate, read_gate
from engine.services.heldout import INFLUENCE, held_out_rows, measured
from engine.services.lineage import lineage_of, whoami
from engine.services.reproduce import check_same_rows
from engine.services.request import AUTO, LEAST_RATINGS, Progress, TrainingRequest
from engine.splits import Split, split, split_around
from store import catalog, ratings
from store.artifacts import Bundle
from store.registry import MetricRow, NewVersion

if TYPE_CHECKING:
    from engine.services import Services


class TrainingService:
    """Prepares data, trains, measures and registers."""

    def __init__(self, services: "Services") -> None:
        self._services = services

    def load_data(self) -> Interactions:
        """Read all ratings and the catalogue into canonical order."""
        rows = ratings.read_all(self._services.database)
        genres = catalog.genres_of(self._services.database, rows.item_ids)
        scale = ratings.scale(self._services.database)
        return Interactions.build(
            rows.user_ids,
            rows.item_ids,
            rows.user_codes,
            rows.item_codes,
            rows.ratings,
            rows.times,
            scale=Scale(scale.low, scale.high, scale.step),
            features=ItemFeatures(*genres),
        )

    def check_enough(self) -> None:
        """Refuse to train on next to nothing, without reading everything.

        Raises:
            DataTooSmall: fewer than 100 ratings.
        """
        first = islice(ratings.all_rows(self._services.database, page=LEAST_RATINGS), LEAST_RATINGS)
        _refuse_too_few(sum(1 for _ in first))

    def untrained(self, request: TrainingRequest) -> Model:
        """Return the model of a request, or refuse it before any rating is read: settings, libraries, members."""
        model = model_class(request.model)(**request.settings)
        model.check_trainable()
        if isinstance(model, Ensemble):
            stacking.check_named(self._services, model, request)
        return model

    def prepare_data(self, request: TrainingRequest, data: Interactions | None = None) -> Split:
        """Hold rows out of the ratings, read from the database unless they are given.

        Raises:
            DataTooSmall: fewer than 100 ratings.
        """
        data = self.load_data() if data is None else data
        _refuse_too_few(len(data))
        apart = held_out_rows(self._services, request.beside, data) if request.beside and request.test else None
        if apart is not None and apart.any():
            parts = split_around(data, apart, request.split, test=request.test, seed=request.seed)
            parts.protocol["beside"] = request.beside
            return parts
        return split(data, request.split, test=request.test, seed=request.seed)

    def train_model(self, model_type: str, hyperparams: dict[str, Any] | None = None, **options: Any) -> str:
        """Train in this process to the end and return the name of the registered version; options as in the request."""
        for event in self.run(TrainingRequest(model_type, hyperparams or {}, **options)):
            if event.kind == "version":
                return str(event.data["version"])
        raise TrainingFailed("the run ended without a version", hint="`recsys-tui jobs list` has the reason")

    def evaluate_model(self, version: str = "latest") -> dict[str, Any]:
        """Return the report of a version on its own held-out rows."""
        return self._services.evaluation.generate_report(version)

    def retrain_all_models(self, **options: Any) -> dict[str, str]:
        """Train every model of the table, each as a job; return by model the version, or `failed: ` and why.

        Args:
            options: of every request, such as split, test and seed.
        """
        from engine.services.retrain import retrain_all

        runs = retrain_all(self._services, TrainingRequest("", **options))
        return {run.model: run.version or f"failed: {run.error}" for run in runs}

    def run(
        self, request: TrainingRequest, *, checkpoints: Checkpoints | None = None, job: int | None = None
    ) -> Generator[Progress, None, None]:
        """Train by a request, yielding what happens; the last event is "version". To cancel, stop iterating.

        Raises:
            SettingRefused, DataTooSmall: before any work.
            TrainingFailed: divergence, non-finite numbers or no memory; nothing is registered.
        """
        if request.model == AUTO:
            choice = yield from run_auto(self._services, request, job=job)
            yield Progress("choice", asdict(choice))
            yield self._ended(choice.version, request)
            return
        started = time.monotonic()
        model = self.untrained(request)
        self._check_memory(model, request)
        yield Progress("stage", {"stage": "reading ratings"})
        ratings.ensure_item_index(self._services.database)
        revision = ratings.revision(self._services.database)
        data = self.load_data()
        parts = self.prepare_data(request, data)
        if request.like:
            registry = self._services.registry
            check_same_rows(registry, registry.resolve(request.like), parts)
        if isinstance(model, Ensemble):
            stacking.prepare(self._services, model, request, parts)
            self._check_memory(model, request)  # again: now it knows its members
        with resources.thread_limit(request.threads):
            curve = HeldOutCurve(parts) if job is not None else None  # a run without a job has nobody who watches
            again = request.full and len(parts.test) > 0
            later = len(data) if again and not isinstance(model, Ensemble) else 0
            allowed = fit_seconds(request.time_limit, time.monotonic() - started, len(parts.train), later)
            yield from train_epochs(model, parts.train, request, checkpoints, curve, seconds=allowed)
            yield Progress("stage", {"stage": "measuring"})
            report = _report(model, parts)
            calibration = _calibrate(model, parts)
            if again:
                model = yield from _on_all_rows(model, request, data, time.monotonic() - started)
        yield Progress("stage", {"stage": "saving"})
        saved = self._register(model, request, parts, report, calibration, revision, job, time.monotonic() - started)
        yield self._ended(saved, request)

    def _ended(self, name: str, request: TrainingRequest) -> Progress:
        """Activate the version where the request says so, and return the last event of the run."""
        try:
            outcome: dict[str, Any] = {"active": self._activate(name, request)}
        except GateRefused as error:  # the version is there all the same, as a candidate
            outcome = {"active": False, "refused": str(error), "hint": error.hint}
        return Progress("version", {"version": name} | outcome)

    def _check_memory(self, model: Model, request: TrainingRequest) -> None:
        """Refuse what will not fit: the model's own forecast, this process, and all rows beside those trained on."""
        database = self._services.database
        n_ratings = ratings.count(database)
        needed = model.memory_bytes(*catalog.counts(database), n_ratings) + resources.PROCESS_BYTES
        if request.test:
            needed += Interactions.ROW_BYTES * n_ratings
        resources.check_memory(needed, f"training {request.model}", limit=request.memory_limit)

    def _register(
        self,
        model: Model,
        request: TrainingRequest,
        parts: Split,
        report: Report | None,
        calibration: Calibration | None,
        revision: int,
        job: int | None,
        seconds: float,
    ) -> str:
        train = parts.train
        n_ratings = len(train) + (len(parts.test) if request.full else 0)
        new = NewVersion(
            model_type=request.model,
            hyperparameters=asdict(model.config),
            training_data={
                "n_users": int((train.user_counts > 0).sum()),
                "n_movies": int((train.item_counts > 0).sum()),
                "n_ratings": n_ratings,
                "revision": revision,
                "fingerprint": train.fingerprint(),
            },
            protocol=parts.protocol | {"full": request.full},
            lineage=lineage_of(request, seconds) | stacking.described(model),
            members=stacking.references(model),
            metrics=_metric_rows(report),
            job=job,
            parent=self._parent(request),
            who=whoami(),
            why=f"job {job}" if job else "",
        )
        bundles: dict[str, Bundle] = {}
        if len(parts.test):
            bundles[HELD_OUT] = bundle_of(parts.test)
        if report is not None:
            moved = {f"{INFLUENCE}{name}": values for name, values in report.influences.items()}
            bundles[PER_USER] = Bundle(report.per_user | moved | {"users": report.users, "rows": report.rows}, {})
        return self._services.manager.save_model(model, "", new, calibration=calibration, parts=bundles)

    def _parent(self, request: TrainingRequest) -> int | None:
        """Return the version that a new one follows: the one it is to be like, else the newest of the same model."""
        registry = self._services.registry
        if request.like:
            return registry.resolve(request.like).id
        return next((version.id for version in registry.versions() if version.model_type == request.model), None)

    def _activate(self, name: str, request: TrainingRequest) -> bool:
        """Activate the version where the request says so; return whether it is the one being served now.

        Raises:
            GateRefused: it was to be activated only through a gate, which refuses; it stays a candidate.
        """
        if not (request.activate or request.better_by):
            return False
        found = self._services.registry.resolve(name)
        gate = read_gate(request.better_by, request.guards)
        activate(self._services, found, who=whoami(), why="asked for at training", gate=gate)
        return True

    def unchanged_version(self, request: TrainingRequest) -> str | None:
        """Return the newest version made by the same request from the same ratings, or None."""
        revision = ratings.revision(self._services.database)
        wanted = asdict(request)
        for version in self._services.registry.versions():
            asked = version.lineage.get("request", {})
            same = all(asked.get(key) == wanted[key] for key in ("model", "settings", "split", "test", "seed", "full"))
            if same and version.training_data["revision"] == revision:
                return version.name
        return None


def _on_all_rows(
    model: Model, request: TrainingRequest, data: Interactions, spent: float
) -> Generator[Progress, None, Model]:
    """Fit once more, on all rows; an ensemble takes its members as they were given."""
    yield Progress("stage", {"stage": "fitting on all rows"})
    if isinstance(model, Ensemble):
        stacking.serve_all(model, data)
        return model
    fresh = model_class(request.model)(**request.settings)
    allowed = fit_seconds(request.time_limit, spent, len(data))
    yield from train_epochs(fresh, data, request, None, seconds=allowed)
    return fresh


def _report(model: Model, parts: Split) -> Report | None:
    """Measure on the held-out rows, of very many users on those drawn, which the protocol then says."""
    if not len(parts.test):
        return None
    rows = measured(parts.test, parts.protocol["seed"])
    if len(rows) < len(parts.test):
        parts.protocol["measured_users"] = int(np.count_nonzero(rows.user_counts))
    return evaluate(model, parts.train, rows, temporal=parts.protocol["split"] == "temporal")


def _calibrate(model: Model, parts: Split) -> Calibration | None:
    """Measure on the held-out rows how far predicted ratings are off."""
    if not model.predicts_ratings or not len(parts.test):
        return None
    users, items = parts.test.user_index, parts.test.item_index
    rows = beside(model.rate_pairs(users, items), parts.train, parts.test)
    served = rows._replace(  # histories that are answered for hold these rows too, and so does a fit on all rows
        user_counts=rows.user_counts + parts.test.user_counts[users],
        item_counts=rows.item_counts + parts.test.item_counts[items],
    )
    return Calibration.fit(served, parts.train.scale)


def _metric_rows(report: Report | None) -> dict[str, MetricRow]:
    if report is None:
        return {}
    return {name: MetricRow(m.value, m.low, m.high, m.users) for name, m in report.metrics.items()}


def _refuse_too_few(count: int) -> None:
    if count < LEAST_RATINGS:
        raise DataTooSmall(
            f"{count} ratings are too few to train on; at least {LEAST_RATINGS} are needed",
            hint="import more: `recsys-tui import FILE`",
        )
