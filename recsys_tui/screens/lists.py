"""What the places about one person read of the services, in a thread: a profile, lists side by side, reasons."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from recsys_tui import render

if TYPE_CHECKING:
    from engine.services import Services
    from engine.services.explain import Explanation
    from engine.services.recommend import Recommendation, RecommendationList
    from engine.services.what_if import Placed
    from store.catalog import User
    from store.evidence import GenreTaste

_LATEST = 20


class Rating(NamedTuple):
    """One of a person's ratings, with the title."""

    item: str
    title: str
    rating: float
    at: int | None


@dataclass(frozen=True)
class Profile:
    """A person: counts, the genres they rate, their latest ratings."""

    user: "User"
    tastes: "list[GenreTaste]"
    latest: list[Rating]


@dataclass(frozen=True)
class Wanted:
    """Which list is asked for.

    Attributes:
        n: its length.
        version: of the version that makes it.
        other: a version to hold against it, "" for none.
        only, without: genres.
        since: a year, 0 for any.
        diversity: 0 by score alone, to 1.
        seen: also items that the person has rated.
    """

    n: int = 10
    version: str = "active"
    other: str = ""
    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    since: int = 0
    diversity: float = 0.0
    seen: bool = False

    @property
    def words(self) -> str:
        """The filters in a few words."""
        parts = [*self.only, *(f"no {name}" for name in self.without)]
        parts += [f"since {self.since}"] if self.since else []
        parts += [f"diversity {self.diversity:g}"] if self.diversity else []
        return ", ".join([*parts, "seen shown" if self.seen else "seen hidden"])

    @property
    def flags(self) -> str:
        """The same as flags of `recommend`."""
        parts = [f" --only-genre {name}" for name in self.only] + [f" --exclude-genre {name}" for name in self.without]
        parts += [f" --since-year {self.since}"] if self.since else []
        parts += [f" --diversity {self.diversity:g}"] if self.diversity else []
        return "".join([f"-n {self.n}", *parts, " --include-seen" if self.seen else ""])


@dataclass(frozen=True)
class Line:
    """A line of a list, or of two lists held against each other.

    Attributes:
        rank: in the first list; None where it is only in the other.
        title: the id where there is no title.
        figure: the predicted rating; of a model that only ranks the percentage of items below.
        bounds: lower and upper bound of a predicted rating, or None.
        other: the figure in the other list.
        move: where the other list has it: "=", "+2" higher, "-1" lower, "new" only there, "out" not there.
    """

    rank: int | None
    item: str
    title: str
    figure: float | None
    bounds: tuple[float, float] | None
    genres: str
    why: str = ""
    other: float | None = None
    move: str = ""

    @property
    def drawn(self) -> tuple[float | None, tuple[float, float] | None]:
        """What an interval is drawn from."""
        return self.figure, self.bounds


@dataclass(frozen=True)
class Lists:
    """What is shown of a person's list.

    Attributes:
        predicts, other_predicts: the figures are predicted ratings, else percentages of items below.
        ends: of the scale.
        common: items in both lists, where there are two.
        moved: the lines tell what is different since a rating.
    """

    user: str
    version: str
    rung: str
    predicts: bool
    ends: tuple[float, float]
    lines: list[Line] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    other: str = ""
    other_predicts: bool = False
    common: int = 0
    moved: bool = False


def profile(services: "Services", user: str) -> Profile | None:
    """Return what is known of a person, or None where nothing is."""
    from store import catalog, evidence, ratings

    database = services.database
    found = catalog.find_user(database, user)
    if found is None:
        return None
    history = sorted(ratings.history(database, user), key=lambda row: (-(row.at or 0), row.item))[:_LATEST]
    titles = catalog.items_by_id(database, [row.item for row in history])
    latest = [Rating(row.item, titles[row.item].title or row.item, row.rating, row.at) for row in history]
    return Profile(found, evidence.genre_tastes(database, found.id), latest)


