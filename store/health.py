"""What an operator should know of the data before trusting a model that learns from it: each check with what to do.

Suspicious raters are hints, never verdicts: who gives everything five stars may simply like everything.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store import arrow, bulk
from store.bulk import RatingRows
from store.database import Database

_FEW = 5  # ratings below which there is little to learn from
_MANY_FEW = 0.5
_EQUAL_FROM = 20  # ratings from which on giving only one value is remarkable
_BURST = 100  # ratings within one minute
_COPY_FROM = 10  # ratings from which on two equal histories are no chance
_MOST_EXAMPLES = 5
_CONCENTRATED = 0.5  # of all ratings on a hundredth of the items
_DRIFT = 0.3  # standard deviations between the means of two spans
_SPANS = 4
_DAY = 86_400
_WEB = 694_224_000  # 1992: nobody rated anything online before


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Attributes:
        name: of the check.
        ok: False where something should be looked at.
        detail: what was found, in words.
        hint: what to do; "" where it is well.
        value: the figure behind it.
        examples: ids or titles, at most five.
    """

    name: str
    ok: bool
    detail: str
    hint: str = ""
    value: float = 0.0
    examples: list[str] = field(default_factory=list)


def health(database: Database, *, now: float | None = None) -> list[Finding]:
    """Look at all ratings and the catalogue; 25 million ratings take about a minute and a gigabyte."""
    rows = bulk.read_all(database)
    if not len(rows.ratings):
        return [Finding("ratings", ok=False, detail="there are none", hint="recsys-tui import FILE")]
    found = [_sparsity(rows), *_thin(rows), *_suspicious(rows), _concentration(rows)]
    found += [*_times(rows, time.time() if now is None else now), *_values(rows), *_imports(database)]
    return [*found, *_catalogue(database)]


def _sparsity(rows: RatingRows) -> Finding:
    n_items = len(np.unique(rows.item_codes))
    density = len(rows.ratings) / (len(rows.user_ids) * n_items)
    detail = f"{density:.4%} of {len(rows.user_ids):,} users x {n_items:,} rated items have a rating"
    hint = "expect little of collaborative models; content and popularity carry most lists"
    return Finding("sparsity", density >= 1e-4, detail, "" if density >= 1e-4 else hint, density)


def _thin(rows: RatingRows) -> Iterator[Finding]:
    for what, codes, names in (
        ("users", rows.user_codes, rows.user_ids),
        ("items", rows.item_codes, rows.item_ids),
    ):
        counts = np.bincount(codes, minlength=len(names))
        rated = counts[counts > 0]
        few = int((rated < _FEW).sum())
        share = few / len(rated)
        ok = share <= _MANY_FEW
        hint = {
            "users": "`onboard` asks them for a few ratings; until then genres and popularity answer",
            "items": "give them titles and genres, so that they can be recommended by content",
        }[what]
        detail = f"{few:,} of {len(rated):,} ({share:.0%}) have fewer than {_FEW} ratings; the median has "
        detail += f"{np.median(rated):g}"
        yield Finding(f"{what} with few ratings", ok, detail, "" if ok else hint, share)


def _suspicious(rows: RatingRows) -> Iterator[Finding]:
    starts, counts = _by_user(rows)
    lowest = np.minimum.reduceat(rows.ratings, starts)
    highest = np.maximum.reduceat(rows.ratings, starts)
    equal = np.flatnonzero((lowest == highest) & (counts >= _EQUAL_FROM))
    yield _raters("one value for everything", rows, equal, f"gave the same value to {_EQUAL_FROM} items or more")
    yield _raters("bursts", rows, _bursts(rows), f"gave {_BURST} ratings or more within one minute")
    yield _raters(
        "copies", rows, _copies(rows, starts, counts), f"have the same {_COPY_FROM} ratings or more as another"
    )


def _raters(name: str, rows: RatingRows, users: NDArray[Any], said: str) -> Finding:
    hint = "a hint, no verdict: look at them with `users show U`; `users forget U` removes one"
    examples = [rows.user_ids[user] for user in users[:_MOST_EXAMPLES].tolist()]
    return Finding(
        name, not len(users), f"{len(users):,} users {said}", hint if len(users) else "", len(users), examples
    )


