"""What there is to say of a user and of an item: taste, habits and era against everybody; raters, neighbours, exposure.

Every count, share and mean is over the ratings as they are stored now, so that SQL gives it again; neighbours and
exposure are the active version's.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.services.what_if import rank_of
from store import catalog, evidence, ratings
from store.errors import NotFound

if TYPE_CHECKING:
    from engine.services import Services
    from engine.services.manager import Snapshot

LEAST_RATERS = 5
"""Of fewer raters nothing is told but their number: it could point at a person."""

_SAMPLE = 256  # users whose lists are looked at for exposure, raters whose habits are looked at
_BEST = 10
_BINS, _MOST_BINS = 20, 41  # of a histogram


class _Everybody(NamedTuple):
    """All ratings, by item of the catalogue in byte order of the ids."""

    place: dict[str, int]
    counts: NDArray[np.float64]
    sums: NDArray[np.float64]
    squares: NDArray[np.float64]
    genres: catalog.Genres

    @property
    def n(self) -> float:
        """How many ratings there are."""
        return float(self.counts.sum())


@dataclass(frozen=True)
class UserProfile:
    """A user beside everybody.

    Attributes:
        genres: [{genre, n_ratings, mean, share, population_share, population_mean, lift}], most rated first: `share` of
            the user's ratings whose item has the genre, `lift` how many times everybody's share that is.
        eras: the same by decade: [{decade, n_ratings, mean, share, population_share, population_mean, lift}].
        habits: mean, deviation, median; those of everybody; days on which they rated; `obscurity`, the share of their
            ratings whose item fewer than one in a hundred users have rated; `agreement`, the mean of their rating less
            the item's mean over everybody.
        distribution: [{rating, count}] by step of the scale from the lowest; where the scale has no steps, or too many
            to look at, by twentieths of it that begin at `rating`.
    """

    user: str
    genres: tuple[dict[str, Any], ...]
    eras: tuple[dict[str, Any], ...]
    habits: dict[str, Any]
    distribution: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class ItemProfile:
    """An item, who rates it and who is shown it.

    Attributes:
        distribution: as of a user.
        raters: `rank` by number of ratings (1 is the most rated) and, from five raters on, what is typical of them:
            median number of ratings, mean of their own means, share who rate it at or above their own mean; over
            `sampled` of them.
        neighbours: [{item, title, similarity}] as the active version sees them; empty without one.
        exposure: in how many of the lists of ten of `sampled` users it is, None without an active version.
    """

    item: str
    distribution: tuple[dict[str, Any], ...]
    raters: dict[str, Any]
    neighbours: tuple[dict[str, Any], ...]
    exposure: dict[str, Any] | None


class ProfileService:
    """Profiles of users and items."""

    def __init__(self, services: "Services") -> None:
        self._services = services
        self._database = services.database
        self._kept: tuple[int, _Everybody] | None = None

    def user(self, user: str) -> UserProfile:
        """Return the profile of a user.

        Raises:
            NotFound: nobody of that id.
        """
        if catalog.user_key(self._database, user) is None:
            raise NotFound(f"unknown user {user!r}", hint="`recsys-tui users list` shows those there are")
        history, everybody = ratings.history(self._database, user), self._everybody()
        places = np.array([everybody.place[row.item] for row in history], np.int64)
        given = np.array([row.rating for row in history], np.float64)
        decades = everybody.genres.years.astype(np.int64) // 10 * 10
        known = np.unique(decades[decades > 0])
        return UserProfile(
            user,
            _against(everybody, everybody.genres.matrix, everybody.genres.names, places, given, "genre"),
            tuple(
                sorted(
                    _against(everybody, decades[:, None] == known, known.tolist(), places, given, "decade"),
                    key=lambda row: row["decade"],
                )
            ),
            self._habits(everybody, history, places, given),
            self._distribution(given),
        )

    def item(self, item: str, n: int = 5) -> ItemProfile:
        """Return the profile of an item with its n nearest neighbours.

        Raises:
            NotFound: it is not in the catalogue.
        """
        found = catalog.need_item(self._database, item)
        raters = evidence.raters(self._database, [found.id])[found.id]
        everybody = self._everybody()
        own = everybody.counts[everybody.place[found.item]]
        about: dict[str, Any] = {"n": len(raters.users), "rank": 1 + int(np.count_nonzero(everybody.counts > own))}
        if len(raters.users) >= LEAST_RATERS:
            about |= self._typical(raters)
        try:
            snapshot = self._services.manager.snapshot()
        except NotFound:
            return ItemProfile(found.item, self._distribution(raters.ratings), about, (), None)
        position = snapshot.position(found.id, found.item)
        neighbours = self._neighbours(found.item, n) if position >= 0 else ()
        exposure = self._exposure(snapshot, position)
        return ItemProfile(found.item, self._distribution(raters.ratings), about, neighbours, exposure)

    def _everybody(self) -> _Everybody:
        """Return the totals of all items, kept while the ratings stay as they are."""
        revision = ratings.revision(self._database)
        if self._kept is None or self._kept[0] != revision:
            totals = evidence.item_totals(self._database)
            numbers = np.array([row[1:] for row in totals], np.float64).reshape(-1, 3)
            genres = catalog.genres_of(self._database, [row.item for row in totals])
            place = {row.item: index for index, row in enumerate(totals)}
            self._kept = revision, _Everybody(place, numbers[:, 0], numbers[:, 1], numbers[:, 2], genres)
        return self._kept[1]

    def _distribution(self, given: NDArray[np.float64]) -> tuple[dict[str, Any], ...]:
        """Count ratings by step of the scale, those that nobody gave among them; without steps, by twentieths of it."""
        scale = ratings.scale(self._database)
        low, high, step = scale
        n_bins = round((high - low) / step) + 1 if step else _BINS
        if not step or n_bins > _MOST_BINS:
            n_bins, step = _BINS, (high - low) / _BINS
        bins = np.clip(np.floor((given - low) / step + 1e-6), 0, n_bins - 1).astype(np.int64)
        counts = np.bincount(bins, minlength=n_bins)
        return tuple({"rating": round(low + step * at, 6), "count": count} for at, count in enumerate(counts.tolist()))

    def _habits(
        self,
        everybody: _Everybody,
        history: list[ratings.Rating],
        places: NDArray[np.int64],
        given: NDArray[np.float64],
    ) -> dict[str, Any]:
        n_users, _ = catalog.counts(self._database)
        times = [row.at for row in history if row.at is not None]
        level = everybody.sums.sum() / max(everybody.n, 1)
        spread = max(everybody.squares.sum() / max(everybody.n, 1) - level**2, 0.0) ** 0.5
        means = everybody.sums[places] / np.maximum(everybody.counts[places], 1)
        return {
            "mean": _number(given.mean() if len(given) else None),
            "population_mean": _number(level if everybody.n else None),
            "deviation": _number(given.std() if len(given) else None),
            "population_deviation": _number(spread if everybody.n else None),
            "median": _number(np.median(given) if len(given) else None),
            "agreement": _number((given - means).mean() if len(given) else None),
            "obscurity": _number((everybody.counts[places] < n_users / 100).mean() if len(given) else None),
            "first_at": min(times, default=None),
            "last_at": max(times, default=None),
            "days": len({at // 86_400 for at in times}),
        }

    def _typical(self, raters: evidence.Raters) -> dict[str, Any]:
        """Return what is typical of raters, over at most `_SAMPLE` of them, evenly from low ratings to high ones."""
        chosen = np.unique(np.linspace(0, len(raters.users) - 1, min(len(raters.users), _SAMPLE)).astype(np.int64))
        levels = evidence.levels(self._database, raters.users[chosen].tolist())
        numbers = np.array([levels[int(user)] for user in raters.users[chosen]])  # (n, 2): count, mean
        liked = raters.ratings[chosen] >= numbers[:, 1] - 1e-9
        return {
            "sampled": len(chosen),
            "median_ratings": float(np.median(numbers[:, 0])),
            "mean_of_means": float(numbers[:, 1].mean()),
            "liked_share": float(liked.mean()),
        }

    def _neighbours(self, item: str, n: int) -> tuple[dict[str, Any], ...]:
        near = self._services.recommender.similar(item, n)
        entries = self._services.memory.items([text for text, _ in near])
        return tuple(
            {"item": text, "title": entries[text].title if text in entries else None, "similarity": likeness}
            for text, likeness in near
        )

    def _exposure(self, snapshot: "Snapshot", position: int) -> dict[str, Any]:
        """Count the lists of ten that hold the item, over at most `_SAMPLE` users, evenly from all in the training."""
        from threadpoolctl import threadpool_limits

        facts = snapshot.model.facts
        trained = np.flatnonzero(facts.user_counts)
        chosen = np.unique(trained[np.linspace(0, len(trained) - 1, min(len(trained), _SAMPLE)).astype(np.int64)])
        shown = 0
        with threadpool_limits(1, user_api="blas"):  # for matrices as small as these a second thread only waits
            for user in chosen.tolist() if position >= 0 else ():
                view = self._services.recommender.ladder.view(snapshot, facts.users.text(user), remember=False)
                shown += position not in view.items and rank_of(view, position) <= _BEST
        share = shown / len(chosen) if len(chosen) else None
        return {"version": snapshot.version.name, "sampled": len(chosen), "in_best_10": shown, "share": share}


def _against(
    everybody: _Everybody,
    marks: NDArray[Any],
    names: Any,
    places: NDArray[np.int64],
    given: NDArray[np.float64],
    called: str,
) -> tuple[dict[str, Any], ...]:
    """Return for each column of marks (n_items, m) what a user makes of it beside everybody, most rated first."""
    own = marks[places].astype(np.float64)  # (k, m)
    mine, sums = own.sum(axis=0), given @ own
    theirs, their_sums = everybody.counts @ marks, everybody.sums @ marks
    rows = [
        {
            called: name,
            "n_ratings": int(mine[at]),
            "mean": float(sums[at] / mine[at]),
            "share": float(mine[at] / len(given)),
            "population_share": float(theirs[at] / everybody.n),
            "population_mean": float(their_sums[at] / theirs[at]),
            "lift": float(mine[at] / len(given) / (theirs[at] / everybody.n)),
        }
        for at, name in enumerate(names)
        if mine[at]
    ]
    return tuple(sorted(rows, key=lambda row: (-row["n_ratings"], row[called])))


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
