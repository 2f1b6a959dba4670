"""Serving an average over samples: what is kept of each, and the linear model that their average is.

In sample s a user's vector is its expectation given the items of that sample and the user's own ratings,

    x_s = μ_s + A_s⁻¹ (Λ_s a_s + τ_s Z_sᵀ (t - Z_s μ_s)),   A_s = Λ_s + τ_s Z_sᵀ Z_s,   a_s = Σ_j y_sj / √n,

with z_j = (1, q_j), t_j = r_j - mean - b_j. The predicted rating is the mean over s of b_i + z_i · x_s: one dot product
of the vectors of all samples, one after the other. Samples are much alike, so their product is turned to its principal
directions and cut to the first of these; the cut is part of the model, and fold-in and explanations go through it.

Where ratings are levels of an ordered probit, t_j is the expectation of the latent value given level and score, found
by a few rounds from the level's mean on; scores are in the units of latent values, which are nearly those of ratings,
and a monotone curve leads from scores to expected ratings.
"""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from engine.models.base import Contributions, Vector
from engine.models.levels import Levels, places_of
from engine.models.linear import LinearModel
from engine.models.samples import History, Sample, arrays_of, principal, samples_from

SHAPE_AT = np.concatenate([[0.001, 0.0025, 0.005], np.linspace(0.01, 0.99, 99), [0.995, 0.9975, 0.999]])
"""The probabilities at which the shape of residuals is kept."""


