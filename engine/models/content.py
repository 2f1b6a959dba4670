"""Content: each user's taste for genres and decades, on top of what everybody thinks of an item.

It needs no neighbours: it scores an item that nobody has rated, and a user who has only said which genres they like.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from engine.data import Interactions
from engine.errors import SettingRefused
from engine.models.base import Epoch, TrainingFacts, Vector
from engine.models.config import Config, setting
from engine.models.features import LEVEL_DAMPING, TASTE_DAMPING, common_taste, decades_of, feature_columns
from engine.models.linear import LinearModel
from engine.models.shrinkage import shrunk_effects, spread


@dataclass(frozen=True)
class ContentConfig(Config):
    """Settings of the content model."""

    level_damping: float = setting(
        LEVEL_DAMPING, "How many ratings at the mean a user's own level is weighed against.", low=0.01, high=1e4
    )
    taste_damping: float = setting(
        TASTE_DAMPING,
        "The same for a user's taste in each genre and decade; larger is more cautious.",
        low=0.01,
        high=1e4,
    )


class ContentModel(LinearModel):
    """score(i) = μ + z_i·g + b_i + z_i·v with z_i = (1, genres / √their number, decade).

    `g` is what all users together think of genres and decades, `b_i` the item's damped rest, and `v` the ridge
    regression of one user's ratings on the same features.
    """

    name = "content"
    Config = ContentConfig

    @classmethod
    def from_facts(cls, facts: TrainingFacts) -> Self:
        """Make the model without training, from what another model knows; no user has a stored vector then."""
        model = cls()
        model._take(facts)
        model.user_vectors = np.zeros((len(facts.users), model.design.shape[1]), np.float32)
        return model

    def fit_epochs(self, train: Interactions, *, valid: Interactions | None = None, seed: int = 42) -> Iterator[Epoch]:
        """Fit in one epoch, in closed form; `seed` changes nothing. Losses are RMSE."""
        del seed
        if self.epochs_done:
            return
        from engine.jit import over_rows
        from engine.kernels import Rows, Side, solve_rows

        self._take(TrainingFacts.of(train))
        rows = Rows(train.indptr, train.item_index, train.ratings)
        side = Side(self.offsets, self.design, self.uncertainty)
        self.user_vectors = np.empty((train.n_users, self.design.shape[1]), np.float32)
        over_rows(
            solve_rows, rows.starts, rows, side, self.ridge, 1.0, self.user_vectors, np.empty_like(self.user_vectors)
        )
        self.epochs_done = 1
        parts = {"train": train} | ({"valid": valid} if valid is not None and len(valid) else {})
        yield Epoch(1, 1, {name: self._rmse(rows) for name, rows in parts.items()}, len(train))

    def preferences(self, genres: Mapping[str, float]) -> Vector:
        """Return the vector (d,) of a user who has rated nothing but likes (> 0) or dislikes (< 0) genres.

        The strongest wish is worth one standard deviation of the ratings. Names are compared without case.

        Raises:
            SettingRefused: the catalogue has no such genre.
        """
        vector = self.cold_vector()
        known = {name.casefold(): column for column, name in enumerate(self.facts.features.genre_names, 1)}
        largest = max((abs(weight) for weight in genres.values()), default=0.0) or 1.0
        for genre, weight in genres.items():
            column = known.get(genre.casefold())
            if column is None:
                near = get_close_matches(genre.casefold(), known, n=1)
                guess = f"did you mean {near[0]}? " if near else ""
                names = ", ".join(self.facts.features.genre_names) or "none"
                raise SettingRefused(f"unknown genre {genre!r}", hint=f"{guess}genres of this catalogue: {names}")
            vector[column] = self.facts.variance**0.5 * weight / largest
        return vector

    def rating_of(self, vector: Vector, genres: Sequence[str], year: int | None) -> float:
        """Return the predicted rating, within the scale, of an item that is not in the model, from genres and year."""
        marks = np.array([[name in genres for name in self.facts.features.genre_names]], np.uint8)
        features = self._features(marks, np.array([year or 0]))[0]
        return float(self.facts.scale.clip(self.facts.mean + features @ (self._common_taste + vector)))

    def parameters(self) -> dict[str, NDArray[Any]]:
        """Return the users' vectors; everything else follows from the facts."""
        return {"user_vectors": self.user_vectors}

    def set_parameters(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take the users' vectors and make the rest from the facts."""
        self._take(self.facts)
        self.user_vectors = arrays["user_vectors"]

    def _take(self, facts: TrainingFacts) -> None:
        self.facts = facts
        years = facts.features.years
        self._decades = decades_of(years)
        self.design = self._features(facts.features.genres, years)  # (n_items, d)
        self.uncertainty = np.zeros_like(self.design)
        self.ridge = np.full(self.design.shape[1], self.config.taste_damping)
        self.ridge[0] = self.config.level_damping
        counts, parts = facts.item_counts, spread(facts.item_counts, facts.item_sums, facts.mean, facts.variance)
        damping = parts.within / max(parts.between, 1e-9)
        self._common_taste = common_taste(facts, self.design, self.ridge, damping)
        expected = facts.mean + self.design @ self._common_taste
        rest = shrunk_effects(counts, facts.item_sums - counts * expected, 0.0, parts)
        self.offsets = (expected + rest).astype(np.float32)

    def _features(self, genres: NDArray[np.uint8], years: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Return (n, 1 + n_genres + n_decades): one, and the features."""
        columns = feature_columns(genres, years, self._decades)
        return np.concatenate([np.ones((len(columns), 1), np.float32), columns], axis=1)

    def _rmse(self, rows: Interactions) -> float:
        errors = self.rate_pairs(rows.user_index, rows.item_index) - rows.ratings
        return float(np.sqrt(np.mean(errors**2, dtype=np.float64))) if len(rows) else 0.0
