"""Biased matrix factorization for ratings, r̂ = μ + b_u + b_i + p_u · q_i + w_u · f_i, by ALS or by SGD.

f_i are the item's genres and decade, where the catalogue has them, and w_u is the user's taste in each.

Training ends with the users, solved in closed form with the items fixed. So a stored user vector (b_u, p_u, w_u) is the
fold-in of that user's training rows, and a score is a sum over the user's own ratings.

ALS here is variational Bayes with a factorized posterior: each side's ridge regression takes into account how uncertain
the other side's factors are, and the noise and the prior variances of factors and tastes are estimated in every epoch.
Nothing has to be tuned to the size of the data, and what the data cannot support fades out. On data of some size an
epoch does not solve the regressions but makes one sweep of coordinate descent towards their solutions, which is a tenth
of the work; the sweeps of the next epoch go on from there.

Source: Koren, Bell, Volinsky 2009 (the model); Lim & Teh 2007 and Nakajima & Sugiyama 2011 (the variational updates);
Pilászy, Zibriczky, Tikk 2010 (the sweeps).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from engine.data import Interactions
from engine.errors import TrainingFailed
from engine.models.base import Epoch
from engine.models.config import Config, setting
from engine.models.factor_model import FactorModel
from engine.models.factor_start import SPARE, spectral_directions
from engine.models.factor_steps import (
    Prepared,
    beside,
    beside_tastes,
    principal_axes,
)
from engine.models.features import TASTE_DAMPING
from engine.models.implied import expectation
from engine.models.sgd_steps import START, Descent


@dataclass(frozen=True)
class MatrixFactorizationConfig(Config):
    """Settings of matrix factorization."""

    n_factors: int = setting(50, "Length of the factors of users and items.", low=1, high=1024)
    learning_rate: float = setting(0.01, "Step of SGD; ALS has none.", low=1e-6, high=1.0)
    solver: str = setting("als", "How the factors are found.", choices=("als", "sgd"))
    regularization: float = setting(
        1.0, "Multiplies the noise that the data show; above 1 shrinks more.", low=1e-3, high=1e3
    )
    updates: str = setting(
        "auto",
        "How ALS improves a vector in an epoch: whole solves for it, sweep moves one number after the other and ends "
        "training with a solve; auto takes whole while that takes no time, up to some 100,000 ratings.",
        choices=("auto", "whole", "sweep"),
    )
    epochs: int = setting(10, "Passes over the ratings.", low=1, high=10_000)
    early_stopping: bool = setting(
        False, "Hold out a tenth of the training rows and stop when they are no longer predicted better."
    )
    features: bool = setting(True, "Learn each user's taste in genres and decades, where the catalogue has them.")
    svd_plus_plus: bool = setting(
        False, "Learn from who rated what too, whatever the rating; ALS only: better predictions, longer training."
    )


class MatrixFactorizationModel(FactorModel):
    """Explicit ratings: tastes, and factors of users and items, for what the biases leave unexplained."""

    name = "mf"
    Config = MatrixFactorizationConfig

    # --- training -------------------------------------------------------------------------------------------------

    def fit_epochs(self, train: Interactions, *, valid: Interactions | None = None, seed: int = 42) -> Iterator[Epoch]:
        """Train, yielding after each epoch; with a validation part, stop after 3 epochs that predict it no better.

        Losses are the RMSE of unclipped predictions on the training rows, and of clipped ones on the validation part.

        Raises:
            TrainingFailed: a loss is not finite.
        """
        from threadpoolctl import ThreadpoolController

        if valid is None and self.config.early_stopping:
            held_out = np.random.default_rng([seed, 0]).random(len(train)) < 0.1
            train, valid = train.rows(~held_out), train.rows(held_out)
        data, libraries = Prepared.of(train, self.config.features), ThreadpoolController()
        while self.epochs_done < self.config.epochs and self._stale < _PATIENCE:
            number = self.epochs_done + 1
            rng = np.random.default_rng([seed, number])
            with libraries.limit(limits=1, user_api="blas"):  # the order of sums must not depend on threads
                self._advance(data, number, rng)
            losses = self._losses(valid)
            self.epochs_done = number
            if number == self.config.epochs or self._stale >= _PATIENCE:
                with libraries.limit(limits=1, user_api="blas"):
                    self._solve_swept(data.by_user)
            yield Epoch(number, self.config.epochs, losses, len(train))

    def settle(self, train: Interactions) -> None:
        """Solve every user, as the last epoch does."""
        from threadpoolctl import threadpool_limits

        from engine.kernels import Rows

        with threadpool_limits(1, user_api="blas"):
            self._solve_swept(Rows(train.indptr, train.item_index, train.ratings))

    def memory_bytes(self, n_users: int, n_items: int, n_ratings: int) -> int:
        """Return a forecast of the peak memory of training: the rows, grouped both ways, and sets of vectors.

        ALS is at its largest where it groups the rows, or where it looks for the directions that it starts from.
        """
        config = self.config
        numbers = _SETS[config.solver] * (config.n_factors + SPARE) + (_OF_FEATURES if config.features else 0)
        vectors = 4 * numbers * (n_users + n_items)
        if config.solver == "sgd":
            return int(_GROUPED * n_ratings + vectors)
        return int(max(_GROUPED * n_ratings, _TWICE * n_ratings + vectors))

    def _advance(self, data: Prepared, number: int, rng: np.random.Generator) -> None:
        """Make one epoch: the first fits biases and tastes, the second adds factors, the others improve them."""
        if self._swept is not None:  # go on from the sweeps, not from what the users were solved for since
            self.user_vectors, self._swept = self._swept, None
        if number == 1:
            self._fit_biases(data)
            return
        if number == 2:
            self._start_factors(data, rng)
        if self.config.solver == "sgd":
            self._descend(data, rng)
            return
        if number > 2:
            self._turn_axes(data)
        self._improve_items(data)
        self._improve_users(data)

    def _fit_biases(self, data: Prepared) -> None:
        """Make the first epoch: damped biases, tastes, and no factors yet, so that later losses show what they add."""
        self.facts = facts = data.facts
        n_factors, variance = self.config.n_factors, max(facts.variance, self._least_noise())
        self._best, self._stale, self.implied, self._effects, self._swept = (
            np.finfo(np.float64).max,
            0,
            None,
            None,
            None,
        )
        self._noise = self.config.regularization * variance
        self._tastes = np.full(data.columns.shape[1], variance / TASTE_DAMPING)
        items = np.zeros((len(facts.items), 1 + n_factors), np.float32)
        self._take_items(data, beside(data.biases.items[:, None], items[:, 1:]), items)
        start = np.full(n_factors, self._start_variance())
        self._solve_biases(data, self._ridge(data.biases.between_users, start, self._tastes))

    def _start_factors(self, data: Prepared, rng: np.random.Generator) -> None:
        """Give factors their first values: main directions of the residuals for ALS, small random numbers for SGD."""
        n_factors, size = self.config.n_factors, np.float32(self._start_variance() ** 0.5)
        if self.config.solver == "als":
            users = spectral_directions(*self._residuals_of_biases(data), n_factors, rng) * size
            self._user_variances = beside(self._user_variances, np.zeros_like(users))
        else:
            users = rng.standard_normal((len(self.facts.users), n_factors), np.float32) * (START * size)
            items = rng.standard_normal((len(self.facts.items), n_factors), np.float32) * (START * size)
            self.design = beside(self.design, items)
        self.user_vectors = beside(self.user_vectors, users)

    def _turn_axes(self, data: Prepared) -> None:
        """Rotate both sides to their principal axes; products of factors stay what they are."""
        factors = self._factors
        axes = principal_axes(data, self.user_vectors[:, factors], self.design[:, factors])
        for name in ("user_vectors", "design", "implied", "_effects"):
            whole = getattr(self, name)
            if whole is not None:
                setattr(self, name, beside(whole, whole[:, factors] @ axes))
        self._user_variances, self.uncertainty = (
            beside(x, x[:, factors] @ axes**2) for x in (self._user_variances, self.uncertainty)
        )

    def _improve_items(self, data: Prepared) -> None:
        """Make the items' half of an epoch of ALS: estimate the prior, then solve for what the tastes leave."""
        from engine.kernels import Side

        items, users, prior = self._known_items(data), self._known_users(), None
        width = items.shape[1]
        if self._implies():
            self._effects, prior = expectation(data.by_item, data.by_user, items, self._effects)
        variances = self._factor_variances(items, self.uncertainty, prior, data.facts.item_counts)
        offsets = np.float32(self.facts.mean) + users[:, 0]
        users[:, 0] = 1.0
        fixed = Side(offsets, users, self._user_variances[:, :width].copy())
        rows = data.by_item._replace(ratings=beside_tastes(data, self.user_vectors[:, width:], by_item=True))
        ridge = self._ridge(data.biases.between_items, variances)
        self._take_items(data, *self._improved(rows, fixed, ridge, items, prior))

    def _improve_users(self, data: Prepared) -> None:
        """Make the users' half: estimate the priors of factors and tastes, then solve."""
        prior = None
        if self._implies():
            self.implied, prior = expectation(data.by_user, data.by_item, self.user_vectors, self.implied)
        counts = data.facts.user_counts
        variances = self._factor_variances(self.user_vectors, self._user_variances, prior, counts)
        self._estimate_tastes(prior)
        self._solve_users(data, self._ridge(data.biases.between_users, variances, self._tastes), prior)

    def _descend(self, data: Prepared, rng: np.random.Generator) -> None:
        """Make one epoch of SGD over what the tastes leave, then solve the users for the items it found."""
        config, deviation = self.config, max(self.facts.variance, self._least_noise()) ** 0.5
        descent = Descent.of(deviation, config.n_factors, config.learning_rate, config.regularization)
        users, items = self._known_users(), self._known_items(data)
        left = beside_tastes(data, self.user_vectors[:, items.shape[1] :]) - np.float32(self.facts.mean)
        items = descent.items(data.train, left, users, items, rng)
        penalty = descent.ridge()
        self._take_items(data, items, np.tile(penalty, (len(items), 1)))
        self._estimate_tastes(None)
        self._solve_users(data, np.concatenate([penalty.astype(np.float64), self._noise / self._tastes]))

    def _implies(self) -> bool:
        """Return whether this epoch learns from who rated what: from the third on, when both sides have factors."""
        return self.config.svd_plus_plus and self.epochs_done >= 2

    def _losses(self, valid: Interactions | None) -> dict[str, float]:
        """Measure the epoch and, with it, the noise: mean square of the residuals plus variance of the predictions."""
        squares, doubt = self._errors
        self._take_noise(squares, doubt)
        losses = {"train": float(np.sqrt(squares))}
        if not np.isfinite(squares):
            hint = "lower learning_rate" if self.config.solver == "sgd" else "look for extreme ratings: `data health`"
            raise TrainingFailed(f"the loss of epoch {self.epochs_done + 1} is not finite", hint=hint)
        if valid is not None and len(valid):
            left = self.rate_pairs(valid.user_index, valid.item_index) - valid.ratings
            losses["valid"] = float(np.sqrt(np.mean(left**2, dtype=np.float64)))
            self._stale = 0.0 if losses["valid"] < self._best else self._stale + 1
            self._best = min(self._best, losses["valid"])
        return losses

    def _take_noise(self, squares: float, doubt: float) -> None:
        """Estimate the noise: at least what rounding makes; at most what the biases leave, however wide the priors."""
        if not self.epochs_done:
            self._most_noise = squares
        self._noise = self.config.regularization * max(min(squares + doubt, self._most_noise), self._least_noise())


_PATIENCE = 3
_GROUPED = 45  # bytes a rating while the rows are grouped by item; SGD keeps an order of them instead
_TWICE = 38  # the rows, the same by item, and what is left of them
_SETS = {"als": 9.5, "sgd": 5}  # float32 matrices as large as the factors at the peak
_OF_FEATURES = 75  # float32 numbers at the peak for what catalogues usually have, about 25 genres and decades
