"""Bayesian matrix factorization, r̂ = μ + b_u + b_i + p_u · q_i, by Gibbs sampling, with nothing to tune.

Both sides' vectors depend on which ratings there are: those of a user on the items rated, those of an item on the users
who rated it and on its genres and year. Predictions are averages over samples of the posterior, so that capacity that
the data do not support costs nothing but time.

Source: Salakhutdinov & Mnih 2008 (the sampler); Koren 2008 and Rendle, Zhang, Koren 2019, "On the Difficulty of
Evaluating Baselines" (the implicit features; with both sides it is their Bayesian SVD++ flipped); Grünwald & van Ommen
2017, "Inconsistency of Bayesian inference for misspecified linear models" (a likelihood raised to a power below one).
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.data import Interactions
from engine.errors import TrainingFailed, UnknownItem
from engine.models.base import Epoch, TrainingFacts
from engine.models.config import Config, setting
from engine.models.levels import places_of
from engine.models.sampled import SHAPE_AT, SampledModel
from engine.models.samples import Sample, thinned
from engine.models.self_check import SelfCheck

if TYPE_CHECKING:
    from engine.models.gibbs import Side
    from engine.models.probit import Latent


@dataclass(frozen=True)
class BayesianMFConfig(Config):
    """Settings of Bayesian matrix factorization."""

    n_factors: int = setting(0, "Length of the factors; 0 chooses by the number of ratings.", low=0, high=1024)
    epochs: int = setting(200, "Samples that are drawn, each a pass over the ratings.", low=1, high=100_000)
    burn_in: float = setting(0.1, "Share of the samples, the first ones, that is left out.", low=0.0, high=0.95)
    samples: int = setting(16, "Samples that are kept and averaged.", low=1, high=256)
    implicit: str = setting(
        "both", "Whose factors depend on which ratings there are.", choices=("both", "users", "items", "none")
    )
    likelihood: str = setting(
        "gaussian",
        "How ratings come about: on a line with noise, or as levels with sampled bounds (ordered probit).",
        choices=("gaussian", "probit"),
    )
    side_features: bool = setting(True, "Let the factors of items depend on genres and years.")
    time_limit: float = setting(0.0, "Seconds after which no further sample is begun; 0 for no limit.", low=0.0)


class BayesianMFModel(SampledModel):
    """Explicit ratings: the average of many factorizations, each as likely as the data make it."""

    name = "bayesian-mf"
    Config = BayesianMFConfig

    _resumed: dict[str, NDArray[Any]] | None = None
    _sides: "tuple[Side, ...]" = ()  # users and items; none in a model that was loaded
    _latent: "Latent | None" = None
    _check: SelfCheck
    _noise_precision: float
    _least_noise: float

    # --- training -------------------------------------------------------------------------------------------------

    def fit_epochs(self, train: Interactions, *, valid: Interactions | None = None, seed: int = 42) -> Iterator[Epoch]:
        """Train, yielding after each sample; the model is the average of the samples so far.

        Losses are RMSE of the average, on a part of the training rows and on the validation part.

        Raises:
            TrainingFailed: a loss is not finite.
        """
        began = time.monotonic()
        self._begin(train, seed)
        while self.epochs_done < self.config.epochs:
            number = self.epochs_done + 1
            with _one_thread_each():
                losses = {"train": self._advance(number, np.random.default_rng([seed, number]), train)}
            self.epochs_done = number
            if valid is not None and len(valid):
                left = self.rate_pairs(valid.user_index, valid.item_index) - valid.ratings
                losses["valid"] = float(np.sqrt(np.mean(left**2, dtype=np.float64)))
            yield Epoch(number, self.config.epochs, losses, len(train))
            if self.config.time_limit and time.monotonic() - began >= self.config.time_limit:
                return

    def _begin(self, train: Interactions, seed: int) -> None:
        """Set up both sides, as they were where training goes on."""
        from engine.models.gibbs_start import Standard, sides_of, start
        from engine.models.probit import Latent

        standard = Standard.of(train)
        self.facts = TrainingFacts.of(train)
        self.mean, self.deviation, self._least_noise = standard
        most = max(1, min(int(np.count_nonzero(counts)) for counts in (train.user_counts, train.item_counts)))
        rank = min(self.config.n_factors or _rank(len(train)), most)  # more would be as good, and cost its cube
        self._sides = sides_of(train, rank, self.config.implicit, self.config.side_features)
        self._latent = Latent(train, self.mean, self.deviation) if self.config.likelihood == "probit" else None
        self.grades = self._latent.values if self._latent is not None else np.zeros(0)
        self._check = SelfCheck(train, self.mean, self.deviation)
        if self.epochs_done and self._resumed is not None:
            self._check.moments = self._resumed["resume.check"].copy()
            for side, name in zip(self._sides, _SIDES, strict=True):
                side.set_arrays(_under(f"resume.{name}.", self._resumed))
            self._noise_precision = float(self._resumed["resume.noise_precision"][0])
            if self._latent is not None:
                self._latent.cuts = self.samples[-1].cuts.copy()  # its root is of before the noise was drawn
                self._latent.root = float(self._resumed.get("resume.root", [self._noise_precision**0.5])[0])
        else:
            self.samples, self._noise_precision = [], 1.0
            with _one_thread_each():
                start(*self._sides, np.random.default_rng([seed, 0]))

    def _advance(self, number: int, rng: np.random.Generator, train: Interactions) -> float:
        """Draw everything once, keep the sample, and return the RMSE of the average on some training rows."""
        users, items = self._sides
        n_ratings = len(train)
        if self._latent is not None and number > _PLAIN:
            self._latent.draw(users, items, rng, settling=number <= _PLAIN + _SETTLING)
        items.draw(users, self._noise_precision, rng)
        users.draw(items, self._noise_precision, rng)
        self._keep(number)
        self._check.add(number, users.vectors[:, : users.k], items.vectors[:, : users.k])
        squares = users.squares(items)
        if not np.isfinite(squares):
            raise TrainingFailed(
                f"the loss of epoch {number} is not finite", hint="look for extreme ratings: `data health`"
            )
        # τ ~ Gamma(1 + n/2, rate ε + Σ (r - r̂)² / 2), and never more than the rounding of ratings allows
        drawn = min(rng.gamma(1 + n_ratings / 2) / (self._least_noise + squares / 2), 1 / self._least_noise)
        if self._latent is not None:
            drawn = self._latent.take_noise(drawn)
        self._noise_precision = _CAUTION * drawn
        return self.deviation * self._check.loss(self._expected)

    def _expected(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the standardized ratings (n,) expected at standardized scores."""
        if self._latent is None:
            return scores
        return (self._latent.levels().expected(scores) - self.mean) / self.deviation

    def _given_scores(self, predicted: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the standardized ratings (n,) of the rows checked, or the latent values behind them."""
        if self._latent is None:
            return self._check.ratings
        return self._latent.levels().latent(
            places_of(self.grades, self.mean + self.deviation * self._check.ratings), predicted
        )

    def _shape(self) -> NDArray[np.float64]:
        """Return the quantiles of residuals of left-out ratings in units of their spread."""
        noise_precision = float(np.mean([sample.noise_precision for sample in self.samples]))
        predicted = self.mean + self.deviation * self._check.left_out(noise_precision, self._given_scores)
        left = self.as_scores(self.mean + self.deviation * self._check.ratings) - predicted
        for others, rows in self._check.by_count(self.facts.user_counts):
            left[rows] /= self.spread(others, self._check.items[rows])
        return np.quantile(left, SHAPE_AT) if len(left) else np.zeros(len(SHAPE_AT))

    def _keep(self, number: int) -> None:
        """Add the newest sample to the kept ones; an item without ratings is where its features put it."""
        users, items = self._sides
        k, seen = users.k, items.active[:, None]
        effects = users.blocks[0].effects[:, :k].copy() if users.blocks else np.zeros((0, k), np.float32)
        newest = Sample(
            number,
            np.where(seen, items.vectors, items.centre)[:, :k],
            effects,
            users.level,
            users.prior.precision,
            self._noise_precision,
            self._noise_precision**0.5,
            np.where(users.active[:, None], users.means[:, :k] - users.level.astype(np.float32), np.float32(0.0)),
            np.where(seen, items.means, items.centre)[:, :k],
        )
        if self._latent is not None:  # users are folded in once it is known which samples are kept
            _values, cuts, centres, root = self._latent.levels()
            newest = replace(newest, cuts=cuts, centres=centres, root=root, rough=True)
        self.samples = thinned([*self.samples, newest], self.config.samples, self.config.burn_in)
        self.forget()

    def _completed(self, sample: Sample) -> Sample:
        """Fold all users into a sample of a probit."""
        if not sample.rough or self._latent is None:
            return sample
        return replace(sample, users=self._latent.users_of(sample, self._sides[0]), rough=False)

    def memory_bytes(self, n_users: int, n_items: int, n_ratings: int) -> int:
        """Return a forecast of the peak memory of training: the rows, the kept samples while they are put together."""
        k: int = 1 + (self.config.n_factors or _rank(n_ratings))
        kept: int = min(self.config.samples, self.config.epochs)
        rows = _ROW_BYTES[self.config.likelihood] * n_ratings
        return rows + k * kept * (24 * n_users + 36 * n_items) + 48 * k * (n_users + n_items)

    # --- use ------------------------------------------------------------------------------------------------------

    def get_user_embedding(self, user_id: str | int) -> NDArray[np.float32]:
        """Return the first n_factors principal coordinates of a user by text id, zeros for one that is unknown."""
        user = self.facts.users.index(str(user_id))
        return self._embedding(self.cold_vector() if user is None else self.user_vector(user))

    def get_movie_embedding(self, movie_id: str | int) -> NDArray[np.float32]:
        """Return the first n_factors principal coordinates of an item by text id.

        Raises:
            UnknownItem: the item is not in the model.
        """
        item = self.facts.items.index(str(movie_id))
        if item is None:
            raise UnknownItem(f"{movie_id!r} is not in the model", hint="train again to include it")
        return self._embedding(self.design[item])

    def _embedding(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        """Cut a vector to the length of the factors it was made of."""
        n_factors = self.config.n_factors or self.samples[0].items.shape[1] - 1
        found = vector[1 : 1 + n_factors]
        return np.pad(found, (0, n_factors - len(found)))

    # --- persistence ----------------------------------------------------------------------------------------------

    def parameters(self) -> dict[str, NDArray[Any]]:
        """Return the samples, the linear model that they make, and the state of the chain."""
        named = super().parameters()
        if self._sides:
            named["resume.noise_precision"] = np.array([self._noise_precision])
            if self._latent is not None:
                named["resume.root"] = np.array([self._latent.root])
            named["resume.check"] = self._check.moments.copy()
        for side, name in zip(self._sides, _SIDES, strict=False):
            named |= {f"resume.{name}.{key}": array for key, array in side.arrays().items()}
        return named

    def set_parameters(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take back what `parameters` gave; without the `resume.…` arrays training begins a new chain."""
        super().set_parameters(arrays)
        self._resumed = arrays if "resume.noise_precision" in arrays else None


def _rank(n_ratings: int) -> int:
    """Return the length of factors for that many ratings; with their bias they fill whole vector registers."""
    return _RANKS[0] if n_ratings < _LARGE else _RANKS[1]


def _under(prefix: str, named: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the arrays whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): array for name, array in named.items() if name.startswith(prefix)}


def _one_thread_each() -> Any:
    """Keep matrix products to one thread: the order of their sums must not depend on the number of threads."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, user_api="blas")


_RANKS = (15, 31)
_CAUTION = 0.9  # what a rating counts for: no model is quite true, and one that takes itself for true learns noise
_LARGE = 300_000
_ROW_BYTES = {"gaussian": 60, "probit": 81}  # the second has latent values, scores, and an order of the rows by item
_PLAIN = 5  # iterations of a probit that take ratings for latent values: from nothing, scores and noise part slowly
_SETTLING = 10  # further iterations whose proposals are all taken: from far off the ratio of a Newton step says nothing
_SIDES = ("users", "items")
