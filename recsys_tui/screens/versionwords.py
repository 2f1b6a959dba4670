"""Versions, comparisons and decisions in words and aligned figures."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from textual.content import Content

from recsys_tui import render
from recsys_tui.protocols import protocol_words
from recsys_tui.widgets.text import shown

if TYPE_CHECKING:
    from engine.services.compare import Comparison, Row
    from engine.services.gate import Decision
    from store.audit import Change
    from store.registry import MetricRow, ModelVersion

FIRST = (
    "ndcg@10",
    "recall@10",
    "precision@10",
    "map@10",
    "mrr@10",
    "hit_rate@10",
    "rmse",
    "mae",
    "coverage@10",
    "coverage",
)


_MEANT = {"seconds": "took", "peak_memory": "peak memory"}
_READABLE = 20  # cells of a value below which it is not wrapped any narrower
_COUNTS = {"ratings": "ratings", "users": "users", "movies": "items"}


def heading(text: str) -> Content:
    """Return a heading within a page."""
    return Content.assemble("\n", shown(text, "bold"))


def joined(parts: Iterable[Content]) -> Content:
    """Return parts under one another."""
    return Content("\n").join(list(parts))


def figures(version: "ModelVersion", against: "ModelVersion | None") -> Content:
    """Return the figures of a version with their intervals, and how they differ from those of the active one."""
    if not version.metrics:
        return shown("not measured: no ratings were held out", "$text-muted")
    names = [name for name in FIRST if name in version.metrics]
    names += sorted(name for name in version.metrics if name not in names)
    widest = max(map(len, names))
    return joined(_figure(name, version.metrics[name], _other(name, against), widest) for name in names)


def _other(name: str, against: "ModelVersion | None") -> float | None:
    return against.metrics[name].value if against and name in against.metrics else None


def _figure(name: str, row: "MetricRow", other: float | None, widest: int) -> Content:
    line = shown(f"{name:{widest}}  {render.number(row.value):>9}")
    if row.low is not None and row.high is not None:
        line = line.append(shown(f"  [{render.number(row.low)}, {render.number(row.high)}]", "$text-muted"))
    if other is not None and row.value is not None:
        line = line.append(shown(f"  {signed(row.value - other)}", "$text-muted"))
    return line


def signed(value: float | None, digits: int = 4) -> str:
    """Return a difference with its sign and a mark that shows it without colour."""
    if value is None:
        return render.number(None)
    mark = "▲" if value > 0 else "▼" if value < 0 else "="
    return f"{mark}{value:+.{digits}f}"


def described(version: "ModelVersion", active: "ModelVersion | None", width: int = 0) -> Content:
    """Return everything about a version that fits beside the list, facts wrapped to `width` cells."""
    data = version.training_data
    against = active if active and active.id != version.id else None
    settings = ", ".join(f"{name} {render.plainly(value)}" for name, value in version.hyperparameters.items())
    facts = {
        "trained": f"{render.when(version.trained_at)} UTC" + (f", job {version.job}" if version.job else ""),
        "on": ", ".join(f"{data.get(f'n_{key}', 0):,} {word}" for key, word in _COUNTS.items()),
        "measured": protocol_words(version.protocol),
        "settings": settings or "none",
        "size": render.size(version.bytes),
    }
    if version.label:
        facts["label"] = version.label
    title = f"figures, and difference from {against.name} which is active" if against else "figures with 95% intervals"
    return joined([facts_lines(facts, width), heading(title), figures(version, against)])


def facts_lines(facts: Mapping[str, Any], width: int = 0) -> Content:
    """Return names and values, aligned; in `width` cells what is long goes on under its value."""
    widest = max(map(len, facts), default=0)
    room = max(width - widest - 2, _READABLE) if width else sys.maxsize
    lines = []
    for name, value in facts.items():
        first, *rest = wrap(render.safe(str(value)), room) or [""]
        lines.append(Content.assemble(shown(f"{name:{widest}}  ", "$text-muted"), shown(first)))
        lines += [shown(" " * (widest + 2) + part) for part in rest]
    return joined(lines)


def compared(found: "Comparison", versions: Sequence["ModelVersion"]) -> Content:
    """Return a comparison as a page: the verdict, the figures with intervals, what differs in the settings."""
    rows = f"{found.users:,} users, rows {found.protocol.get('rows', '')}"
    parts = [shown(found.verdict, "bold"), shown(rows, "$text-muted")]
    for second in dict.fromkeys(row.second for row in found.rows):
        mine = [row for row in found.rows if row.second == second]
        parts += [heading(f"{mine[0].first} against {second}"), _rows(mine)]
    parts += [shown(str(note), "$text-warning") for note in found.protocol.get("notes", [])]
    return joined([*parts, heading("settings that differ"), settings_diff(versions)])


def _rows(rows: Sequence["Row"]) -> Content:
    """Return a table of at most 76 cells, the metrics in the order in which people ask for them."""
    widest = max(len(row.metric) for row in rows)
    first, second = rows[0].first, rows[0].second
    head = f"{'':{widest}} {first:>8} {second:>8} {'differ by':>9} {'95% interval':^18} better"
    lines = [shown(head, "$text-muted")]
    for row in sorted(rows, key=lambda row: FIRST.index(row.metric) if row.metric in FIRST else len(FIRST)):
        interval = "" if row.low is None else f"[{row.low:+.4f}, {row.high:+.4f}]"
        here, there = (render.number(row.values[name]) for name in (first, second))
        difference = render.number(None) if row.difference is None else f"{row.difference:+.4f}"
        text = f"{row.metric:{widest}} {here:>8} {there:>8} {difference:>9} {interval:18} "
        winner = row.winner or ("" if row.p is None else "unclear")
        lines.append(shown(text).append(shown(winner, "bold $text-success" if row.winner else "$text-muted")))
    return joined(lines)


def settings_diff(versions: Sequence["ModelVersion"]) -> Content:
    """Return the settings and the data in which versions differ, one a line."""
    tables = [
        {"model": v.model_type, "ratings": f"{v.training_data.get('n_ratings', 0):,}"}
        | {name: render.plainly(value) for name, value in v.hyperparameters.items()}
        for v in versions
    ]
    names = list(dict.fromkeys(name for table in tables for name in table))
    lines = [
        f"{name:18}" + "".join(f"{table.get(name, '-'):>16}" for table in tables)
        for name in names
        if len({table.get(name) for table in tables}) > 1
    ]
    head = f"{'':18}" + "".join(f"{version.name:>16}" for version in versions)
    return joined([shown(head, "$text-muted"), *map(shown, lines)]) if lines else shown("none", "$text-muted")


def decided(decision: "Decision") -> Content:
    """Return the reasoning of a gate: each condition with its figures, passed or not, in words and by a mark."""
    lines = [shown(("✓ " if decision.passed else "! ") + decision.reason, "bold")]
    lines += [shown(("✓ " if check.passed else "! ") + check.reason) for check in decision.checks[1:]]
    return joined(lines)


def trail(changes: Sequence["Change"]) -> Content:
    """Return the audit trail, newest first."""
    if not changes:
        return shown("nothing was ever activated", "$text-muted")
    return joined(
        Content.assemble(
            shown(f"{render.when(change.at)}  ", "$text-muted"),
            shown(f"{change.action:10}", "bold"),
            shown(f" v{change.version}" + (f" (before: v{change.previous})" if change.previous else "")),
            shown(f"  {change.who}", "$text-muted"),
            shown(f"  {change.why}" if change.why else ""),
        )
        for change in changes
    )


def lineage(found: Mapping[str, Any]) -> Content:
    """Return where a version comes from, as `models lineage` has it."""
    facts: dict[str, Any] = {"version": f"{found['version']} {found['model_type']}, {found['state']}"}
    facts["made by"] = f"job {found['job']}" if found["job"] else "an import"
    for name in ("ancestors", "children", "members", "member_of"):
        if found.get(name):
            facts[name.replace("_", " ")] = ", ".join(map(str, found[name]))
    facts |= {_MEANT.get(key, key): _figured(key, value) for key, value in found["lineage"].items()}
    if found["request"]:
        asked = {key: value for key, value in found["request"].items() if value not in ("", None, {}, 0, False, [])}
        facts["asked for"] = _plain(asked)
    widest = max(map(len, found["files"]), default=0)
    files = joined(
        shown(f"{name:{widest}}  {render.size(file['bytes']):>9}  sha256 {file['sha256'][:16]}…")
        for name, file in found["files"].items()
    )
    changes = joined(shown(f"{render.when(c['at'])}  {c['action']}  {c['who']}  {c['why']}") for c in found["changes"])
    return joined([facts_lines(facts), heading("files"), files, heading("what became of it"), changes])


def _figured(key: str, value: Any) -> str:
    """Return a fact of a lineage, in units where it has some."""
    if key == "seconds":
        return render.duration(value)
    return render.size(value) if key == "peak_memory" else _plain(value)


def changed_lists(found: Mapping[str, Any]) -> Content:
    """Return whose lists change from one version to another, as `diff` has it."""
    users = found["users"]
    share = f" ({found['changed'] / users:.0%})" if users else ""
    facts = {
        "users": f"{users:,}",
        "lists that change": f"{found['changed']:,}{share}",
        f"overlap of {found['n']}": render.number(found["overlap_mean"]),
        "rank-biased overlap": render.number(found["rbo_mean"]),
    }
    parts = [facts_lines(facts)]
    for word, name in (("gains", "items in more lists"), ("losses", "items in fewer lists")):
        if found[word]:
            parts.append(heading(name))
            parts += [shown(f"{one['first']:>7,} > {one['second']:<7,} {_title(one)}") for one in found[word]]
    for example in found["examples"]:
        parts.append(heading(f"user {example['user']}, overlap {render.number(example['overlap'], 2)}"))
        for word in ("entered", "left"):
            parts += [shown(f"  {word:8} {_title(one)}") for one in example[word]]
    return joined(parts)


def _title(card: Mapping[str, Any]) -> str:
    return str(card["title"] or card["item"])


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(part)}" for key, part in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else render.plainly(value)
