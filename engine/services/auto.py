"""`auto`: train what suits the data, measure all on the same rows, combine, and take what the figures support."""

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.data import Interactions
from engine.errors import EngineError, TrainingFailed
from engine.models import model_class
from engine.resources import available_memory
from engine.services.auto_plan import Plan, Spent, shortest_fit
from engine.services.epochs import BESIDE
from engine.services.request import Progress, TrainingRequest
from store import catalog, ratings
from store.errors import StoreError
from store.registry import ModelVersion

if TYPE_CHECKING:
    from engine.services import Services

_EXPLICIT = ("popularity", "mf", "ials", "ease", "bayesian-mf", "next", "ncf")  # the quick ones first
_IMPLICIT = ("popularity", "ials", "ease", "next", "ncf")
_PRIMARY, _SECOND = "ndcg@10", "rmse"
_ROOM = 0.9  # of the free memory


@dataclass(frozen=True)
class Choice:
    """What was taken, and why.

    Attributes:
        version: name of the version.
        why: one sentence with the figures.
    """

    version: str
    why: str


def run_auto(
    services: "Services", request: TrainingRequest, *, job: int | None = None
) -> Generator[Progress, None, Choice]:
    """Train the candidates and their ensemble, yielding what happens; return the choice.

    A version that the same request made from the same ratings is taken as it is: so a run that was cut off goes on.

    Raises:
        TrainingFailed: no candidate could be trained.
        DataTooSmall: fewer than 100 ratings.
    """
    plan, data = Plan(request.time_limit, 2 if request.full else 1), services.training.load_data()
    sizes = (int(np.count_nonzero(data.user_counts)), int(np.count_nonzero(data.item_counts)), len(data))
    names = list(_suited(services, request, data))
    for place, (name, settings, reason) in enumerate(names):
        forecast = shortest_fit(name, *sizes)
        seconds, none_left = plan.share(len(names) - place, forecast)
        if reason or none_left:
            yield _candidate(name, reason=reason or none_left)
            continue
        one = _request(request, name, settings, plan.fits * seconds / (1 - BESIDE))
        version, failure, spent = yield from _made(services, one, job, plan.fits)
        yield _candidate(name, version, failure)
        plan.add(spent, forecast)
    made = [one.version for one in plan.spent if one.version is not None]
    if not made:
        raise TrainingFailed("no model could be trained", hint="`recsys-tui train mf` says more")
    best = _best(made)
    if len(made) < 2:
        return Choice(best.name, f"{best.name} is the only one")
    members = plan.members([best, _best(made, _SECOND)])
    if len(members) < 2:
        yield _candidate("ensemble", reason="no time was left for it")
        return _chosen(services, made, None)
    named = {"members": ",".join(version.name for version in made if version in members)}
    one = _request(request, "ensemble", named, max(1.0, plan.left()) if request.time_limit else 0.0)
    combined, failure, _ = yield from _made(services, one, job, plan.fits)
    yield _candidate("ensemble", combined, failure)
    return _chosen(services, made, combined)


def _request(request: TrainingRequest, model: str, settings: dict[str, Any], seconds: float) -> TrainingRequest:
    """Return the request of a candidate; what becomes of the version is decided when all are there."""
    return replace(
        request,
        model=model,
        settings=settings,
        time_limit=seconds,
        activate=False,
        better_by="",
        guards=[],
        once_apart=True,  # else it would cut those short that are first to need a loop
    )


def _suited(
    services: "Services", request: TrainingRequest, data: Interactions
) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield the candidates with their settings, and why one is left out."""
    explicit = bool(len(data)) and float(np.ptp(data.ratings)) > 0
    counts = (*catalog.counts(services.database), ratings.count(services.database))
    for name in _EXPLICIT if explicit else _IMPLICIT:
        settings: dict[str, Any] = {} if explicit or name != "ncf" else {"head": "ranking"}
        model = model_class(name)(**settings)
        reason = ""
        try:
            model.check_trainable()
        except TrainingFailed as error:
            reason = str(error)
        room = request.memory_limit or int(available_memory() * _ROOM)
        if model.memory_bytes(*counts) > room:
            reason = "it does not fit in the memory that is free"
        yield name, settings, reason


def _made(
    services: "Services", request: TrainingRequest, job: int | None, fits: int
) -> Generator[Progress, None, tuple[ModelVersion | None, str, Spent]]:
    """Train by a request unless that was done; return the version, or why there is none, and what it took."""
    began, fitting, compiling, failure = time.monotonic(), 0.0, 0.0, ""
    name = services.training.unchanged_version(request)
    yield Progress("stage", {"stage": request.model, "model": request.model})
    try:
        for event in services.training.run(request, job=job) if name is None else ():
            if event.kind == "version":
                name = event.data["version"]
                continue
            fitting += event.data["seconds"] if event.kind == "epoch" else 0.0
            compiling += event.data.get("compiling", 0.0)
            yield event
    except (EngineError, StoreError) as error:
        failure = str(error)
    version = services.registry.resolve(name) if name and not failure else None
    spent = Spent.of(version, time.monotonic() - began, fitting, compiling, fits)
    return version, "" if version else failure or "the run ended without a version", spent


def _candidate(name: str, version: ModelVersion | None = None, reason: str = "") -> Progress:
    """Return the event that tells of a candidate; figures are None where there are none."""
    figures = {
        key: version.metrics[key].value if version and key in version.metrics else None for key in (_PRIMARY, _SECOND)
    }
    told = {"model": name, "version": version.name if version else None, **figures, "why": reason}
    return Progress("candidate", told)


def _chosen(services: "Services", made: list[ModelVersion], combined: ModelVersion | None) -> Choice:
    """Take the ensemble where a figure is better than the best single one with 95 % certainty, and none is worse."""
    best = _best(made)
    if combined is None:
        return Choice(best.name, f"{best.name} has the highest {_PRIMARY}, and there is no ensemble")
    won, lost = [], []
    for figure, rival in ((_PRIMARY, best), (_SECOND, _best(made, _SECOND))):
        row = _row(services, combined, rival, figure)
        if row is None:
            continue
        low, high = sorted((row.sign * row.low, row.sign * row.high))
        words = f"{figure} {row.values[combined.name]:.4f} against {row.values[rival.name]:.4f} of {rival.name}"
        won += [words] if low > 0 else []
        lost += [words] if high < 0 else []
    if won and not lost:
        return Choice(
            combined.name,
            f"the ensemble is better: {'; '.join(won)}; the 95 % intervals of the differences leave zero out",
        )
    if lost:
        return Choice(best.name, f"the ensemble is worse: {'; '.join(lost)}; {best.name} has the highest {_PRIMARY}")
    return Choice(
        best.name, f"the ensemble is not shown to be better; {best.name} has the highest {_PRIMARY} of the others"
    )


def _row(services: "Services", combined: ModelVersion, rival: ModelVersion, figure: str) -> Any:
    """Return the paired difference of a figure, or None where one of the two has none."""
    if figure not in combined.metrics or figure not in rival.metrics:
        return None
    row = services.comparison.compare([combined.name, rival.name], [figure]).row(figure)
    return None if row.low is None or row.high is None else row


def _best(made: list[ModelVersion], figure: str = _PRIMARY) -> ModelVersion:
    """Return the version with the best figure; without any the newest."""
    sign = -1.0 if figure == _SECOND else 1.0

    def worth(version: ModelVersion) -> float:
        value = version.metrics[figure].value if figure in version.metrics else None
        return -np.inf if value is None else sign * value

    return max(reversed(made), key=worth)
