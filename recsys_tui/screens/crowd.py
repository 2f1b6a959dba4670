"""Which people a list shows and in what order: everybody a page at a time, or the few that were looked for."""

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recsys_tui.stream import Ticket
    from store.browse import UserPages
    from store.catalog import User
    from store.database import Database

_FEW = 200  # found by the beginning of their ids: below that, ids that hold the text elsewhere are added
_MOST_ACTIVE = 1000


class Order(Enum):
    """How the people are sorted."""

    UP = "id up"
    DOWN = "id down"
    RATINGS = "ratings"

    @property
    def column(self) -> str:
        """The column that has the arrow."""
        return "ratings" if self is Order.RATINGS else "user"

    @property
    def words(self) -> str:
        """What is said of it."""
        return {"id up": "by id", "id down": "by id, last first", "ratings": "most ratings first"}[self.value]


@dataclass(frozen=True)
class Crowd:
    """The people to show.

    Attributes:
        text: what was looked for; "" for everybody.
        everybody: how many there are in all.
        count: how many are shown.
        at: the row to stand on.
        pages: where they are read from as they come into view; None where `rows` has them all.
        complete: ids that hold the text elsewhere than at the beginning have been looked for too.
    """

    order: Order
    text: str
    everybody: int
    count: int
    at: int = 0
    pages: "UserPages | None" = None
    rows: "list[User]" = field(default_factory=list)
    complete: bool = True


def read_crowd(
    database: "Database", text: str, order: Order, user: str, before: Crowd | None, ticket: "Ticket"
) -> Crowd:
    """Return the people whose ids begin with the text, standing on a user where they are among them.

    Args:
        database: the store.
        text: "" for everybody.
        order: by ratings only the most active are listed.
        user: to stand on.
        before: what is shown now; its pages are kept where they still hold.
        ticket: of the question, which may become void.
    """
    from store.browse import UserPages, most_active

    down, same = order is Order.DOWN, before is not None and before.text == text
    everybody = before.everybody if before is not None and not same else len(UserPages(database))
    if order is Order.RATINGS and not text:
        rows = most_active(database, limit=_MOST_ACTIVE, stop=lambda: ticket.void)
        return Crowd(order, text, everybody, len(rows), _row_of(user, rows), rows=rows)
    pages = UserPages(database, prefix=text, descending=down)
    if text and len(pages) < _FEW:
        rows = _sorted(pages.rows(0, _FEW), order)
        return Crowd(order, text, everybody, len(rows), _row_of(user, rows), rows=rows, complete=False)
    order = Order.UP if order is Order.RATINGS else order  # too many to sort by what is not in the index
    kept = before.pages if before is not None and (before.text, before.order) == (text, order) else None
    if kept is not None and len(kept) == len(pages):
        pages = kept
    return Crowd(order, text, everybody, len(pages), pages.row_of(user) if user and (same or not text) else 0, pages)


def complete(database: "Database", found: Crowd, user: str) -> Crowd:
    """Return the few that were found with those added whose ids hold the text elsewhere: a walk over all ids."""
    from store.browse import users_holding

    rows = [*found.rows, *_sorted(users_holding(database, found.text, limit=_FEW), found.order)]
    return Crowd(found.order, found.text, found.everybody, len(rows), _row_of(user, rows), rows=rows)


def _sorted(rows: "list[User]", order: Order) -> "list[User]":
    if order is Order.RATINGS:
        return sorted(rows, key=lambda row: (-row.n_ratings, row.user))
    return sorted(rows, key=lambda row: row.user, reverse=order is Order.DOWN)


def _row_of(user: str, rows: "list[User]") -> int:
    return next((k for k, row in enumerate(rows) if row.user == user), 0)
