"""Implicit ALS: ranks items by how likely they are to be rated at all, from who rated what.

    loss = Σ_observed c (1 - p_u·q_i)² + α0 Σ_all (p_u·q_i)² + λ Σ_u (C_u + α0 n_items)^ν |p_u|²
                                                             + λ Σ_i (C_i + α0 n_users)^ν |q_i|²

with weights c by the rule `confidence`, C_u and C_i their sums, and n_items, n_users the numbers that have ratings.
Items are solved first and users last, so that a stored user vector is the fold-in of that user's ratings.

Source: Hu, Koren, Volinsky 2008; the regularization by Rendle, Krichene, Zhang, Koren 2021, "Revisiting the performance
of iALS on item recommendation benchmarks".
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.data import Interactions
from engine.errors import TrainingFailed
from engine.models.base import Contributions, Epoch, Model, TrainingFacts, Vector
from engine.models.columns import Columns
from engine.models.config import Config, setting
from engine.models.feedback import CONFIDENCES, history_confidences, popularity_offsets
from engine.models.implicit_ridge import MANY, Ridge, tried


@dataclass(frozen=True)
class ImplicitALSConfig(Config):
    """Settings of implicit ALS."""

    n_factors: int = setting(
        0, "Length of the vectors of users and items; 0 chooses by the number of ratings.", low=0, high=2048
    )
    regularization: float = setting(
        0.0,
        "λ: larger shrinks the vectors more; 0 chooses on held-out training rows, of many by their number.",
        low=0.0,
        high=1e4,
    )
    unobserved_weight: float = setting(
        0.3, "α0: weight of every pair, rated or not; larger keeps scores of unrated items lower.", low=1e-6, high=100.0
    )
    frequency_exponent: float = setting(
        1.0, "ν: how much more those with many ratings are shrunk; 0 shrinks all alike.", low=0.0, high=1.0
    )
    confidence: str = setting(
        "equal",
        "Weight of a rating as an interaction: equal counts each as 1, rating from 0.2 to 1 by its place on the scale, "
        "liked 1 where it is not below the user's mean and 0 otherwise.",
        choices=CONFIDENCES,
    )
    epochs: int = setting(12, "Passes over the ratings.", low=1, high=10_000)
    solver: str = setting(
        "auto",
        "How a vector is found: exactly (cholesky), or improved by conjugate gradients (cg) or block by block "
        "(subspace) until the last epoch, which ends exactly; auto chooses by the cost.",
        choices=("auto", "cholesky", "cg", "subspace"),
    )
    sample: float = setting(
        0.0,
        "Share of the users that all but the last two epochs look at; 0 chooses: all of them below half a million "
        "ratings, a third of them up to 7.5 million, fewer beyond.",
        low=0.0,
        high=1.0,
    )

    def sized(self, n_ratings: int) -> "ImplicitALSConfig":
        """Return these settings with the length of the vectors that suits so many ratings, where none is given."""
        return replace(self, n_factors=self.n_factors or (_FACTORS if n_ratings < MANY else _FACTORS_OF_MANY))


class ImplicitALS(Model):
    """Ranks by score(i) = p_u·q_i, about 1 for what the user is sure to rate; predicts no ratings.

    Attributes:
        user_vectors: float32 (n_users, d), zero for a user without training rows.
        design: float32 (n_items, d), zero for an item without training rows.
        offsets: float32 (n_items,), below 1e-6: equal scores go by popularity.
        ridge: how much vectors are shrunk.
    """

    name = "ials"
    Config = ImplicitALSConfig
    predicts_ratings = False

    user_vectors: NDArray[np.float32]
    design: NDArray[np.float32]
    _gram: tuple[NDArray[np.float32], NDArray[np.float64]] | None = None  # the design, and α0 Σ q qᵀ of it

    # --- training -------------------------------------------------------------------------------------------------

    def fit_epochs(self, train: Interactions, *, valid: Interactions | None = None, seed: int = 42) -> Iterator[Epoch]:
        """Train, yielding after each epoch.

        Losses: "train" is the loss above as a share of that of a model that knows nothing; "valid" the mean of
        (1 - score)² over the rows of the validation part.

        Raises:
            TrainingFailed: a vector is not finite.
        """
        from threadpoolctl import threadpool_limits

        from engine.models.implicit_steps import Schedule

        began = time.monotonic()
        chose = "" if self.epochs_done else self._begin(train, seed)
        once = time.monotonic() - began
        sized = self.config.sized(len(train))
        schedule = Schedule(train, sized, self.ridge, seed)
        while self.epochs_done < self.config.epochs:
            number = self.epochs_done + 1
            with threadpool_limits(1, user_api="blas"):  # the order of sums must not depend on the number of threads
                steps = schedule.steps(number)
                if number == 1:
                    self.user_vectors, self.design = steps.start(np.random.default_rng([seed, 0]))
                elif number == schedule.first_whole:
                    self.user_vectors = steps.users_of(self.user_vectors, self.design)
                self.user_vectors, self.design, loss = steps.advance(
                    self.user_vectors, self.design, last=number == self.config.epochs
                )
            if not np.isfinite(loss):
                raise TrainingFailed(
                    f"the vectors are not finite after epoch {number}",
                    hint="raise the regularization (--set regularization=…); the active version stays",
                )
            self.epochs_done = number
            losses = {"train": loss} | ({"valid": self._misses(valid)} if valid is not None and len(valid) else {})
            n_ratings = steps.n_ratings
            del steps  # the rows of a sample are not kept while all rows are grouped
            note = "; ".join(filter(None, (chose, schedule.note(number))))
            yield Epoch(number, self.config.epochs, losses, n_ratings, note, once)
            once, chose = 0.0, ""

    def _begin(self, train: Interactions, seed: int) -> str:
        """Take the facts and choose the ridge, and say what was chosen."""
        average = tried(train, self.config, seed)
        self._take(TrainingFacts.of(train), average)
        return (
            f"chose λ {self.ridge.strength:.3g} by the latest ratings, a mean ridge of {average:g}" if average else ""
        )

    def settle(self, train: Interactions) -> None:
        """Solve every user exactly, as the last epoch does."""
        from threadpoolctl import threadpool_limits

        from engine.models.implicit_steps import Alternation

        with threadpool_limits(1, user_api="blas"):
            steps = Alternation(train, self.config.sized(len(train)), self.ridge, "cholesky")
            self.user_vectors = steps.users_of(self.user_vectors, self.design, exactly=True)

    def memory_bytes(self, n_users: int, n_items: int, n_ratings: int) -> int:
        """Return a forecast of the peak memory of training: the rows while they are grouped, or with the vectors."""
        vectors: int = 12 * (n_users + n_items) * self.config.sized(n_ratings).n_factors  # three float32 sets
        parts = 0 if self.config.regularization or n_ratings >= MANY else 33 * n_ratings  # to try ridges on
        return max(49 * n_ratings, 42 * n_ratings + vectors) + parts

    def _take(self, facts: TrainingFacts, average: float | None = None) -> None:
        self.facts = facts
        self.offsets = popularity_offsets(facts)
        self.ridge = Ridge.of_settings(self.config, facts, average)

    def _misses(self, rows: Interactions) -> float:
        """Return the mean of (1 - score)² over rows."""
        total = 0.0
        for start in range(0, len(rows), _PAIRS_AT_ONCE):
            some = slice(start, start + _PAIRS_AT_ONCE)
            users, items = self.user_vectors[rows.user_index[some]], self.design[rows.item_index[some]]
            total += float(np.sum((1 - np.einsum("nd,nd->n", users, items)) ** 2, dtype=np.float64))
        return total / len(rows)

    # --- use ------------------------------------------------------------------------------------------------------

    @cached_property
    def _columns(self) -> Columns:
        return Columns()

    def user_vector(self, user: int) -> Vector:
        """Return the stored vector (d,) of a user: the fold-in of their training rows."""
        vector: Vector = self.user_vectors[user]
        return vector

    def cold_vector(self) -> Vector:
        """Return the zero vector (d,), whose scores go by popularity."""
        return np.zeros(self.design.shape[1], np.float32)

    def scores(self, vector: Vector, items: NDArray[np.integer[Any]] | None = None) -> NDArray[np.float32]:
        """Return p·q of all items (n_items,), or of those given; about 1 for what the user is sure to rate."""
        if items is not None:
            some: NDArray[np.float32] = self.offsets[items] + self.design[items] @ vector
            return some
        scores = self._columns.times(self.design, vector)
        scores += self.offsets
        return scores

    def score_vectors(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the scores of all items for the vectors (n, d), as (n, n_items), by one matrix product."""
        scores: NDArray[np.float32] = vectors @ self.design.T
        scores += self.offsets
        return scores

    def score_users(self, users: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Return the scores of all items for many users (len(users), n_items)."""
        return self.score_vectors(self.user_vectors[users])

    def fold_in(self, items: NDArray[np.integer[Any]], ratings: NDArray[np.floating[Any]]) -> Vector:
        """Return the vector (d,) of a user with this history, all else fixed; zero for an empty one."""
        if not len(items):
            return self.cold_vector()
        system, known, weights = self._normal_equations(items, ratings)
        # p = A⁻¹ Σ_j c_j q_j
        return np.linalg.solve(system, known.T @ weights).astype(np.float32)

    def contributions(
        self, items: NDArray[np.integer[Any]], ratings: NDArray[np.floating[Any]], targets: NDArray[np.integer[Any]]
    ) -> list[Contributions]:
        """Return what each rating adds to the score of items: amount_j = c_j q_i · A⁻¹ q_j.

        Exact: the amounts sum to the score of the folded-in vector.

        Source: Hu, Koren, Volinsky 2008, section 5.
        """
        if not len(items):
            return Contributions.additive(self.offsets[targets], items, np.zeros((0, len(targets))))
        system, known, weights = self._normal_equations(items, ratings)
        towards = np.linalg.solve(system, self.design[targets].T.astype(np.float64))  # A⁻¹ q_i, (d, m)
        return Contributions.additive(self.offsets[targets], items, weights[:, None] * (known @ towards))

    def item_vectors(self) -> NDArray[np.float32]:
        """Return the vectors of the items (n_items, d)."""
        return self.design

    def parameters(self) -> dict[str, NDArray[Any]]:
        """Return the vectors of both sides and λ (1,); training goes on from them alone."""
        strength = np.array([self.ridge.strength])
        return {"user_vectors": self.user_vectors, "design": self.design, "strength": strength}

    def set_parameters(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take the vectors and λ, and make the rest from the facts."""
        self._take(self.facts)
        if "strength" in arrays:  # not in versions whose λ follows from the settings and the facts
            self.ridge = replace(self.ridge, strength=float(arrays["strength"][0]))
        self.user_vectors, self.design = arrays["user_vectors"], arrays["design"]
        self._gram = None

    def _normal_equations(
        self, items: NDArray[np.integer[Any]], ratings: NDArray[np.floating[Any]]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return A (d, d), Q (k, d) and c (k,) of a history."""
        config = self.config
        known = self.design[items].astype(np.float64)  # (k, d)
        weights = history_confidences(config.confidence, ratings, self.facts.scale).astype(np.float64)
        ridge = self.ridge.of(weights.sum(), int(np.count_nonzero(self.facts.item_counts)))
        # A = α0 Σ_all q qᵀ + Σ_j c_j q_j q_jᵀ + λ (C + α0 n)^ν I
        system = self._base() + (known.T * weights) @ known
        system.flat[:: len(system) + 1] += ridge
        return system, known, weights

    def _base(self) -> NDArray[np.float64]:
        """Return α0 Σ_all q qᵀ (d, d), kept until the items change."""
        if self._gram is None or self._gram[0] is not self.design:
            design = self.design.astype(np.float64)
            self._gram = self.design, self.config.unobserved_weight * (design.T @ design)
        return self._gram[1]


_FACTORS, _FACTORS_OF_MANY = 96, 192  # Rendle et al. 2021 take 192 for MovieLens-1M
_PAIRS_AT_ONCE = 65_536  # keeps the gathered vectors within the cache whatever the number of pairs
