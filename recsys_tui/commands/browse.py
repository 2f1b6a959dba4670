"""Commands that browse: users, items."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recsys_tui import render
from recsys_tui.commands.options import After, Item, Limit, User
from recsys_tui.render import Column
from recsys_tui.session import Columns, Session, command

if TYPE_CHECKING:
    from store.catalog import Item as StoredItem
    from store.catalog import User as StoredUser

USERS = typer.Typer(rich_markup_mode=None, help="Who rated.", no_args_is_help=True)
ITEMS = typer.Typer(rich_markup_mode=None, help="What was rated.", no_args_is_help=True)
_USER_COLUMNS: Columns = [
    "user",
    "ratings",
    Column("mean", digits=2),
    Column("last_at", "last (UTC)", show=render.minute),
]
_ITEM_COLUMNS: Columns = ["item", Column("title", grows=True), Column("year", show=render.plainly), "genres"]


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    command(USERS, "list", lists=True)(list_users)
    command(USERS, "show")(show_user)
    app.add_typer(USERS, name="users")
    command(ITEMS, "list", lists=True)(list_items)
    command(ITEMS, "show")(show_item)
    command(ITEMS, "search", lists=True)(search)
    app.add_typer(ITEMS, name="items")


def list_users(session: Session, *, after: After = "", limit: Limit = 50) -> None:
    """List users by id, a page at a time.

    \b
    recsys-tui users list --limit 20
    recsys-tui users list --after 119 --limit 20
    """
    from store import catalog

    rows = [_user(user) for user in catalog.list_users(session.services.database, after=after, limit=limit)]
    session.rows(rows, _USER_COLUMNS, empty="no more users")


def show_user(
    session: Session, user: User, *, limit: Annotated[int, typer.Option("--limit", min=1, help="Ratings shown.")] = 20
) -> None:
    """Show a user: their genres and latest ratings.

    \b
    recsys-tui users show 42
    """
    from store import catalog, evidence, ratings
    from store.errors import NotFound

    database = session.services.database
    found = catalog.find_user(database, user)
    if found is None:
        raise NotFound(f"unknown user {user!r}", hint="`recsys-tui users list` shows those there are")
    tastes = [taste._asdict() for taste in evidence.genre_tastes(database, found.id)]
    history = sorted(ratings.history(database, user), key=lambda row: (-(row.at or 0), row.item))[:limit]
    titles = catalog.items_by_id(database, [row.item for row in history])
    latest = [
        {"item": row.item, "title": titles[row.item].title, "rating": row.rating, "at": render.iso(row.at)}
        for row in history
    ]
    facts = _user(found) | {"genres": tastes, "history": latest}
    if session.as_json:
        session.document(facts)
        return
    shown = {"ratings": found.n_ratings, "mean": render.number(found.mean, 2), "last": render.minute(facts["last_at"])}
    session.document(_user(found), title=f"user {user}", shown=shown)
    if tastes:
        session.gap()
        session.rows(tastes[:8], ["genre", Column("n_ratings", "ratings"), Column("mean", digits=2)])
    if latest:
        session.gap()
        columns: Columns = ["item", Column("title", grows=True), Column("rating", digits=1)]
        session.rows(latest, [*columns, Column("at", "at (UTC)", show=render.minute)])


def list_items(session: Session, *, after: After = "", limit: Limit = 50) -> None:
    """List items by id, a page at a time.

    \b
    recsys-tui items list --limit 20
    """
    from store import catalog

    rows = [_item(item) for item in catalog.list_items(session.services.database, after=after, limit=limit)]
    session.rows(rows, _ITEM_COLUMNS, empty="no more items")


def show_item(session: Session, item: Item) -> None:
    """Show an item: title, genres, how many rated it and how.

    \b
    recsys-tui items show 318
    """
    from store import catalog, evidence

    database = session.services.database
    found = catalog.need_item(database, item)
    crowd = evidence.everybody(database, found.id)
    facts = _item(found) | {"ratings": crowd.count, "mean": crowd.mean}
    shown = facts | {
        "year": render.plainly(found.year),
        "genres": ", ".join(found.genres) or "-",
        "mean": render.number(crowd.mean, 2),
    }
    session.document(facts, title=found.title or item, shown=shown)


def search(
    session: Session, text: Annotated[str, typer.Argument(help="Part of a title, or an id.")], *, limit: Limit = 20
) -> None:
    """Find items by a part of their title, in any case.

    \b
    recsys-tui items search "dark"
    """
    from store import catalog

    rows = [_item(item) for item in catalog.search_items(session.services.database, text, limit=limit)]
    session.rows(rows, _ITEM_COLUMNS, empty=f"no title holds {text!r}")


def _user(user: "StoredUser") -> dict[str, Any]:
    return {"user": user.user, "ratings": user.n_ratings, "mean": user.mean, "last_at": render.iso(user.last_at)}


def _item(item: "StoredItem") -> dict[str, Any]:
    facts = asdict(item)
    facts.pop("id")
    return facts | {"genres": list(item.genres)}
