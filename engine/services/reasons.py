"""Reasons with numbers that an operator can recompute, for one item or a whole list at once."""

from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.models.base import Contributions, Explains, FoldsIn
from engine.models.removal import MOST, contributions_by_removal, cosines
from engine.services.cache import ByteCache
from engine.services.crowds import Agreement, Crowds
from engine.services.ladder import View
from store import catalog, evidence

if TYPE_CHECKING:
    from engine.services import Services
    from engine.services.memory import Moment

LEAST_CROWD = 5
"""Smaller groups of similar users are not reported: a count of one or two could point at a person."""

_MOVIES = 3  # similar rated items in a reason
_LEFT_OUT = 3  # ratings for each item of a list, by models that only say what a score is without them
_GENRES = 200_000  # items whose genres are remembered; about 300 bytes each
_HISTORY_BYTES = 32 << 20  # of the histories of users whose lists are explained
_HISTORY_SIZE, _RATING_SIZE = 1_024, 160  # bytes
_ALIKE = 1e-9  # a mean of equal ratings may come out above them


class Target(NamedTuple):
    """An item to explain: its entry in the catalogue, and its index in the model, -1 where the model lacks it."""

    item: catalog.Item
    position: int


class _History(NamedTuple):
    """A user's ratings in the database, by dense ids: what they gave, and which of it they like."""

    user_id: int
    given: dict[int, float]
    liked: list[int]


