"""The halves of an epoch of implicit ALS over prepared rows: which solver, which ridge, which loss."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.data import Interactions
from engine.jit import over_rows
from engine.kernels import Rows
from engine.kernels_implicit import Fixed, padded, solve_by_blocks, solve_by_gradients, solve_exactly
from engine.models.feedback import training_confidences
from engine.models.implicit_als import ImplicitALSConfig
from engine.models.implicit_ridge import MANY, Ridge

Vectors = NDArray[np.float32]

_START = 0.1  # expected length of a user's vector before the first epoch
_GRADIENT_STEPS, _CATCHING_UP = 2, 3  # the second where most users were not looked at before
_BLOCKS = (64, 48, 32, 16)  # factors that the subspace solver solves together: the first that divides their number
_EXACT_WORK = 4e9  # products in an epoch below which exact solves cost less than an operator notices
_PART = 1 / 3  # of the users that most epochs look at, where the ratings are many
_ENOUGH = 2_500_000  # ratings from which the items' vectors are learned as well as from all (docs/models.md)
_WHOLE = 2  # epochs at the end that look at everybody


class Schedule:
    """Which rows the epochs look at: of very many, those of some users until the last epochs.

    What the vectors of the items need is known long before everybody was seen. On 2.9 M planted ratings, 8 epochs with
    a quarter of the users and 1 with all rank as well as 15 with all, in a fifth of the work.

    Attributes:
        first_whole: the first epoch that looks at everybody after epochs that did not; 0 where there is none.
    """

    def __init__(self, train: Interactions, config: ImplicitALSConfig, ridge: Ridge, seed: int) -> None:
        self._train, self._config, self._ridge = train, config, ridge
        self._share = config.sample or share_of_users(len(train))
        # a part is not solved otherwise than the whole
        self._solver = chosen_solver(config, len(train), train.n_users + train.n_items)
        self._chosen = np.random.default_rng([seed, 1]).random(train.n_users) < self._share
        self._sampled = config.epochs - _WHOLE if self._share < 1 else 0
        self.first_whole = self._sampled + 1 if self._sampled > 0 else 0
        self._held: tuple[bool, Alternation] | None = None

    def steps(self, number: int) -> "Alternation":
        """Return what makes an epoch; the one before is let go first, to keep the memory of one."""
        sampled = number <= self._sampled
        if self._held is None or self._held[0] != sampled:
            self._held = None
            rows = self._train.rows(self._chosen[self._train.user_index]) if sampled else self._train
            steps = _CATCHING_UP if self._share < 1 and not sampled else _GRADIENT_STEPS
            self._held = sampled, Alternation(rows, self._config, self._ridge, self._solver, steps)
        return self._held[1]

    def note(self, number: int) -> str:
        """Say what is special about an epoch."""
        return f"looked at {self._share:.0%} of the users" if number <= self._sampled else ""


class Alternation:
    """The rows of both sides with their weights and ridges.

    Args:
        train: the rows.
        config: hyper-parameters.
        ridge: how much vectors are shrunk.
        solver: "cholesky", "cg" or "subspace".
        gradient_steps: of "cg", for each row in each half of an epoch.

    Attributes:
        n_ratings: how many rows.
    """

    def __init__(
        self,
        train: Interactions,
        config: ImplicitALSConfig,
        ridge: Ridge,
        solver: str,
        gradient_steps: int = _GRADIENT_STEPS,
    ) -> None:
        self._config, self._ridge, self._solver, self._gradient_steps = config, ridge, solver, gradient_steps
        weights = training_confidences(config.confidence, train)
        self._by_user = Rows(train.indptr, train.item_index, weights)
        self._by_item = _turned(self._by_user, train)
        self.n_ratings = len(train)
        self._weight = float(weights.sum(dtype=np.float64))
        self._user_ridge = self._ridges(train.user_index, weights, train.user_counts, train.item_counts)
        self._item_ridge = self._ridges(train.item_index, weights, train.item_counts, train.user_counts)

    def start(self, rng: np.random.Generator) -> tuple[Vectors, Vectors]:
        """Return random vectors of the users that have rows, and zeros for the items."""
        d, n_users = self._config.n_factors, len(self._user_ridge)
        users = rng.standard_normal((n_users, d), np.float32) * np.float32(_START / d**0.5)
        users[np.diff(self._by_user.starts) == 0] = 0.0
        return users, np.zeros((len(self._item_ridge), d), np.float32)

    def advance(self, users: Vectors, items: Vectors, *, last: bool) -> tuple[Vectors, Vectors, float]:
        """Make one epoch: items, then users; the last epoch solves the users exactly.

        Returns:
            New vectors of users and items, and the loss as a share of Σ c, the loss of zero vectors.
        """
        wide_users, wide_items = _widened(users), _widened(items)
        self._improve(self._by_item, wide_users, self._item_ridge, wide_items, exactly=False)
        items = np.ascontiguousarray(wide_items[:, : items.shape[1]])
        gains = self._improve(self._by_user, wide_items, self._user_ridge, wide_users, exactly=last)
        penalty = float(self._item_ridge @ np.sum(items**2, axis=1, dtype=np.float64))
        loss = (self._weight - gains + penalty) / max(self._weight, 1e-12)
        return np.ascontiguousarray(wide_users[:, : users.shape[1]]), items, loss

    def users_of(self, users: Vectors, items: Vectors, *, exactly: bool = False) -> Vectors:
        """Return the vectors of the users for these items; those who have none begin at zero."""
        wide_users = _widened(users)
        self._improve(self._by_user, _widened(items), self._user_ridge, wide_users, exactly=exactly)
        return np.ascontiguousarray(wide_users[:, : users.shape[1]])

    def _improve(self, rows: Rows, known: Vectors, ridge: Vectors, wanted: Vectors, *, exactly: bool) -> float:
        """Solve all rows of one side in place; return by how much they lower the loss from that of zeros."""
        base = np.float32(self._config.unobserved_weight) * (known.T @ known)
        fixed = Fixed(known, base, ridge)
        gains = np.zeros(len(wanted))
        if exactly or self._solver == "cholesky":
            over_rows(solve_exactly, rows.starts, rows, fixed, wanted, gains)
        elif self._solver == "cg":
            over_rows(solve_by_gradients, rows.starts, rows, fixed, wanted, gains, self._gradient_steps)
        else:
            over_rows(solve_by_blocks, rows.starts, rows, fixed, wanted, gains, _block_width(known.shape[1]))
        return float(gains.sum())

    def _ridges(
        self,
        index: NDArray[np.integer[Any]],
        weights: NDArray[np.float32],
        counts: NDArray[np.integer[Any]],
        across: NDArray[np.integer[Any]],
    ) -> Vectors:
        """Return λ (C + α0 n)^ν of each row of a side, n of the other side having ratings."""
        sums = np.bincount(index, weights, len(counts)).astype(np.float64)
        return self._ridge.of(sums, int(np.count_nonzero(across)))


def share_of_users(n_ratings: int) -> float:
    """Return which share of the users the epochs before the last look at."""
    return 1.0 if n_ratings < MANY else min(_PART, _ENOUGH / n_ratings)


def chosen_solver(config: ImplicitALSConfig, n_ratings: int, n_rows: int) -> str:
    """Return the solver that `auto` means for data of this size: exact where that takes no time, else gradients.

    A row of n ratings costs n·d² + d³/3 products by Cholesky and 2·n·d in each of three passes by gradients. Blocks lie
    between the two at any rank measured (64 to 192), so `auto` never takes them.
    """
    if config.solver != "auto":
        return str(config.solver)
    d = config.n_factors
    return "cholesky" if n_ratings * d**2 + n_rows * d**3 / 3 <= _EXACT_WORK else "cg"


def _turned(by_user: Rows, train: Interactions) -> Rows:
    """Group the same weights by item."""
    from scipy.sparse import csr_array

    shape = (train.n_users, train.n_items)
    columns = csr_array((by_user.ratings, by_user.others, by_user.starts), shape=shape).tocsc()
    return Rows(columns.indptr.astype(np.int64), columns.indices.astype(np.int32, copy=False), columns.data)


def _widened(vectors: Vectors) -> Vectors:
    """Return a copy with zeros behind each row, up to whole vector registers."""
    wide = np.zeros((len(vectors), padded(vectors.shape[1])), np.float32)
    wide[:, : vectors.shape[1]] = vectors
    return wide


def _block_width(width: int) -> int:
    return next(block for block in _BLOCKS if width % block == 0)
