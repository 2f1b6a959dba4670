"""Biased matrix factorization for ratings, r̂ = μ + b_u + b_i + p_u · q_i, by ALS or by SGD.

Both solvers end each epoch with the users, solved in closed form with the items fixed. So a stored user vector
(b_u, p_u) is the fold-in of that user's training rows, and a score is a sum over the user's own ratings.

ALS here is variational Bayes with a factorized posterior: each side's ridge regression takes into account how uncertain
the other side's factors are, and the noise and the prior variance of each factor are estimated in every epoch. Nothing
has to be tuned to the size of the data, and factors that the data cannot support fade out.

Source: Koren, Bell, Volinsky 2009 (the model); Lim & Teh 2007 and Nakajima & Sugiyama 2011 (the variational updates).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.data import Interactions
from engine.errors import TrainingFailed, UnknownItem
from engine.models.base import Epoch
from engine.models.config import Config, setting
from engine.models.factor_steps import (
    Prepared,
    beside,
    errors_of,
    principal_axes,
    second_moments,
    solve_side,
    spectral_directions,
)
from engine.models.linear import LinearModel

if TYPE_CHECKING:
    from engine.kernels import Side


@dataclass(frozen=True)
class MatrixFactorizationConfig(Config):
    """Settings of matrix factorization."""

    n_factors: int = setting(50, "Length of the factors of users and items.", low=1, high=1024)
    learning_rate: float = setting(0.01, "Step of SGD; ALS has none.", low=1e-6, high=1.0)
    solver: str = setting("als", "How the factors are found.", choices=("als", "sgd"))
    regularization: float = setting(
        1.0, "Multiplies the noise that the data show; above 1 shrinks more.", low=1e-3, high=1e3
    )
    epochs: int = setting(10, "Passes over the ratings.", low=1, high=10_000)
    early_stopping: bool = setting(
        False, "Hold out a tenth of the training rows and stop when they are no longer predicted better."
    )


class MatrixFactorizationModel(LinearModel):
    """Explicit ratings: factors of users and items whose product is what the biases leave unexplained."""

    name = "mf"
    Config = MatrixFactorizationConfig

    _user_variances: NDArray[np.float32]  # (n_users, 1 + n_factors)
    _noise: float  # variance of a rating around its prediction
    _most_noise: float  # mean square of what the biases leave
    _best: float = np.finfo(np.float64).max  # lowest loss on the validation part
    _stale: float = 0  # epochs since then

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
        data, libraries = Prepared.of(train), ThreadpoolController()
        while self.epochs_done < self.config.epochs and self._stale < _PATIENCE:
            number = self.epochs_done + 1
            rng = np.random.default_rng([seed, number])
            with libraries.limit(limits=1, user_api="blas"):  # the order of sums must not depend on threads
                self._advance(data, number, rng)
            losses = self._losses(data, valid)
            self.epochs_done = number
            yield Epoch(number, self.config.epochs, losses, len(train))

    def memory_bytes(self, n_users: int, n_items: int, n_ratings: int) -> int:
        """Return a forecast of the peak memory of training: the rows three times over, and seven sets of factors."""
        factors: int = self.config.n_factors
        return 54 * n_ratings + 28 * (n_users + n_items) * (factors + 11)

    def _advance(self, data: Prepared, number: int, rng: np.random.Generator) -> None:
        """Make one epoch: the first fits the biases, the second adds factors, the others improve them."""
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
        self._alternate(data)

    def _fit_biases(self, data: Prepared) -> None:
        """Make the first epoch: damped biases and no factors yet, so that later losses show what factors add."""
        self.facts = facts = data.facts
        shape = (len(facts.users), len(facts.items), 1 + self.config.n_factors)
        self._best, self._stale = np.finfo(np.float64).max, 0
        self._noise = self.config.regularization * max(facts.variance, self._least_noise())
        self.offsets = np.float32(facts.mean) + data.biases.items
        self.design, self.uncertainty = np.zeros(shape[1:], np.float32), np.zeros(shape[1:], np.float32)
        self.design[:, 0] = 1.0
        start = np.full(self.config.n_factors, self._start_variance())
        self._solve_users(data, self._ridge(data.biases.between_users, start))

    def _start_factors(self, data: Prepared, rng: np.random.Generator) -> None:
        """Give factors their first values: main directions of the residuals for ALS, small random numbers for SGD."""
        n_factors, size = self.config.n_factors, np.float32(self._start_variance() ** 0.5)
        if self.config.solver == "als":
            train = data.train
            left = train.ratings - self.offsets[train.item_index] - self.user_vectors[train.user_index, 0]
            users = spectral_directions(train, left, n_factors, rng) * size
            self._user_variances = np.zeros_like(self._user_variances)
        else:
            users = rng.standard_normal((len(self.facts.users), n_factors), np.float32) * (_SGD_START * size)
            items = rng.standard_normal((len(self.facts.items), n_factors), np.float32) * (_SGD_START * size)
            self.design = beside(self.design, items)
        self.user_vectors = beside(self.user_vectors, users)

    def _alternate(self, data: Prepared) -> None:
        """Make one epoch of ALS: estimate the priors, solve the items, then the users."""
        from engine.kernels import Side

        of_items, of_users = self._prior_variances()
        users = self.user_vectors.copy()
        offsets = np.float32(self.facts.mean) + users[:, 0]
        users[:, 0] = 1.0
        ridge = self._ridge(data.biases.between_items, of_items)
        users_fixed = Side(offsets, users, self._user_variances)
        self.design, self.uncertainty = solve_side(data.by_item, users_fixed, ridge, self._noise)
        self._split_items()
        self._solve_users(data, self._ridge(data.biases.between_users, of_users))

    def _turn_axes(self, data: Prepared) -> None:
        """Rotate both sides to their principal axes; products of factors stay what they are."""
        axes = principal_axes(data, self.user_vectors[:, 1:], self.design[:, 1:])
        self.user_vectors, self.design = (beside(x, x[:, 1:] @ axes) for x in (self.user_vectors, self.design))
        self._user_variances, self.uncertainty = (
            beside(x, x[:, 1:] @ axes**2) for x in (self._user_variances, self.uncertainty)
        )

    def _prior_variances(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the prior variance of each factor, (n_factors,) for items and for users: fixed, then estimated."""
        start = np.full(self.config.n_factors, self._start_variance())
        if self.epochs_done < _EPOCHS_WITH_FIXED_PRIOR:
            return start, start
        of_items = second_moments(self.design[:, 1:], self.uncertainty[:, 1:], self.facts.item_counts)
        of_users = second_moments(self.user_vectors[:, 1:], self._user_variances[:, 1:], self.facts.user_counts)
        return np.maximum(of_items, _LEAST_SHARE * start), np.maximum(of_users, _LEAST_SHARE * start)

    def _ridge(self, of_bias: float, of_factors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return noise / prior variance, (1 + n_factors,)."""
        return self._noise / np.concatenate([[max(of_bias, _LEAST_SHARE * self._noise)], of_factors])

    def _descend(self, data: Prepared, rng: np.random.Generator) -> None:
        """Make one epoch of SGD over the ratings in a new order, then solve the users for the items it found.

        A penalty on every rating is a ridge that grows with the count: the solve has the same minimum as the descent.
        """
        from engine.kernels_sgd import descend

        train, deviation = data.train, max(self.facts.variance, self._least_noise()) ** 0.5
        units = np.full(1 + self.config.n_factors, deviation**0.5, np.float32)  # so that a step suits every scale
        units[0] = deviation
        users, items = (np.asarray(side / units, np.float32) for side in (self.user_vectors, self.design))
        items[:, 0] = (self.offsets - np.float32(self.facts.mean)) / units[0]
        triples = (train.user_index, train.item_index, (train.ratings - np.float32(self.facts.mean)) / units[0])
        penalty = _SGD_PENALTY * self.config.regularization
        rates = (self.config.learning_rate, _SGD_FACTOR_STEP * self.config.learning_rate)
        descend(rng.permutation(len(train)), triples, users, items, rates, penalty)
        ridge = penalty * (deviation / units) ** 2
        with np.errstate(over="ignore", invalid="ignore"):  # divergence shows in the loss
            self.design, self.uncertainty = items * units, np.tile(ridge.astype(np.float32), (len(items), 1))
        self._split_items()
        self._solve_users(data, ridge.astype(np.float64))

    def _split_items(self) -> None:
        """Move the items' biases from column 0 of the design into the offsets, where users are solved from."""
        self.offsets = np.float32(self.facts.mean) + self.design[:, 0]
        self.design[:, 0] = 1.0

    def _solve_users(self, data: Prepared, ridge: NDArray[np.float64]) -> None:
        """Fold in every user's training rows."""
        self.ridge = ridge
        self.user_vectors, self._user_variances = solve_side(data.by_user, self._items_fixed(), ridge, self._noise)

    def _items_fixed(self) -> "Side":
        from engine.kernels import Side

        return Side(self.offsets, self.design, self.uncertainty)

    def _losses(self, data: Prepared, valid: Interactions | None) -> dict[str, float]:
        """Measure the epoch and, with it, the noise: mean square of the residuals plus variance of the predictions."""
        squares, doubt = errors_of(data.by_user, self._items_fixed(), self.user_vectors, self._user_variances)
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

    def _start_variance(self) -> float:
        """Return the prior variance of a factor before it is estimated: p · q then varies as much as ratings do.

        Var(p · q) = n_factors · variance² is the same whatever the number of factors.
        """
        return float((_PRIOR * max(self.facts.variance, self._least_noise()) / self.config.n_factors) ** 0.5)

    def _take_noise(self, squares: float, doubt: float) -> None:
        """Estimate the noise: at least what rounding makes; at most what the biases leave, however wide the priors."""
        if not self.epochs_done:
            self._most_noise = squares
        self._noise = self.config.regularization * max(min(squares + doubt, self._most_noise), self._least_noise())

    def _least_noise(self) -> float:
        """Return the variance that rounding to the scale's steps makes, step² / 12: no rating can be known better."""
        scale = self.facts.scale
        return float((scale.step or 0.01 * (scale.high - scale.low)) ** 2 / 12)

    # --- use ------------------------------------------------------------------------------------------------------

    def get_user_embedding(self, user_id: str | int) -> NDArray[np.float32]:
        """Return the factors (n_factors,) of a user by text id, zeros for one that is unknown."""
        user = self.facts.users.index(str(user_id))
        return (self.cold_vector() if user is None else self.user_vector(user))[1:]

    def get_movie_embedding(self, movie_id: str | int) -> NDArray[np.float32]:
        """Return the factors (n_factors,) of an item by text id.

        Raises:
            UnknownItem: the item is not in the model.
        """
        item = self.facts.items.index(str(movie_id))
        if item is None:
            raise UnknownItem(f"{movie_id!r} is not in the model", hint="train again to include it")
        factors: NDArray[np.float32] = self.item_vectors()[item]
        return factors

    # --- persistence ----------------------------------------------------------------------------------------------

    def parameters(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of a linear model, and what a resumed training needs."""
        going_on = np.array([self._noise, self._most_noise, self._best, self._stale])
        resume = {"resume.user_variances": self._user_variances, "resume.numbers": going_on}
        return super().parameters() | resume

    def set_parameters(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take back what `parameters` gave; without the `resume.…` arrays training goes on from rough estimates."""
        super().set_parameters(arrays)
        self._user_variances = arrays.get("resume.user_variances", np.zeros_like(self.user_vectors))
        rough = np.array([self.facts.variance, self.facts.variance, np.finfo(np.float64).max, 0.0])
        numbers = arrays.get("resume.numbers", rough).tolist()
        self._noise, self._most_noise, self._best, self._stale = numbers


_PRIOR = 1.0  # of the variance of ratings; wide, and from 0.5 to 2 the validation RMSE is within 0.002
_EPOCHS_WITH_FIXED_PRIOR = 3  # factors are estimated before their variances are
_LEAST_SHARE = 1e-9  # keeps a prior that has faded to nothing from being divided by
_PATIENCE = 3
_SGD_START = np.float32(0.05)  # small, so that strong directions grow first
_SGD_FACTOR_STEP = 3.0  # a factor's gradient is smaller than a bias's, by the size of the factor beside it
_SGD_PENALTY = 0.07
