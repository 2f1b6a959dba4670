"""Commands that answer for a user: recommend, predict."""

import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from recsys_tui import render
from recsys_tui.commands.everybody import predict_everything, recommend_everybody
from recsys_tui.commands.explaining import between, chance, placed
from recsys_tui.commands.options import Version
from recsys_tui.render import Column
from recsys_tui.session import Columns, Session, command
from store.errors import UsageRefused

if TYPE_CHECKING:
    from engine.services.recommend import RecommendationList

_RESUME = Annotated[bool, typer.Option("--resume", help="Go on with a run into the same file that ended early.")]
_OUT = Annotated[Path | None, typer.Option("--out", help="Target file: .csv, .ndjson or .parquet.")]
_RUNGS = {
    "stored": "from the vector of the training",
    "fold-in": "from a vector of today's ratings",
    "content": "by genres",
    "popularity": "by popularity",
}


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    command(app, "recommend", lists=True)(recommend)
    command(app, "predict")(predict)


def recommend(
    session: Session,
    user: Annotated[str, typer.Argument(help="User id, exactly as in the data.")] = "",
    *,
    number: Annotated[int, typer.Option("-n", "--number", min=1, help="How many items.")] = 10,
    explain: Annotated[bool, typer.Option("--explain", help="Say why, with numbers.")] = False,
    version: Version = "active",
    include_seen: Annotated[bool, typer.Option(help="Also items that the user has rated.")] = False,
    only_genre: Annotated[list[str], typer.Option(help="Only this genre; may be repeated.")] = [],  # noqa: B006
    exclude_genre: Annotated[list[str], typer.Option(help="Not this genre; may be repeated.")] = [],  # noqa: B006
    since_year: Annotated[int | None, typer.Option(help="Only from this year on.")] = None,
    diversity: Annotated[float, typer.Option(min=0.0, max=1.0, help="0 by score alone, 1 by difference alone.")] = 0.0,
    diversity_by: Annotated[
        Literal["likeness", "genres"], typer.Option(help="Unlike each other, or genres as in their taste.")
    ] = "likeness",
    novelty: Annotated[float, typer.Option(min=0.0, max=1.0, help="How far to prefer what few have rated.")] = 0.0,
    prefer_genre: Annotated[list[str], typer.Option(help="A taste, for a user without ratings.")] = [],  # noqa: B006
    everybody: Annotated[bool, typer.Option("--all", help="Every user, into --out FILE.")] = False,
    out: _OUT = None,
    resume: _RESUME = False,
) -> None:
    """Recommend items to a user, and say why.

    The best of the items that they have not rated yet.

    \b
    recsys-tui recommend 42 -n 5 --explain
    recsys-tui recommend 42 --only-genre Comedy --since-year 1990 --diversity 0.3
    recsys-tui recommend --all --out lists.parquet
    See also: explain, similar, rate
    """
    from engine.services.recommend import Filters, Wish

    filters = Filters(include_seen, tuple(only_genre), tuple(exclude_genre), since_year)
    wish = Wish(diversity, novelty, diversity_by)
    if everybody:
        if user:
            raise UsageRefused("--all is for every user", hint="recsys-tui recommend USER, or --all --out FILE")
        recommend_everybody(session, number, version, filters, wish, out, resume=resume)
        return
    if not user:
        raise UsageRefused("which user?", hint="recsys-tui recommend USER, or --all --out FILE for every user")
    services = session.services
    made = services.recommender.recommend(
        user, number, version=version, filters=filters, wish=wish, prefer=tuple(prefer_genre)
    )
    if explain:
        reasons = services.explainer.reasons_for(made)
        items = tuple(item._replace(reasons=why) for item, why in zip(made.items, reasons, strict=True))
        made = replace(made, items=items)
    show_list(session, made, explain=explain)


def predict(
    session: Session,
    user: Annotated[str, typer.Argument(help="User id.")] = "",
    item: Annotated[str, typer.Argument(help="Item id.")] = "",
    *,
    version: Version = "active",
    pairs: Annotated[Path | None, typer.Option("--pairs", help="A CSV with the columns user and item.")] = None,
    out: _OUT = None,
    resume: _RESUME = False,
) -> None:
    """Predict the rating that a user would give an item.

    Its bounds hold the true rating in 80 of 100 cases. A model that only ranks says where its score lies among all.

    \b
    recsys-tui predict 42 318
    recsys-tui predict --pairs test.csv --out predicted.csv
    """
    if pairs is not None:
        predict_everything(session, pairs, out, version, resume=resume)
        return
    if not user or not item:
        raise UsageRefused("which user and item?", hint="recsys-tui predict USER ITEM, or --pairs FILE --out FILE")
    found = session.services.recommender.predict(user, item, version=version)
    facts = {"user": user, "item": item} | asdict(found)
    shown = {"predicted": render.number(found.prediction, 2)}
    if found.percentile is not None:
        shown = {"score": placed(found.percentile)}
    elif found.lower is not None:
        shown |= {"between": between(found), "confidence": chance(found)}
    shown["from"] = f"{found.version}, {found.rung}"
    session.document(facts, title=f"{user} on {item}", shown=shown)


def show_list(session: Session, made: "RecommendationList", *, explain: bool) -> None:
    """Show a list of recommendations to a person or a program, with its notes."""
    from engine.services.explain import sentence

    for note in made.notes:
        session.say(f"note: {note}")
    if session.as_json:
        session.document(made.plain())
        return
    rows = [item._asdict() | {"why": sentence(list(item.reasons)), "interval": _interval(item)} for item in made.items]
    predicts = any(item.prediction is not None for item in made.items)
    if made.items:
        session.say(f"the best {len(made.items)} for user {made.user} by {made.version}, {_RUNGS[made.rung]}")
    if session.as_table:
        _show_table(session, rows, predicts=predicts)
    else:
        for row in rows if session.format == "ndjson" else ():
            del row["why"], row["interval"]  # for eyes only: the reasons and bounds have them in full
        names = ["rank", "item", "title", "genres", "score", "prediction", "lower", "upper", "rung"]
        session.rows(rows, [*names, "why"] if explain else names)
    if explain and session.as_table:
        _show_reasons(rows)


def _show_table(session: Session, rows: list[dict[str, Any]], *, predicts: bool) -> None:
    columns: Columns = [Column("rank", "#"), "item", Column("title", grows=True)]
    columns += [Column("prediction", "rating", digits=2), Column("interval", "80%")] if predicts else []
    columns += [] if predicts else [Column("percentile", "better than %", digits=1)]
    session.rows(rows, [*columns, "genres"], empty="no item is eligible")


def _show_reasons(rows: list[dict[str, Any]]) -> None:
    """Write the reasons of each item under the list, broken between words."""
    out = render.Terminal.of(sys.stdout)
    for row in rows:
        lines = render.wrapped(row["why"], out.width - 4)
        head = "\n" if row["rank"] == 1 else ""
        out.write(f"{head}{row['rank']:>2}  " + "\n    ".join(lines) + "\n")


def _interval(item: Any) -> str:
    return "" if item.lower is None else f"{item.lower:.1f}-{item.upper:.1f}"
