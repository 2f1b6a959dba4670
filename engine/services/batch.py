"""Answers for many users: streamed, with memory bounded by a byte budget whatever the number of users."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.ranking import BYTE_BUDGET, top_k_many
from engine.resources import thread_limit
from engine.services.ladder import View
from engine.services.manager import Snapshot
from engine.services.recommend import Filters, Prediction, Recommender, allowed_items
from store import catalog

if TYPE_CHECKING:
    from engine.services import Services

_PAIRS = 10_000  # pairs of neighbouring rows that are looked at together


def recommend_all(
    services: "Services", n: int, *, version: str = "active", filters: Filters | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the lists of all users as rows (user, rank, item, score), users in the order of their ids.

    Raises:
        NotFound: no such version.
    """
    snapshot = services.manager.snapshot(version)
    n_items = len(snapshot.model.facts.items)
    allowed = allowed_items(snapshot.model, filters or Filters())
    include_seen = bool(filters and filters.include_seen)
    size = max(1, BYTE_BUDGET // (8 * max(1, n_items)))  # float32 scores, and as much again while they are ranked
    users = catalog.user_ids(services.database)
    while batch := list(islice(users, size)):
        for views, ranked, scores in ranked_lists(
            services, snapshot, batch, n, allowed=allowed, include_seen=include_seen
        ):
            yield from _rows(views, ranked, scores)


def ranked_lists(
    services: "Services",
    snapshot: Snapshot,
    users: Sequence[str],
    n: int,
    *,
    allowed: NDArray[np.bool_] | None = None,
    include_seen: bool = False,
) -> Iterator[tuple[list[View], NDArray[np.int32], NDArray[np.float32]]]:
    """Yield (views (B), items (B, n), scores (B, n_items)) of neighbouring users who stand on rungs of one model.

    Args:
        services: have the users.
        snapshot: the version that answers.
        users: text ids; as many as there is room for the scores of.
        n: length of the lists, padded with -1 where fewer items are left.
        allowed: (n_items,), the items that may be in a list; None for all.
        include_seen: rated items may be in it.
    """
    with thread_limit(1):  # many small products: threads would wait for one another longer than they work
        views = [services.recommender.ladder.view(snapshot, user, remember=False) for user in users]
    for model, group in groupby(views, key=lambda view: view.model):
        together = list(group)
        scores = model.score_vectors(np.stack([view.vector for view in together]))  # (B, n_items)
        if allowed is not None:
            scores[:, ~allowed] = -np.inf
        seen = [view.items[:0] if include_seen else np.sort(view.items) for view in together]
        indptr = np.concatenate([[0], np.cumsum([len(items) for items in seen])])
        yield together, top_k_many(scores, n, indptr, np.concatenate(seen).astype(np.int64)), scores


def predict_pairs(
    services: "Services", pairs: Iterable[tuple[str, str]], *, version: str = "active"
) -> Iterator[tuple[str, str, Prediction]]:
    """Yield (user, item, prediction) for each pair, in the same order; an item that nobody knows gets the user's level.

    Raises:
        NotFound: no such version.
    """
    snapshot = services.manager.snapshot(version)
    recommender, items = services.recommender, snapshot.model.facts.items
    stream = iter(pairs)
    while chunk := list(islice(stream, _PAIRS)):
        answers: list[Prediction | None] = [None] * len(chunk)
        by_user = sorted(range(len(chunk)), key=lambda row: chunk[row][0])
        with thread_limit(1):  # as above
            for user, rows in groupby(by_user, key=lambda row: chunk[row][0]):
                view = recommender.ladder.view(snapshot, user)
                together = list(rows)
                positions = [items.index(chunk[row][1]) for row in together]
                known = [
                    (row, position) for row, position in zip(together, positions, strict=True) if position is not None
                ]
                found = _told(recommender, snapshot, view, np.array([position for _, position in known], np.int64))
                for (row, _), prediction in zip(known, found, strict=True):
                    answers[row] = prediction
                for row, position in zip(together, positions, strict=True):
                    if position is None:
                        new = catalog.find_item(services.database, chunk[row][1])
                        answers[row] = recommender.predict_new_item(snapshot, view, new)
        for (user, item), answer in zip(chunk, answers, strict=True):
            assert answer is not None  # noqa: S101  every row belongs to one user
            yield user, item, answer


def _told(recommender: Recommender, snapshot: Snapshot, view: View, positions: NDArray[np.int64]) -> list[Prediction]:
    """Return predictions of items (n,); of a model that only ranks the scores, which order pairs as its lists do."""
    found = recommender.predictions(snapshot, view, positions)
    if view.model.predicts_ratings:
        return found
    scores = view.model.scores(view.vector, positions).tolist()
    return [replace(prediction, prediction=score) for prediction, score in zip(found, scores, strict=True)]


def _rows(views: list[View], ranked: NDArray[np.int32], scores: NDArray[np.float32]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a batch of users with lists (B, n), -1 where nothing is left, and scores (B, n_items)."""
    for row, view in enumerate(views):
        names = view.model.facts.items
        for rank, item in enumerate(ranked[row], 1):
            if item >= 0:
                score = float(scores[row, item])
                yield {"user": view.user, "rank": rank, "item": names.text(int(item)), "score": score}