class Reasons:
    """Finds reasons; what is common to the items of a list is worked out once."""

    def __init__(self, services: "Services") -> None:
        self._services = services
        self._database = services.database
        self._crowds = Crowds(services.database, services.memory)
        self._genres: dict[int, frozenset[int]] = {}
        self._moment: Moment | None = None
        self._histories: ByteCache[str, tuple[Moment, int, _History]] = ByteCache(_HISTORY_BYTES)

    def of(
        self, view: View, targets: Sequence[Target], parts: Sequence[Contributions | None]
    ) -> list[list[dict[str, Any]]]:
        """Return every reason that the data supports for each target; there is always one."""
        if not targets:
            return []
        history = self._history(view.user)
        movies = self.similar_movies(view, targets, parts)
        crowds = self._similar_users(view, history, targets, movies) if history else {}
        items = [target.item.id for target in targets]
        shares = self._genre_shares(history, items) if history else [None] * len(items)
        found = []
        for target, part, alike, share in zip(targets, parts, movies, shares, strict=True):
            reasons: list[dict[str, Any]] = []
            if alike:
                method = part.method if part is not None and len(part.items) else "likeness"
                reasons.append({"type": "similar_movies", "movies": alike, "method": method})
            if share:
                reasons.append({"type": "genre_match", "genres": list(target.item.genres), "match_score": share})
            if target.item.item in crowds:
                reasons.append({"type": "similar_users"} | crowds[target.item.item])
            found.append(reasons or [self._popularity(target.item)])
        return found

    def genre_match(self, user: str, item: catalog.Item) -> float | None:
        """Return the share of what a user likes that has a genre of the item; None without likes or genres."""
        history = self._history(user)
        return self._genre_shares(history, [item.id])[0] if history else None

    def crowd(self, view: View, target: Target, parts: Contributions | None) -> dict[str, Any] | None:
        """Return how many who agreed with the user rated the item, and their mean; None below `LEAST_CROWD`."""
        history = self._history(view.user)
        movies = self.similar_movies(view, [target], [parts])
        return self._similar_users(view, history, [target], movies).get(target.item.item) if history else None

    def similar_movies(
        self, view: View, targets: Sequence[Target], parts: Sequence[Contributions | None], n: int = _MOVIES
    ) -> list[list[dict[str, Any]]]:
        """Return for each target the rated items that raise its score most, those liked first.

        Where the model cannot tell, the well-rated ones that are most alike.
        """
        if not len(view.items) or not targets:
            return [[] for _ in targets]
        liked = view.ratings >= view.mean - _ALIKE  # a low rating can speak for an item, but convinces nobody
        weights = _weights(view, targets, parts, liked)  # (k, m)
        first = np.where(weights > 0, weights + liked[:, None] * weights.max(), -np.inf)
        chosen = _best_rows(first, n)
        rows = sorted({row for some in chosen for row in some})
        names = [view.model.facts.items.text(item) for item in view.items[rows].tolist()]
        entries = self._services.memory.items(names)
        titles = [entries[name].title if name in entries else None for name in names]
        known = zip(names, titles, view.ratings[rows].tolist(), weights[rows].tolist(), strict=True)
        said = dict(zip(rows, known, strict=True))
        return [
            [
                {"id": name, "title": title, "your_rating": rating, "weight": heavy[at]}
                for name, title, rating, heavy in (said[row] for row in some)
            ]
            for at, some in enumerate(chosen)
        ]

    def _similar_users(
        self, view: View, history: _History, targets: Sequence[Target], movies: Sequence[Sequence[dict[str, Any]]]
    ) -> dict[str, dict[str, Any]]:
        """Return by item how many who agree with the user on its similar movies rated it, where they are enough."""
        entries = self._services.memory.items(list({movie["id"] for alike in movies for movie in alike}))
        entries = {name: entry for name, entry in entries.items() if entry.id in history.given}
        tolerance = view.model.facts.scale.step or 0.5
        shared = {
            target.item.id: [entries[movie["id"]].id for movie in alike if movie["id"] in entries]
            for target, alike in zip(targets, movies, strict=True)
        }
        own = {entry.id: history.given[entry.id] for entry in entries.values()}
        crowds = self._crowds.agreeing(
            history.user_id, own, {item: ids for item, ids in shared.items() if ids}, tolerance
        )
        return {
            target.item.item: _crowd(crowds[target.item.id], [movie["id"] for movie in alike], tolerance)
            for target, alike in zip(targets, movies, strict=True)
            if target.item.id in crowds and crowds[target.item.id].n_raters >= LEAST_CROWD
        }

    def _history(self, user: str) -> _History | None:
        """Return what the database has of a user, or None where it knows none; kept until that changes."""
        moment = self._services.memory.latest
        seen, revision, history = self._histories.get(user) or (None, None, None)
        if history is not None and seen is moment:
            return history
        key = catalog.user_key(self._database, user)
        if key is None:
            return None
        if history is None or (history.user_id, revision) != key:
            given = evidence.given_by(self._database, key[0])
            least = sum(given.values()) / max(len(given), 1) - _ALIKE
            history = _History(key[0], given, [item for item, rating in given.items() if rating >= least])
        size = _HISTORY_SIZE + _RATING_SIZE * len(history.given)
        self._histories.put(user, (moment, key[1], history), size)
        return history

    def _genre_shares(self, history: _History, items: Sequence[int]) -> list[float | None]:
        """Return for each item the share of liked items, other than itself, that have one of its genres."""
        moment = self._services.memory.latest
        if moment is not self._moment or len(self._genres) > _GENRES:
            self._genres, self._moment = {}, moment
        genres, needed = self._genres, {*history.liked, *items}
        if missing := [item for item in needed if item not in genres]:
            genres |= evidence.genres_by_id(self._database, missing)
        liked = Counter(genres[item] for item in history.liked)  # there are far fewer sets of genres than items
        shares: list[float | None] = []
        for item in items:
            itself = item in history.given and item in history.liked
            others = len(history.liked) - itself
            having = sum(number for other, number in liked.items() if not genres[item].isdisjoint(other)) - itself
            shares.append(having / others if others and genres[item] else None)
        return shares

    def _popularity(self, item: catalog.Item) -> dict[str, Any]:
        raters = evidence.everybody(self._database, item.id)
        return {"type": "popularity", "n_ratings": raters.count, "avg_rating": raters.mean}


