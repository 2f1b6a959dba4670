"""Five questions to a newcomer, and the list that follows from the answers.

The list ranks by the active version's score. A model that predicts ratings knows of five answers too little to tell
9,000 items apart by them, and ranks films that hardly anybody saw first; there the list weighs how well an item is
known as well: log P(known) + (predicted rating - that of somebody of whom nothing is known) / deviation of ratings.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.elicitation import Elicitation
from engine.models.base import FoldsIn, HasItemVectors
from engine.ranking import top_k
from engine.services.what_if import supposing
from store import catalog, ratings

if TYPE_CHECKING:
    from engine.services import Services
    from engine.services.ladder import View
    from engine.services.manager import Snapshot

QUESTIONS = 5


@dataclass(frozen=True)
class Question:
    """An item asked about, and the answer.

    Attributes:
        known_by: share of the users of the training who rated it.
        gain: what an answer is expected to tell, in nats; None where the person chose the item.
        answer: the rating given, None for one not seen, or not answered yet.
    """

    number: int
    item: str
    title: str | None
    year: int | None
    genres: tuple[str, ...]
    known_by: float
    gain: float | None
    answer: float | None = None


class Interview:
    """One person's questions and answers so far; nothing is stored."""

    def __init__(self, services: "Services", snapshot: "Snapshot", view: "View") -> None:
        self._services, self._snapshot, self._view = services, snapshot, view
        facts = snapshot.model.facts
        n_users = max(int(np.count_nonzero(facts.user_counts)), 1)
        self._known = facts.item_counts / n_users
        source = snapshot.model if isinstance(snapshot.model, HasItemVectors) else snapshot.content
        self._elicitation = Elicitation(source.item_vectors(), self._known)
        self._elicitation.learn(view.items.tolist())
        for position in view.items.tolist():
            self._elicitation.leave(position)
        self.questions: list[Question] = []
        self._answers: dict[int, float] = {}

    @property
    def version(self) -> str:
        """The version that answers."""
        return self._snapshot.version.name

    @property
    def answers(self) -> dict[str, float]:
        """The ratings given, by item."""
        return {question.item: question.answer for question in self.questions if question.answer is not None}

    def ask(self) -> Question | None:
        """Return the next question, None where nothing is left to ask."""
        found = self._elicitation.next()
        if found is None:
            return None
        position, gain = found
        self._elicitation.leave(position)
        text = self._snapshot.model.facts.items.text(position)
        return self._question(text, position, gain)

    def about(self, item: str) -> Question:
        """Return a question about an item of the person's own choice.

        Raises:
            NotFound: it is not in the catalogue.
        """
        entry = catalog.need_item(self._services.database, item)
        return self._question(entry.item, self._snapshot.position(entry.id, entry.item), None)

    def take(self, question: Question, answer: float | None) -> None:
        """Take an answer, None for one not seen.

        Raises:
            DataRefused: it is not on the scale.
        """
        if answer is not None:
            ratings.check_value(self._services.database, answer)
            position = self._snapshot.model.facts.items.index(question.item)
            if position is not None:
                self._answers[position] = answer
                self._elicitation.leave(position)
                self._elicitation.learn([position])
        self.questions.append(replace(question, number=len(self.questions) + 1, answer=answer))

    def suppose_known(self, question: Question) -> None:
        """Go on as if the question will be answered: for those who want all questions at once."""
        position = self._snapshot.model.facts.items.index(question.item)
        if position is not None:
            self._elicitation.learn([position])
        self.questions.append(replace(question, number=len(self.questions) + 1))

    def items(self, n: int = 10) -> list[dict[str, Any]]:
        """Return the best n items by the answers so far, without those answered: rank, item, title, prediction, …."""
        view = supposing(self._snapshot, self._view, self._answers) if self._answers else self._view
        best = top_k(self._scores(view), n, exclude=view.items)
        texts = [view.model.facts.items.text(int(position)) for position in best]
        entries = self._services.memory.items(texts)
        predicted = self._services.recommender.predictions(self._snapshot, view, best)
        return [
            {
                "rank": rank,
                "item": text,
                "title": entries[text].title if text in entries else None,
                "genres": list(entries[text].genres) if text in entries else [],
                "known_by": float(self._known[position]),
                "prediction": found.prediction,
                "lower": found.lower,
                "upper": found.upper,
                "confidence": found.confidence,
                "rung": view.rung,
            }
            for rank, (text, position, found) in enumerate(zip(texts, best, predicted, strict=True), 1)
        ]

    def _scores(self, view: "View") -> NDArray[np.floating[Any]]:
        """Return what the list ranks by (n_items,)."""
        scores = view.model.scores(view.vector)
        if not view.model.predicts_ratings or view.model is self._snapshot.popular:
            return scores
        known: NDArray[np.float64] = np.log((self._known + _LEAST) / (1 + _LEAST))
        deviation = max(view.model.facts.variance**0.5, _LEAST)
        raised: NDArray[np.float64] = known + (scores - view.model.scores(view.model.cold_vector())) / deviation
        return raised

    def _question(self, item: str, position: int, gain: float | None) -> Question:
        entry = self._services.memory.items([item]).get(item)
        known = float(self._known[position]) if position >= 0 else 0.0
        title, year, genres = (entry.title, entry.year, entry.genres) if entry else (None, None, ())
        return Question(len(self.questions) + 1, item, title, year, genres, known, gain)


class OnboardingService:
    """Begins interviews and keeps their answers."""

    def __init__(self, services: "Services") -> None:
        self._services = services

    def begin(self, user: str = "", *, version: str = "active") -> Interview:
        """Begin an interview; of a user with ratings it asks what those do not tell.

        Raises:
            NotFound: no such version.
            EngineError: the model cannot take in ratings without training.
        """
        snapshot = self._services.manager.snapshot(version, user or None)
        view = self._services.recommender.ladder.view(snapshot, user)
        if not isinstance(snapshot.model, FoldsIn):
            supposing(snapshot, view, {})  # says so
        return Interview(self._services, snapshot, view)

    def keep(self, user: str, answers: Mapping[str, float]) -> int:
        """Store the answers of a user as ratings, all of them or none, and return how many there are."""
        return self._services.realtime.apply_updates([(user, item, value) for item, value in answers.items()])


_LEAST = 1e-4  # of P(known), for an item that nobody rated
