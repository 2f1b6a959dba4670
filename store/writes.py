"""Ratings given and taken back one by one: several requests in one transaction, each all or nothing by itself.

Every transaction that changes something counts `meta.revision` up by one and gives the new number to the users it
touched. Two that touch different users could have run one after the other with the same content.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from store import errors
from store.catalog import need_item
from store.database import Connection, Database
from store.errors import translate
from store.scales import Acceptance, StoredScale, read_scale, shown, write_scale

DEFAULT_SCALE = StoredScale(0.5, 5.0, 0.5)
_LONGEST_USER = 512  # bytes
_LATEST = 2**63
_REFUSALS = (errors.NotFound, errors.DataRefused, errors.UsageRefused)


class Entry(NamedTuple):
    """A rating to put, None to take it back; `at` in seconds since 1970 UTC, None for now.

    `line` is where it stands in the operator's file, for what is said of it where it is refused.
    """

    user: str
    item: str
    rating: float | None
    at: int | None = None
    line: int | None = None


_State = Literal["stored", "updated", "unchanged", "removed"]
_Change = tuple[float | None, _State]


class Put(NamedTuple):
    """What became of an entry: the value before, the revision of the data, and whether anything changed."""

    previous: float | None
    revision: int
    state: _State


class Step(NamedTuple):
    """One change of a user's ratings: dense item, rating (None where it was taken back), time in seconds since 1970."""

    item: int
    rating: float | None
    at: int


@dataclass
class Touched:
    """A user whose ratings changed.

    Attributes:
        id: dense.
        revision: of the user's ratings before the changes; 0 for one without any.
        steps: the changes, one after the other.
    """

    id: int
    revision: int
    steps: list[Step] = field(default_factory=list)


class Outcome(NamedTuple):
    """What became of several requests.

    Attributes:
        results: for each request its puts, or why it was refused; a refused one has changed nothing.
        touched: the users whose ratings changed by text id, in the order of the requests.
        revision: of the data, after the changes.
    """

    results: list[list[Put] | errors.StoreError]
    touched: dict[str, Touched]
    revision: int


def put(database: Database, user: str, item: str, value: float, at: int | None = None, *, now: float) -> Put:
    """Store one rating, durably; the user is created where unknown.

    Args:
        database: the store.
        user: text id, created where unknown.
        item: text id, in the catalogue.
        value: a rating on the scale of the database (0.5 to 5 before the first rating).
        at: when it was given, in seconds since 1970 UTC; None for `now`.
        now: the current time in seconds.

    Raises:
        NotFound: no such item; the hint names the nearest.
        DataRefused: the value is not on the scale, or the user id is empty or too long.
    """
    return put_many(database, [Entry(user, item, value, at)], now=now)[0]


def put_many(database: Database, entries: Iterable[Entry], *, now: float) -> list[Put]:
    """Store ratings in one transaction: all or none; see `put`. They share one revision."""
    result = store_requests(database, [list(entries)], now=now).results[0]
    if isinstance(result, errors.StoreError):
        raise explained(database, result)
    return result


def remove(database: Database, user: str, item: str) -> float:
    """Take one rating away, durably, and return its value.

    Raises:
        NotFound: the user has not rated the item.
    """
    previous = put_many(database, [Entry(user, item, None)], now=0)[0].previous
    assert previous is not None  # noqa: S101  only what is there can be taken away
    return previous


def store_requests(database: Database, requests: Sequence[Sequence[Entry]], *, now: float) -> Outcome:
    """Store the entries of several requests in one transaction, durably; one that is refused changes nothing.

    What a refusal says of an unknown item is short; `explained` looks for the nearest, which takes its time.
    """
    with database.write() as db:
        writer = _Writer(db, now)
        done = [writer.request(database, entries) for entries in requests]
        revision = writer.finish()
    results = [
        changes if isinstance(changes, errors.StoreError) else [Put(was, revision, state) for was, state in changes]
        for changes in done
    ]
    return Outcome(results, writer.touched, revision)


def explained(database: Database, refusal: errors.StoreError) -> errors.StoreError:
    """Return why a request was refused, with the items that the operator may have meant."""
    if not isinstance(refusal, _UnknownItem):
        return refusal
    try:
        need_item(database, refusal.item)
    except errors.NotFound as error:
        return errors.NotFound(f"{refusal.where}{error}", hint=error.hint)
    return refusal


def bump(db: Connection) -> int:
    """Count the revision of the data up by one, inside the caller's transaction, and return it."""
    query = "UPDATE meta SET value = value + 1 WHERE key = 'revision' RETURNING value"
    value: int = db.execute(query).fetchall()[0][0]
    return value


class _UnknownItem(errors.NotFound):
    """An entry names an item that is not in the catalogue."""

    def __init__(self, entry: Entry) -> None:
        self.item, self.where = entry.item, _where(entry)
        hint = "`recsys-tui items search TEXT` finds items by title"
        super().__init__(f"{self.where}unknown item {entry.item!r}", hint=hint)


