"""The commands that answer for many at once, into a file: `recommend --all` and `predict --pairs`."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsys_tui.ending import Interrupted
from recsys_tui.inputs import read_cells
from recsys_tui.parts import Parts
from recsys_tui.session import Session
from store.errors import NotFound, UsageRefused, translate

if TYPE_CHECKING:
    from engine.services.filters import Filters
    from engine.services.recommend import Wish

_LISTS = ["user", "rank", "item", "score"]
_PAIRS = ["user", "item", "prediction", "lower", "upper", "rung"]
_TOGETHER = 5_000  # predictions between two looks at how far it is


def recommend_everybody(
    session: Session, number: int, version: str, filters: "Filters", wish: "Wish", out: Path | None, *, resume: bool
) -> None:
    """Write the lists of all users.

    Raises:
        UsageRefused: no target, or nothing to go on with.
    """
    from engine.services.batch import list_batches

    if out is None:
        raise UsageRefused(
            "--all needs a target", hint="recsys-tui recommend --all --out lists.csv (or .ndjson, .parquet)"
        )
    began, name = time.monotonic(), session.services.registry.resolve(version).name
    task = {"version": name, "-n": number, "filters": _plain(filters._asdict()), "wish": wish._asdict()}
    parts = Parts(out, _LISTS, task, resume=resume)
    with _to_be_gone_on(parts):
        batches = list_batches(
            session.services, number, version=version, filters=filters, wish=wish, after=parts.mark or ""
        )
        for batch in batches:
            parts.add(batch.rows, batch.last, users=batch.users)
        parts.finish()
    _written(session, {"users": parts.users, "rows": parts.rows}, began, out)


def predict_everything(session: Session, pairs: Path, out: Path | None, version: str, *, resume: bool) -> None:
    """Write a prediction for each row of a file, in the same order.

    Raises:
        UsageRefused: no target, or nothing to go on with.
        DataRefused: a row without user and item; nothing is written.
    """
    from engine.services.batch import predict_pairs

    if out is None:
        raise UsageRefused("--pairs needs a target", hint="recsys-tui predict --pairs FILE --out predicted.csv")
    began, name = time.monotonic(), session.services.registry.resolve(version).name
    parts = Parts(out, _PAIRS, {"version": name, "--pairs": _identity(pairs, resume=resume)}, resume=resume)
    wanted = islice(((user, item) for _, (user, item) in read_cells(pairs, ("user", "item"))), parts.rows, None)
    rows = (
        {"user": user, "item": item, "rung": found.rung}
        | {"prediction": found.prediction, "lower": found.lower, "upper": found.upper}
        for user, item, found in predict_pairs(session.services, wanted, version=version)
    )
    with _to_be_gone_on(parts):
        while some := list(islice(rows, _TOGETHER)):
            parts.add(some)
        parts.finish()
    _written(session, {"rows": parts.rows}, began, out)


@contextmanager
def _to_be_gone_on(parts: Parts) -> Iterator[None]:
    """Say on Ctrl-C what is done already and how to go on."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise Interrupted(parts.advice) from error


def _identity(path: Path, *, resume: bool) -> dict[str, Any]:
    """Return what tells a file from one that was changed since.

    Raises:
        UsageRefused: standard input, which cannot be read from where a run ended.
        NotFound: no such file.
    """
    if str(path) == "-":
        if resume:
            raise UsageRefused("standard input cannot be gone on with", hint="put the pairs into a file for --resume")
        return {}
    try:
        facts = path.stat()
    except FileNotFoundError as error:
        raise NotFound(f"no file {path}", hint="name a CSV with user, item") from error
    except OSError as error:
        raise translate(error, path) from error
    return {"path": str(path.resolve()), "bytes": facts.st_size, "changed": facts.st_mtime_ns}


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Return values as JSON gives them back."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _written(session: Session, counts: dict[str, int], began: float, out: Path) -> None:
    facts = counts | {"seconds": round(time.monotonic() - began, 3), "out": str(out)}
    shown = {name: f"{count:,}" for name, count in counts.items()} | {"file": str(out)}
    session.document(facts, title="written", shown=shown)
