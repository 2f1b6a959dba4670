"""Compiled loops over scores: the best k of each row or of one, and the ranks of given values in sorted rows."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.jit import compiled


class Spans(NamedTuple):
    """Items by row: those of row b are items[starts[b]:stops[b]].

    Attributes:
        starts: int64 (B,).
        stops: int64 (B,).
        items: int32, dense indices.
    """

    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    items: NDArray[np.int32]


@compiled
def top_k_rows(
    rows: tuple[int, int],
    scores: NDArray[np.floating[Any]],
    seen: Spans,
    best: NDArray[np.int32],
    best_scores: NDArray[np.floating[Any]],
) -> None:
    """Fill best (B, k) and best_scores (B, k) with the unseen items of the rows start:stop, best first.

    Places that stay empty keep what they hold. Insertion suits lists that are short against the catalogue: few items
    pass the threshold once k are found.
    """
    n_items, k = scores.shape[1], best.shape[1]
    seen_by = np.full(n_items, -1, np.int64)  # the last row that has the item among its seen ones
    for b in range(rows[0], rows[1]):
        for position in range(seen.starts[b], seen.stops[b]):
            seen_by[seen.items[position]] = b
        filled = 0
        threshold = -np.inf
        for item in range(n_items):
            score = scores[b, item]
            # "greater" keeps the lower item of equal scores and lets neither NaN nor -inf in
            if not score > threshold or seen_by[item] == b:
                continue
            place = filled if filled < k else k - 1
            while place > 0 and best_scores[b, place - 1] < score:
                best_scores[b, place] = best_scores[b, place - 1]
                best[b, place] = best[b, place - 1]
                place -= 1
            best_scores[b, place] = score
            best[b, place] = item
            filled = min(filled + 1, k)
            if filled == k:
                threshold = best_scores[b, k - 1]


@compiled
def top_k_of_one(
    scores: NDArray[np.float32],
    exclude: NDArray[np.int64],
    allowed: NDArray[np.bool_],
    best: NDArray[np.int64],
    above: NDArray[np.int64],
) -> int:
    """Fill best (k,) with the eligible items of scores (n_items,), best first, and return how many there are.

    `above` (k,) is filled with how many of all scores are above each of theirs, eligible or not. Without filters
    `allowed` is empty.
    """
    n_items, k, filled, threshold = len(scores), len(best), 0, -np.inf
    out = np.zeros(n_items, np.bool_)
    for item in exclude:
        out[item] = True
    for item in range(n_items):
        score = scores[item]
        if not score > threshold or out[item] or (len(allowed) and not allowed[item]):
            continue
        place = filled if filled < k else k - 1
        while place > 0 and scores[best[place - 1]] < score:
            best[place] = best[place - 1]
            place -= 1
        best[place] = item
        filled = min(filled + 1, k)
        if filled == k:
            threshold = scores[best[k - 1]]
    for score in scores:
        place = filled - 1
        while place >= 0 and score > scores[best[place]]:
            above[place] += 1
            place -= 1
    return filled


@compiled
def average_ranks(
    span: tuple[int, int],
    ascending: NDArray[np.floating[Any]],
    rows: NDArray[np.integer[Any]],
    values: NDArray[np.floating[Any]],
    ranks: NDArray[np.float64],
) -> None:
    """Fill ranks (m,) with the ranks from 1 of values (m,) in their rows (m,) of the sorted matrix (B, n).

    Equal numbers share the mean of their ranks. Entries of `span` only, start to stop.
    """
    for entry in range(span[0], span[1]):
        row = ascending[rows[entry]]
        below = np.searchsorted(row, values[entry])
        upto = np.searchsorted(row, values[entry], side="right")
        ranks[entry] = (below + upto + 1) / 2
