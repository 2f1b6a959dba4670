"""All metrics of a model from one pass over the users, with intervals."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.calibration import inside_intervals
from engine.comparison import student
from engine.confidence import Calibration
from engine.data import Interactions
from engine.errors import DataTooSmall, EngineError, SettingRefused, TrainingFailed
from engine.intervals import bootstrap, interval
from engine.leaks import refuse_future_training, refuse_seen
from engine.metrics import DEFAULT, Evidence, Metric, Values, by_name
from engine.metrics.roc import areas
from engine.ranking import BYTE_BUDGET, score_batches, top_k_seen
from engine.sampling import among_drawn

if TYPE_CHECKING:
    from engine.models.base import Model


USUAL_K = 10
"""Places of the lists where nothing else is asked for."""


class MetricValue(NamedTuple):
    """A metric with its 95 % interval.

    Attributes:
        value: the mean over users, or the pooled figure, as the metric defines it; NaN where it is undefined.
        low, high: ends of the percentile bootstrap interval over users; for a metric of all lists together those of
            Student's t, by the jackknife. None where there is none.
        users: how many users have a value.
        excluded: how many have none: users with training rows but without held-out ones, and undefined cases.
    """

    value: float
    low: float | None
    high: float | None
    users: int
    excluded: int


@dataclass(frozen=True, eq=False)
class Report:
    """What one pass found.

    Attributes:
        metrics: by full name, such as `ndcg@10`.
        users: int (U,), dense indices of the users with held-out rows, ascending.
        rows: int64 (U,), held-out rows of each: the weights of the pooled metrics (see `Metric.terms`).
        per_user: by full name, float64 (U,), NaN where undefined; metrics of the whole catalogue are not in it.
        influences: of those, by full name, float64 (U,): see `Metric.influence`.
        evidence: what the figures were taken from.
    """

    metrics: dict[str, MetricValue]
    users: NDArray[np.integer[Any]]
    rows: NDArray[np.int64]
    per_user: dict[str, Values]
    influences: dict[str, Values]
    evidence: Evidence

    @property
    def n_users(self) -> int:
        """Number of users with held-out rows."""
        return len(self.users)


def evaluate(
    model: "Model",
    train: Interactions,
    test: Interactions,
    *,
    metrics: Iterable[str] = DEFAULT,
    k: int = 10,
    seed: int = 0,
    calibration: Calibration | None = None,
    temporal: bool = False,
    negatives: int = 0,
    byte_budget: int = BYTE_BUDGET,
) -> Report:
    """Measure a model on held-out rows: the whole catalogue is ranked, without the items of a user's training rows.

    A user whom the model has no training rows of gets its cold vector, as they would from the recommender. A model that
    only ranks has no rating metrics: they are left out of the report.

    Args:
        model: trained.
        train: the rows it knows as seen, over the same users and items as the model's.
        test: the held-out rows, over the same users and items; all count as relevant.
        metrics: names as `engine.metrics.metric` reads them.
        k: cut-off of the names that give none.
        seed: of the bootstrap.
        calibration: intervals of the model that were fitted to other rows than `test`.
        temporal: the rows were told apart by time: training rows as late as a test row are refused.
        negatives: rank only among the held-out items and so many drawn ones; 0 ranks the whole catalogue. Metrics of
            the scores of all items are then left out.
        byte_budget: memory for a batch of scores.

    Raises:
        SettingRefused: an unknown metric, or a cut-off beyond 10 that is longer than the catalogue.
        EngineError: the ids of model, train and test differ.
        DataTooSmall: there is nothing to test on.
        LeakRefused: test rows are training rows, or training rows are from their future.
        TrainingFailed: the model predicts ratings that are not finite.
    """
    from threadpoolctl import threadpool_limits

    without = {"ratings"} if not model.predicts_ratings else set()
    without |= {"scores"} if negatives else set()
    chosen = {name: one for name, one in by_name(metrics, k).items() if one.needs not in without}
    if not (model.facts.users == train.users == test.users and model.facts.items == train.items == test.items):
        raise EngineError(
            "the model, its training rows and the test rows number users and items differently",
            hint="build both sides over the id maps of the model",
        )
    if not len(test):
        raise DataTooSmall("there is no held-out rating to test on", hint="hold rows out: --test 0.2")
    _refuse_longer(chosen, train.n_items)
    refuse_seen(train, test)
    if temporal:
        refuse_future_training(train, test)
    draw = partial(among_drawn, train=train, test=test, negatives=negatives, seed=seed) if negatives else None
    with threadpool_limits(1, user_api="blas"):  # the order of sums, and so of near ties, must not depend on threads
        evidence = _collected(model, train, test, chosen, byte_budget, draw)
    if evidence.predicted is not None:
        evidence = _with_intervals(evidence, calibration, seed)
    values = {name: one.values(evidence) for name, one in chosen.items()}
    influences = {name: one.influence(evidence, one.k) for name, one in chosen.items() if one.influence is not None}
    return Report(
        _summarised(chosen, values, influences, evidence, seed),
        evidence.users,
        evidence.relevant,
        {name: values[name] for name, one in chosen.items() if one.per_user},
        influences,
        evidence,
    )


def _refuse_longer(chosen: dict[str, Metric], n_items: int) -> None:
    """Refuse lists longer than the catalogue; the usual ten are measured in a smaller one as long as they come."""
    for name, one in chosen.items():
        if one.needs == "lists" and one.k > max(n_items, USUAL_K):
            raise SettingRefused(
                f"{name} looks at more places than the catalogue has items, {n_items:,}",
                hint=f"take a cut-off of {n_items} at most, such as {one.name}@{USUAL_K}",
            )


def _collected(
    model: "Model",
    train: Interactions,
    test: Interactions,
    chosen: dict[str, Metric],
    byte_budget: int,
    draw: Callable[..., NDArray[np.floating[Any]]] | None,
) -> Evidence:
    """Run over the users with held-out rows once, and keep what the chosen metrics need."""
    needs = {one.needs for one in chosen.values()}
    users = np.flatnonzero(test.user_counts)  # (U,)
    depth = max((one.k for one in chosen.values() if one.needs == "lists"), default=0)
    lists = np.full((len(users), min(depth, train.n_items)), -1, np.int32)  # (U, K)
    auc = np.full(len(users), np.nan) if "scores" in needs else None
    done = 0
    for batch, scores in score_batches(model, users, byte_budget) if needs & {"lists", "scores"} else ():
        here = slice(done, done := done + len(batch))
        ranked = scores if draw is None else draw(scores, batch)
        lists[here] = top_k_seen(ranked, lists.shape[1], batch, train)[0]
        if auc is not None:
            auc[here] = areas(scores, batch, train, test)
    rest: dict[str, Any] = {}
    if "ratings" in needs:
        predicted = _predicted(model, test)
        rest = {"predicted": predicted} | errors_by_user(predicted, test, users)
    return Evidence.of_lists(users, lists, train, test, auc=auc, **rest)


def _predicted(model: "Model", test: Interactions) -> NDArray[np.float32]:
    """Return the predicted ratings of the held-out rows (n,)."""
    predicted = np.empty(len(test), np.float32)
    warm = model.facts.user_counts[test.user_index] > 0  # (n,)
    if warm.any():
        predicted[warm] = model.rate_pairs(test.user_index[warm], test.item_index[warm])
    if not warm.all():
        predicted[~warm] = model.ratings(model.cold_vector(), test.item_index[~warm])
    if not np.isfinite(predicted).all():
        raise TrainingFailed(
            f"{int((~np.isfinite(predicted)).sum())} predicted ratings are not finite",
            hint="train with a lower learning rate or more regularization",
        )
    return predicted


def errors_by_user(
    predicted: NDArray[np.float32], test: Interactions, users: NDArray[np.integer[Any]]
) -> dict[str, Values]:
    """Return the squared and the absolute errors of predicted ratings (n,), summed by user (U,), under their names."""
    error = predicted.astype(np.float64) - test.ratings
    sums = {"squared_error": error**2, "absolute_error": np.abs(error)}
    return {name: np.bincount(test.user_index, one, test.n_users)[users] for name, one in sums.items()}


def _with_intervals(evidence: Evidence, calibration: Calibration | None, seed: int) -> Evidence:
    """Add how many ratings of each user lie within their intervals, where there are any."""
    assert evidence.predicted is not None  # noqa: S101  the caller has looked
    inside = inside_intervals(evidence.predicted, evidence.train, evidence.test, calibration, seed)
    if inside is None:
        return evidence
    counts = np.bincount(evidence.test.user_index, inside, evidence.test.n_users)[evidence.users]
    return replace(evidence, inside=counts)


def _summarised(
    chosen: dict[str, Metric],
    values: dict[str, Values],
    influences: dict[str, Values],
    evidence: Evidence,
    seed: int,
) -> dict[str, MetricValue]:
    """Take the means, last of all, and their intervals."""
    users = evidence.users
    active = np.count_nonzero(evidence.train.user_counts) + np.count_nonzero(evidence.train.user_counts[users] == 0)
    terms = {name: one.terms(values[name], evidence.relevant) for name, one in chosen.items()}
    intervals = _intervals({name: one for name, one in chosen.items() if one.per_user}, terms, seed)
    summary = {}
    for name, one in chosen.items():
        totals, weights = terms[name]
        counted = int(np.count_nonzero(weights)) if one.per_user else len(users)
        value = float(one.mean(totals.sum(), weights.sum()))
        low, high = intervals[name] if name in intervals else _around(one, value, influences.get(name))
        summary[name] = MetricValue(value, low, high, counted, int(active) - counted)
    return summary


def _around(one: Metric, value: float, influence: Values | None) -> tuple[float | None, float | None]:
    """Return the interval of a metric that has one number for all lists, from how much each user moves it."""
    if influence is None or np.isnan(value) or len(influence) < 2:
        return None, None
    low, high, _ = student(value, float(influence.std(ddof=1)), len(influence))
    return max(low, one.bounds[0]), min(high, one.bounds[1])


def _intervals(
    by_user: dict[str, Metric], terms: dict[str, tuple[Values, Values]], seed: int
) -> dict[str, tuple[float, float]]:
    """Return the 95 % intervals by name, all from the same draws of users."""
    if not by_user:
        return {}
    totals, weights = (np.stack([terms[name][side] for name in by_user], axis=1) for side in (0, 1))  # (U, M) each
    drawn_totals, drawn_weights = bootstrap(totals, weights, seed)  # (draws, M) each
    return {
        name: interval(one.mean(drawn_totals[:, column], drawn_weights[:, column]))
        for column, (name, one) in enumerate(by_user.items())
    }
