"""What a model is: an iterator of epochs, a vector a user, a score an item, a state of arrays and JSON.

A new model is one file with one subclass of `Model` and one line in `engine.models.MODELS`; the contract suites then
test it. Abilities that not every model has are protocols, asked with `isinstance`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.data import IdMap, Interactions, ItemFeatures, Scale
from engine.errors import EngineError
from engine.models.abilities import Contributions, Explains, FoldsIn, FoldsInMany, HasItemVectors, RefitsItems, Vector
from engine.models.config import Config as BaseConfig
from engine.models.facts import TrainingFacts

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Contributions",
    "Epoch",
    "Explains",
    "FoldsIn",
    "FoldsInMany",
    "HasItemVectors",
    "Model",
    "RefitsItems",
    "State",
    "TrainingFacts",
    "Vector",
]


@dataclass(frozen=True)
class Epoch:
    """One step of training, after which the model is usable.

    Attributes:
        number: counts from 1.
        of: how many are planned.
        losses: "train" always, in the units of the model's loss (RMSE for ratings); "valid" where a part was given.
        ratings: rows processed in this epoch.
        note: a sentence for the operator, where there is something to say.
        once: seconds in it for what no other epoch does, such as choosing a setting.
    """

    number: int
    of: int
    losses: dict[str, float] = field(default_factory=dict)
    ratings: int = 0
    note: str = ""
    once: float = 0.0


class State(NamedTuple):
    """Everything needed to use a model and to go on training it: named arrays, and JSON for the rest."""

    arrays: dict[str, NDArray[Any]]
    extra: dict[str, Any]


class Model(ABC):
    """Base of all models. Users and items are dense indices of `facts.users` and `facts.items` here.

    Class attributes:
        name: the key in `MODELS`.
        Config: the frozen dataclass of its hyper-parameters.
        predicts_ratings: False for a model that only ranks; `ratings` then raises. A model with settings for it says so
            on itself.
        folds_in_exactly: False where a stored vector is more than the fold-in of its user's training rows.
    """

    name: ClassVar[str]
    Config: ClassVar[type[BaseConfig]]
    predicts_ratings: bool = True
    folds_in_exactly: ClassVar[bool] = True

    def __init__(self, config: BaseConfig | None = None, **settings: Any) -> None:
        """Take a ready `Config`, or settings by name (`n_factors=64`), checked against their ranges."""
        self.config: Any = config if config is not None else self.Config.from_settings(settings)
        self.facts: TrainingFacts
        self.epochs_done = 0

    # --- training -------------------------------------------------------------------------------------------------

    @abstractmethod
    def fit_epochs(self, train: Interactions, *, valid: Interactions | None = None, seed: int = 42) -> Iterator[Epoch]:
        """Train, yielding after each epoch; the model is usable after each yield.

        On a model that was given a `restore`d state it goes on after `epochs_done`, with the same result as a run
        that was never interrupted: randomness is `default_rng([seed, epoch])`. Implementations set `facts` first.

        Raises:
            TrainingFailed: where a loss or a parameter is not finite.
        """

    def settle(self, train: Interactions) -> None:  # noqa: B027  most models have nothing to do
        """Bring what is stored of the users in line with the rest, after a run that ended before its last epoch."""

    def check_trainable(self) -> None:  # noqa: B027  most models need nothing
        """Refuse before any work where something that training needs is missing here.

        Raises:
            TrainingFailed: names it, and how to get it.
        """

    def memory_bytes(self, n_users: int, n_items: int, n_ratings: int) -> int:
        """Return a forecast of the peak memory of training on data of this size, in bytes, the data included."""
        return 40 * n_ratings + 64 * (n_users + n_items)

    # --- use ------------------------------------------------------------------------------------------------------

    @abstractmethod
    def user_vector(self, user: int) -> Vector:
        """Return the stored vector of a user with training rows."""

    @abstractmethod
    def scores(self, vector: Vector, items: NDArray[np.integer[Any]] | None = None) -> NDArray[np.float32]:
        """Return the ranking scores of all items (n_items,), or of those given; higher is better, unclipped."""

    def score_vectors(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the scores of all items for many users given by their vectors (n, d), as (n, n_items)."""
        return np.stack([self.scores(vector) for vector in vectors])

    def score_users(self, users: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Return the scores of all items for many users with training rows, (len(users), n_items)."""
        return self.score_vectors(np.stack([self.user_vector(int(user)) for user in users]))

    def ratings(self, vector: Vector, items: NDArray[np.integer[Any]] | None = None) -> NDArray[np.float32]:
        """Return predicted ratings within the scale; for models whose score is a rating this is the clipped score.

        Raises:
            EngineError: the model only ranks.
        """
        if not self.predicts_ratings:
            raise EngineError(
                f"{self.name} ranks items and predicts no ratings", hint="ask a version of another model, such as mf"
            )
        return self.as_ratings(self.scores(vector, items))

    @property
    def rates_by_score(self) -> bool:
        """Tell whether `ratings` are `as_ratings` of the scores: those at hand need not be worked out again."""
        return type(self).ratings is Model.ratings

    def as_ratings(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the ratings that scores (n,) stand for: themselves, within the scale."""
        return self.facts.scale.clip(scores)

    def rate_pairs(self, users: NDArray[np.integer[Any]], items: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Return predicted ratings of (user, item) pairs (n,); a user without training rows gets the cold vector."""
        predicted = np.empty(len(users), np.float32)
        order = np.argsort(users, kind="stable")
        bounds = np.flatnonzero(np.diff(users[order], prepend=-1, append=-1))
        for start, stop in pairwise(bounds):
            rows = order[start:stop]
            predicted[rows] = self.ratings(self.user_vector(int(users[rows[0]])), items[rows])
        return predicted

    def glimpse(self, users: NDArray[np.integer[Any]], items: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Return predicted ratings of pairs (n,) between two epochs: nearly `rate_pairs`, where that is dear then."""
        return self.rate_pairs(users, items)

    # --- persistence ----------------------------------------------------------------------------------------------

    @abstractmethod
    def parameters(self) -> dict[str, NDArray[Any]]:
        """Return the learned arrays by name; what only a resumed training needs is named `resume.…`."""

    @abstractmethod
    def set_parameters(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take back what `parameters` gave; `resume.…` arrays may be missing."""

    def state(self) -> State:
        """Return everything needed to use the model and to go on training it."""
        facts = self.facts
        arrays: dict[str, NDArray[Any]] = {
            "facts.user_blob": facts.users.blob,
            "facts.user_offsets": facts.users.offsets,
            "facts.item_blob": facts.items.blob,
            "facts.item_offsets": facts.items.offsets,
            "facts.user_counts": facts.user_counts,
            "facts.item_counts": facts.item_counts,
            "facts.item_sums": facts.item_sums,
            "facts.genres": facts.features.genres,
            "facts.years": facts.features.years,
        }
        extra = {
            "model": self.name,
            "config": asdict(self.config),
            "epochs_done": self.epochs_done,
            "mean": facts.mean,
            "variance": facts.variance,
            "scale": asdict(facts.scale),
            "genre_names": list(facts.features.genre_names),
        }
        return State(arrays | self.parameters(), extra)

    def restore(self, state: State) -> None:
        """Take back what `state` gave."""
        a, extra = state
        self.config = self.Config(**extra["config"])
        self.epochs_done = extra["epochs_done"]
        self.facts = TrainingFacts(
            IdMap(a["facts.user_blob"], a["facts.user_offsets"]),
            IdMap(a["facts.item_blob"], a["facts.item_offsets"]),
            a["facts.user_counts"],
            a["facts.item_counts"],
            a["facts.item_sums"],
            extra["mean"],
            Scale(**extra["scale"]),
            ItemFeatures(a["facts.genres"], tuple(extra["genre_names"]), a["facts.years"]),
            extra["variance"],
        )
        self.set_parameters({name: array for name, array in a.items() if not name.startswith("facts.")})

    # --- the design's interface: text ids and DataFrames ----------------------------------------------------------

    def fit(self, ratings_df: "pd.DataFrame", epochs: int | None = None) -> dict[str, list[float]]:
        """Train on a DataFrame with the columns user_id, movie_id, rating (and timestamp); return losses by name.

        Args:
            ratings_df: one row a rating; where a pair occurs twice the last row counts.
            epochs: overrides the setting of that name.
        """
        from engine.models.frames import interactions_of

        if epochs is not None:
            self.config = self.Config.from_settings(asdict(self.config) | {"epochs": epochs})
        self.epochs_done = 0
        losses: dict[str, list[float]] = {}
        for epoch in self.fit_epochs(interactions_of(ratings_df)):
            for name, value in epoch.losses.items():
                losses.setdefault(name, []).append(value)
        return losses

    def predict(self, user_id: str | int, movie_id: str | int) -> float:
        """Return the predicted rating within the scale; an unknown user or movie gets the mean of what is known."""
        user, item = self.facts.users.index(str(user_id)), self.facts.items.index(str(movie_id))
        if item is None:
            return float(self.facts.scale.clip(np.array([self.facts.mean]))[0])
        vector = self.cold_vector() if user is None else self.user_vector(user)
        return float(self.ratings(vector, np.array([item]))[0])

    def recommend(self, user_id: str | int, n: int = 10) -> list[str]:
        """Return the n best items of a user by text id. Items rated in training are known by `Snapshot`, not here."""
        from engine.ranking import top_k

        user = self.facts.users.index(str(user_id))
        vector = self.cold_vector() if user is None else self.user_vector(user)
        return [self.facts.items.text(item) for item in top_k(self.scores(vector), n)]

    def cold_vector(self) -> Vector:
        """Return the vector of a user of whom nothing is known."""
        return np.zeros_like(self.user_vector(0))
