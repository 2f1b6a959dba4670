"""Commands that say why and what is alike: explain, similar."""

import csv
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recsys_tui import render
from recsys_tui.commands.options import Item, User, Version
from recsys_tui.render import Column
from recsys_tui.session import Columns, Session, command
from store.errors import UsageRefused

if TYPE_CHECKING:
    from engine.services.explain import Explanation
    from engine.services.recommend import Prediction
    from engine.services.what_if import WhatIf

_BAR = 20
_CONTRIBUTIONS = 10  # on a screen; programs get all


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    command(app, "explain")(explain)
    command(app, "similar", lists=True)(similar)


def explain(
    session: Session,
    user: User,
    item: Item,
    *,
    what_if: Annotated[
        str, typer.Option("--what-if", metavar="ITEM=RATING,ITEM=none", help="Suppose these ratings; stores nothing.")
    ] = "",
    version: Version = "active",
) -> None:
    """Say why an item suits a user, with numbers.

    Reasons that can be checked against the data, the score taken apart by the user's own ratings, and the fewest of
    them without which the item would not be among the best ten.

    \b
    recsys-tui explain 42 318
    recsys-tui explain 42 318 --what-if "296=5,593=none"
    """
    services = session.services
    supposed = _supposed(what_if)
    found = services.explainer.explain_recommendation(user, item, version=version)
    fewest = services.counterfactual.find(user, item, version=version)
    imagined = services.what_if.suppose(user, item, supposed, version=version) if supposed else None
    if session.as_json:
        also = {"counterfactual": asdict(fewest), "what_if": imagined and asdict(imagined)}
        session.document(asdict(found) | also)
        return
    shown = _explained(found) | {"but": fewest.text}
    rows_follow = found.contributions or imagined  # which is all that a program wants in its table
    session.document({} if rows_follow else shown, title=f"{found.movie_title or item} for {user}", shown=shown)
    if found.contributions and (session.as_table or not imagined):  # a program that asks what if gets one table
        session.gap()
        _show_contributions(session, found)
    if imagined:
        session.gap()
        _show_what_if(session, imagined)


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
    whole = sum(abs(row["amount"]) for row in found.contributions) or 1.0
    rows = [
        row | {"bar": render.bar(abs(row["amount"]), largest, _BAR, ascii=narrow), "share": 100 * row["amount"] / whole}
        for row in found.contributions
    ]
    columns: Columns = [
        Column("item", spare=True),
        Column("title", "rated", grows=True),
        Column("your_rating", "rating", digits=1),
        Column("amount", "adds"),
    ]
    if session.as_table:
        rows = rows[:_CONTRIBUTIONS]
        if _only_ranks(found):  # such a score has no unit to add in
            columns[-1] = Column("share", "share %", digits=1)
        columns = [*(columns[1:] if rows[0]["title"] else columns), Column("bar", " ")]
    session.rows(rows, columns)


def between(found: "Prediction | Explanation") -> str:
    """Put both intervals of a predicted rating into words."""
    bounds = (found.lower, found.upper), (found.lower_95, found.upper_95)
    near, far = (f"{render.number(low, 2)} and {render.number(high, 2)}" for low, high in bounds)
    return f"{near} (80%), {far} (95%)"


def placed(percentile: float) -> str:
    """Put into words where a score lies among all, which has no unit of its own."""
    return f"at or above {render.number(percentile, 1)}% of all items"


def _supposed(text: str) -> dict[str, float | None]:
    """Read ITEM=RATING,ITEM=none; an id with a comma stands in quotes.

    Raises:
        UsageRefused: a part is no rating of an item, or an item occurs twice.
    """
    found: dict[str, float | None] = {}
    hint = 'write --what-if "ITEM=RATING,OTHER=none"'
    for part in next(csv.reader([text], skipinitialspace=True), []) if text.strip() else []:
        item, equals, given = part.strip().rpartition("=")
        if not equals or not item.strip():
            raise UsageRefused(f"--what-if {part!r} names no item and rating", hint=hint)
        if item.strip() in found:
            raise UsageRefused(f"--what-if gives item {item.strip()!r} twice", hint=hint)
        try:
            found[item.strip()] = None if given.strip().casefold() == "none" else float(given)
        except ValueError:
            raise UsageRefused(f"--what-if: {given!r} is neither a rating nor none", hint=hint) from None
    return found


def _show_what_if(session: Session, imagined: "WhatIf") -> None:
    """Show the list as it would be, each item with its rank now, and what would leave it."""
    for note in imagined.notes:
        session.say(f"note: {note}")
    for change in imagined.changes:
        before, after = ("none" if value is None else f"{value:g}" for value in (change.before, change.after))
        session.say(f"supposed: {change.title or change.item} {after} instead of {before}; nothing is stored")
    now, then = _rank(imagined.rank_before), _rank(imagined.rank_after)
    session.say(f"{imagined.title or imagined.item}: {now} now, {then} then")
    rows = [asdict(row) | {"move": _moved(row.moved)} for row in imagined.after]
    leaving = [row for row in imagined.before if row.other_rank is None or row.other_rank > len(imagined.after)]
    columns: Columns = [Column("rank", "#"), Column("other_rank", "now"), Column("move", " "), "item"]
    columns += [Column("title", grows=True)]
    if any(row.prediction is not None for row in imagined.after):
        columns.append(Column("prediction", "rating", digits=2))
    session.rows(rows, columns)
    for row in leaving:
        where = "is rated" if row.other_rank is None else f"falls to {row.other_rank:,}"
        session.say(f"leaves: {row.title or row.item} (number {row.rank} now) {where}")


def _rank(rank: int | None) -> str:
    return "no candidate" if rank is None else f"number {rank:,}"


def _moved(moved: int | None) -> str:
    return "new" if moved is None else f"{moved:+,}" if moved else "="


def chance(found: "Prediction | Explanation") -> str:
    """Say how likely a rating is at or above the user's own mean, everybody's where popularity has to answer."""
    if found.confidence is None:
        return "not measured"
    whose = "the mean" if found.rung == "popularity" else "the user's own mean"
    return f"{found.confidence:.0%} that it is at or above {whose}"


def _only_ranks(found: "Explanation") -> bool:
    """Tell whether the score is something else than the predicted rating before it was brought into the scale."""
    return found.predicted_rating is None or abs(found.score - found.predicted_rating) > 1


def _explained(found: "Explanation") -> dict[str, Any]:
    shown: dict[str, Any] = {"why": found.text}
    if found.predicted_rating is not None:
        shown["predicted"] = render.number(found.predicted_rating, 2)
    if found.lower is not None:
        shown["between"] = between(found)
        shown["confidence"] = chance(found)
    shown["from"] = f"{found.version}, {found.rung}"
    if _only_ranks(found) and found.percentile is not None:
        shown["score"] = placed(found.percentile)
    elif found.method == "additive":
        total = sum(row["amount"] for row in found.contributions)
        parts = f"{found.baseline:.4f} without your ratings {total:+.4f} by them"
        shown["score"] = f"{found.score:.4f} = {parts}"
    if found.method == "removal":
        shown["parts"] = "what the score loses without each rating, one at a time; they need not add up"
    return shown
