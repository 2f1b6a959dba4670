"""The bulk read path: all ratings as arrays, through ADBC, on two connections at a time.

Rows come in pages of at most a million, in key order, so that no statement holds the file for long (with the rollback
journal a writer waits for every open statement) and memory stays at the result and a page for each connection.
"""

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from store import arrow
from store.database import Database

if TYPE_CHECKING:
    from store.adbc import Cursor

_PAGE_ROWS = 1_000_000
_ARROW_ROWS = 65_536
_PARTS = 16


@dataclass(frozen=True)
class RatingRows:
    """All ratings, sorted by dense user and item.

    Attributes:
        user_ids: text ids of all users that have ratings.
        item_ids: text ids of all items of the catalogue.
        user_codes, item_codes: int32 (n,), positions in the above.
        ratings: float32 (n,).
        times: int64 (n,), seconds since 1970 UTC, the least int64 where unknown.
        revision: of the data; all rows up to it are there, and perhaps some that were written while reading.
    """

    user_ids: list[str]
    item_ids: list[str]
    user_codes: NDArray[np.int32]
    item_codes: NDArray[np.int32]
    ratings: NDArray[np.float32]
    times: NDArray[np.int64]
    revision: int


@dataclass(frozen=True)
class Page:
    """Some rows by dense ids: users and items int32, ratings float32, times int64, each (n,)."""

    users: NDArray[np.int32]
    items: NDArray[np.int32]
    ratings: NDArray[np.float32]
    times: NDArray[np.int64]

    @classmethod
    def of(cls, part: Any) -> "Page":
        """Take over an Arrow table of the four columns."""
        user, item, rating, at = (part.column(position) for position in range(4))
        users, items = (arrow.numbers(column).astype(np.int32) for column in (user, item))
        return cls(users, items, arrow.numbers(rating).astype(np.float32), arrow.times(at))

    @property
    def columns(self) -> tuple[NDArray[Any], ...]:
        """The four arrays."""
        return self.users, self.items, self.ratings, self.times


def read_all(database: Database) -> RatingRows:
    """Return all ratings; see `store.ratings.read_all`."""
    parts: list[list[Page]] = [[] for _ in range(_PARTS)]
    with database.bulk() as cursor:
        revision = _number(cursor, "SELECT value FROM meta WHERE key = 'revision'")
        _scan(database, cursor, lambda part, page: parts[part].append(page))
        # read after the ratings, so that no rating has a user or an item that is not there
        users, user_texts = _ids(cursor, "SELECT id, user FROM users ORDER BY id")
        items, item_texts = _ids(cursor, "SELECT id, item FROM items ORDER BY id")
    columns = [list(column) for column in zip(*(page.columns for part in parts for page in part), strict=True)]
    parts.clear()
    user_ids, item_ids, ratings, times = (_joined(columns, at, dtype) for at, dtype in enumerate("iifq"))
    rated = np.zeros(max(users.max(initial=0), user_ids.max(initial=0)) + 1, np.bool_)
    rated[user_ids] = True
    present = rated[users]
    return RatingRows(
        [user_texts[position] for position in np.flatnonzero(present).tolist()],
        item_texts,
        _codes(users[present], len(rated))[user_ids],
        _codes(items, max(items.max(initial=0), item_ids.max(initial=0)) + 1)[item_ids],
        ratings,
        times,
        revision,
    )


@dataclass
class Totals:
    """What one pass over all ratings adds up: see `store.ratings.stats`."""

    users: int = 0
    items: int = 0
    ratings: int = 0
    first_at: int | None = None
    last_at: int | None = None
    histogram: dict[float, int] = field(default_factory=dict)


def totals(database: Database) -> Totals:
    """Count all ratings in one pass of bounded memory."""
    lock = threading.Lock()
    values: Counter[float] = Counter()
    spans: list[tuple[int, int]] = []
    with database.bulk() as cursor:
        users, items = (
            np.zeros(_number(cursor, f"SELECT coalesce(max(id), 0) FROM {table}") + 1, np.bool_)
            for table in ("users", "items")
        )

        def visit(_: int, page: Page) -> None:
            distinct, counts = np.unique(page.ratings, return_counts=True)
            known = page.times[page.times != arrow.NO_TIME]
            with lock:
                users[page.users] = True
                items[page.items] = True
                values.update(dict(zip(distinct.tolist(), counts.tolist(), strict=True)))
                spans.extend([(int(known.min()), int(known.max()))] if len(known) else [])

        _scan(database, cursor, visit)
    return Totals(
        int(users.sum()),
        int(items.sum()),
        values.total(),
        min((first for first, _ in spans), default=None),
        max((last for _, last in spans), default=None),
        dict(sorted(values.items())),
    )


def _scan(database: Database, cursor: "Cursor", visit: Callable[[int, Page], None]) -> None:
    """Call `visit(part, page)` for all ratings; within a part pages come in key order, parts cover ascending users.

    Two threads take turns at the parts, each with a connection of its own: Arrow columns are filled without the
    interpreter lock, so this goes nearly twice as fast as one.
    """
    last = _number(cursor, "SELECT coalesce(max(user), 0) FROM ratings")
    bounds = np.linspace(-1, last, _PARTS + 1).astype(np.int64).tolist()
    waiting = deque(zip(range(_PARTS), bounds[:-1], bounds[1:], strict=True))

    def work() -> None:
        with database.bulk_cursor() as mine:
            while True:
                try:
                    part, below, upto = waiting.popleft()
                except IndexError:
                    return
                for page in _pages(mine, below, upto):
                    visit(part, page)

    with ThreadPoolExecutor(2) as pool:
        for job in [pool.submit(work), pool.submit(work)]:
            job.result()


def _pages(cursor: "Cursor", below: int, upto: int) -> Iterator[Page]:
    """Yield the ratings of users in (below, upto]."""
    after = (below, 2**62)
    while True:
        parts = cursor.execute(
            "SELECT user, item, rating, at FROM ratings "
            f"WHERE (user, item) > ({after[0]}, {after[1]}) AND user <= {upto} ORDER BY user, item LIMIT {_PAGE_ROWS}",
            _ARROW_ROWS,
        )
        found = 0
        for part in parts:
            if part.num_rows:
                page = Page.of(part)
                found += part.num_rows
                after = int(page.users[-1]), int(page.items[-1])
                yield page
        if found < _PAGE_ROWS:
            return


def _number(cursor: "Cursor", query: str) -> int:
    return int(cursor.execute(query).read_all().column(0)[0].as_py())


def _ids(cursor: "Cursor", query: str) -> tuple[NDArray[np.int64], list[str]]:
    """Return dense ids (n,) and texts (n,) of a table."""
    table = cursor.execute(query).read_all().combine_chunks()
    if not table.num_rows:
        return np.zeros(0, np.int64), []
    return arrow.numbers(table.column(0).chunk(0)), table.column(1).to_pylist()


def _joined(columns: list[list[NDArray[Any]]], position: int, dtype: str) -> NDArray[Any]:
    """Return one column in one piece, and free its pieces."""
    if not columns:
        return np.zeros(0, dtype)
    whole = np.concatenate(columns[position])
    columns[position] = []
    return whole


def _codes(ids: NDArray[np.int64], size: int) -> NDArray[np.int32]:
    """Return dense id to position in `ids`, as an array to index."""
    codes = np.full(size, -1, np.int32)
    codes[ids] = np.arange(len(ids), dtype=np.int32)
    return codes
