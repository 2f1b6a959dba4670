"""The only place that ranks: the best k items by score, without what is seen or filtered, ties to the lower index."""

import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.data import Interactions
from engine.resources import keep

if TYPE_CHECKING:
    from engine.models.base import Model

BYTE_BUDGET = 256 * 2**20
"""Bytes that a batch of scores may take, temporaries of the model included."""

_NOTHING, _ALL = np.empty(0, np.int64), np.empty(0, np.bool_)
_GROUP = 16  # items that one head stands for: fewer heads are quicker to order, and bound less well


def top_k(
    scores: NDArray[np.floating[Any]],
    k: int,
    *,
    exclude: NDArray[np.integer[Any]] | None = None,
    allowed: NDArray[np.bool_] | None = None,
) -> NDArray[np.intp]:
    """Return the items with the highest scores, best first: exactly min(k, eligible) distinct dense indices.

    An item is eligible if it is allowed, not excluded, and its score is neither NaN nor -inf. Equal scores go to the
    lower index.

    Args:
        scores: (n_items,), higher is better.
        k: length of the list; 0 or less gives an empty one.
        exclude: items that must not appear, such as those already rated; in any order.
        allowed: (n_items,), False for items that a filter takes out.
    """
    return ranked(scores, k, exclude=exclude, allowed=allowed)[0]


def ranked(
    scores: NDArray[np.floating[Any]],
    k: int,
    *,
    exclude: NDArray[np.integer[Any]] | None = None,
    allowed: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.intp], list[float]]:
    """Return what `top_k` does, and for each item of it the percentage of all scores that are not above its own."""
    total = len(scores)
    k = min(max(k, 0), total)
    if k == 0:
        return np.empty(0, np.intp), []
    loop = _LOOP.found()
    if loop is None or scores.dtype != np.float32:
        picked, above = _best_by_arrays(scores, k, exclude, allowed)
    else:
        picked, above = np.empty(k, np.intp), np.zeros(k, np.intp)
        without = _NOTHING if exclude is None else exclude.astype(np.int64, copy=False)
        found = loop(scores, without, _ALL if allowed is None else allowed, picked, above)
        picked, above = picked[:found], above[:found]
    return picked, [100 * (total - higher) / total for higher in above.tolist()]


def percentile(scores: NDArray[np.floating[Any]], item: int) -> float:
    """Return the percentage of all scores (n_items,) that are not above that of one item."""
    return 100 * float(np.mean(scores <= scores[item]))


class _Loop:
    """The compiled loop for one list, where compiled loops are loaded: loading them takes as long as a thousand lists.

    The first who asks has it made ready, which takes a second where it was never compiled, and waits for nothing.
    """

    def __init__(self) -> None:
        self._first = threading.Lock()
        self._ready: Callable[..., int] | None = None

    def found(self) -> Callable[..., int] | None:
        """Return the loop once it is ready."""
        if self._ready is None and "engine.kernels_ranking" in sys.modules and self._first.acquire(blocking=False):
            threading.Thread(target=self.make_ready, name="ranking", daemon=True).start()
        return self._ready

    def make_ready(self) -> None:
        """Load the loop and call it once, in the caller's time."""
        from engine.kernels_ranking import top_k_of_one

        top_k_of_one(np.zeros(1, np.float32), _NOTHING, _ALL, np.empty(1, np.intp), np.zeros(1, np.intp))
        keep("ranking")
        self._ready = top_k_of_one


_LOOP = _Loop()


