"""Commands that say why and what is alike: explain, similar."""

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recsys_tui import render
from recsys_tui.commands.options import Item, User, Version
from recsys_tui.render import Column
from recsys_tui.session import Columns, Session, command

if TYPE_CHECKING:
    from engine.services.explain import Explanation
    from engine.services.recommend import Prediction

_BAR = 20
_CONTRIBUTIONS = 10  # on a screen; programs get all


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    command(app, "explain")(explain)
    command(app, "similar", lists=True)(similar)


def explain(session: Session, user: User, item: Item, *, version: Version = "active") -> None:
    """Say why an item suits a user, with numbers.

    Reasons that can be checked against the data, and the score taken apart by the user's own ratings.

    \b
    recsys-tui explain 42 318
    """
    found = session.services.explainer.explain_recommendation(user, item, version=version)
    if session.as_json:
        session.document(asdict(found))
        return
    session.document({}, title=f"{found.movie_title or item} for {user}", shown=_explained(found))
    if found.contributions:
        session.gap()
        _show_contributions(session, found)


def similar(
    session: Session,
    item: Item,
    *,
    number: Annotated[int, typer.Option("-n", "--number", min=1, help="How many items.")] = 10,
    version: Version = "active",
) -> None:
    """List the items nearest to one, as a model sees them.

    \b
    recsys-tui similar 318
    """
    from store import catalog

    services = session.services
    near = services.recommender.similar(item, number, version=version)
    found = catalog.items_by_id(services.database, [text for text, _ in near])
    rows = [
        {
            "rank": rank,
            "item": text,
            "title": found[text].title,
            "year": found[text].year,
            "genres": list(found[text].genres),
            "similarity": likeness,
        }
        for rank, (text, likeness) in enumerate(near, 1)
        if text in found
    ]
    if session.as_json:
        session.document({"item": item, "version": services.registry.resolve(version).name, "items": rows})
        return
    columns: Columns = [
        Column("rank", "#"),
        "item",
        Column("title", grows=True),
        "genres",
        Column("similarity", digits=3),
    ]
    session.rows(rows, columns)


def _show_contributions(session: Session, found: "Explanation") -> None:
    """Show what the ratings add to the score, the strongest first; bars are for eyes only."""
    largest = max(abs(row["amount"]) for row in found.contributions)
    narrow = render.Terminal.of(sys.stdout).ascii
    rows = [row | {"bar": render.bar(abs(row["amount"]), largest, _BAR, ascii=narrow)} for row in found.contributions]
    columns: Columns = [
        Column("item", spare=True),
        Column("title", "rated", grows=True),
        Column("your_rating", "rating", digits=1),
        Column("amount", "adds"),
    ]
    if session.as_table:
        rows = rows[:_CONTRIBUTIONS]
        columns = [*(columns[1:] if rows[0]["title"] else columns), Column("bar", " ")]
    session.rows(rows, columns)


def between(found: "Prediction | Explanation") -> str:
    """Put both intervals of a predicted rating into words."""
    bounds = (found.lower, found.upper), (found.lower_95, found.upper_95)
    near, far = (f"{render.number(low, 2)} and {render.number(high, 2)}" for low, high in bounds)
    return f"{near} (80%), {far} (95%)"


def chance(share: float | None) -> str:
    """Say how likely a rating is at or above the user's own mean."""
    return "-" if share is None else f"{share:.0%} that it is at or above the user's own mean"


def _explained(found: "Explanation") -> dict[str, Any]:
    shown: dict[str, Any] = {"why": found.text}
    if found.predicted_rating is not None:
        shown["predicted"] = render.number(found.predicted_rating, 2)
        shown["between"] = between(found)
        shown["confidence"] = chance(found.confidence)
    shown["from"] = f"{found.version}, {found.rung}"
    if found.method == "additive":
        total = sum(row["amount"] for row in found.contributions)
        parts = f"{found.baseline:.4f} without your ratings {total:+.4f} by them"
        shown["score"] = f"{found.score:.4f} = {parts}"
    return shown
