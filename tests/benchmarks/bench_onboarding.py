"""What five questions are worth: lists for people whom the model has never seen, beside popularity on the same people.

A quarter of the users of MovieLens latest-small is held out of training. Each is asked five questions and answers from
their own ratings; what they have not rated they have "not seen". The list is measured on the rest of their ratings.
"""

import os
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np

from engine.intervals import bootstrap, interval
from engine.services import Services
from engine.services.onboarding import QUESTIONS, Interview
from engine.services.training import TrainingRequest
from store import catalog
from store.importers.pipeline import import_source
from tests.benchmarks.figures import Figure

MODELS = {"ials": {}, "mf": {}}
_SHARE = 0.25
_DISCOUNTS = 1 / np.log2(np.arange(2, 12))

Person = dict[str, float]


def movielens() -> Path:
    """Return the folder of MovieLens latest-small."""
    root = Path(__file__).parents[2]
    return Path(os.environ.get("RECSYS_DATA", root.parent / "shared" / "data")) / "ml-latest-small"


def held_out_people(folder: Path, target: Path, seed: int) -> dict[str, Person]:
    """Write a copy of the data without a quarter of its users, and return those users' ratings."""
    header, *lines = (folder / "ratings.csv").read_text().splitlines()
    users = sorted({line.split(",")[0] for line in lines})
    chosen = np.random.default_rng(seed).random(len(users)) < _SHARE
    out = {user for user, taken in zip(users, chosen, strict=True) if taken}
    target.mkdir()
    (target / "movies.csv").write_text((folder / "movies.csv").read_text())
    kept, people = [header], {user: {} for user in out}
    for line in lines:
        user, item, rating, _ = line.split(",")
        if user in out:
            people[user][item] = float(rating)
        else:
            kept.append(line)
    (target / "ratings.csv").write_text("\n".join(kept) + "\n")
    return people


def interviewed(services: Services, person: Person, *, until: Callable[[Interview], bool]) -> Interview:
    """Ask a person until it is enough, or nothing is left to ask."""
    interview = services.onboarding.begin()
    while not until(interview) and (question := interview.ask()) is not None:
        interview.take(question, person.get(question.item))
    return interview


def ndcg(listed: list[str], wanted: set[str]) -> float:
    """Return the discounted hits of ten, as a share of the best possible."""
    hits = np.array([item in wanted for item in listed[:10]], np.float64)
    return float(hits @ _DISCOUNTS[: len(hits)] / _DISCOUNTS[: min(len(wanted), 10)].sum())


def gains(services: Services, people: dict[str, Person], until: Callable[[Interview], bool]) -> np.ndarray:
    """Return NDCG@10 with answers and that of popularity, a row a person (n, 2)."""
    everybody = [entry.item for entry in services.recommender.recommend("nobody", 200).items]
    rows = []
    for person in people.values():
        interview = interviewed(services, person, until=until)
        wanted = set(person) - set(interview.answers)
        popular = [item for item in everybody if item not in interview.answers]
        if wanted:
            rows.append((ndcg([row["item"] for row in interview.items()], wanted), ndcg(popular, wanted)))
    return np.array(rows)


def asked_five(interview: Interview) -> bool:
    """Five questions, whatever the answers: what `onboard` asks."""
    return len(interview.questions) >= QUESTIONS


def answered_five(interview: Interview) -> bool:
    """Questions until five are answered."""
    return len(interview.answers) >= QUESTIONS


def run(*, quick: bool = False, folder: Path | None = None) -> dict[str, Figure]:
    """Return the mean difference from popularity by model and rule, the lower end of its 95 % interval as the goal."""
    figures = {}
    with tempfile.TemporaryDirectory(prefix="bench-onboarding-") as name:
        people = held_out_people(folder or movielens(), Path(name) / "data", seed=0)
        services = Services.open(Path(name) / "films.db", create=True)
        with closing(services.database):
            import_source(services.database, str(Path(name) / "data"))
            assert not any(catalog.find_user(services.database, user) for user in list(people)[:5])
            for model, settings in MODELS.items():
                for _ in services.training.run(TrainingRequest(model, settings, test=0.0, activate=True)):
                    pass
                for rule in (asked_five,) if quick else (asked_five, answered_five):
                    rows = gains(services, people, rule)
                    figures |= _figures(model, rule.__name__.replace("_", " "), rows)
    return figures


def _figures(model: str, rule: str, rows: np.ndarray) -> dict[str, Figure]:
    """Return NDCG@10 beside popularity's, and the lower bound of the difference."""
    differences = rows[:, 0] - rows[:, 1]
    drawn, counts = bootstrap(differences[:, None], np.ones((len(rows), 1)), seed=0)
    low, high = interval((drawn / counts)[:, 0])
    named = f"NDCG@10 of a newcomer, {model}, {rule}"
    note = f"{len(rows)} people; difference {differences.mean():+.4f}, 95 % interval {low:+.4f} to {high:+.4f}"
    return {
        named: Figure(float(rows[:, 0].mean()), "", float(rows[:, 1].mean()), "popularity", higher=True, note=note),
        f"{named}: lower bound of the difference": Figure(low, "", higher=True, goal=1e-9),
    }
