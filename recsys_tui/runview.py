"""A training run as it is watched: its curves, how far it is, how long it takes; made of the events in the journal."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from recsys_tui import render
from recsys_tui.runs import event_line

if TYPE_CHECKING:
    from store.journal import Event, Job

_RECENT = 5  # epochs whose mean duration the forecast is made of
_LINES = 200

Point = tuple[float, float]


class Curve(NamedTuple):
    """A line of a plot: what it is called, and points (x, y) in the order of x.

    `metric` is what was measured, "" for a loss: figures of one metric have an axis of their own.
    """

    name: str
    points: tuple[Point, ...]
    metric: str = ""


@dataclass
class _Fits:
    """What the epochs of one model came to; `again` where it is fitted once more, on all rows."""

    losses: dict[str, list[Point]] = field(default_factory=dict)
    held_out: dict[str, list[Point]] = field(default_factory=dict)
    again: bool = False


@dataclass
class RunView:
    """What is known of a run. `take` may be called again with further events.

    Attributes:
        seen: number of the last event taken.
        stage: what it does now.
        model: of a run that trains several the one whose curves these are: that which is trained now, in the end that
            which was chosen; "" of other runs.
        number, of: the epoch that ended last, and how many are planned; 0 before the first.
        speed: ratings a second in the last epoch.
        lines: the log, newest last, as time and text.
    """

    seen: int = 0
    stage: str = ""
    model: str = ""
    number: int = 0
    of: int = 0
    speed: float = 0.0
    lines: list[tuple[float, str]] = field(default_factory=list)
    _fits: dict[str, _Fits] = field(default_factory=lambda: {"": _Fits()})
    _made: dict[str, str] = field(default_factory=dict)
    _seconds: list[float] = field(default_factory=list)

    def take(self, events: Iterable["Event"]) -> None:
        """Take further events, in order."""
        for event in events:
            self.seen = event.seq
            if event.kind == "epoch":
                self._epoch(event.data)
            elif event.kind == "stage":
                self.stage = str(event.data.get("stage", ""))
                self._turn(str(event.data.get("model", "")))
            elif event.kind == "candidate":
                self._made[str(event.data["version"])] = str(event.data["model"])
            elif event.kind == "choice":
                chosen = self._made.get(str(event.data["version"]), "")
                self.model = chosen if chosen in self._fits else self.model  # runs of before did not tell them apart
            text = event_line({"kind": event.kind} | event.data)
            self.lines.append((event.at, text))
        del self.lines[:-_LINES]

    def _turn(self, model: str) -> None:
        """Begin with another model, where one is named: its epochs count from one, and its losses are its own."""
        if model:
            self.model, self._fits[model] = model, _Fits()
            self.number, self.of, self.speed, self._seconds = 0, 0, 0.0, []

    def _epoch(self, data: dict[str, object]) -> None:
        number, fits = int(str(data["number"])), self._fits[self.model]
        if number <= self.number:  # fitted once more, on all rows
            fits.again, self._seconds = True, []
        self.number, self.of = number, int(str(data["of"]))
        self.speed = float(str(data.get("ratings_per_second") or 0))
        self._seconds.append(float(str(data["seconds"])))
        losses = data["losses"]
        assert isinstance(losses, dict)  # noqa: S101  the trainer writes one
        for name, value in losses.items():
            if value is not None:
                fits.losses.setdefault(f"{name}, all rows" if fits.again else name, []).append((number, float(value)))
        held_out = data.get("held_out")
        for name, value in held_out.items() if isinstance(held_out, dict) else ():
            fits.held_out.setdefault(name, []).append((number, float(value)))

    @property
    def curves(self) -> list[Curve]:
        """The losses by epoch in the order in which they first appeared, then the figures of held-out rows."""
        fits = self._fits[self.model]
        losses = [Curve(name, tuple(points)) for name, points in fits.losses.items()]
        return losses + [Curve(f"held-out {name}", tuple(points), name) for name, points in fits.held_out.items()]

    @property
    def share(self) -> float:
        """How much of the epochs is done, 0 to 1."""
        return self.number / self.of if self.of else 0.0

    @property
    def remaining(self) -> float | None:
        """Seconds until the last epoch by the mean of the last few, or None before the first."""
        recent = self._seconds[-_RECENT:]
        return sum(recent) / len(recent) * (self.of - self.number) if recent else None

    def latest(self) -> list[tuple[str, float, float | None]]:
        """Return each loss with its last value and how it changed from the epoch before."""
        return [
            (name, points[-1][1], points[-1][1] - points[-2][1] if len(points) > 1 else None)
            for name, points in self._fits[self.model].losses.items()
        ]


def headline(job: "Job", view: RunView, memory: int | None, width: int, *, ascii: bool = False) -> str:  # noqa: A002
    """Return the state of a run in one line: what must be known first; the rest as far as it has room."""
    parts = [f"job {job.id} {job.model}" + (f": {view.model}" if view.model and not job.ended else ""), job.state]
    if job.ended:
        parts += _end(job)
    else:
        ways = [parts + _progress(job, view, memory, bar, unit, ascii=ascii) for bar, unit in _WAYS]
        parts = next((way for way in ways if sum(map(len, way)) + 2 * len(way) - 2 <= width), ways[-1])
    line = parts[0]
    for part in parts[1:]:
        if len(line) + 2 + len(part) <= width:
            line += f"  {part}"
    return line


_WAYS = ((10, " ratings/s"), (6, " ratings/s"), (0, " ratings/s"), (0, "/s"))
"""Cells of the bar and unit of the speed: the roomiest that lets all of the line be seen."""


def _progress(
    job: "Job",
    view: RunView,
    memory: int | None,
    bar: int,
    unit: str,
    *,
    ascii: bool,  # noqa: A002
) -> list[str]:
    parts = ["stops after this epoch"] if job.cancel_requested else []
    if view.of:
        parts.append(f"epoch {view.number}/{view.of}")
        drawn = f"{render.bar(view.share, 1.0, bar, ascii=ascii)} " if bar else ""
        parts.append(f"{drawn}{view.share:4.0%}")
        parts.append(view.stage if view.number == view.of else f"ETA {render.duration(view.remaining)}")
        parts.append(f"{_short(view.speed)}{unit}" if view.speed else "")
    else:
        parts.append(view.stage)
    parts.append(render.size(memory) if memory else "")
    return [part for part in parts if part]


def _end(job: "Job") -> list[str]:
    parts = [f"made v{job.version}"] if job.version else []
    if job.started_at is not None and job.finished_at is not None:
        parts.append(f"took {render.duration(job.finished_at - job.started_at)}")
    return [*parts, render.safe(job.error)] if job.error else parts


def _short(value: float) -> str:
    """Return a speed in three figures: 31.4k, 1.2M."""
    for unit, factor in (("M", 1e6), ("k", 1e3)):
        if value >= factor:
            return f"{value / factor:.1f}{unit}"
    return f"{value:.0f}"


def thinned(points: Sequence[Point], most: int) -> list[Point]:
    """Return at most about `most` points that draw the same line: the lowest and the highest of each stretch."""
    if len(points) <= most or most < 4:
        return list(points)
    parts = most // 2
    kept: list[Point] = []
    for part in range(parts):
        stretch = points[len(points) * part // parts : len(points) * (part + 1) // parts]
        low, high = min(stretch, key=lambda p: p[1]), max(stretch, key=lambda p: p[1])
        kept += sorted({low, high})
    if kept[-1] != points[-1]:
        kept.append(points[-1])
    return kept


def resident(pid: int | None) -> int | None:
    """Return the memory that a process holds, in bytes, or None where there is no such process."""
    import psutil

    with suppress(psutil.Error):
        return int(psutil.Process(pid).memory_info().rss) if pid else None
    return None
