"""`TrainingService`: from the database to a registered version, as an iterator of events that a front end can show."""

import platform
import time
from collections.abc import Generator
from dataclasses import asdict, dataclass, field
from importlib.metadata import version as package_version
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import resources
from engine.confidence import Calibration
from engine.data import Interactions, ItemFeatures, Scale
from engine.errors import DataTooSmall, GateRefused, TrainingFailed
from engine.evaluation import Report, evaluate
from engine.models import model_class
from engine.models.base import Epoch, Model
from engine.services.checkpoints import Checkpoints
from engine.services.evaluation import HELD_OUT, PER_USER, bundle_of
from engine.splits import Split, split
from store import catalog, ratings
from store.artifacts import Bundle
from store.registry import MetricRow, NewVersion

if TYPE_CHECKING:
    from engine.services import Services

LEAST_RATINGS = 100


@dataclass(frozen=True)
class TrainingRequest:
    """Everything that decides a run; it is stored with the job, so that the run can be resumed and repeated.

    Attributes:
        model: a name of the table of models.
        settings: hyper-parameters as given.
        split, test, seed: which rows are held out; `test` 0 holds out none.
        full: after measuring, fit once more on all rows with the same settings.
        activate: make the version the one being served.
        better_by: activate only where this metric is better than the active version's.
        time_limit: seconds for the epochs, 0 for none.
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


@dataclass(frozen=True)
class Progress:
    """One event of a run: kind "stage", "epoch", "note" or "version", and its data."""

    kind: str
    data: dict[str, Any]


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

    def prepare_data(self, request: TrainingRequest, data: Interactions | None = None) -> Split:
        """Hold rows out of the ratings, read from the database unless they are given.

        Raises:
            DataTooSmall: fewer than 100 ratings.
        """
        data = self.load_data() if data is None else data
        if len(data) < LEAST_RATINGS:
            raise DataTooSmall(
                f"{len(data)} ratings are too few to train on; at least {LEAST_RATINGS} are needed",
                hint="import more: `recsys-tui import FILE`",
            )
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
        """Train every model of the table, one after the other; return version or reason of failure by model."""
        from engine.models import MODELS

        outcome: dict[str, str] = {}
        for name in MODELS:
            try:
                outcome[name] = self.train_model(name, **options)
            except (TrainingFailed, DataTooSmall) as error:
                outcome[name] = f"failed: {error}"
        return outcome

    def run(
        self, request: TrainingRequest, *, checkpoints: Checkpoints | None = None, job: int | None = None
    ) -> Generator[Progress, None, None]:
        """Train by a request, yielding what happens; the last event is "version". To cancel, stop iterating.

        Raises:
            SettingRefused, DataTooSmall: before any work.
            TrainingFailed: divergence, non-finite numbers or no memory; nothing is registered.
        """
        started = time.monotonic()
        model = model_class(request.model)(**request.settings)
        self._check_memory(model, request)
        yield Progress("stage", {"stage": "reading ratings"})
        ratings.ensure_item_index(self._services.database)
        revision = ratings.revision(self._services.database)
        data = self.load_data()
        parts = self.prepare_data(request, data)
        with resources.thread_limit(request.threads):
            yield from _epochs(model, parts.train, request, checkpoints)
            yield Progress("stage", {"stage": "measuring"})
            report = evaluate(model, parts.train, parts.test) if len(parts.test) else None
            calibration = _calibrate(model, parts)
            if request.full and len(parts.test):
                yield Progress("stage", {"stage": "fitting on all rows"})
                model = model_class(request.model)(**request.settings)
                yield from _epochs(model, data, request, None)
        yield Progress("stage", {"stage": "saving"})
        saved = self._register(model, request, parts, report, calibration, revision, job, time.monotonic() - started)
        try:
            outcome: dict[str, Any] = {"active": self._activate(saved, request)}
        except GateRefused as error:  # the version is there all the same, as a candidate
            outcome = {"active": False, "refused": str(error), "hint": error.hint}
        yield Progress("version", {"version": saved} | outcome)

    def _check_memory(self, model: Model, request: TrainingRequest) -> None:
        database = self._services.database
        needed = model.memory_bytes(*catalog.counts(database), ratings.count(database))
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
            lineage=_lineage(request, seconds),
            metrics=_metric_rows(report),
            job=job,
        )
        bundles: dict[str, Bundle] = {}
        if len(parts.test):
            bundles[HELD_OUT] = bundle_of(parts.test)
        if report is not None:
            bundles[PER_USER] = Bundle(dict(report.per_user) | {"users": report.users, "rows": report.rows}, {})
        return self._services.manager.save_model(model, "", new, calibration=calibration, parts=bundles)

    def _activate(self, name: str, request: TrainingRequest) -> bool:
        """Activate the version where the request says so; return whether it is the one being served now.

        Raises:
            GateRefused: it was to be activated only if better, and the evidence does not say so; it stays a candidate.
        """
        registry = self._services.registry
        active = registry.active()
        why = "asked for at training"
        if request.better_by and active is not None:
            found = self._services.evaluation.paired(name, f"v{active}", request.better_by)
            figures = f"{request.better_by} {found.first:.4f} against {found.second:.4f} of v{active}"
            why = f"{figures}, difference {found.low:+.4f} to {found.high:+.4f}"
            if not found.better:
                raise GateRefused(
                    f"{name} is not better: {why}", hint=f"v{active} stays active; {name} stays as a candidate"
                )
        elif not (request.activate or request.better_by):
            return False
        registry.activate(registry.resolve(name).id, who=whoami(), why=why)
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


def _epochs(
    model: Model, train: Interactions, request: TrainingRequest, checkpoints: Checkpoints | None
) -> Generator[Progress, None, None]:
    """Train, yielding an event an epoch with its speed; go on from a checkpoint where there is one."""
    rows = train.fingerprint() if checkpoints is not None else ""
    if checkpoints is not None and (state := checkpoints.load(rows)) is not None:
        model.restore(state)
        yield Progress("note", {"text": f"goes on after epoch {model.epochs_done}"})
    began = last = time.monotonic()
    for epoch in model.fit_epochs(train, seed=request.seed):
        now = time.monotonic()
        try:
            yield Progress("epoch", _epoch_data(epoch, now - last))
        except GeneratorExit:  # cancelled here: a resumed run goes on from this epoch, not from an earlier one
            if checkpoints is not None:
                checkpoints.save(model.state(), rows, now=True)
            raise
        if checkpoints is not None:
            checkpoints.save(model.state(), rows)
        if request.time_limit and now - began >= request.time_limit:
            yield Progress(
                "note", {"text": f"time limit of {request.time_limit:g} s reached after epoch {epoch.number}"}
            )
            break
        last = time.monotonic()


def _epoch_data(epoch: Epoch, seconds: float) -> dict[str, Any]:
    if not all(np.isfinite(loss) for loss in epoch.losses.values()):
        raise TrainingFailed(
            f"the loss is not finite in epoch {epoch.number}",
            hint="lower the learning rate (--set learning_rate=…) or regularize more; the active version stays",
        )
    speed = epoch.ratings / seconds if seconds > 0 else 0.0
    return asdict(epoch) | {"seconds": round(seconds, 4), "ratings_per_second": round(speed)}


def _calibrate(model: Model, parts: Split) -> Calibration | None:
    """Measure on the held-out rows how far predicted ratings are off."""
    if not model.predicts_ratings or not len(parts.test):
        return None
    test, train = parts.test, parts.train
    residuals = test.ratings - model.rate_pairs(test.user_index, test.item_index)
    return Calibration.fit(residuals, train.user_counts[test.user_index], train.item_counts[test.item_index])


def _metric_rows(report: Report | None) -> dict[str, MetricRow]:
    if report is None:
        return {}
    return {name: MetricRow(m.value, m.low, m.high, m.users) for name, m in report.metrics.items()}


def _lineage(request: TrainingRequest, seconds: float) -> dict[str, Any]:
    packages = {name: package_version(name) for name in ("numpy", "scipy", "numba", "recsys-tui")}
    return {
        "packages": packages,
        "python": platform.python_version(),
        "host": platform.node(),
        "seconds": round(seconds, 3),
        "peak_memory": resources.peak_memory(),
        "request": asdict(request),
    }


def whoami() -> str:
    """Return the name of the operator, for the audit trail."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a uid without a name, as in a container
        return "unknown"
