"""What a measurement says: our figure, the rival's of the same minutes, the goal; and the tables made of them."""

import json
import platform
import sqlite3
import time
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from engine.resources import processors

RESULTS = Path(__file__).with_name("results.json")
START, END = "<!-- figures: begin -->", "<!-- figures: end -->"
_PACKAGES = (
    "numpy",
    "scipy",
    "numba",
    "pyarrow",
    "adbc-driver-sqlite",
    "implicit",
    "lenskit",
    "scikit-surprise",
    "myfm",
    "recbole",
)


@dataclass(frozen=True)
class Figure:
    """One row of the table.

    Attributes:
        ours: what this program reaches, in `unit`.
        rival: what `by` reaches on the same data in the same minutes, None where nobody does this work.
        higher: more is better.
        goal: bound on `ours`: at least it where more is better, else at most.
        times: how many times better than the rival is the goal.
        note: what one must know to read the figure.
    """

    ours: float
    unit: str = "s"
    rival: float | None = None
    by: str = ""
    higher: bool = False
    goal: float | None = None
    times: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times better than the rival: above one is better, whichever way the unit goes."""
        if not self.rival or not self.ours:
            return None
        return self.ours / self.rival if self.higher else self.rival / self.ours

    @property
    def met(self) -> bool | None:
        """Whether every goal of this row is reached; None where there is none."""
        checks = []
        if self.goal is not None:
            checks.append(self.ours >= self.goal if self.higher else self.ours <= self.goal)
        if self.times is not None and self.ratio is not None:
            checks.append(self.ratio >= self.times)
        return all(checks) if checks else None

    def cells(self, work: str) -> list[str]:
        """Return the row: work, ours, rival, ratio, goal, met."""
        rival = "" if self.rival is None else f"{_number(self.rival)} {self.unit} ({self.by})"
        wanted = [f"{'≥' if self.higher else '≤'} {_number(self.goal)} {self.unit}"] if self.goal is not None else []
        wanted += [f"≥ {self.times:g}×"] if self.times is not None else []
        met = {None: "", True: "yes", False: "**no**"}[self.met]
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}×"
        return [work, f"{_number(self.ours)} {self.unit}", rival, ratio, ", ".join(wanted), met]


HEADER = ["work", "ours", "rival", "ratio", "goal", "met"]


def as_figure(value: Any) -> Figure:
    """Return what a bench module gives as a figure: one already, its fields, or a bare number."""
    if isinstance(value, Figure):
        return value
    return Figure(**value) if isinstance(value, dict) else Figure(float(value), unit="")


def machine(rival_versions: dict[str, str]) -> dict[str, Any]:
    """Return where and with what the figures were taken."""
    cpu = next((line for line in _cpuinfo() if line.startswith("model name")), platform.processor())
    packages = {name: found for name in _PACKAGES if (found := _version(name) or rival_versions.get(name))}
    return {
        "processor": cpu.partition(":")[2].strip() or cpu,
        "cores": processors(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "packages": packages,
    }


def keep(group: str, figures: dict[str, Figure], command: str, facts: dict[str, Any], busy: float) -> dict[str, Any]:
    """Put a group's figures into the results file, in place of its older ones, and return everything kept.

    `busy` is the number of processes that wanted a processor when the measurement began: other people's.
    """
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"groups": {}}
    rows = {work: asdict(figure) | {"ratio": figure.ratio, "met": figure.met} for work, figure in figures.items()}
    kept["machine"] = facts
    taken = {"date": time.strftime("%Y-%m-%d", time.gmtime()), "busy": round(busy, 1), "command": command}
    kept["groups"][group] = taken | {"rows": rows}
    RESULTS.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    return kept


def markdown(kept: dict[str, Any]) -> str:
    """Return the tables of all groups."""
    facts = kept["machine"]
    packages = ", ".join(f"{name} {number}" for name, number in facts["packages"].items())
    where = f"{facts['processor']}, {facts['cores']} cores, {facts['memory_gib']} GiB, {facts['system']}"
    lines = [f"{where}; Python {facts['python']}, SQLite {facts['sqlite']}; {packages}."]
    for group, content in sorted(kept["groups"].items()):
        lines += [
            "",
            f"### {group}",
            "",
            f"`{content['command']}`, {content['date']}, load {content['busy']} at the start",
            "",
        ]
        lines += [f"| {' | '.join(HEADER)} |", "|---|--:|--:|--:|---|---|"]
        notes = []
        for work, row in content["rows"].items():
            figure = Figure(**{name: row[name] for name in Figure.__dataclass_fields__})
            lines.append(f"| {' | '.join(figure.cells(work))} |")
            notes += [f"{work}: {figure.note}."] if figure.note else []
        lines += ["", *(f"- {note}" for note in notes)] if notes else []
    return "\n".join(lines)


def write_into(page: Path, text: str) -> None:
    """Replace what stands between the two marks of a page; without marks, the whole page is the text."""
    whole = page.read_text() if page.exists() else f"{START}\n{END}\n"
    before, _, rest = whole.partition(START)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{START}\n\n{text}\n\n{END}{after}")


def table(figures: dict[str, Figure]) -> str:
    """Return rows aligned for a terminal."""
    rows = [figure.cells(work) for work, figure in figures.items()]
    widths = [max(len(row[column]) for row in [HEADER, *rows]) for column in range(len(HEADER))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def _number(value: float) -> str:
    """Return three digits that matter, without an exponent where people can do without."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}" if abs(value) >= 1 else f"{value:.4f}"


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