def contributions(view: View, positions: NDArray[np.integer[Any]]) -> list[Contributions | None]:
    """Take the scores of items (m,) apart: exactly where the model can, else by removal, else not at all.

    Removal folds a history in once for each rating that is left out. In a list those are the few most alike to each of
    its items, which are much the same for all of them; a single item is explained by many more.
    """
    model: Any = view.model
    kind: Any = type(model)
    if _able(kind, Explains):
        with _libraries().limit(limits=1, user_api="blas"):  # matrices this small gain nothing by a second thread
            return list(model.contributions(view.items, view.ratings, positions))
    if _able(kind, FoldsIn):
        most = MOST if len(positions) == 1 else _LEFT_OUT
        return list(contributions_by_removal(model, view.items, view.ratings, positions, most))
    return [None] * len(positions)


@cache
def _able(kind: Any, ability: Any) -> bool:
    """Tell whether models of a kind have an ability; asking a protocol takes as long as some of the arithmetic."""
    return issubclass(kind, ability)


@cache
def _libraries() -> Any:
    """Return the numeric libraries that are loaded; finding them takes longer than a list of ten."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _weights(
    view: View, targets: Sequence[Target], parts: Sequence[Contributions | None], liked: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return how much each rating of the history speaks for each target (k, m); an item speaks not for itself."""
    weights = np.zeros((len(view.items), len(targets)))
    unsaid = [at for at, (target, part) in enumerate(zip(targets, parts, strict=True)) if _says_nothing(target, part)]
    if unsaid:
        positions = np.array([targets[at].position for at in unsaid])
        weights[:, unsaid] = cosines(view.model, view.items, positions) * liked[:, None]
    for at, part in enumerate(parts):
        if part is not None and len(part.items) == len(view.items):
            weights[:, at] = part.amounts
        elif part is not None and len(part.items):
            amounts = dict(zip(part.items.tolist(), part.amounts.tolist(), strict=True))
            weights[:, at] = [amounts.get(int(item), 0.0) for item in view.items]
    weights[np.equal.outer(view.items, [target.position for target in targets])] = 0.0
    return weights


def _best_rows(values: NDArray[np.float64], n: int) -> list[list[int]]:
    """Return for each column of values (k, m) up to n rows with the largest ones, best first; -inf is none of them."""
    left, columns = values.T.copy(), np.arange(values.shape[1])  # (m, k)
    places: list[list[int]] = []
    largest: list[list[float]] = []
    for _ in range(min(n, len(values))):
        best = left.argmax(axis=1)
        places.append(best.tolist())
        largest.append(left[columns, best].tolist())
        left[columns, best] = -np.inf
    return [
        [place for place, value in zip(some, values, strict=True) if value > -np.inf]
        for some, values in zip(zip(*places, strict=True), zip(*largest, strict=True), strict=True)
    ]


def _says_nothing(target: Target, part: Contributions | None) -> bool:
    return target.position >= 0 and (part is None or not len(part.items))


def _crowd(found: Agreement, agree_on: list[str], tolerance: float) -> dict[str, Any]:
    return {
        "similar_user_count": found.n_raters,
        "avg_rating": found.mean,
        "agree_on": sorted(agree_on),
        "tolerance": tolerance,
    }


def sentence(reasons: Sequence[dict[str, Any]]) -> str:
    """Put the reasons into words, the strongest first."""
    words = []
    for reason in reasons:
        if reason["type"] == "similar_movies":
            names = [f"{movie['your_rating']:g} to {movie['title'] or movie['id']}" for movie in reason["movies"]]
            words.append("you gave " + ", ".join(names))
        elif reason["type"] == "genre_match":
            words.append(f"{reason['match_score']:.0%} of what you like is {' or '.join(reason['genres'])}")
        elif reason["type"] == "similar_users":
            count, mean = reason["similar_user_count"], reason["avg_rating"]
            words.append(f"{count:,} people who agree with you on these give it {mean:.1f} on average")
        else:
            mean = reason["avg_rating"]
            words.append(f"{reason['n_ratings']:,} people rated it" + (f", {mean:.1f} on average" if mean else ""))
    return "; ".join(words)