def lists(services: "Services", user: str, wanted: Wanted) -> Lists:
    """Return a person's list with reasons, held against another version's where one is asked for.

    Raises:
        NotFound: no such version, or none is active.
        SettingRefused: a genre that no item has.
    """
    from store import ratings

    made = _list(services, user, wanted, wanted.version)
    reasons = services.explainer.reasons_for(made)
    lines = [replace(_line(entry), why=_first(why)) for entry, why in zip(made.items, reasons, strict=True)]
    scale = ratings.scale(services.database)
    shown = Lists(user, made.version, made.rung, _predicts(made), (scale.low, scale.high), lines, made.notes)
    if not wanted.other:
        return shown
    other = _list(services, user, wanted, wanted.other)
    both = {entry.item for entry in made.items} & {entry.item for entry in other.items}
    against = [_line(entry) for entry in other.items]
    return replace(
        shown, lines=moves(lines, against), other=other.version, other_predicts=_predicts(other), common=len(both)
    )


def moves(before: list[Line], after: list[Line]) -> list[Line]:
    """Return the lines of a list with where another has them, then those that only the other has."""
    there = {line.item: line for line in after}
    held: list[Line] = []
    for line in before:
        other = there.pop(line.item, None)
        if other is None or other.rank is None or line.rank is None:
            held.append(replace(line, move="out"))
            continue
        up = line.rank - other.rank
        held.append(replace(line, other=other.figure, move=f"{up:+d}" if up else "="))
    added = (
        replace(line, rank=None, figure=None, bounds=None, other=line.figure, move="new") for line in there.values()
    )
    return [*held, *added]


def since(before: list[Line], now: list[Line]) -> list[Line]:
    """Return the lines of a list with their moves since an earlier one, then those that have left it."""
    old = {line.item: line.rank for line in before if line.rank is not None}
    new = {line.item for line in now}

    def move(line: Line) -> str:
        was = old.get(line.item)
        if was is None or line.rank is None:
            return "new"
        return f"{was - line.rank:+d}" if was != line.rank else "="

    left = (line for line in before if line.rank is not None and line.item not in new)
    return [*(replace(line, move=move(line)) for line in now), *(replace(line, rank=None, move="out") for line in left)]


def supposed(services: "Services", user: str, item: str, without: frozenset[str], wanted: Wanted) -> Lists:
    """Return the list that a person would have without some of their ratings, with its moves since the one they have.

    Raises:
        SettingRefused: the active version takes no ratings in without training.
    """
    from store import ratings

    found = services.what_if.suppose(user, item, dict.fromkeys(sorted(without)), n=wanted.n, version=wanted.version)
    before, after = ([_placed(entry) for entry in entries] for entries in (found.before, found.after))
    scale = ratings.scale(services.database)
    predicts = any(line.figure is not None for line in after)
    lines = since(before, after)
    name = f"without {render.counted(len(without), 'rating')}"
    return Lists(user, found.version, name, predicts, (scale.low, scale.high), lines, found.notes, moved=True)


def explanation(services: "Services", user: str, item: str, version: str) -> "Explanation":
    """Return why an item suits a person."""
    return services.explainer.explain_recommendation(user, item, version=version)


def _list(services: "Services", user: str, wanted: Wanted, version: str) -> "RecommendationList":
    from engine.services.recommend import Filters

    filters = Filters(wanted.seen, wanted.only, wanted.without, wanted.since or None)
    return services.recommender.recommend(user, wanted.n, version=version, filters=filters, diversity=wanted.diversity)


def _placed(entry: "Placed") -> Line:
    return Line(entry.rank, entry.item, entry.title or entry.item, entry.prediction, None, "")


def _predicts(made: "RecommendationList") -> bool:
    return any(entry.prediction is not None for entry in made.items)


def _line(entry: "Recommendation") -> Line:
    bounds = None if entry.lower is None or entry.upper is None else (entry.lower, entry.upper)
    figure = entry.percentile if entry.prediction is None else entry.prediction
    return Line(entry.rank, entry.item, entry.title or entry.item, figure, bounds, ", ".join(entry.genres))


def _first(reasons: tuple[dict[str, Any], ...]) -> str:
    """Return the strongest reason in a few words."""
    from engine.services.explain import sentence

    if reasons and reasons[0]["type"] == "similar_movies":
        movies = reasons[0]["movies"]
        more = f" +{len(movies) - 1}" if len(movies) > 1 else ""
        return f"{movies[0]['title'] or movies[0]['id']}{more}"
    return sentence(list(reasons[:1]))
