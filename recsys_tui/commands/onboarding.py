"""The command that gets to know a newcomer: onboard."""

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recsys_tui import render
from recsys_tui.commands.options import Version
from recsys_tui.ending import Interrupted
from recsys_tui.render import Column
from recsys_tui.session import Columns, Session, command
from store.errors import DataRefused, NotFound

if TYPE_CHECKING:
    from engine.services.onboarding import Interview, Question

_LIVE = 5  # items of the list after each answer
_UNSEEN = {"", "-", "n", "no", "none", "null", "skip", "unseen", "not seen"}
_HEADERS = {"item", "movie", "movieid", "movie_id", "item_id", "itemid"}
_FORMS = "lines of item,rating, or a rating a line in the order of the questions; `none` for not seen"

Answers = Annotated[
    Path | None, typer.Option("--answers", help="File of item,rating lines, or of a rating a line; - is stdin.")
]


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    command(app, "onboard", lists=True)(onboard)


def onboard(
    session: Session,
    user: Annotated[str, typer.Argument(help="Whose answers are kept as ratings; without it nothing is.")] = "",
    *,
    answers: Answers = None,
    number: Annotated[int, typer.Option("-n", "--number", min=1, help="Items in the list at the end.")] = 10,
    version: Version = "active",
) -> None:
    """Ask five questions, then recommend.

    The questions are those whose answers tell most. Without a terminal and without --answers it shows them, unanswered.

    \b
    recsys-tui onboard newcomer
    recsys-tui onboard newcomer --answers answers.csv --json
    """
    onboarding = session.services.onboarding
    given = None if answers is None else _read(answers)
    interview = onboarding.begin(user, version=version)
    if given is not None:
        _answered(interview, given)
    elif sys.stdin.isatty() and not session.as_json:
        try:
            _converse(session, interview)
        except KeyboardInterrupt as error:
            raise Interrupted("nothing is stored; q in place of Ctrl-C keeps the answers given so far") from error
    else:
        for _ in range(_asked()):
            question = interview.ask()
            if question is not None:
                interview.suppose_known(question)
    stored = onboarding.keep(user, interview.answers) if user else 0
    _show(session, interview, user, stored, number)


def _asked() -> int:
    from engine.services.onboarding import QUESTIONS

    return QUESTIONS


def _answered(interview: "Interview", given: list[tuple[str | None, float | None]]) -> None:
    """Take the answers of a file: to the items it names, else to the questions in their order.

    Raises:
        DataRefused: more answers than questions, an item twice, or a rating off the scale.
        NotFound: an item that is not in the catalogue.
    """
    if any(item is not None for item, _ in given):
        for item, value in given:
            question = interview.about(item or "")
            if any(question.item == asked.item for asked in interview.questions):
                raise DataRefused(f"item {question.item!r} is answered twice", hint="give one answer for each item")
            _take(interview, question, value)
        return
    if len(given) > _asked():
        raise DataRefused(
            f"{len(given)} answers to {_asked()} questions", hint="name the items to answer others: item,rating"
        )
    for _, value in [*given, *[(None, None)] * (_asked() - len(given))]:
        question_or_none = interview.ask()
        if question_or_none is None:
            return
        _take(interview, question_or_none, value)


def _take(interview: "Interview", question: "Question", value: float | None) -> None:
    """Take an answer of a file; a refusal says which one."""
    try:
        interview.take(question, value)
    except DataRefused as error:
        raise DataRefused(f"the answer to item {question.item!r}: {error}", hint=error.hint) from None