def _best_by_arrays(
    scores: NDArray[np.floating[Any]],
    k: int,
    exclude: NDArray[np.integer[Any]] | None,
    allowed: NDArray[np.bool_] | None,
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the best min(k, eligible) items, and how many of all scores are above each of theirs."""
    eligible = scores.copy()
    if allowed is not None:
        eligible[~allowed] = -np.inf
    if exclude is not None:
        eligible[exclude] = -np.inf
    least = _reached_by_some(eligible, k)
    # with those that are not eligible: they count for the percentages
    high = (scores >= least if least > -np.inf else scores > -np.inf).nonzero()[0]
    falling = -scores[high]
    order = falling.argsort(kind="stable")
    high = high[order]
    places = (eligible[high] > -np.inf).nonzero()[0][:k]
    falling = falling[order]
    return high[places], falling.searchsorted(falling[places], "left")


def _reached_by_some(scores: NDArray[np.floating[Any]], k: int) -> np.floating[Any]:
    """Return a score that at least k items reach, and not many more; -inf where fewer have a score.

    The best of each of many groups are that many items: the k-th of them bounds the k-th of all from below, and there
    are few of them to put in order.
    """
    groups = max(len(scores) // _GROUP, min(len(scores), _GROUP * k))
    whole = len(scores) - len(scores) % groups
    heads = np.fmax.reduce(scores[:whole].reshape(-1, groups), axis=0, initial=-np.inf)  # NaN is no score
    heads.partition(groups - k)
    least: np.floating[Any] = heads[groups - k]
    return least


def top_k_many(
    scores: NDArray[np.floating[Any]],
    k: int,
    exclude_indptr: NDArray[np.integer[Any]] | None = None,
    exclude_items: NDArray[np.integer[Any]] | None = None,
) -> NDArray[np.int32]:
    """Return what `top_k` gives for each row of scores (B, n_items), as (B, k) padded with -1.

    Args:
        scores: (B, n_items).
        k: length of the lists.
        exclude_indptr: (B + 1,), where the excluded items of each row begin in `exclude_items`.
        exclude_items: dense indices, in any order within a row.
    """
    if exclude_indptr is None or exclude_items is None:
        exclude_indptr, exclude_items = np.zeros(len(scores) + 1, np.int64), np.empty(0, np.int32)
    return _top_k_spans(scores, k, exclude_indptr[:-1], exclude_indptr[1:], exclude_items)[0]


def top_k_seen(
    scores: NDArray[np.floating[Any]], k: int, users: NDArray[np.integer[Any]], seen: Interactions
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return lists (B, k) padded with -1 and their scores padded with NaN, without what the users have in `seen`.

    Args:
        scores: (B, n_items), a row for each of `users`.
        k: length of the lists.
        users: (B,), dense indices.
        seen: the rows whose items must not appear in their user's list.
    """
    return _top_k_spans(scores, k, seen.indptr[users], seen.indptr[users + 1], seen.item_index)


def top_k_all(
    model: "Model", users: NDArray[np.integer[Any]], k: int, seen: Interactions, byte_budget: int = BYTE_BUDGET
) -> Iterator[tuple[NDArray[np.integer[Any]], NDArray[np.int32], NDArray[np.float32]]]:
    """Yield (users (B,), items (B, k), scores (B, k)) over all `users`, batch by batch, within a budget of memory.

    Items are padded with -1 and scores with NaN where fewer than k items are unseen.
    """
    for batch, scores in score_batches(model, users, byte_budget):
        items, best = top_k_seen(scores, k, batch, seen)
        yield batch, items, best


def score_batches(
    model: "Model", users: NDArray[np.integer[Any]], byte_budget: int = BYTE_BUDGET
) -> Iterator[tuple[NDArray[np.integer[Any]], NDArray[np.float32]]]:
    """Yield (users (B,), scores (B, n_items)) with B from a byte budget; at least one row a batch.

    A user without training rows gets the scores of the model's cold vector.
    """
    # three float32 matrices: the scores, a temporary of the model, and the batch that the caller still holds
    rows = min(max(1, byte_budget // max(1, 12 * len(model.facts.items))), 1024)  # more rows leave the cache
    for start in range(0, len(users), rows):
        batch = users[start : start + rows]
        warm = model.facts.user_counts[batch] > 0  # (B,)
        if warm.all():
            yield batch, model.score_users(batch)
            continue
        scores = np.empty((len(batch), len(model.facts.items)), np.float32)
        scores[~warm] = model.scores(model.cold_vector())
        if warm.any():
            scores[warm] = model.score_users(batch[warm])
        yield batch, scores


def _top_k_spans(
    scores: NDArray[np.floating[Any]],
    k: int,
    starts: NDArray[np.integer[Any]],
    stops: NDArray[np.integer[Any]],
    items: NDArray[np.integer[Any]],
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Rank each row without items[starts[b]:stops[b]]."""
    from engine.jit import in_threads
    from engine.kernels_ranking import Spans, top_k_rows

    best = np.full((len(scores), max(k, 0)), -1, np.int32)  # (B, k)
    best_scores = np.full(best.shape, np.nan, scores.dtype)  # (B, k)
    if best.size:
        seen = Spans(np.asarray(starts, np.int64), np.asarray(stops, np.int64), np.asarray(items, np.int32))
        in_threads(top_k_rows, len(scores), np.ascontiguousarray(scores), seen, best, best_scores)
    return best, best_scores
