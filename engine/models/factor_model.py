"""What a matrix factorization holds: biases, factors and tastes, their prior variances, and how they are kept."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import UnknownItem
from engine.models.factor_steps import (
    Prepared,
    errors_of,
    remaining,
    second_moments,
    solve_side,
    sweep_side,
    taste_variances,
)
from engine.models.features import TASTE_DAMPING
from engine.models.implied import prior_means
from engine.models.linear import LinearModel

if TYPE_CHECKING:
    from engine.kernels import Rows, Side


class FactorModel(LinearModel):
    """A linear model whose design is (1, learned factors, features), with k factors and f features.

    Both `user_vectors` and `design` have these columns; an item's bias is part of its offset.
    """

    _user_variances: NDArray[np.float32]  # (n_users, 1 + k + f)
    _tastes: NDArray[np.float64]  # (f,), prior variances of users' tastes
    _effects: NDArray[np.float32] | None = None  # (n_users, 1 + k), what a user's rating an item, however, says of it
    _swept: NDArray[np.float32] | None = None  # the users as sweeps left them, where they have been solved for since
    _errors: tuple[float, float]  # of the last epoch: mean square of the residuals, mean variance of the predictions
    _noise: float  # variance of a rating around its prediction
    _most_noise: float  # mean square of what the biases leave
    _best: float = np.finfo(np.float64).max  # lowest loss on the validation part
    _stale: float = 0  # epochs since then

    # --- use ------------------------------------------------------------------------------------------------------

    def fold_in_many(
        self, histories: Sequence[tuple[NDArray[np.integer[Any]], NDArray[np.floating[Any]]]]
    ) -> NDArray[np.float32]:
        """Return the vectors (n, d) of many users, solved for as in training; one by one before the loops are loaded.

        One loop for all of them holds no lock of the interpreter: other threads do not take turns with it.
        """
        if "engine.kernels" not in sys.modules:
            return np.stack([self.fold_in(items, ratings) for items, ratings in histories])
        from engine.kernels import Rows

        starts = np.cumsum([0, *(len(items) for items, _ in histories)], dtype=np.int64)
        others, given = (np.concatenate(column) for column in zip(*histories, strict=True))
        rows = Rows(starts, others.astype(np.int32), given.astype(np.float32))
        prior = None if self.implied is None else prior_means(rows, self.implied)
        return solve_side(rows, self._items_fixed(), self.ridge, 1.0, prior, uncertain=False)[0]

    def get_user_embedding(self, user_id: str | int) -> NDArray[np.float32]:
        """Return the factors (n_factors,) of a user by text id, zeros for one that is unknown."""
        user = self.facts.users.index(str(user_id))
        return (self.cold_vector() if user is None else self.user_vector(user))[self._factors]

    def get_movie_embedding(self, movie_id: str | int) -> NDArray[np.float32]:
        """Return the factors (n_factors,) of an item by text id.

        Raises:
            UnknownItem: the item is not in the model.
        """
        item = self.facts.items.index(str(movie_id))
        if item is None:
            raise UnknownItem(f"{movie_id!r} is not in the model", hint="train again to include it")
        factors: NDArray[np.float32] = self.design[item, self._factors]
        return factors

    def item_vectors(self) -> NDArray[np.float32]:
        """Return factors, and features as large as users differ in them compared to factors, (n_items, d - 1)."""
        users, factors = self.user_vectors, self._factors
        size, of_factors = np.sqrt(np.mean(users**2, axis=0)), np.sqrt(np.mean(users[:, factors] ** 2))
        weights = (size / (of_factors if of_factors > 0 else 1))[1 + self.config.n_factors :]
        return np.concatenate([self.design[:, factors], self.design[:, 1 + self.config.n_factors :] * weights], axis=1)

    @property
    def _factors(self) -> slice:
        """The columns of the factors."""
        return slice(1, 1 + self.config.n_factors)

    # --- persistence ----------------------------------------------------------------------------------------------

    def parameters(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of a linear model, and what a resumed training needs."""
        numbers = np.array([self._noise, self._most_noise, self._best, self._stale])
        names = ("user_variances", self._user_variances), ("tastes", self._tastes), ("effects", self._effects)
        more = ("swept", self._swept), ("numbers", numbers)
        resume = {f"resume.{name}": array for name, array in (*names, *more) if array is not None}
        return super().parameters() | resume

    def set_parameters(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take back what `parameters` gave; without the `resume.…` arrays training goes on from rough estimates."""
        super().set_parameters(arrays)
        variance, n_tastes = self.facts.variance, self.design.shape[1] - self._factors.stop
        self._user_variances = arrays.get("resume.user_variances", np.zeros_like(self.user_vectors))
        self._tastes = arrays.get("resume.tastes", np.full(n_tastes, variance / TASTE_DAMPING))
        self._effects, self._swept = arrays.get("resume.effects"), arrays.get("resume.swept")
        rough = np.array([variance, variance, np.finfo(np.float64).max, 0.0])
        numbers = arrays.get("resume.numbers", rough).tolist()
        self._noise, self._most_noise, self._best, self._stale = numbers

    # --- the halves of an epoch -----------------------------------------------------------------------------------

    def _factor_variances(
        self,
        vectors: NDArray[np.float32],
        variances: NDArray[np.float32],
        prior: NDArray[np.float32] | None,
        counts: NDArray[np.int32],
    ) -> NDArray[np.float64]:
        """Return the prior variance of each factor of a side, (n_factors,): fixed at first, then estimated."""
        start = np.full(self.config.n_factors, self._start_variance())
        if self.epochs_done < _EPOCHS_WITH_FIXED_PRIOR:
            return start
        factors = self._factors
        around = vectors[:, factors] if prior is None else vectors[:, factors] - prior[:, factors]
        return np.maximum(second_moments(around, variances[:, factors], counts), _LEAST_SHARE * start)

    def _estimate_tastes(self, prior: NDArray[np.float32] | None) -> None:
        """Take the prior variance of each taste from the users' tastes."""
        tastes = slice(1 + self.config.n_factors, None)
        around = self.user_vectors[:, tastes] if prior is None else self.user_vectors[:, tastes] - prior[:, tastes]
        variances = taste_variances(around, self._user_variances[:, tastes], self._tastes, self.facts.user_counts)
        self._tastes = np.maximum(variances, _LEAST_SHARE * self._noise)

    def _ridge(self, of_bias: float, *variances: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return noise / prior variance of the bias and of the columns after it, (d,)."""
        return self._noise / np.concatenate([[max(of_bias, _LEAST_SHARE * self._noise)], *variances])

    def _known_items(self, data: Prepared) -> NDArray[np.float32]:
        """Return the items' biases, beside what their features make one expect, and factors (n_items, 1 + k)."""
        biases = self.offsets - np.float32(self.facts.mean) - data.expected
        return np.concatenate([biases[:, None], self.design[:, self._factors]], axis=1)

    def _known_users(self) -> NDArray[np.float32]:
        """Return a copy of the users' biases and factors (n_users, 1 + k)."""
        return self.user_vectors[:, : 1 + self.config.n_factors].copy()

    def _take_items(self, data: Prepared, items: NDArray[np.float32], uncertainty: NDArray[np.float32]) -> None:
        """Take biases and factors (n_items, 1 + k) and their variances; users are solved from the offsets and design.

        The bias moves from column 0, which is one, into the offsets; the features follow the factors.
        """
        self.offsets = np.float32(self.facts.mean) + (data.expected + items[:, 0])
        self.design = np.concatenate([np.ones_like(items[:, :1]), items[:, 1:], data.columns], axis=1)
        self.uncertainty = np.concatenate([uncertainty, np.zeros_like(data.columns)], axis=1)

    def _solve_biases(self, data: Prepared, ridge: NDArray[np.float64]) -> None:
        """Fold in every user's training rows while there are no factors; the factors' variances are their prior's."""
        self.ridge, fixed, kept = ridge, self._items_fixed(), self._but_factors
        narrow = fixed._replace(design=fixed.design[:, kept], uncertainty=fixed.uncertainty[:, kept])
        vectors, variances = solve_side(data.by_user, narrow, ridge[kept], self._noise)
        self._errors = errors_of(data.by_user, narrow, vectors, variances)
        self.user_vectors = np.zeros((len(vectors), len(ridge)), np.float32)
        self._user_variances = np.tile((self._noise / ridge).astype(np.float32), (len(vectors), 1))
        self.user_vectors[:, kept], self._user_variances[:, kept] = vectors, variances

    def _residuals_of_biases(self, data: Prepared) -> "tuple[Rows, Rows]":
        """Return what biases and tastes leave of the ratings, by user and by item."""
        users, items = (side[:, self._but_factors] for side in (self.user_vectors, self.design))
        by_user = remaining(data.by_user, users, items) - self.offsets[data.by_user.others]
        by_item = remaining(data.by_item, items, users) - np.repeat(self.offsets, np.diff(data.by_item.starts))
        return data.by_user._replace(ratings=by_user), data.by_item._replace(ratings=by_item)

    @property
    def _but_factors(self) -> NDArray[np.intp]:
        """The other columns: of the bias and of the tastes."""
        return np.delete(np.arange(self.design.shape[1]), self._factors)

    def _solve_users(
        self, data: Prepared, ridge: NDArray[np.float64], prior: NDArray[np.float32] | None = None
    ) -> None:
        """Fold in every user's training rows, or come nearer to that by a sweep."""
        self.ridge = ridge
        self.user_vectors, self._user_variances = self._improved(
            data.by_user, self._items_fixed(), ridge, self.user_vectors, prior
        )

    def _improved(
        self,
        rows: "Rows",
        fixed: "Side",
        ridge: NDArray[np.float64],
        vectors: NDArray[np.float32],
        prior: NDArray[np.float32] | None,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return better vectors of one side and their variances, and note the errors that they leave."""
        if not self._sweeps(len(rows.ratings)):
            vectors, variances = solve_side(rows, fixed, ridge, self._noise, prior)
            self._errors = errors_of(rows, fixed, vectors, variances)
            return vectors, variances
        swept = sweep_side(rows, fixed, ridge, self._noise, vectors, prior)
        self._errors = swept.squares, swept.doubt
        return swept.vectors, swept.variances

    def _sweeps(self, n_ratings: int) -> bool:
        """Return whether epochs sweep: `auto` does where solving would cost more than an operator notices.

        A solve takes about n·d² products and d³ for each row, a sweep 3·n·d.
        """
        config, n_rows = self.config, len(self.facts.users) + len(self.facts.items)
        d = 1 + config.n_factors
        work = n_ratings * d**2 + n_rows * d**3
        return bool(
            config.solver == "als" and config.updates != "whole" and (config.updates == "sweep" or work > _NOTICED)
        )

    def _solve_swept(self, by_user: "Rows") -> None:
        """Fold in every user's training rows after sweeps, which are kept to go on from."""
        if self._swept is not None or self.epochs_done < 2 or not self._sweeps(len(by_user.ratings)):
            return
        prior = None if self.implied is None else prior_means(by_user, self.implied)
        self._swept = self.user_vectors
        self.user_vectors, _ = solve_side(by_user, self._items_fixed(), self.ridge, self._noise, prior, uncertain=False)

    def _items_fixed(self) -> "Side":
        from engine.kernels import Side

        return Side(self.offsets, self.design, self.uncertainty)

    def _start_variance(self) -> float:
        """Return the prior variance of a factor before it is estimated: p · q then varies as much as ratings do.

        Var(p · q) = n_factors · variance² is the same whatever the number of factors.
        """
        return float((_PRIOR * max(self.facts.variance, self._least_noise()) / self.config.n_factors) ** 0.5)

    def _least_noise(self) -> float:
        """Return the variance that rounding to the scale's steps makes, step² / 12: no rating can be known better."""
        scale = self.facts.scale
        return float((scale.step or 0.01 * (scale.high - scale.low)) ** 2 / 12)


_PRIOR = 1.0  # of the variance of ratings; wide, and from 0.5 to 2 the validation RMSE is within 0.002
_EPOCHS_WITH_FIXED_PRIOR = 3  # factors are estimated before their variances are
_NOTICED = 2e9  # products
_LEAST_SHARE = 1e-9  # keeps a prior that has faded to nothing from being divided by
