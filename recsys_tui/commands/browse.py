"""Commands that browse: users, items."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recsys_tui import render
from recsys_tui.commands.options import After, Item, Limit, User
from recsys_tui.render import Column
from recsys_tui.session import Columns, Session, command, group

if TYPE_CHECKING:
    from engine.services.profile import ItemProfile
    from store.catalog import Item as StoredItem
    from store.catalog import User as StoredUser

USERS = "Who rated."  # the group `users` has a second file, people.py
_BAR = 24
_TASTES = 8  # genres on a screen
_USER_COLUMNS: Columns = [
    "user",
    "ratings",
    Column("mean", digits=2),
    Column("last_at", "last (UTC)", show=render.minute),
]
_ITEM_COLUMNS: Columns = ["item", Column("title", grows=True), Column("year", show=render.plainly), "genres"]


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    users, items = group(app, "users", USERS), group(app, "items", "What was rated.")
    command(users, "list", lists=True)(list_users)
    command(users, "show")(show_user)
    command(items, "list", lists=True)(list_items)
    command(items, "show")(show_item)
    command(items, "search", lists=True)(search)


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
    from engine.services.freshness import new_items
    from store import catalog, ratings
    from store.errors import NotFound

    database = session.services.database
    found = catalog.find_user(database, user)
    if found is None:
        raise NotFound(f"unknown user {user!r}", hint="`recsys-tui users list` shows those there are")
    profile = session.services.profiles.user(user)
    history = sorted(ratings.history(database, user), key=lambda row: (-(row.at or 0), row.item))[:limit]
    titles = catalog.items_by_id(database, [row.item for row in history])
    new = new_items(session.services, user)
    latest = [
        {"item": row.item, "title": titles[row.item].title, "rating": row.rating, "at": render.iso(row.at)}
        | {"new": row.item in new}
        for row in history
    ]
    habits = profile.habits | {name: render.iso(profile.habits[name]) for name in ("first_at", "last_at")}
    tastes = {"genres": profile.genres, "eras": profile.eras, "distribution": profile.distribution}
    if session.as_json:
        session.document(_user(found) | tastes | {"habits": habits, "history": latest})
        return
    session.document(_user(found), title=f"user {user}", shown=_habits(found, habits))
    if session.as_table:
        _histogram(session, profile.distribution)
    if profile.genres:
        session.gap()
        session.rows(_compared(session, profile.genres)[:_TASTES], _taste_columns(session, "genre"))
    if profile.eras:
        session.gap()
        session.rows(_compared(session, profile.eras), _taste_columns(session, "decade"))
    if latest:
        session.gap()
        columns: Columns = ["item", Column("title", grows=True), Column("rating", digits=1)]
        shown = [row | {"new": "since training" if row["new"] else ""} for row in latest]
        session.rows(shown, [*columns, Column("at", "at (UTC)", show=render.minute), *(["new"] if new else [])])


def list_items(session: Session, *, after: After = "", limit: Limit = 50) -> None:
    """List items by id, a page at a time.

    \b
    recsys-tui items list --limit 20
    """
    from store import catalog

    rows = [_item(item) for item in catalog.list_items(session.services.database, after=after, limit=limit)]
    session.rows(rows, _ITEM_COLUMNS, empty="no more items")


def show_item(session: Session, item: Item) -> None:
    """Show an item: who rates it and how, its neighbours, its exposure.

    \b
    recsys-tui items show 318
    """
    from store import catalog, evidence

    database = session.services.database
    found = catalog.need_item(database, item)
    profile, crowd = session.services.profiles.item(found.item), evidence.everybody(database, found.id)
    facts = _item(found) | {"ratings": crowd.count, "mean": crowd.mean}
    more = {name: value for name, value in asdict(profile).items() if name != "item"}
    if session.as_json:
        session.document(facts | more)
        return
    session.document(facts, title=found.title or item, shown=facts | _about(found, crowd.mean, profile))
    if session.as_table:
        _histogram(session, profile.distribution)
    if profile.neighbours:
        session.gap()
        columns: Columns = [Column("item", "near it"), Column("title", grows=True), Column("similarity", digits=3)]
        session.rows(profile.neighbours, columns)


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


def _habits(found: "StoredUser", habits: dict[str, Any]) -> dict[str, Any]:
    """Say how somebody rates, beside everybody."""
    means, spreads = (
        [render.number(habits[name], 2) for name in (of, f"population_{of}")] for of in ("mean", "deviation")
    )
    shown = {
        "ratings": f"{found.n_ratings:,} on {render.counted(habits['days'], 'day')}",
        "mean": f"{means[0]}, everybody {means[1]}",
        "spread": f"{spreads[0]}, everybody {spreads[1]}",
        "last": render.minute(habits["last_at"]),
    }
    if habits["agreement"] is not None:
        shown["level"] = f"{habits['agreement']:+.2f} beside the mean of the same items"
        shown["obscure"] = f"{habits['obscurity']:.0%} of it rated by fewer than one user in a hundred"
    return shown


def _about(found: "StoredItem", mean: float | None, profile: "ItemProfile") -> dict[str, Any]:
    """Say who rates an item and who is shown it."""
    raters, exposure = profile.raters, profile.exposure
    shown: dict[str, Any] = {
        "year": render.plainly(found.year),
        "genres": ", ".join(found.genres) or "-",
        "mean": render.number(mean, 2),
        "place": f"number {raters['rank']:,} by ratings",
    }
    if "sampled" in raters:
        each, level = render.count(raters["median_ratings"]), render.number(raters["mean_of_means"], 2)
        liked = f"{raters['liked_share']:.0%} rate it at or above their own mean"
        shown["raters"] = f"{each} ratings each (median), {level} on average; {liked}"
    if exposure and exposure["share"] is not None:
        shown["exposure"] = f"in the best ten of {exposure['in_best_10']} of {exposure['sampled']} users"
    return shown


def _histogram(session: Session, counts: Sequence[dict[str, Any]]) -> None:
    """Draw counts as bars, the way people look at them."""
    if not counts:
        return
    narrow, most = render.Terminal.of(sys.stdout).ascii, max(row["count"] for row in counts)
    rows = [row | {"bar": render.bar(row["count"], most, _BAR, ascii=narrow)} for row in counts]
    session.gap()
    session.rows(rows, [Column("rating", digits=1), "count", Column("bar", " ")])


def _compared(session: Session, tastes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add a bar of the share to each row, for eyes only."""
    narrow, most = render.Terminal.of(sys.stdout).ascii, max(row["share"] for row in tastes)
    bars = [render.bar(row["share"], most, _BAR // 2, ascii=narrow) if session.as_table else "" for row in tastes]
    return [row | {"bar": bar} for row, bar in zip(tastes, bars, strict=True)]


def _taste_columns(session: Session, key: str) -> Columns:
    columns: Columns = [
        Column(key, show=render.plainly),
        Column("n_ratings", "ratings"),
        Column("mean", digits=2),
        Column("population_mean", "everybody", digits=2, spare=True),
        Column("share", "of theirs", show=_percent),
        Column("population_share", "of all", show=_percent),
        Column("lift", "times", digits=2),
    ]
    return [*columns, Column("bar", " ", spare=True)] if session.as_table else columns


def _percent(share: float) -> str:
    return f"{share:.1%}"
