"""The commands that answer for many at once, into a file: `recommend --all` and `predict --pairs`."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsys_tui.exports import check_target, write_rows
from recsys_tui.inputs import read_cells
from recsys_tui.session import Session
from store.errors import UsageRefused

if TYPE_CHECKING:
    from engine.services.recommend import Filters

_LISTS = ["user", "rank", "item", "score"]
_PAIRS = ["user", "item", "prediction", "lower", "upper", "rung"]


def recommend_everybody(session: Session, number: int, version: str, filters: "Filters", out: Path | None) -> None:
    """Write the lists of all users.

    Raises:
        UsageRefused: no target.
    """
    from engine.services.batch import recommend_all

    if out is None:
        raise UsageRefused(
            "--all needs a target", hint="recsys-tui recommend --all --out lists.csv (or .ndjson, .parquet)"
        )
    check_target(out)
    began, users = time.monotonic(), 0

    def counted() -> Iterator[dict[str, Any]]:
        nonlocal users
        for row in recommend_all(session.services, number, version=version, filters=filters):
            users += row["rank"] == 1
            yield row

    rows = write_rows(out, counted(), _LISTS)
    _written(session, {"users": users, "rows": rows}, began, out)


def predict_everything(session: Session, pairs: Path, out: Path | None, version: str) -> None:
    """Write a prediction for each row of a file, in the same order.

    Raises:
        UsageRefused: no target.
        DataRefused: a row without user and item; nothing is written.
    """
    from engine.services.batch import predict_pairs

    if out is None:
        raise UsageRefused("--pairs needs a target", hint="recsys-tui predict --pairs FILE --out predicted.csv")
    check_target(out)
    began = time.monotonic()
    wanted = ((user, item) for _, (user, item) in read_cells(pairs, ("user", "item")))
    rows = (
        {"user": user, "item": item, "rung": found.rung}
        | {"prediction": found.prediction, "lower": found.lower, "upper": found.upper}
        for user, item, found in predict_pairs(session.services, wanted, version=version)
    )
    _written(session, {"rows": write_rows(out, rows, _PAIRS)}, began, out)


def _written(session: Session, counts: dict[str, int], began: float, out: Path) -> None:
    facts = counts | {"seconds": round(time.monotonic() - began, 3), "out": str(out)}
    shown = {name: f"{count:,}" for name, count in counts.items()} | {"file": str(out)}
    session.document(facts, title="written", shown=shown)
