"""Commands that take ratings one by one: rate."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recsys_tui import render
from recsys_tui.inputs import read_cells
from recsys_tui.quantities import seconds
from recsys_tui.session import Session, command
from store.errors import DataRefused, UsageRefused

if TYPE_CHECKING:
    from engine.services.realtime import Rated
    from store.writes import Entry


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    command(app, "rate")(rate)


def rate(
    session: Session,
    user: Annotated[str, typer.Argument(metavar="USER | import", help="User id; or `import` and a file.")],
    item: Annotated[str, typer.Argument(metavar="ITEM | FILE", help="Item id; or the file.")],
    value: Annotated[float | None, typer.Argument(help="The rating, on the data's scale.")] = None,
    *,
    unset: Annotated[bool, typer.Option("--unset", help="Take the rating back.")] = False,
    wait: Annotated[str, typer.Option(help="Wait this long for another writer: 90, 10m, 1h.")] = "",
) -> None:
    """Rate an item; the next list reflects it.

    The rating is stored durably first, then folded into the user's vector, without training.

    \b
    recsys-tui rate 42 318 4.5
    recsys-tui rate --unset 42 318
    recsys-tui rate import new-ratings.csv        (user,item,rating)
    """
    if wait:
        session.services.database.wait_for_others(seconds(wait, "--wait"))
    realtime = session.services.realtime
    if user == "import" and value is None and not unset:
        count = realtime.apply_updates(_read_ratings(Path(item)))
        session.document(
            {"stored": count, "version": _serving(session)}, title="stored", shown={"ratings": f"{count:,}"}
        )
        return
    if unset:
        done = realtime.unrate(user, item)
    elif value is None:
        raise UsageRefused("no rating given", hint=f"recsys-tui rate {user} {item} VALUE, or --unset {user} {item}")
    else:
        done = realtime.rate(user, item, value)
    shown = {
        "stored": "taken back" if unset else f"{value:g}",
        "before": render.number(done.previous, 1),
        "best ten": _moved(session, done),
    }
    session.document(asdict(done), title=f"{user} on {item}", shown=shown)


def _moved(session: Session, done: "Rated") -> str:
    """Say what the rating did to the user's list."""
    from store import catalog

    if not done.version:
        return "no version is active yet"
    if not done.changed:
        return "as before"
    if not done.entered:
        return "the same in another order"
    found = catalog.items_by_id(session.services.database, [*done.entered, *done.left])
    came, went = ("; ".join(found[item].title or item for item in items) for items in (done.entered, done.left))
    return f"in came: {came} · out went: {went}"


def _serving(session: Session) -> str | None:
    active = session.services.registry.active()
    return f"v{active}" if active else None


def _read_ratings(path: Path) -> list["Entry"]:
    """Read user,item,rating rows; all of them must be usable, since they are stored together or not at all."""
    from store.writes import Entry

    found: list[Entry] = []
    for line, (user, item, rating) in read_cells(path, ("user", "item", "rating")):
        try:
            found.append(Entry(user, item, float(rating), line=line))
        except ValueError:
            if line > 1:  # the first may be a header of names that nobody knows
                raise DataRefused(
                    f"{path}, line {line}: {rating!r} is no rating", hint="a row is user,item,rating"
                ) from None
    if not found:
        raise DataRefused(f"{path} has no ratings", hint="a row is user,item,rating")
    return found
