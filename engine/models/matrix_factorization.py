"""Biased matrix factorization for ratings, r̂ = μ + b_u + b_i + p_u · q_i, by ALS or by SGD.

Both solvers end each epoch with the users, solved in closed form with the items fixed. A stored user vector therefore is
the fold-in of that user's training rows, and every score is a sum over the user's own ratings.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.data import Interactions
from engine.errors import TrainingFailed
from engine.models.base import Epoch, TrainingFacts
from engine.models.config import Config, setting
from engine.models.linear import LinearModel
from engine.models.shrinkage import Spread, shrunk_effects, spread


@dataclass(frozen=True)
class MatrixFactorizationConfig(Config):
    """Settings of matrix factorization."""

    n_factors: int = setting(50, "Length of the vectors of users and items.", low=1, high=1024)
    learning_rate: float = setting(0.01, "Step of SGD; ALS needs none.", low=1e-6, high=1.0)
    solver: str = setting("als", "How the factors are found.", choices=("als", "sgd"))
    regularization: float = setting(
        1.0, "Multiplies the shrinkage that follows from the data; above 1 shrinks more.", low=1e-3, high=1e3
    )
    epochs: int = setting(12, "Passes over the ratings.", low=1, high=10_000)
    early_stopping: bool = setting(
        False, "Hold out a tenth of the training rows and stop where they are predicted no better."
    )


class _Plan(NamedTuple):
    """What training derives from the rows before the first epoch.

    Attributes:
        by_user, by_item: the rows, grouped.
        users, items: variances of the users' and of the items' effects, and of what is left.
        item_effects, user_effects: damped means, where the biases start.
    """

    by_user: Any
    by_item: Any
    users: Spread
    items: Spread
    user_effects: NDArray[np.float32]
    item_effects: NDArray[np.float32]


class MatrixFactorizationModel(LinearModel):
    """Explicit ratings: vectors of users and items whose product is what the biases leave unexplained."""

    name = "mf"
    Config = MatrixFactorizationConfig

    def __init__(self, config: Config | None = None, **settings: Any) -> None:
        """Take settings by name, as `n_factors=50, learning_rate=0.01, solver="als"`, or a ready `Config`."""
        super().__init__(config, **settings)
        self._user_variances: NDArray[np.float32]
        self._noise: float

    def fit_epochs(
        self, train: Interactions, *, valid: Interactions | None = None, seed: int = 42
    ) -> Iterator[Epoch]:
        if valid is None and self.config.early_stopping:
            held_out = np.random.default_rng([seed, 0]).random(len(train)) < 0.1
            train, valid = train.rows(~held_out), train.rows(held_out)
        plan = _plan(train)
        if not self.epochs_done:
            self._begin(train, plan, seed)
        advance = self._als if self.config.solver == "als" else self._sgd
        for number in range(self.epochs_done + 1, self.config.epochs + 1):
            advance(train, plan, np.random.default_rng([seed, number]))
            losses = {"train": self._measure(plan, train)}
            if valid is not None:
                losses["valid"] = _rmse(self.rate_pairs(valid.user_index, valid.item_index), valid.ratings)
            if not all(map(np.isfinite, losses.values())):
                raise TrainingFailed("x", hint="y")
            self.epochs_done = number
            yield Epoch(number, self.config.epochs, losses, len(train))

    def _begin(self, train, plan, seed):
        self.facts = TrainingFacts.of(train)
        d = self.config.n_factors
        self.offsets = (self.facts.mean + plan.item_effects).astype(np.float32)
        rng = np.random.default_rng([seed, 0])
        scale = self._factor_variance() ** 0.5
        if self.config.solver == "als":
            directions = spectral_directions(train, plan, d, rng)
        else:
            directions = rng.standard_normal((train.n_users, d), np.float32); scale *= SGD_INIT
        self.user_vectors = np.concatenate([plan.user_effects[:, None], scale * directions], axis=1).astype(np.float32)
        self.design = rng.standard_normal((train.n_items, d + 1), np.float32) * np.float32(scale)
        self.design[:, 0] = 1
        self.uncertainty = np.zeros_like(self.design)
        self._user_variances = np.zeros_like(self.user_vectors)
        self.ridge = np.ones(d + 1)
        self._noise = max(plan.users.within, self._least_noise())

    def _factor_variance(self):
        return VP * max(self.facts.variance, self._least_noise()) ** 0.5 / self.config.regularization

    def _least_noise(self) -> float:
        scale = self.facts.scale
        return (scale.step or 0.01 * (scale.high - scale.low)) ** 2 / 12

    def _ridge(self, bias: float):
        precision = np.full(self.config.n_factors + 1, 1 / self._factor_variance())
        precision[0] = 1 / max(bias, 1e-6)
        return self._noise * precision

    def _als(self, train, plan, rng):
        from engine.kernels import Side, over_rows, solve_rows

        users = self.user_vectors.copy()
        offsets = self.facts.mean + users[:, 0]
        users[:, 0] = 1
        ridge = self._ridge(plan.items.between)
        items, variances = np.empty_like(self.design), np.empty_like(self.design)
        over_rows(solve_rows, plan.by_item.starts, plan.by_item, Side(offsets, users, self._user_variances), ridge, self._noise, items, variances)
        self.offsets = self.facts.mean + items[:, 0]
        items[:, 0], variances[:, 0] = 1, 0
        self.design, self.uncertainty = items, variances
        self._solve_users(plan)

    def _solve_users(self, plan):
        from engine.kernels import Side, over_rows, solve_rows

        self.ridge = self._ridge(plan.users.between)
        side = Side(self.offsets, self.design, self.uncertainty)
        over_rows(solve_rows, plan.by_user.starts, plan.by_user, side, self.ridge, self._noise, self.user_vectors, self._user_variances)
        self._user_variances[:, 0] = 0

    def _sgd(self, train, plan, rng):
        from engine.kernels import descend

        order = rng.permutation(len(train))
        items = self.design.copy()
        items[:, 0] = self.offsets - self.facts.mean
        penalty = SGD_REG * self.config.regularization * self.facts.variance ** 0.5
        descend(order, (train.user_index, train.item_index, train.ratings), self.facts.mean, self.user_vectors, items, self.config.learning_rate, penalty)
        self.offsets = self.facts.mean + items[:, 0]
        items[:, 0] = 1
        self.design = items
        self.uncertainty[:] = penalty
        if SGD_SOLVE: self._solve_users(plan)

    def _measure(self, plan, train):
        from engine.kernels import Side, over_rows, squared_errors

        sums = np.empty((len(self.user_vectors), 2))
        unc = self.uncertainty if self.config.solver == "als" else np.zeros_like(self.uncertainty)
        side = Side(self.offsets, self.design, unc)
        over_rows(squared_errors, plan.by_user.starts, plan.by_user, side, self.user_vectors, self._user_variances, sums)
        s, v = sums.sum(axis=0)
        if self.config.solver == "als": self._noise = max((s + v) / len(train), self._least_noise())
        return float(np.sqrt(s / len(train)))

VP, ITERS, KAPPA = 0.2, 4, 5.0
SGD_INIT, SGD_REG, SGD_SOLVE = .1, .05, True

def _plan(train):
    from engine.kernels import Rows
    facts = TrainingFacts.of(train)
    items = spread(train.item_counts, facts.item_sums, facts.mean, facts.variance)
    item_effects = shrunk_effects(train.item_counts, facts.item_sums, facts.mean, items)
    left = train.ratings - facts.mean - item_effects[train.item_index]
    sums = np.bincount(train.user_index, left, train.n_users)
    mean = float(left.mean(dtype=np.float64))
    users = spread(train.user_counts, sums, mean, float(left.var(dtype=np.float64)))
    user_effects = shrunk_effects(train.user_counts, sums, 0.0, users)
    m = train.csr().tocsc()
    return _Plan(Rows(train.indptr, train.item_index, train.ratings), Rows(m.indptr.astype(np.int64), m.indices.astype(np.int32), m.data), users, items, user_effects, item_effects)

def spectral_directions(train, plan, d, rng):
    from scipy.sparse import csr_array
    from threadpoolctl import threadpool_limits
    left = train.ratings - (train.ratings.mean(dtype=np.float64).astype(np.float32) + plan.item_effects[train.item_index] + plan.user_effects[train.user_index])
    cu, ci = (KAPPA + train.user_counts) ** -.5, (KAPPA + train.item_counts) ** -.5
    w = (left * cu[train.user_index] * ci[train.item_index]).astype(np.float32)
    S = csr_array((w, train.item_index, train.indptr), shape=(train.n_users, train.n_items))
    T = S.T.tocsr()
    with threadpool_limits(1, user_api="blas"):
        wide = min(d + 10, train.n_users, train.n_items)
        q = rng.standard_normal((train.n_users, wide), np.float32)
        for _ in range(ITERS):
            q, _ = np.linalg.qr(S @ (T @ q))
        _, s, vt = np.linalg.svd(T @ q, full_matrices=False)
        L = (q @ vt.T)[:, :d] * cu[:, None]
    rms = np.sqrt((L ** 2).mean(axis=0))
    out = np.zeros((train.n_users, d), np.float32)
    out[:, :L.shape[1]] = L / np.where(rms > 0, rms, 1)
    return out

def _rmse(a, b):
    return float(np.sqrt(np.mean((a - b) ** 2, dtype=np.float64)))