class SampledModel(LinearModel):
    """Base of a model whose predictions are averages over kept samples; `design` has the principal directions.

    Attributes:
        samples: what is kept of the chain.
        projection: float32 (n_samples · k, d), from the users' vectors in all samples to the user's vector here.
        doubt: float32 (n_items,), variance of predictions that comes from not knowing the items.
        shape: float64 (len(SHAPE_AT),), quantiles of residuals in units of their spread.
        grades: float64 (n_levels,), the ratings that are levels of a probit, none where ratings are on a line.
        curve: float64 (2, n), scores and the ratings expected there, empty without levels.
        centres: float64 (n_levels,), the score that each level stands for.
        mean, deviation: of the ratings.
    """

    samples: list[Sample]
    projection: NDArray[np.float32]
    doubt: NDArray[np.float32]
    shape: NDArray[np.float64]
    grades: NDArray[np.float64]
    curve: NDArray[np.float64]
    centres: NDArray[np.float64]
    mean: float
    deviation: float

    def __getattr__(self, name: str) -> Any:
        """Make the linear model of the samples when one of its arrays is first asked for."""
        if name not in _ARRAYS or not self.__dict__.get("samples"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        with threadpool_limits(1, user_api="blas"):  # the order of sums must not depend on the number of threads
            self._condense()
        return self.__dict__[name]

    def forget(self) -> None:
        """Drop the linear model: the samples have changed."""
        for name in _ARRAYS:
            self.__dict__.pop(name, None)

    def _condense(self) -> None:
        """Make offsets, design, projection, users' vectors and doubt of the samples."""
        self.samples = [self._completed(sample) for sample in self.samples]
        n, k = len(self.samples), self.samples[0].items.shape[1]
        users = np.concatenate([sample.users for sample in self.samples if sample.users is not None], axis=1)
        expected = [sample.expected for sample in self.samples if sample.expected is not None]
        items = np.concatenate(expected, axis=1).astype(np.float64)
        levels = np.concatenate([sample.level for sample in self.samples])
        bias = np.arange(n) * k
        factors = np.setdiff1d(np.arange(n * k), bias)
        # offset_i = mean + deviation · mean_s (b_i + z_i · μ)
        offsets = items[:, bias].sum(axis=1) + levels[bias].sum() + items[:, factors] @ levels[factors]
        self.offsets = (self.mean + self.deviation / n * offsets).astype(np.float32)
        turn, back = principal(users[:, factors].astype(np.float64), items[:, factors], self.facts.user_counts > 0)
        self.design = np.concatenate([np.ones((len(items), 1)), items[:, factors] @ turn], axis=1).astype(np.float32)
        projection = np.zeros((n * k, self.design.shape[1]))
        projection[bias, 0] = self.deviation / n
        projection[factors, 1:] = self.deviation / n * back
        self.projection = projection.astype(np.float32)
        self.user_vectors = users @ self.projection
        noise = self.deviation**2 * float(np.mean([1 / sample.noise_precision for sample in self.samples]))
        moving = np.concatenate([self.offsets[:, None], self.design[:, 1:]], axis=1).var(axis=0, dtype=np.float64)
        self.ridge = noise / np.maximum(moving, 1e-6 * noise)
        self.doubt = self._doubt()
        self.curve, self.centres = np.zeros((2, 0)), np.zeros(0)
        if len(self.grades):
            self._set_levels()
        self.shape = self._shape()

    def _set_levels(self) -> None:
        """Make the curve from scores to ratings: the levels on average, the spread that of an average prediction."""
        counts = self.facts.user_counts[self.facts.user_counts > 0]
        variance = np.average(self.spread(int(np.average(counts, weights=counts))) ** 2, weights=self.facts.item_counts)
        root = self.deviation / float(np.sqrt(variance))
        cuts = np.mean([sample.cuts for sample in self.samples], axis=0)
        centres = np.mean([sample.centres for sample in self.samples], axis=0)
        curve = Levels(self.grades, cuts, centres, root).curve()
        self.curve = np.stack([self.mean + self.deviation * curve[0], curve[1]])
        self.centres = self.mean + self.deviation * centres

    def _completed(self, sample: Sample) -> Sample:
        """Return a sample with its users' vectors, where these are worked out only now."""
        return sample

    @abstractmethod
    def _shape(self) -> NDArray[np.float64]:
        """Return the quantiles, at `SHAPE_AT`, of residuals in units of their spread."""

    def _doubt(self) -> NDArray[np.float32]:
        """Return the variance over the samples of predictions for each item, averaged over some users."""
        known = np.flatnonzero(self.facts.user_counts > 0)
        some = known[:: max(len(known) // _SOME_USERS, 1)]
        total = np.zeros(len(self.facts.items))
        for first in range(0, len(some), _AT_ONCE):
            total += self._variances(some[first : first + _AT_ONCE]).sum(axis=0)
        doubt: NDArray[np.float32] = (self.deviation**2 / max(len(some), 1) * total).astype(np.float32)
        return doubt

    def _variances(self, users: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the variance over the samples of standardized predictions for all items, (len(users), n_items)."""
        first, second = np.zeros((2, len(users), len(self.facts.items)))
        for sample in self.samples:
            assert sample.users is not None  # noqa: S101
            predicted = sample.users[users, 1:] @ sample.items[:, 1:].T + sample.items[:, 0] + sample.level[0]
            predicted += sample.users[users, :1] + sample.items[:, 1:] @ sample.level[1:].astype(np.float32)
            first += predicted
            second += predicted**2
        variances: NDArray[np.float64] = second / len(self.samples) - (first / len(self.samples)) ** 2
        return variances

    # --- use ------------------------------------------------------------------------------------------------------

    def glimpse(self, users: NDArray[np.integer[Any]], items: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Return predicted ratings (n,) from the samples themselves: all directions, and no linear model made first."""
        total = np.zeros(len(users))
        for sample in self.samples:
            if sample.users is None or sample.expected is None:  # as loaded
                return self.rate_pairs(users, items)
            x, z = sample.users[users] + sample.level.astype(np.float32), sample.expected[items]
            scores = x[:, 0] + z[:, 0] + np.einsum("nk,nk->n", x[:, 1:], z[:, 1:])
            total += sample.levels(self.grades).expected(scores) if len(self.grades) else scores
        average = total / len(self.samples)
        return self.facts.scale.clip(average if len(self.grades) else self.mean + self.deviation * average)

    def as_ratings(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the ratings that scores (n,) stand for: with levels their expectation, else the scores themselves."""
        return self.facts.scale.clip(np.interp(scores, *self.curve) if len(self.grades) else scores)

    def as_scores(self, ratings: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        """Return the scores that ratings (n,) stand for: with levels the means of their latent values."""
        return np.interp(ratings, self.grades, self.centres) if len(self.grades) else ratings

    def refitted(
        self,
        item: int,
        vectors: NDArray[np.float32],
        ratings: NDArray[np.floating[Any]],
        trained: Self | None = None,
    ) -> Self:
        """Return a copy in which one item follows its ratings, or the scores that these stand for."""
        return super().refitted(item, vectors, self.as_scores(ratings), trained)

    def fold_in(self, items: NDArray[np.integer[Any]], ratings: NDArray[np.floating[Any]]) -> Vector:
        """Return the vector (d,) of a user with this history, all else fixed; zero for an empty one."""
        if not len(items):
            return self.cold_vector()
        parts = []
        for sample, history in zip(self.samples, self._histories(items, ratings), strict=True):
            parts.append(sample.expectation(history))
        vector: Vector = np.concatenate(parts).astype(np.float32) @ self.projection
        return vector

    def contributions(
        self, items: NDArray[np.integer[Any]], ratings: NDArray[np.floating[Any]], targets: NDArray[np.integer[Any]]
    ) -> list[Contributions]:
        """Return what each rating adds to the score of items, by its value and by its having been given.

        Exact: x_s is a sum over ratings, μ_s + Σ_j A_s⁻¹ (Λ_s y_sj / √n + τ_s z_j (t_j - z_j · μ_s)).
        """
        amounts = np.zeros((len(items), len(targets)))
        if not len(items):
            return Contributions.additive(self.offsets[targets], items, amounts)
        weights = self.projection.astype(np.float64) @ self.design[targets].T.astype(np.float64)
        turns = np.split(weights, len(self.samples))  # (k, m) each
        for sample, turn, history in zip(self.samples, turns, self._histories(items, ratings), strict=True):
            system, known, left, implied = history
            along = np.linalg.solve(system, turn)
            amounts += implied @ (sample.precision @ along) + sample.noise_precision * left[:, None] * (known @ along)
        return Contributions.additive(self.offsets[targets], items, amounts)

    def _histories(self, items: NDArray[np.integer[Any]], ratings: NDArray[np.floating[Any]]) -> Iterator[History]:
        """Yield what a history of n ratings says in each sample."""
        places = places_of(self.grades, ratings) if len(self.grades) else None
        standard = (np.asarray(ratings, np.float64) - self.mean) / self.deviation
        for sample in self.samples:
            yield sample.history(items, standard, places)

    def spread(self, n_ratings: int, items: NDArray[np.integer[Any]] | None = None) -> NDArray[np.float32]:
        """Return the predictive standard deviation (n_items,) of ratings by a user of whom `n_ratings` are known.

        variance = noise + what is not known of the item + z_i · (Λ + τ n Z̄)⁻¹ z_i, averaged over the samples, with Z̄
        the mean of z zᵀ over ratings: a user with n ratings is taken to have rated items as all users together do.
        """
        chosen = slice(None) if items is None else items
        counts = self.facts.item_counts.astype(np.float64)
        variance = np.zeros(len(self.doubt[chosen]))
        for sample in self.samples:
            z = sample.items.astype(np.float64)
            z[:, 0] = 1.0
            average = (z.T * (counts / max(counts.sum(), 1.0))) @ z
            cov = np.linalg.inv(sample.precision + n_ratings * sample.noise_precision * average)
            picked = z[chosen]
            variance += 1 / sample.root**2 + np.einsum("ik,kl,il->i", picked, cov, picked, optimize=True)
        return np.sqrt(self.deviation**2 / len(self.samples) * variance + self.doubt[chosen]).astype(np.float32)

    def interval(
        self, scores: NDArray[np.floating[Any]], n_ratings: int, items: NDArray[np.integer[Any]], level: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the bounds (n,), (n,) that hold the ratings of items with probability `level`, tails of equal weight.

        The spread is that of the prediction, the shape that of the residuals: people's ratings have longer tails than
        the normal distribution.
        """
        deviation = self.spread(n_ratings, items).astype(np.float64)
        low, high = np.interp([(1 - level) / 2, (1 + level) / 2], SHAPE_AT, self.shape)
        bounds = scores + low * deviation, scores + high * deviation
        if not len(self.grades):
            return bounds
        return np.interp(bounds[0], self.centres, self.grades), np.interp(bounds[1], self.centres, self.grades)

    # --- persistence ----------------------------------------------------------------------------------------------

    def parameters(self) -> dict[str, NDArray[Any]]:
        """Return the linear model and the samples; the users' vectors in each are needed to go on training only."""
        named: dict[str, NDArray[Any]] = {name: getattr(self, name) for name in _ARRAYS}
        named |= {"standard": np.array([self.mean, self.deviation]), "grades": self.grades}
        return named | arrays_of(self.samples)

    def set_parameters(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take back what `parameters` gave."""
        arrays = _WITHOUT_LEVELS | arrays
        for name in (*_ARRAYS, "grades"):
            setattr(self, name, arrays[name])
        self.mean, self.deviation = arrays["standard"].tolist()
        self.samples = samples_from(arrays)


_SOME_USERS = 64
_AT_ONCE = 8  # users whose predictions for the whole catalogue are in memory together
_ARRAYS = ("offsets", "design", "ridge", "projection", "user_vectors", "doubt", "shape", "curve", "centres")
_WITHOUT_LEVELS = {"grades": np.zeros(0), "centres": np.zeros(0), "curve": np.zeros((2, 0))}  # of earlier versions
