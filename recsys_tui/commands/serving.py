"""Commands that answer for a user or an item: recommend, predict, explain, similar."""

import csv
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recsys_tui import render
from recsys_tui.commands.options import Item, User, Version
from recsys_tui.render import Column
from recsys_tui.session import Columns, Session, command
from store.errors import DataRefused, NotFound, UsageRefused

if TYPE_CHECKING:
    from engine.services.explain import Explanation
    from engine.services.recommend import RecommendationList

_OUT = Annotated[Path | None, typer.Option("--out", help="Target file: .csv, .ndjson or .parquet.")]
_BAR = 20


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    command(app, "recommend", lists=True)(recommend)
    command(app, "predict")(predict)
    command(app, "explain")(explain)
    command(app, "similar", lists=True)(similar)


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
    prefer_genre: Annotated[list[str], typer.Option(help="A taste, for a user without ratings.")] = [],  # noqa: B006
    everybody: Annotated[bool, typer.Option("--all", help="Every user, into --out FILE.")] = False,
    out: _OUT = None,
) -> None:
    """Recommend items to a user, and say why.

    The best of the items that they have not rated yet.

    \b
    recsys-tui recommend 42 -n 5 --explain
    recsys-tui recommend 42 --only-genre Comedy --since-year 1990 --diversity 0.3
    recsys-tui recommend --all --out lists.parquet
    See also: explain, similar, rate
    """
    from engine.services.recommend import Filters

    filters = Filters(include_seen, tuple(only_genre), tuple(exclude_genre), since_year)
    if everybody:
        _recommend_all(session, number, version, filters, out)
        return
    if not user:
        raise UsageRefused("which user?", hint="recsys-tui recommend USER, or --all --out FILE for every user")
    services = session.services
    made = services.recommender.recommend(
        user, number, version=version, filters=filters, diversity=diversity, prefer=tuple(prefer_genre)
    )
    if explain:
        reasons = services.explainer.reasons_for(made)
        items = tuple(replace(item, reasons=why) for item, why in zip(made.items, reasons, strict=True))
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
) -> None:
    """Predict the rating that a user would give an item.

    Its bounds hold the true rating in 80 of 100 cases.

    \b
    recsys-tui predict 42 318
    recsys-tui predict --pairs test.csv --out predicted.csv
    """
    if pairs is not None:
        _predict_pairs(session, pairs, out, version)
        return
    if not user or not item:
        raise UsageRefused("which user and item?", hint="recsys-tui predict USER ITEM, or --pairs FILE --out FILE")
    found = session.services.recommender.predict(user, item, version=version)
    facts = {"user": user, "item": item} | asdict(found)
    shown = {
        "predicted": render.number(found.prediction, 2),
        "between": f"{render.number(found.lower, 2)} and {render.number(found.upper, 2)} (80 %)",
        "confidence": _percent(found.confidence),
        "from": f"{found.version}, {found.rung}",
    }
    session.document(facts, title=f"{user} on {item}", shown=shown)


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
        largest = max(abs(row["amount"]) for row in found.contributions)
        narrow = render.Terminal.of(sys.stdout).ascii
        rows = [
            {
                "title": row["title"] or row["item"],
                "your_rating": row["your_rating"],
                "adds": row["amount"],
                "": render.bar(abs(row["amount"]), largest, _BAR, ascii=narrow),
            }
            for row in found.contributions[:10]
        ]
        columns: Columns = [
            Column("title", "you rated", grows=True),
            Column("your_rating", "stars", digits=1),
            Column("adds"),
            "",
        ]
        session.rows(rows, columns)


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


def _recommend_all(session: Session, number: int, version: str, filters: Any, out: Path | None) -> None:
    import time

    from engine.services.batch import recommend_all
    from recsys_tui.exports import write_rows

    if out is None:
        raise UsageRefused(
            "--all needs a target", hint="recsys-tui recommend --all --out lists.csv (or .ndjson, .parquet)"
        )
    began, users = time.monotonic(), set()

    def counted() -> Iterator[dict[str, Any]]:
        for row in recommend_all(session.services, number, version=version, filters=filters):
            users.add(row["user"])
            yield row

    rows = write_rows(out, counted(), ["user", "rank", "item", "score"])
    seconds = round(time.monotonic() - began, 3)
    session.document({"users": len(users), "rows": rows, "seconds": seconds, "out": str(out)}, title="written")


