"""How what is stored is drawn: figures under each other, ratings over time, what undoing an import means."""

from textwrap import wrap
from typing import TYPE_CHECKING, Any

from textual.content import Content

from recsys_tui import render
from recsys_tui.screens.stock import Stock, by_span, freshness
from recsys_tui.widgets.drawn import area, ranged
from recsys_tui.widgets.text import shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from store.activity import Activity
    from store.imports import Import
    from store.registry import ModelVersion
    from store.undo import Undoing

_DIALOG = 56  # cells of text in a question


def facts_of(
    found: Stock | None,
    imports: "Sequence[Import]",
    active: "ModelVersion | None",
    when: "Activity | None",
    width: int,
    height: int,
) -> Content:
    """Return counts and ages; where `when` is given, ratings over time in the lines that are left."""
    rows: list[tuple[str, str, str]] = []
    if found is not None:
        rows = [
            ("ratings", render.count(found.ratings), ""),
            ("users", render.count(found.users), ""),
            ("items", render.count(found.items), ""),
            ("density", f"{found.density:.4%}", ""),
        ]
    rows += [(name, value, "") for name, value in freshness(found, imports, active)]
    text = ranged(rows, width) if rows else shown("counting…", "$text-muted")
    left = height - len(rows)
    return text if when is None or left < 2 else Content("\n").join([text, curve_of(when, width, left)])


def curve_of(when: "Activity", width: int, height: int) -> Content:
    """Return ratings over time, with its ends and what a cell is in the last line."""
    counts, span = by_span(when, width)
    if not counts:
        return shown("no rating has a time", "$text-muted")
    first, last = (render.when(day * 86_400.0)[:7] for day in (min(when.days), max(when.days)))
    part = ", of a sample" if when.sampled else ""
    ends = len(first) + len(last)
    middle = next((words for words in (f"a cell is {span}{part}", span) if len(words) + ends + 2 <= width), "")
    line = f"{first}{middle.center(width - ends)}{last}"
    return Content("\n").join([area(counts, width, height - 1), shown(line, "$text-muted")])


def undo_words(found: "Undoing") -> Content:
    """Return what undoing an import does, a line each."""
    counts = [
        ("ratings that go", found.removed),
        ("ratings that return to what they were", found.restored),
        ("ratings changed since, which stay", found.kept),
        ("users that go", found.users),
        ("items that go", found.items),
        ("titles that return to what they were", found.titles),
    ]
    rows = [(what, render.count(count), "") for what, count in counts if count]
    rows += [("versions trained on it", ", ".join(found.versions), "")] if found.versions else []
    return ranged(rows, _DIALOG) if rows else Content("it has nothing left to take back")


def tail_of(source: str) -> str:
    """Return the end of a path, which tells more than its beginning; an address as it is."""
    parts = source.rstrip("/").split("/")
    return source if "://" in source or len(parts) <= 3 else f"…/{'/'.join(parts[-2:])}"


def health_page(checks: "Sequence[Mapping[str, Any]]", width: int) -> Content:
    """Return the checks, those first that ask for a look, each with what to do, in lines of `width` cells."""
    lines: list[Content] = []
    for check in sorted(checks, key=lambda check: bool(check["ok"])):
        mark, style = ("ok  ", "$text-success") if check["ok"] else ("look", "$text-warning")
        lines.append(Content.assemble((mark, style), "  ", shown(check["name"], "bold")))
        lines += [shown(f"      {part}") for part in _wrapped(check["detail"], width)]
        if check["hint"] and not check["ok"]:
            lines += [shown(f"      {part}", "$text-muted") for part in _wrapped(check["hint"], width)]
    return Content("\n").join(lines)


def _wrapped(text: str, width: int) -> list[str]:
    """Return a sentence in lines that have room beside the mark of a check."""
    return wrap(render.safe(text), max(width - 6, _DIALOG // 2))
