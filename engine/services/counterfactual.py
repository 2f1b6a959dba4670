"""The fewest of a user's ratings without which an item would not be among their best.

As if those ratings had never been given: the vector is folded in from the others, and what was rated is a candidate
again. Every set is tried, never estimated; what the search has proved of its answer is said with it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from engine.models.base import Explains, FoldsIn
from engine.services.what_if import Standing, rank_of, supposing
from store import catalog

if TYPE_CHECKING:
    from engine.services import Services
    from engine.services.ladder import View
    from engine.services.manager import Snapshot

BEST = 10
"""How long the list is that the item leaves."""

_TRIES, _TRIES_SLOW = 800, 120  # sets that are folded in; the second for models whose fold-in is an optimization
_RATINGS = 100_000  # that are folded in altogether, so that a long history is answered as soon as a short one
_LEAST = 50
_NAMED = 5  # ratings in a sentence

Proof = Literal["smallest", "minimal", "none"]


@dataclass(frozen=True)
class Counterfactual:
    """Ratings without which an item leaves the best ten.

    Attributes:
        rank_before: of the item now, None where it is no candidate.
        rank_after: without the ratings; None where there are none to name.
        ratings: [{item, title, your_rating}], empty where there are none to name.
        proof: "smallest" where every smaller set was tried and keeps the item, "minimal" where each rating of the set
            is needed but a smaller set of others might do, "none" where no set was found.
        tried: how many sets were tried.
        text: a sentence.
    """

    rank_before: int | None
    rank_after: int | None
    ratings: tuple[dict[str, Any], ...]
    proof: Proof
    tried: int
    text: str


class CounterfactualService:
    """Answers what it would take for an item not to be recommended."""

    def __init__(self, services: "Services") -> None:
        self._services = services

    def find(self, user: str, item: str, *, version: str = "active") -> Counterfactual:
        """Return the fewest ratings of a user without which the item leaves their best ten.

        Raises:
            NotFound: the item is not in the catalogue, or no such version.
        """
        from threadpoolctl import threadpool_limits

        snapshot = self._services.manager.snapshot(version, user)
        view = self._services.recommender.ladder.view(snapshot, user)
        entry = catalog.need_item(self._services.database, item)
        if not isinstance(snapshot.model, FoldsIn):
            return Counterfactual(None, None, (), "none", 0, f"{snapshot.model.name} must train to forget")
        search = _Search(snapshot, view, snapshot.position(entry.id, entry.item))
        before = search.rank_now
        if before is None or before > BEST:
            return Counterfactual(before, None, (), "none", 0, f"it is not among the best {BEST} now")
        with threadpool_limits(1, user_api="blas"):  # for matrices as small as these a second thread only waits
            removed, proof = search.run()
        if not removed:
            text = "it stays whatever is left out" if len(view.items) else "there are no ratings to leave out"
            return Counterfactual(before, None, (), "none", search.tried, text)
        rows = self._described(view, removed)
        after = search.rank_without(removed)
        text = f"without {_named(rows)} it would be number {after:,} instead of {before}"
        return Counterfactual(before, after, rows, proof, search.tried, text)

    def _described(self, view: "View", removed: Iterable[int]) -> tuple[dict[str, Any], ...]:
        texts = {place: view.model.facts.items.text(int(view.items[place])) for place in removed}
        entries = self._services.memory.items(list(texts.values()))
        return tuple(
            {
                "item": text,
                "title": entries[text].title if text in entries else None,
                "your_rating": float(view.ratings[place]),
            }
            for place, text in texts.items()
        )


def _named(rows: Sequence[dict[str, Any]]) -> str:
    """Name ratings in a sentence, no more than a person reads."""
    few = rows if len(rows) <= _NAMED + 1 else rows[:_NAMED]  # "and 1 more" is as long as its name
    names = ", ".join(f"{row['title'] or row['item']} ({row['your_rating']:g})" for row in few)
    rest = f" and {len(rows) - len(few)} more" if len(rows) > len(few) else ""
    return f"your {'rating' if len(rows) == 1 else 'ratings'} of {names}{rest}"


class _Search:
    """Tries sets of ratings, given by their places in the history: all single ones, all pairs, then larger ones."""

    def __init__(self, snapshot: "Snapshot", view: "View", position: int) -> None:
        self._snapshot, self._view, self._position = snapshot, view, position
        most = _TRIES if isinstance(view.model, Explains) else _TRIES_SLOW
        self._most = min(most, max(_RATINGS // max(len(view.items), 1), _LEAST))
        self._known: dict[frozenset[int], int] = {}
        self.rank_now = Standing(view).rank(position)

    @property
    def tried(self) -> int:
        """How many sets were folded in."""
        return len(self._known)

    def rank_without(self, removed: Iterable[int]) -> int:
        """Return the rank of the item where these ratings were never given."""
        chosen = frozenset(removed)
        if chosen not in self._known:
            left_out = dict.fromkeys((int(self._view.items[place]) for place in chosen), None)
            self._known[chosen] = rank_of(supposing(self._snapshot, self._view, left_out), self._position)
        return self._known[chosen]

    def run(self) -> tuple[tuple[int, ...], Proof]:
        """Return a set and what is proved of it; empty where none was found."""
        order = self._by_weight()
        single = self._worst((place,) for place in order[: self._most])
        if single:
            return single, "smallest"
        order = sorted(order[: self._most], key=lambda place: -self.rank_without((place,))) + order[self._most :]
        all_singles = len(order) <= self._most
        left = self._most - self.tried
        wide = next((n for n in range(len(order), 1, -1) if comb(n, 2) <= left), 0)
        pair = self._worst(combinations(order[:wide], 2))
        if pair:
            return pair, "smallest" if all_singles else "minimal"
        found = self._smaller(order, self._greedy(order))
        smallest = all_singles and (len(found) == 2 or (len(found) == 3 and wide == len(order)))
        return found, "none" if not found else "smallest" if smallest else "minimal"

    def _worst(self, sets: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
        """Return the set that pushes the item down furthest, if it leaves the best."""
        ranks = {chosen: self.rank_without(chosen) for chosen in sets}
        worst = max(ranks, key=ranks.__getitem__, default=())
        return worst if worst and ranks[worst] > BEST else ()

    def _greedy(self, order: list[int]) -> tuple[int, ...]:
        """Leave out more and more ratings in this order until the item leaves, then take back what is not needed."""
        size = 2
        while size <= len(order) and self.rank_without(order[:size]) <= BEST:
            size += max(1, size // 8)
        chosen = order[: min(size, len(order))]
        return () if not chosen or self.rank_without(chosen) <= BEST else self._needed(chosen)

    def _needed(self, chosen: list[int]) -> tuple[int, ...]:
        """Return a set without those of its ratings that are not needed, the last ones first."""
        for place in reversed(chosen):
            rest = [other for other in chosen if other != place]
            if rest and self.rank_without(rest) > BEST:
                chosen = rest
        return tuple(chosen)

    def _smaller(self, order: list[int], found: tuple[int, ...]) -> tuple[int, ...]:
        """Return a smaller set than the one found, if one grows out of the sets that push the item down furthest.

        Each of them is tried with every other rating besides; those that push furthest then grow on.
        """
        sets = [chosen for chosen in self._known if len(chosen) == 2]
        for size in range(3, len(found)):
            tries = max(self._most - self.tried, 0) // (len(found) - size)
            sets.sort(key=self.rank_without, reverse=True)
            grown = {
                chosen | {place} for chosen in sets[: tries // len(order)] for place in order if place not in chosen
            }
            worst = self._worst(tuple(sorted(chosen)) for chosen in grown)
            if worst:
                return self._needed(list(worst))
            sets = list(grown)
        return found

    def _by_weight(self) -> list[int]:
        """Return the places of the history, those first that speak most for the item against what stands behind it."""
        view = self._view
        if not isinstance(view.model, Explains):
            return list(range(len(view.items)))
        rival = Standing(view).order[BEST : BEST + 1]
        parts = view.model.contributions(view.items, view.ratings, np.array([self._position, *rival]))
        if len(parts[0].items) != len(view.items):
            return list(range(len(view.items)))
        against = parts[1].amounts if len(parts) > 1 else 0.0
        return [int(place) for place in np.argsort(-(parts[0].amounts - against), kind="stable")]