def _predict_pairs(session: Session, pairs: Path, out: Path | None, version: str) -> None:
    import time

    from engine.services.batch import predict_pairs
    from recsys_tui.exports import write_rows

    if out is None:
        raise UsageRefused("--pairs needs a target", hint="recsys-tui predict --pairs FILE --out predicted.csv")
    began = time.monotonic()
    predicted = predict_pairs(session.services, _read_pairs(pairs), version=version)
    rows = (
        {
            "user": user,
            "item": item,
            "prediction": found.prediction,
            "lower": found.lower,
            "upper": found.upper,
            "rung": found.rung,
        }
        for user, item, found in predicted
    )
    count = write_rows(out, rows, ["user", "item", "prediction", "lower", "upper", "rung"])
    session.document({"rows": count, "seconds": round(time.monotonic() - began, 3), "out": str(out)}, title="written")


def _read_pairs(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (user, item) of a CSV; the header names the columns, else the first two are taken."""
    from store.importers.columns import role_of

    if not path.is_file():
        raise NotFound(f"no file {path}", hint="name a CSV with the columns user and item")
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        first = next(reader, [])
        roles = [role_of(cell) for cell in first]
        user, item = (roles.index(role) if role in roles else None for role in ("user", "item"))
        if user is None or item is None:
            user, item = 0, 1
            if len(first) >= 2:
                yield first[0].strip(), first[1].strip()
        for row in reader:
            if len(row) <= max(user, item):
                raise DataRefused(f"{path}, line {reader.line_num}: no user and item", hint="each row is user,item[,…]")
            yield row[user].strip(), row[item].strip()


def show_list(session: Session, made: "RecommendationList", *, explain: bool) -> None:
    """Show a list of recommendations to a person or a program, with its notes."""
    from engine.services.explain import sentence

    for note in made.notes:
        session.say(f"note: {note}")
    if session.as_json:
        session.document(asdict(made))
        return
    rows = [asdict(item) | {"why": sentence(list(item.reasons)), "interval": _interval(item)} for item in made.items]
    predicts = any(item.prediction is not None for item in made.items)
    columns: Columns = [Column("rank", "#"), "item", Column("title", grows=True)]
    columns += [Column("prediction", "rating", digits=2), Column("interval", "80 %")] if predicts else []
    columns += [] if predicts else [Column("percentile", "better than %", digits=1)]
    out = render.Terminal.of(sys.stdout)
    spoken = explain and out.tty and session.format in {"auto", "table"}
    session.say(f"{made.user}: best {len(made.items)} by {made.version} ({made.rung})")
    last = "why" if explain and not spoken else "genres"
    session.rows(rows, [*columns, Column(last, grows=last == "why")], empty="no item is eligible")
    for row in rows if spoken else ():
        lines = render.wrapped(row["why"], out.width - 4)
        head = "\n" if row["rank"] == 1 else ""
        out.write(f"{head}{row['rank']:>2}  " + "\n    ".join(lines) + "\n")


def _interval(item: Any) -> str:
    return "" if item.lower is None else f"{item.lower:.1f}-{item.upper:.1f}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%} that it is at or above the user's own mean"


def _explained(found: "Explanation") -> dict[str, Any]:
    shown: dict[str, Any] = {"why": found.text}
    if found.predicted_rating is not None:
        shown["predicted"] = render.number(found.predicted_rating, 2)
        shown["between"] = f"{render.number(found.lower, 2)} and {render.number(found.upper, 2)} (80 %)"
        shown["confidence"] = _percent(found.confidence)
    shown["from"] = f"{found.version}, {found.rung}"
    if found.method == "additive":
        total = sum(row["amount"] for row in found.contributions)
        parts = f"{found.baseline:.4f} without your ratings {total:+.4f} by them"
        shown["score"] = f"{found.score:.4f} = {parts}"
    return shown