def _converse(session: Session, interview: "Interview") -> None:
    """Ask a person on a terminal, and show the list as it grows."""
    from store import ratings

    scale, prompt = ratings.scale(session.services.database), render.Terminal.of(sys.stderr)
    render.say(f"Rate from {scale}; Enter for what you have not seen, q to stop.")
    for number in range(1, _asked() + 1):
        question = interview.ask()
        if question is None:
            return
        genres = f"  {', '.join(question.genres)}" if question.genres else ""
        render.say("")
        render.say(f"{number}/{_asked()}  {question.title or question.item}{genres}")
        while True:
            prompt.write("your rating: ")
            prompt.flush()
            typed = sys.stdin.readline()
            if not typed or typed.strip().casefold() in {"q", "quit"}:
                return
            try:
                interview.take(question, _value(typed, "your answer"))
            except DataRefused as error:
                render.say(f"{error}: a number from {scale}, Enter for not seen, q to stop")
                continue
            break
        names = [row["title"] or row["item"] for row in interview.items(_LIVE)]
        render.say("your list now: " + " · ".join(names))


def _read(path: Path) -> list[tuple[str | None, float | None]]:
    """Read answers as (item or None, rating or None).

    Raises:
        NotFound: no such file.
        DataRefused: it cannot be read as answers.
    """
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise NotFound(f"no file {path}", hint=_FORMS) from None
    except UnicodeDecodeError:
        raise DataRefused(f"{path} is no UTF-8 text", hint=_FORMS) from None
    except OSError as error:
        raise DataRefused(f"{path} cannot be read ({type(error).__name__})", hint=_FORMS) from error
    if not text.strip():
        raise DataRefused(f"{path} has no answers", hint=_FORMS)
    rows = list(_of_json(text, path) if text.lstrip()[:1] in "[{" else _of_lines(text, path))
    if len({item is None for item, _ in rows}) > 1:
        raise DataRefused(f"{path}: some answers name their item and some do not", hint=_FORMS)
    return rows


def _of_lines(text: str, path: Path) -> Iterator[tuple[str | None, float | None]]:
    lines = text.splitlines()
    mark = "\t" if "\t" in lines[0] else ","
    for number, row in enumerate(csv.reader(lines, delimiter=mark), 1):
        where = f"{path}, line {number}"
        if not row:
            yield None, None
        elif number == 1 and row[0].strip().casefold() in {*_HEADERS, "rating", "answer"}:
            continue
        elif len(row) == 1:
            yield None, _value(row[0], where)
        else:
            yield row[0].strip(), _value(row[1], where)


def _of_json(text: str, path: Path) -> Iterator[tuple[str | None, float | None]]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise DataRefused(f"{path} is no JSON ({error})", hint=_FORMS) from error
    pairs: Sequence[Any] = list(found.items()) if isinstance(found, dict) else found
    for number, part in enumerate(pairs, 1):
        where = f"{path}, answer {number}"
        if isinstance(part, dict):
            yield str(part.get("item", "")), _value(part.get("answer", part.get("rating")), where)
        elif isinstance(part, list | tuple) and len(part) == 2:
            yield str(part[0]), _value(part[1], where)
        else:
            yield None, _value(part, where)


def _value(given: object, where: str) -> float | None:
    """Return a rating, None for not seen.

    Raises:
        DataRefused: it is neither.
    """
    text = "" if given is None else str(given).strip()
    if text.casefold() in _UNSEEN:
        return None
    try:
        return float(text)
    except ValueError:
        raise DataRefused(f"{where}: {text!r} is no rating", hint=_FORMS) from None


def _show(session: Session, interview: "Interview", user: str, stored: int, number: int) -> None:
    """Show the questions with their answers, and the list."""
    items = interview.items(number)
    if session.as_json:
        questions = [asdict(question) for question in interview.questions]
        facts = {"user": user or None, "version": interview.version, "stored": stored}
        session.document(facts | {"questions": questions, "items": items})
        return
    if not interview.answers:
        for question in interview.questions:
            session.say(f"{question.number}  {question.item}  {question.title or ''}")
    session.say(f"kept for {user}: {render.counted(stored, 'rating')}" if stored else "nothing is stored")
    columns: Columns = [Column("rank", "#"), "item", Column("title", grows=True)]
    columns += [Column("prediction", "rating", digits=2)] if items and items[0]["prediction"] is not None else []
    session.rows(items, [*columns, "genres"], empty="no item is left")
