"""Answers for many users: streamed, with memory bounded by a byte budget whatever the number of users."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.diversity import Wish, rerank
from engine.models.base import Model
from engine.ranking import BYTE_BUDGET, top_k_many
from engine.resources import thread_limit
from engine.services.filters import Filters, allowed_items
from engine.services.ladder import View
from engine.services.manager import Snapshot
from engine.services.recommend import Prediction, Recommender
from store import catalog

if TYPE_CHECKING:
    from engine.services import Services

_PAIRS = 10_000  # pairs of neighbouring rows that are looked at together
_MOST_USERS = 1_024  # at a time: more leave the cache of the processor
_MOST_ROWS = 50_000  # at a time, about half a kilobyte each: long lists of many users are more than their scores
_PLAIN = Wish()


class Lists(NamedTuple):
    """The lists of some users: how many users, the last of them, and rows of user, rank, item and score."""

    users: int
    last: str
    rows: list[dict[str, Any]]


def recommend_all(services: "Services", n: int, **settings: Any) -> Iterator[dict[str, Any]]:
    """Yield the rows of `list_batches` one by one."""
    for batch in list_batches(services, n, **settings):
        yield from batch.rows


def list_batches(
    services: "Services",
    n: int,
    *,
    version: str = "active",
    filters: Filters | None = None,
    wish: Wish = _PLAIN,
    after: str = "",
    byte_budget: int = BYTE_BUDGET,
) -> Iterator[Lists]:
    """Yield the lists of all users in the order of their ids, some at a time, as `Recommender.recommend` gives them.

    Args:
        services: of the database.
        n: items in a list.
        version: `v7`, active, latest, best or previous; what it stands for at the beginning serves all.
        filters: what may be in a list.
        wish: what a list shall be besides good.
        after: begin after this user, for a run that goes on.
        byte_budget: what a batch may take in memory.

    Raises:
        NotFound: no such version.
        SettingRefused: a genre that the catalogue does not have.
    """
    chosen = filters or Filters()
    answering = _answering(services, version)
    allowed = [allowed_items(snapshot.model, chosen) for snapshot, _ in answering]
    users = catalog.user_ids(services.database, after=after)
    size = min(_batch_size(snapshot.model, byte_budget, n) for snapshot, _ in answering)
    while batch := list(islice(users, size)):
        rows: dict[str, list[dict[str, Any]]] = {user: [] for user in batch}
        left = batch
        for (snapshot, takes), passing in zip(answering, allowed, strict=True):
            theirs, left = [user for user in left if takes(user)], [user for user in left if not takes(user)]
            for views, best, scores in ranked_lists(
                services, snapshot, theirs, wish.candidates(n), allowed=passing, include_seen=chosen.include_seen
            ):
                for view, items, row in zip(views, best, scores, strict=True):
                    rows[view.user] = _rows(view, items[items >= 0], row, n, wish)
        yield Lists(len(batch), batch[-1], [row for user in batch for row in rows[user]])


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


def _answering(services: "Services", version: str) -> list[tuple[Snapshot, Callable[[str], bool]]]:
    """Return the loaded versions that answer, each with the users that it takes of those left by the ones before."""
    serving = services.manager.snapshot(version)
    canary = services.memory.canary() if version == "active" else None
    tried = [] if canary is None else [(services.manager.snapshot(f"v{canary.version}"), canary.takes)]
    return [*tried, (serving, lambda _: True)]


def _batch_size(model: Model, byte_budget: int, n: int) -> int:
    """Return how many users fit: vectors twice, scores, what the model makes on the way, what is ranked, and n rows."""
    n_items = len(model.facts.items)
    each = 16 * n_items + 2 * model.cold_vector().nbytes
    most = min(_MOST_USERS, max(1, _MOST_ROWS // max(min(n, n_items), 1)))
    return min(max(1, byte_budget // max(each, 1)), most)


def predict_pairs(
    services: "Services", pairs: Iterable[tuple[str, str]], *, version: str = "active"
) -> Iterator[tuple[str, str, Prediction]]:
    """Yield (user, item, prediction) for each pair, in the same order; an item that nobody knows gets the user's level.

    Raises:
        NotFound: no such version.
    """
    answering = _answering(services, version)
    recommender = services.recommender
    stream = iter(pairs)
    while chunk := list(islice(stream, _PAIRS)):
        answers: list[Prediction | None] = [None] * len(chunk)
        by_user = sorted(range(len(chunk)), key=lambda row: chunk[row][0])
        with thread_limit(1):  # as above
            for user, rows in groupby(by_user, key=lambda row: chunk[row][0]):
                snapshot = next(snapshot for snapshot, takes in answering if takes(user))
                view, items = recommender.ladder.view(snapshot, user), snapshot.model.facts.items
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


def _rows(
    view: View, best: NDArray[np.integer[Any]], scores: NDArray[np.float32], n: int, wish: Wish
) -> list[dict[str, Any]]:
    """Return the rows of a user's list, from the best items (m,) and the scores of all (n_items,)."""
    names = view.model.facts.items
    picked = rerank(view.model, scores, best, n, wish, (view.items, view.ratings))
    return [
        {"user": view.user, "rank": rank, "item": names.text(item), "score": score}
        for rank, (item, score) in enumerate(zip(picked.tolist(), scores[picked].tolist(), strict=True), 1)
    ]