def _by_user(rows: RatingRows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where each user's ratings begin, and how many they are; rows are sorted by user."""
    starts = np.flatnonzero(np.diff(rows.user_codes, prepend=-1))
    return starts, np.diff(starts, append=len(rows.user_codes))


def _bursts(rows: RatingRows) -> NDArray[np.int64]:
    """Return users with `_BURST` ratings in one minute of the clock."""
    timed = rows.times != arrow.NO_TIME
    minutes = (rows.times[timed] // 60) & 0xFFFFFFFF
    keys = (rows.user_codes[timed].astype(np.int64) << 32) | minutes
    keys.sort()
    if len(keys) < _BURST:
        return np.zeros(0, np.int64)
    return np.unique(keys[: 1 - _BURST][keys[_BURST - 1 :] == keys[: 1 - _BURST]] >> 32)


def _copies(rows: RatingRows, starts: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return users whose whole history equals that of another one, by a checksum of items and values."""
    mixed = rows.item_codes.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= rows.ratings.view(np.uint32).astype(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(32)
    sums = np.add.reduceat(mixed, starts) + counts.astype(np.uint64)
    _, place, times = np.unique(sums, return_inverse=True, return_counts=True)
    return np.flatnonzero((times[place] > 1) & (counts >= _COPY_FROM))


def _concentration(rows: RatingRows) -> Finding:
    counts = np.sort(np.bincount(rows.item_codes))[::-1]
    counts = counts[counts > 0]
    top = max(1, len(counts) // 100)
    share = float(counts[:top].sum() / counts.sum())
    n = len(counts)
    gini = float((2 * (np.arange(1, n + 1) * counts[::-1]).sum() / (n * counts.sum())) - (n + 1) / n)
    detail = f"the most rated 1 % of items have {share:.0%} of all ratings; Gini {gini:.2f}"
    ok = share < _CONCENTRATED or n < 100
    hint = "" if ok else "watch coverage and popularity lift in `evaluate`; --diversity spreads lists"
    return Finding("popularity", ok, detail, hint, gini)


def _times(rows: RatingRows, now: float) -> Iterator[Finding]:
    known = rows.times[rows.times != arrow.NO_TIME]
    missing = len(rows.times) - len(known)
    hint = "temporal splits need times: state the column with --map time=…" if missing else ""
    yield Finding(
        "times missing", not missing, f"{missing:,} of {len(rows.times):,} ratings have no time", hint, missing
    )
    odd = int(((known > now + _DAY) | (known < _WEB)).sum())
    detail = f"{odd:,} ratings lie in the future or before 1992"
    hint = "the clock or the unit of the source was wrong: `imports undo N`, mend the column, import again"
    yield Finding("times that cannot be", not odd, detail, hint if odd else "", odd)
    if len(known) and known.min() < known.max():
        yield _drift(rows)


def _drift(rows: RatingRows) -> Finding:
    """Compare the means of four spans with equally many ratings."""
    timed = np.flatnonzero(rows.times != arrow.NO_TIME)
    bounds = np.quantile(rows.times[timed], np.linspace(0, 1, _SPANS + 1)[1:-1])
    span = np.searchsorted(bounds, rows.times[timed], side="right")
    values = rows.ratings[timed].astype(np.float64)
    counts = np.bincount(span, minlength=_SPANS)
    means = np.bincount(span, values, minlength=_SPANS)[counts > 0] / counts[counts > 0]
    deviation = float(values.std()) or 1.0
    moved = float((means.max() - means.min()) / deviation)
    detail = f"mean ratings of {len(means)} spans: {', '.join(f'{mean:.2f}' for mean in means)}"
    hint = "prefer recent data and --split temporal; retrain more often"
    return Finding("drift", moved < _DRIFT, detail, "" if moved < _DRIFT else hint, moved)


def _values(rows: RatingRows) -> Iterator[Finding]:
    values, counts = np.unique(rows.ratings, return_counts=True)
    share = float(counts.max() / counts.sum())
    ok = len(values) > 1 and share < 0.9
    detail = f"{len(values):,} values; {values[counts.argmax()]:g} is {share:.0%} of all ratings"
    yield Finding("values", ok, detail, "" if ok else "train models that rank (ials, ease): values say little", share)


def _imports(database: Database) -> Iterator[Finding]:
    with database.read() as db:
        given, rejected, twice = db.execute(
            "SELECT coalesce(sum(read), 0), coalesce(sum(rejected), 0), "
            "coalesce(sum(read - rejected - stored - updated - unchanged), 0) FROM imports WHERE state = 'done'"
        ).fetchone()
    share = rejected / given if given else 0.0
    detail, hint = (
        f"{rejected:,} of {given:,} rows of all imports were refused",
        "`imports show N --rejected` tells why",
    )
    yield Finding("refused rows", share < 0.01, detail, "" if share < 0.01 else hint, share)
    share = twice / given if given else 0.0
    detail = f"{twice:,} rows gave way to another rating of the same pair in their source"
    yield Finding(
        "duplicates", share < 0.05, detail, "" if share < 0.05 else "is the source a log? see --duplicates", share
    )


def _catalogue(database: Database) -> Iterator[Finding]:
    with database.read() as db:
        total, untitled, plain, unrated = db.execute(
            "SELECT count(*), coalesce(sum(title IS NULL), 0), "
            "coalesce(sum(NOT EXISTS (SELECT 1 FROM item_genres g WHERE g.item = items.id)), 0), "
            "coalesce(sum(id NOT IN (SELECT DISTINCT item FROM ratings)), 0) FROM items"
        ).fetchone()
        same = db.execute(
            "SELECT title, count(*) FROM items WHERE title IS NOT NULL GROUP BY lower(title), year "
            "HAVING count(*) > 1 ORDER BY 2 DESC, 1"
        ).fetchall()
        bare = db.execute(
            "SELECT item FROM items WHERE title IS NULL ORDER BY item LIMIT ?", (_MOST_EXAMPLES,)
        ).fetchall()
    examples = [title for title, _ in same[:_MOST_EXAMPLES]]
    hint = "one film under two ids splits its ratings: map them to one id at the source" if same else ""
    yield Finding("titles twice", not same, f"{len(same):,} titles stand for several items", hint, len(same), examples)
    hint = "import the catalogue: a MovieLens folder, --items-collection or --items-table"
    for name, count in (("items without title", untitled), ("items without genres", plain)):
        few = count <= 0.05 * total
        shown = [item for (item,) in bare] if name == "items without title" else []
        yield Finding(name, few, f"{count:,} of {total:,} items", "" if few else hint, count, shown)
    yield Finding("items nobody rated", ok=True, detail=f"{unrated:,} of {total:,} items", value=unrated)
