"""The table of metrics. A new one is a function, its definition in words, and one line; the contract suite tests it."""

from collections.abc import Iterable
from dataclasses import replace
from difflib import get_close_matches

from engine.errors import SettingRefused
from engine.metrics import accuracy, beyond, rating
from engine.metrics.base import Evidence, Metric, Values

__all__ = ["DEFAULT", "METRICS", "Evidence", "Metric", "Values", "by_name", "metric"]

METRICS: dict[str, Metric] = {
    found.name: found
    for found in (
        rating.RMSE,
        rating.MAE,
        accuracy.PRECISION,
        accuracy.RECALL,
        accuracy.NDCG,
        accuracy.MAP,
        accuracy.MRR,
        accuracy.HIT_RATE,
        accuracy.AUC,
        beyond.COVERAGE,
        beyond.GINI,
        beyond.NOVELTY,
        beyond.DIVERSITY,
        beyond.POPULARITY_LIFT,
        rating.INTERVAL_COVERAGE,
        rating.CALIBRATION_ERROR,
    )
}

_LONGEST = 9  # digits of a cut-off

DEFAULT = tuple(METRICS)
"""All metrics; the cut-off comes from the caller."""


def metric(name: str, k: int = 10) -> Metric:
    """Return a metric by its name, with its cut-off: `ndcg@20`, or `ndcg` with the cut-off `k`.

    `precision_at_10` means `precision@10`. A metric that looks at no list, such as `rmse`, takes no cut-off.

    Raises:
        SettingRefused: no such metric (the hint has the nearest names), or a cut-off that is no whole number above 0.
    """
    base, at, cut = name.replace("_at_", "@").partition("@")
    found = METRICS.get(base)
    if found is None:
        near = get_close_matches(base, METRICS, n=2)
        guess = f"did you mean {' or '.join(near)}? " if near else ""
        raise SettingRefused(f"unknown metric {name!r}", hint=f"{guess}metrics: {', '.join(METRICS)}")
    if at and found.needs != "lists":
        raise SettingRefused(f"{base} takes no cut-off, but {name!r} gives one", hint=f"write {base}")
    if at and not (cut.isascii() and cut.isdigit() and len(cut) <= _LONGEST):
        raise SettingRefused(f"the cut-off in {name!r} is no whole number", hint=f"write it as {base}@10")
    k = int(cut) if at else k
    if k < 1:
        raise SettingRefused(f"{base} at {k} has no list to look at", hint="the cut-off k is at least 1; default 10")
    return replace(found, k=k, named_with_k=found.named_with_k or bool(at))


def by_name(names: Iterable[str], k: int = 10) -> dict[str, Metric]:
    """Return metrics by their full names, in the order given; see `metric`."""
    chosen = [metric(name, k) for name in names]
    return {found.key: found for found in chosen}
