"""Commands that take ratings one by one: rate."""

import csv
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from recsys_tui import render
from recsys_tui.session import Session, command
from store.errors import DataRefused, NotFound, UsageRefused


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
) -> None:
    """Rate an item; the next list reflects it.

    The rating is stored durably first, then folded into the user's vector, without training.

    \b
    recsys-tui rate 42 318 4.5
    recsys-tui rate --unset 42 318
    recsys-tui rate import new-ratings.csv        (user,item,rating)
    """
    realtime = session.services.realtime
    if user == "import" and value is None and not unset:
        count = realtime.apply_updates(_read_ratings(Path(item)))
        session.document({"stored": count}, title="stored")
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
        "list": _moved(done.entered, done.left, changed=done.changed) if done.version else "no version is active yet",
    }
    session.document(asdict(done), title=f"{user} on {item}", shown=shown)


def _moved(entered: tuple[str, ...], left: tuple[str, ...], *, changed: bool) -> str:
    if not changed:
        return "the best ten stay as they are"
    if not entered:
        return "the best ten change their order"
    return f"came in: {', '.join(entered)}; left: {', '.join(left)}"


def _read_ratings(path: Path) -> list[tuple[str, str, float]]:
    """Read user,item,rating rows; all of them must be usable, since they are stored together or not at all."""
    if not path.is_file():
        raise NotFound(f"no file {path}", hint="name a CSV with user,item,rating")
    found = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        for line, row in enumerate(csv.reader(file), 1):
            try:
                found.append((row[0].strip(), row[1].strip(), float(row[2])))
            except (IndexError, ValueError):
                if line == 1:
                    continue  # the header
                raise DataRefused(f"{path}, line {line}: no rating", hint="each row is user,item,rating") from None
    return found
