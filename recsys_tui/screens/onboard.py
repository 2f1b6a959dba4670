"""A dialog: five questions to somebody new, and the list that follows from each answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.cells import set_cell_size
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from recsys_tui import render
from recsys_tui.render.table import crop
from recsys_tui.screens.base import Place
from recsys_tui.screens.modal import Modal
from recsys_tui.widgets.rating_table import Scale, rating_by
from recsys_tui.widgets.text import shown

if TYPE_CHECKING:
    from engine.services import Services
    from engine.services.onboarding import Interview, Question

_LISTED = 8


@dataclass(frozen=True)
class Step:
    """Where an interview stands: the question to be answered, None after the last, and the list so far."""

    interview: "Interview"
    question: "Question | None"
    items: Sequence[Mapping[str, Any]]
    scale: Scale


class Onboarding(Modal[bool]):
    """Asks, shows the list that follows, and answers with true where the answers were stored as ratings."""

    BINDINGS = [Binding("escape", "leave", "Leave")]  # noqa: RUF012  Textual's
    CSS = """
    Onboarding .dialog { width: 76; padding: 0 2; }
    Onboarding #question { height: 4; }
    Onboarding #listed { height: auto; margin-top: 1; }
    """

    def __init__(self, place: Place, user: str) -> None:
        super().__init__()
        self._place, self._user = place, user
        self._step: Step | None = None
        self._waits = True

    def compose(self) -> ComposeResult:
        """Yield the question and the list."""
        with Vertical(classes="dialog") as box:
            box.border_title = shown(f"five questions to {self._user}")
            yield Static(shown("thinking of a question…", "$text-muted"), id="question")
            yield Static(id="listed")

    def on_mount(self) -> None:
        """Ask the first question."""
        user = self._user
        self._place.ask("onboarding", lambda services: begin(services, user), self._show, self._failed)

    def on_key(self, event: events.Key) -> None:
        """Take a digit as an answer, 0 and space as "not seen", Enter at the end to keep the answers."""
        step = self._step
        if event.key == "escape" or step is None or self._waits:
            return
        event.stop()
        if step.question is None:
            if event.key == "enter":
                self._keep(step)
        elif event.key in {"0", "space"}:
            self._answer(step, None)
        elif event.key.isdecimal() and len(event.key) == 1:
            value = rating_by(int(event.key), step.scale)
            if value is None:
                low, high, _ = step.scale
                self._place.toast(f"the scale goes from {low:g} to {high:g}", severity="warning")
            else:
                self._answer(step, value)

    def _answer(self, step: Step, value: float | None) -> None:
        self._waits = True
        self._place.ask("onboarding", lambda services: answered(services, step, value), self._show, self._failed)

    def _keep(self, step: Step) -> None:
        user, answers = self._user, step.interview.answers
        if not answers:
            self.dismiss(False)
            return
        self._waits = True
        self._place.ask("onboarding", lambda services: keep(services, user, answers), self._kept, self._failed)

    def _kept(self, _: int) -> None:
        self.dismiss(True)

    def _failed(self, error: Exception) -> None:
        hint = getattr(error, "hint", "")
        words = [shown(f"! {error}", "$text-error"), shown(hint, "$text-muted"), shown("esc leaves", "$text-muted")]
        self.query_one("#question", Static).update(Content("\n").join(words))

    def _show(self, step: Step) -> None:
        self._step, self._waits = step, False
        if not self.is_attached:
            return
        self.query_one("#question", Static).update(_asked(step))
        self.query_one("#listed", Static).update(_listed(step, self.query_one("#listed").content_size.width or 70))

    def action_leave(self) -> None:
        """Store nothing."""
        self.dismiss(False)


def begin(services: "Services", user: str) -> Step:
    """Begin an interview and return its first question."""
    from store import ratings

    interview = services.onboarding.begin(user)
    scale = ratings.scale(services.database)
    return Step(interview, interview.ask(), interview.items(_LISTED), (scale.low, scale.high, scale.step))


def answered(services: "Services", step: Step, value: float | None) -> Step:
    """Take an answer and return the next question, none after the fifth."""
    from engine.services.onboarding import QUESTIONS

    del services  # the interview has them
    if step.question is not None:
        step.interview.take(step.question, value)
    last = len(step.interview.questions) >= QUESTIONS
    question = None if last else step.interview.ask()
    return Step(step.interview, question, step.interview.items(_LISTED), step.scale)


def keep(services: "Services", user: str, answers: Mapping[str, float]) -> int:
    """Store the answers as ratings and return how many there are."""
    return services.onboarding.keep(user, answers)


def _asked(step: Step) -> Content:
    question = step.question
    if question is None:
        known = len(step.interview.answers)
        what = f"enter keeps {known} ratings" if known else "nothing was answered: enter leaves"
        return Content("\n").join([shown("Thank you.", "bold"), shown(f"{what} · esc stores nothing", "$text-muted")])
    low, high, _ = step.scale
    digits = f"{max(low, 1):g} to {high:g}" if high <= 10 else "1 to 9: tenths of the scale"
    return Content("\n").join(
        [
            shown(f"{question.number} of 5", "$text-muted"),
            shown(question.title or question.item, "bold"),
            shown(f"{', '.join(question.genres)} · {question.known_by:.0%} know it", "$text-muted"),
            shown(f"{digits} rates · 0 not seen · esc leaves", "$text-muted"),
        ]
    )


def _listed(step: Step, width: int) -> Content:
    lines = [shown("the list so far", "$text-muted")]
    for row in step.items:
        figure = render.number(row["prediction"], 2) if row["prediction"] is not None else f"{row['known_by']:.0%}"
        title = crop(render.safe(row["title"] or row["item"]), width - 12)
        line = f"{row['rank']:>3}  {set_cell_size(title, width - 12)} {figure:>6}"
        lines.append(shown(line))
    return Content("\n").join(lines)
