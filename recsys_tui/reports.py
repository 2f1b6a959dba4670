"""A report as a file: Markdown, one HTML page that needs nothing else, or JSON; it appears whole or not at all."""

import base64
import html
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from recsys_tui import plots, render
from recsys_tui.protocols import protocol_words
from recsys_tui.render import number, safe
from recsys_tui.render.values import to_json
from store.errors import NotFound, UsageRefused, translate

SUFFIXES = (".md", ".html", ".json")
_MARKDOWN = re.compile(r"([\\`*_\[\]<>#|~])")
_FIGURE = re.compile(r"[-\d]|" + render.figures.DASH)
_WIDTH = 40  # characters of a plot made of text
_GROUPS = {"activity": "By activity of users", "popularity": "By popularity of items", "genre": "By genre"}
_RELIABILITY = "Predicted and given ratings"
_SEGMENT_METRICS = ("ndcg@10", "recall@10", "rmse")
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2937; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: .5rem 0 1.5rem; }
th, td { padding: .2rem .7rem; border-bottom: 1px solid #e5e7eb; text-align: left; vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
pre { font: 13px/1.35 ui-monospace, monospace; overflow-x: auto; } img { max-width: 100%; } h2 { margin-top: 2rem; }
"""


def check_report(out: Path) -> None:
    """Look at the target of a report before the work that would go into it.

    Raises:
        UsageRefused: a suffix that stands for no kind of report, or a folder.
        NotFound: the folder of the file is not there.
    """
    if out.suffix not in SUFFIXES:
        raise UsageRefused(f"{out}: unknown suffix {out.suffix!r}", hint="name a file ending in .md, .html or .json")
    if out.is_dir():
        raise UsageRefused(f"{out} is a folder", hint="name a file in it")
    if not out.parent.is_dir():
        raise NotFound(f"no folder {out.parent}", hint="make it first, or write to another place")


def write_report(out: Path, document: Mapping[str, Any]) -> None:
    """Write a report; its suffix decides how.

    Raises:
        UsageRefused, NotFound: see `check_report`.
        NoSpace, NoPermission: nothing remains of the attempt.
    """
    check_report(out)
    writers: dict[str, Callable[[Mapping[str, Any]], str]] = {".md": markdown, ".html": page, ".json": _json}
    text = writers[out.suffix](document)
    partial = out.with_name(out.name + ".partial")
    try:
        partial.touch(mode=0o600)
        partial.write_text(text, encoding="utf-8")
        partial.replace(out)
    except OSError as error:
        raise translate(error, out) from error
    finally:
        partial.unlink(missing_ok=True)


def _json(document: Mapping[str, Any]) -> str:
    """Return the report as one JSON document."""
    return to_json(document, indent=2) + "\n"


def markdown(document: Mapping[str, Any]) -> str:
    """Return the report as Markdown, its plots made of text."""
    lines = [f"# {_md(_title(document))}", ""]
    lines += [f"- {name}: {_md(value)}" for name, value in _facts(document)]
    for title, head, rows in _tables(document):
        lines += ["", f"## {title}", "", _md_row(head), "|" + "---|" * len(head)]
        lines += [_md_row([_md(cell) for cell in row]) for row in rows]
        if text := _text_plot(title, document):
            lines += ["", "```text", text.replace("`", "'"), "```"]  # a name must not end the block
    lines += ["", "## What the figures mean", ""]
    lines += [f"- **{_md(row['metric'])}** {_md(_meaning(row))}" for row in document["metrics"]]
    return "\n".join(lines) + "\n"


def page(document: Mapping[str, Any]) -> str:
    """Return the report as one HTML page: no script, nothing loaded; plots as pictures where matplotlib is there."""
    title = html.escape(_title(document))
    parts = [f"<h1>{title}</h1>", "<table>"]
    parts += [f"<tr><th>{name}</th><td>{html.escape(value)}</td></tr>" for name, value in _facts(document)]
    parts.append("</table>")
    for name, head, rows in _tables(document):
        parts += [f"<h2>{name}</h2>", "<table>", _html_row(head, "th")]
        parts += [_html_row([html.escape(cell) for cell in row], "td") for row in rows]
        parts += ["</table>", _picture(name, document)]
    parts += ["<h2>What the figures mean</h2>", "<dl>"]
    for row in document["metrics"]:
        parts.append(f"<dt>{html.escape(row['metric'])}</dt><dd>{html.escape(_meaning(row))}</dd>")
    parts.append("</dl>")
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def _title(document: Mapping[str, Any]) -> str:
    label = f" “{safe(document['label'])}”" if document["label"] else ""
    return f"{document['version']} {safe(document['model'])}{label}"


def _facts(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    data, lineage = document["training_data"], document["lineage"]
    excluded = document["excluded"]
    users = f"{document['users']:,} measured" + (
        f", {excluded:,} without held-out ratings left out" if excluded else ""
    )
    settings = ", ".join(f"{name} {render.plainly(value)}" for name, value in document["hyperparameters"].items())
    facts = {
        "state": document["state"],
        "trained": f"{document['trained_at']:%Y-%m-%d %H:%M} UTC on {lineage.get('host', 'an unknown host')}",
        "took": render.duration(lineage.get("seconds")),
        "ratings": f"{data['n_ratings']:,} of {data['n_users']:,} users on {data['n_movies']:,} items",
        "data fingerprint": str(data.get("fingerprint", ""))[:16],
        "measured": protocol_words(document["protocol"]),
        "candidates": document["protocol"].get("candidates", "all unseen items"),
        "users": users,
        "settings": settings or "none",
    }
    return [(name, safe(str(value))) for name, value in facts.items()]


def _tables(document: Mapping[str, Any]) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """Yield title, head and cells of each table that has rows."""
    head = ["metric", "value", "95% low", "95% high", "better"]
    yield "Figures", head, [[row["metric"], *_figure(row), row["better"]] for row in document["metrics"]]
    for by, title in _GROUPS.items():
        found = [row for row in document["segments"] if row["by"] == by]
        named = [name for name in _SEGMENT_METRICS if any(name in row["metrics"] for row in found)]
        cells = [
            [safe(row["segment"]), f"{row['users']:,}", f"{row['rows']:,}"]
            + [_with_interval(row["metrics"].get(name)) for name in named]
            for row in found
        ]
        if cells:
            yield title, [by, "users", "rows", *named], cells
    if document["reliability"]:
        cells = [
            [number(row["predicted"], 3), number(row["observed"], 3), f"{row['rows']:,}"]
            for row in document["reliability"]
        ]
        yield _RELIABILITY, ["mean predicted", "mean given", "rows"], cells


def _figure(row: Mapping[str, Any]) -> list[str]:
    return [number(row[name]) for name in ("value", "low", "high")]


def _with_interval(found: Mapping[str, float] | None) -> str:
    if found is None:
        return render.number(None)
    return f"{number(found['value'])} ({number(found['low'])} to {number(found['high'])})"


def _meaning(row: Mapping[str, Any]) -> str:
    return f"({row['better']} is better) {row['sentence']} Formula: {row['formula']}. Source: {row['source']}."


# --- plots --------------------------------------------------------------------------------------------------------


def _spans(title: str, document: Mapping[str, Any]) -> list[plots.Span]:
    """Return what is drawn under a table: metrics that lie between 0 and 1, or the first metric of each group."""
    if title == "Figures":
        found = [(row["metric"], row) for row in document["metrics"]]
        return [_span(name, row) for name, row in found if row["low"] is not None and -0.01 <= row["value"] <= 1]
    rows = [row for row in document["segments"] if _GROUPS[row["by"]] == title]
    name = _SEGMENT_METRICS[0]
    return [_span(safe(row["segment"]), row["metrics"][name]) for row in rows if name in row["metrics"]]


def _span(name: str, row: Mapping[str, Any]) -> plots.Span:
    low, high = (row[end] if row[end] is not None and math.isfinite(row[end]) else None for end in ("low", "high"))
    return plots.Span(name, row["value"], low, high)


def _picture(title: str, document: Mapping[str, Any]) -> str:
    """Return what goes under a table of the page: a picture inside the page, else a plot of text."""
    picture = _drawn(title, document) if plots.can_draw() else None
    if picture is not None:
        data = base64.b64encode(picture).decode()
        return f'<img alt="{html.escape(title)}" src="data:image/png;base64,{data}">'
    text = _text_plot(title, document)
    return f"<pre>{html.escape(text)}</pre>" if text else ""


def _drawn(title: str, document: Mapping[str, Any]) -> bytes | None:
    """Return the picture of a table as a PNG, None where there is nothing to draw."""
    if document["reliability"] and title == _RELIABILITY:
        bins = [(row["predicted"], row["observed"]) for row in document["reliability"]]
        return plots.reliability(bins, "reliability of predicted ratings")
    spans = _spans(title, document)
    name = title if title == "Figures" else f"{_SEGMENT_METRICS[0]}, {title.lower()}"
    return plots.intervals(spans, name) if spans else None


def _text_plot(title: str, document: Mapping[str, Any]) -> str:
    """Return a plot of intervals made of characters, or nothing where there is nothing to draw."""
    if document["reliability"] and title == _RELIABILITY:
        scale = max(max(row["predicted"], row["observed"]) for row in document["reliability"])
        return "\n".join(
            f"{number(row['predicted'], 2)} {render.bar(row['observed'], scale, _WIDTH)} {number(row['observed'], 2)}"
            for row in document["reliability"]
        )
    spans = _spans(title, document)
    if not spans:
        return ""
    widest = max(len(span.name) for span in spans)
    most = max(span.value if span.high is None else span.high for span in spans) or 1.0
    return "\n".join(f"{span.name.ljust(widest)} {_ruler(span, most)} {number(span.value)}" for span in spans)


def _ruler(span: plots.Span, most: float) -> str:
    """Return an interval on a line from 0 to `most`, the figure itself as a dot."""

    def place(value: float) -> int:
        return min(max(round(value / most * (_WIDTH - 1)), 0), _WIDTH - 1)

    cells = [" "] * _WIDTH
    if span.low is not None and span.high is not None:
        for at in range(place(span.low), place(span.high) + 1):
            cells[at] = "─"
    cells[place(span.value)] = "●"
    return "".join(cells)


def _md(text: str) -> str:
    """Return text that Markdown shows as it is."""
    return _MARKDOWN.sub(r"\\\1", text)


def _md_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _html_row(cells: Sequence[str], kind: str) -> str:
    """Return a row of a table; what begins with a figure is ranged right."""
    figure = [bool(place) and kind == "td" and bool(_FIGURE.match(cell)) for place, cell in enumerate(cells)]
    marks = [' class="n"' if is_figure else "" for is_figure in figure]
    return "<tr>" + "".join(f"<{kind}{mark}>{cell}</{kind}>" for mark, cell in zip(marks, cells, strict=True)) + "</tr>"
