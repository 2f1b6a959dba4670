"""What is shown of one person: their list as columns, why an item is in it, and who they are."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from recsys_tui import render
from recsys_tui.render.table import crop
from recsys_tui.widgets.columns import Field
from recsys_tui.widgets.drawn import interval, ranged, score_parts, signed_bar
from recsys_tui.widgets.text import shown
from recsys_tui.widgets.virtual_table import VirtualTable

if TYPE_CHECKING:
    from engine.services.explain import Explanation
    from recsys_tui.screens.lists import Lists, Profile

_BAR = 11
_PARTS = 40  # ratings shown one by one; the others follow as one line
_SCALE = 13
_ROOMY = 7  # lines below which a profile is told in a few words


def figure(predicts: bool) -> Callable[[float | None], str]:
    """Return how a figure of a list is shown: a predicted rating, or the percentage of items that it stands above."""

    def show(value: float | None) -> str:
        return render.number(value, 2) if predicts or value is None else f"{value:.1f}%"

    return show


def list_fields(found: "Lists | None") -> list[Field]:
    """Return the columns of a list: predicted ratings with their interval, or how many items are below."""
    if found is None:
        return [Field("title", "item", grows=True, width=30)]
    title = Field("title", "item", grows=True, width=30, least=28)
    place = Field("rank", "#", width=3, align="right", show=render.plainly, tone="dim")
    name = "rating" if found.predicts else "above"
    if found.other:
        both = [
            Field(
                "figure", found.version, show=figure(found.predicts), width=max(len(found.version), 6), align="right"
            ),
            Field(
                "other", found.other, show=figure(found.other_predicts), width=max(len(found.other), 6), align="right"
            ),
            Field("move", width=4, align="right", tone="accent"),
        ]
        return [place, title, *both, Field("why", grows=True, spare=True, width=14, tone="dim")]

    def draw(drawn: Any) -> str:
        value, bounds = drawn
        low, high = bounds or (None, None)
        return interval(value, low, high, found.ends, _SCALE)

    drawn = [Field("drawn", f"{found.ends[0]:g} 80% {found.ends[1]:g}".center(_SCALE), show=draw, width=_SCALE)]
    figures = [Field("figure", name, show=figure(found.predicts), width=6, align="right")]
    bounded = found.predicts and any(line.bounds for line in found.lines)
    why = Field("why", grows=True, spare=True, width=14, tone="dim")
    moved = [Field("move", width=4, align="right", tone="accent")] if found.moved else []
    return [place, title, *moved, *figures, *(drawn if bounded else []), why]


def part_fields(largest: float, digits: int) -> list[Field]:
    """Return the columns of a score taken apart; bars go right for what adds, left for what takes away."""

    def signed(value: float) -> str:
        return f"{value:+.{digits}f}"

    return [
        Field("title", "rated", grows=True, width=12),
        Field("your_rating", "given", width=5, align="right", show=render.plainly),
        Field("amount", "adds", width=digits + 4, align="right", show=signed),
        Field("bar", " ", width=_BAR, show=lambda amount: signed_bar(amount, largest, _BAR), tone="accent"),
    ]


class WhyPane(Vertical):
    """Why an item is in a list: the prediction on its scale, the reasons, and what each rating adds to the score."""

    DEFAULT_CSS = """
    WhyPane #said { height: auto; max-height: 6; margin-bottom: 1; }
    """

    def compose(self) -> ComposeResult:
        """Yield the words and the parts."""
        yield Static(id="said")
        yield VirtualTable(part_fields(1.0, 2), id="parts", key="item")

    def show(self, found: "Explanation | None", ends: tuple[float, float], *, empty: str = "") -> None:
        """Show an explanation, or nothing but a word why there is none."""
        table = self.query_one("#parts", VirtualTable)
        table.marks.clear()
        self.border_title = shown(f"why {found.movie_title or found.movie_id}" if found else "why")
        if found is None:
            self.border_subtitle = ""
            self.query_one("#said", Static).update(shown(empty, "$text-muted"))
            table.show([])
            return
        self.query_one("#said", Static).update(_said(found, ends))
        rows, rest = score_parts(found, _PARTS)
        digits = 2 if found.predicted_rating is not None else 4
        largest = max((abs(row["amount"]) for row in rows if row["your_rating"] is not None), default=1.0)
        self.border_subtitle = ""
        if found.method == "additive" and abs(rest) < 1e-3 * max(abs(found.score), 1.0):
            by = found.score - (found.baseline or 0.0)
            sum_of = f"{found.baseline or 0.0:.{digits}f} {by:+.{digits}f} by {len(found.contributions):,} ratings"
            self.border_subtitle = shown(f"{sum_of} = {found.score:.{digits}f}")
            rows.append({"title": "the score", "your_rating": None, "amount": found.score, "item": ""})
        table.columns = part_fields(largest, digits)
        table.empty = "this model does not take its score apart"
        table.show([row | {"bar": row["amount"] if row["your_rating"] is not None else 0.0} for row in rows])


def _said(found: "Explanation", ends: tuple[float, float]) -> Content:
    lines = []
    if found.predicted_rating is not None:
        bounds = ""
        if found.lower is not None and found.upper is not None:
            bounds = f"80% {found.lower:.1f} to {found.upper:.1f}  "
        drawn = interval(found.predicted_rating, found.lower, found.upper, ends, _SCALE)
        lines.append(
            Content.assemble(
                shown(f"{found.predicted_rating:.2f}  ", "bold"), shown(bounds), Content(drawn).stylize("$text-accent")
            )
        )
    sure = "" if found.confidence is None else f" · {found.confidence:.0%} likely above their mean"
    how = {"additive": "", "removal": " · adds: what the score loses without it"}.get(found.method, "")
    lines.append(shown(found.text))
    lines.append(shown(f"{found.version}, {found.rung}{sure}{how}", "$text-muted"))
    return Content("\n").join(lines)


class ProfilePane(Vertical):
    """Who a person is: counts, genres, latest ratings."""

    DEFAULT_CSS = "ProfilePane > Static { height: auto; }"
    found: "Profile | None" = None
    empty = ""

    def compose(self) -> ComposeResult:
        """Yield the text."""
        yield Static(id="profile")

    def on_resize(self) -> None:
        """Draw for the new width."""
        self._draw()

    def show(self, found: "Profile | None", *, empty: str = "") -> None:
        """Show a person, or nothing but a word why there is none."""
        self.found, self.empty = found, empty
        self.border_title = shown(f"user {found.user.user}" if found else "user")
        self._draw()

    def _draw(self) -> None:
        text = _about(self.found, self.content_size.width, self.content_size.height) if self.found else None
        self.query_one("#profile", Static).update(text or shown(self.empty, "$text-muted"))


def _about(found: "Profile", width: int, height: int) -> Content:
    """Return counts, then genres and latest ratings in the lines there are."""
    user = found.user
    figures = render.count(user.n_ratings), render.number(user.mean, 2), render.when(user.last_at)[:10]
    lines: list[Content] = [shown("{} ratings, mean {}, last {}".format(*figures))]
    room = max(height - 1, 0)
    if room < _ROOMY:
        words = ", ".join(f"{taste.genre} {taste.mean:.1f}" for taste in found.tastes[:6])
        lines += [shown(crop(render.safe(words), width), "$text-muted")] if words and room else []
        lines += _latest(found.latest[: max(height - len(lines), 0)], width)
        return Content("\n").join(lines)
    if found.tastes:
        tastes = found.tastes[: min(room // 2 - 1, 8)]
        most = tastes[0].n_ratings
        rows = [(t.genre, f"{t.n_ratings:,} × {t.mean:.2f}", render.bar(t.n_ratings, most, 8)) for t in tastes]
        lines += [Content(""), ranged(rows, width)]
        room -= len(tastes) + 1
    lines += [Content(""), *_latest(found.latest[: max(room - 1, 0)], width)]
    return Content("\n").join(lines)


def _latest(latest: Sequence[Any], width: int) -> list[Content]:
    day = 10 if width >= 40 else 0
    rows = []
    for row in latest:
        title = render.safe(row.title)
        room = max(width - 5 - (day + 1 if day else 0), 6)
        shortened = title if Content(title).cell_length <= room else crop(title, room)
        when = render.when(row.at)[:day].rjust(day) if day else ""
        blank = " " * (room - Content(shortened).cell_length)
        given = shown(f"{row.rating:>3g}  ", "bold")
        rows.append(Content.assemble(given, shown(shortened), blank, shown(f" {when}", "$text-muted")))
    return rows