def _where(entry: Entry) -> str:
    return "" if entry.line is None else f"line {entry.line}: "


class _Writer:
    """The requests of one transaction, one after the other."""

    def __init__(self, db: Connection, now: float) -> None:
        self._db = db
        self._now = int(now)
        self._scale = read_scale(db)
        self._values: set[float] = set()
        self._on_scale: set[float] = set()  # checked before: there are few values, and many ratings
        self._revision: int = db.execute("SELECT value FROM meta WHERE key = 'revision'").fetchone()[0]
        self._next = self._revision + 1
        self.touched: dict[str, Touched] = {}

    def request(self, database: Database, entries: Sequence[Entry]) -> list[_Change] | errors.StoreError:
        """Store the entries of one request, or say why none of them is."""
        if len(entries) == 1:  # it is checked whole before anything is written
            try:
                return [self._enter(entries[0])]
            except _REFUSALS as refusal:
                return refusal
            except UnicodeError as error:
                return translate(error, database.path)
        before = {user: replace(one, steps=one.steps.copy()) for user, one in self.touched.items()}, self._values.copy()
        try:
            with database.write():
                return [self._enter(entry) for entry in entries]
        except _REFUSALS as refusal:
            self.touched, self._values = before
            return refusal

    def finish(self) -> int:
        """Give the touched users the next revision, let the scale follow, and return the revision of the data."""
        if not self.touched:
            return self._revision
        revision = bump(self._db)
        self._db.executemany(
            "UPDATE users SET revision = ? WHERE id = ?", [(revision, user.id) for user in self.touched.values()]
        )
        if self._values:
            self._follow()
        return revision

    def _enter(self, entry: Entry) -> _Change:
        user, item_id, previous = self._look_up(entry)
        at = self._now if entry.at is None else entry.at
        if entry.rating is None:
            if previous is None:
                raise errors.NotFound(
                    f"user {entry.user!r} has no rating of item {entry.item!r}",
                    hint=f"`recsys-tui users show {entry.user}` lists the ratings",
                )
            self._db.execute("DELETE FROM ratings WHERE user = ? AND item = ?", (user.id, item_id))
        elif previous == entry.rating:
            return previous, "unchanged"
        else:
            self._db.execute(
                "INSERT OR REPLACE INTO ratings (user, item, rating, at, import) VALUES (?, ?, ?, ?, ?)",
                (user.id, item_id, float(entry.rating), at, -self._next),
            )
            self._values.add(float(entry.rating))
        self.touched.setdefault(entry.user.strip(), user).steps.append(Step(item_id, entry.rating, at))
        return previous, "removed" if entry.rating is None else "stored" if previous is None else "updated"

    def _look_up(self, entry: Entry) -> tuple[Touched, int, float | None]:
        """Check an entry; return user, dense item and the rating that is there. Creates the user last of all."""
        user = entry.user.strip()
        if entry.rating is not None:
            self._check(user, entry.rating, entry)
        found = self._db.execute(_PLACE, (user, entry.item)).fetchone()
        if found is None and entry.rating is not None:
            raise _UnknownItem(entry)
        item_id, user_id, revision, previous = found or (-1, -1, 0, None)
        if user_id is None and entry.rating is not None:
            user_id, revision = self._db.execute("INSERT INTO users (user) VALUES (?)", (user,)).lastrowid, 0
        return Touched(-1 if user_id is None else user_id, revision or 0), item_id, previous

    def _check(self, user: str, value: float, entry: Entry) -> None:
        if value not in self._on_scale:
            try:
                (self._scale or Acceptance(DEFAULT_SCALE, stated=False)).check(value)
            except errors.DataRefused as refusal:
                raise errors.DataRefused(f"{_where(entry)}{refusal}", hint=refusal.hint) from None
            self._on_scale.add(value)
        if not user or len(user.encode()) > _LONGEST_USER or "\0" in user:
            hint = "pass the id as it stands in your own data"
            raise errors.DataRefused(f"{_where(entry)}a user id has 1 to 512 bytes", hint=hint)
        if not -_LATEST <= (entry.at or 0) < _LATEST:
            raise errors.DataRefused(f"{_where(entry)}{entry.at} is no time", hint="times are seconds since 1970")

    def _follow(self) -> None:
        """Let a scale that nobody stated follow the values: 4.5 among whole stars makes the step 0.5."""
        found = self._scale
        if found is None:
            first = Acceptance(StoredScale(0.5, 5.0, None), stated=False)
            write_scale(self._db, Acceptance(shown(None, first, self._values), stated=False))
        elif not found.stated and (new := shown(found.scale, found, self._values)) != found.scale:
            write_scale(self._db, Acceptance(new, stated=False))


_PLACE = """
SELECT i.id, u.id, u.revision, r.rating FROM items i LEFT JOIN users u ON u.user = ?1
LEFT JOIN ratings r ON r.user = u.id AND r.item = i.id WHERE i.item = ?2
"""
