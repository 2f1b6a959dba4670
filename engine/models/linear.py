"""Models whose score is linear in the user's vector, which is itself a ridge regression on the user's own ratings.

With the items held fixed,

    score(i) = offset_i + z_i · v,    v = (Σ_j z_j z_jᵀ + diag(ridge + Σ_j s_j))⁻¹ Σ_j z_j (r_j - offset_j)

over the rated items j. The vector is a sum over ratings, and so is the score: folding a history in, predicting and
explaining are one piece of algebra (Hu, Koren, Volinsky 2008, section 5). `s_j` is how uncertain `z_j` is: an item that
few have rated shrinks the user more than one that many have.

A model may also expect something of a user from what they rated, whatever the ratings (SVD++): `implied` holds a vector
y_j for each item, the prior mean of v is m = Σ_j y_j / √n for n rated items, and ridge · m is added to the sum.
"""

from copy import copy
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from engine.models.base import Contributions, Model, Vector
from engine.models.columns import Columns


class LinearModel(Model):
    """Base of content and matrix factorization; a subclass trains the arrays.

    Attributes:
        offsets: float32 (n_items,), the score of an item for a user of whom nothing is known.
        design: float32 (n_items, d), z; column 0 is one, so that v[0] is the user's bias.
        uncertainty: float32 (n_items, d), s.
        ridge: float64 (d,).
        implied: float32 (n_items, d), y, or None where it is zero.
        user_vectors: float32 (n_users, d), zero for a user without training rows.
    """

    offsets: NDArray[np.float32]
    design: NDArray[np.float32]
    uncertainty: NDArray[np.float32]
    ridge: NDArray[np.float64]
    implied: NDArray[np.float32] | None = None
    user_vectors: NDArray[np.float32]

    @cached_property
    def _columns(self) -> Columns:
        return Columns()

    def user_vector(self, user: int) -> Vector:
        """Return the stored vector (d,) of a user: the fold-in of their training rows."""
        vector: Vector = self.user_vectors[user]
        return vector

    def cold_vector(self) -> Vector:
        """Return the zero vector (d,)."""
        return np.zeros(self.design.shape[1], np.float32)

    def scores(self, vector: Vector, items: NDArray[np.integer[Any]] | None = None) -> NDArray[np.float32]:
        """Return offset + z · v of all items (n_items,), or of those given."""
        if items is not None:
            some: NDArray[np.float32] = self.offsets[items] + self.design[items] @ vector
            return some
        scores = self._columns.times(self.design, vector)
        scores += self.offsets
        return scores

    def score_vectors(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the scores of all items for the vectors (n, d), as (n, n_items), by one matrix product."""
        scores = vectors @ self.design.T
        scores += self.offsets
        return scores

    def score_users(self, users: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Return the scores of all items for many users (len(users), n_items)."""
        return self.score_vectors(self.user_vectors[users])

    def rate_pairs(self, users: NDArray[np.integer[Any]], items: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Return predicted ratings of (user, item) pairs (n,)."""
        predicted = np.empty(len(users), np.float32)
        for start in range(0, len(users), _PAIRS_AT_ONCE):
            rows = slice(start, start + _PAIRS_AT_ONCE)
            products = np.einsum("nd,nd->n", self.user_vectors[users[rows]], self.design[items[rows]])
            predicted[rows] = self.offsets[items[rows]] + products
        return self.as_ratings(predicted)

    def fold_in(self, items: NDArray[np.integer[Any]], ratings: NDArray[np.floating[Any]]) -> Vector:
        """Return the vector (d,) of a user with this history, all else fixed; zero for an empty one."""
        if not len(items):
            return self.cold_vector()
        if len(items) < self.design.shape[1]:
            return self._fold_in_few(items, ratings)
        system, known = self._normal_equations(items)
        right = known.T @ self._residuals(items, ratings)
        if self.implied is not None:
            right += self.ridge * self._foretold(items)
        return np.linalg.solve(system, right).astype(np.float32)

    def _fold_in_few(self, items: NDArray[np.integer[Any]], ratings: NDArray[np.floating[Any]]) -> Vector:
        """Return the same vector by as many equations as there are ratings, fewer than d.

        With D = diag(ridge + Σ_j s_j), u = D⁻¹ ridge m and t the residuals, by the matrix inversion lemma

            v = u + D⁻¹ Zᵀ (I + Z D⁻¹ Zᵀ)⁻¹ (t - Z u)
        """
        known, left = self.design[items].astype(np.float64), self._residuals(items, ratings)  # (k, d), (k,)
        diagonal = self.ridge + self.uncertainty[items].sum(axis=0, dtype=np.float64)
        half = known / diagonal
        system = half @ known.T  # (k, k)
        system.flat[:: len(system) + 1] += 1.0
        start: float | NDArray[np.float64] = 0.0
        if self.implied is not None:
            start = self.ridge * self._foretold(items) / diagonal
            left -= known @ start
        vector: Vector = (start + np.linalg.solve(system, left) @ half).astype(np.float32)
        return vector

    def _foretold(self, items: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
        """Return m (d,), what having rated these items makes one expect of a user."""
        assert self.implied is not None  # noqa: S101
        expected: NDArray[np.float64] = self.implied[items].sum(axis=0, dtype=np.float64) / len(items) ** 0.5
        return expected

    def contributions(
        self, items: NDArray[np.integer[Any]], ratings: NDArray[np.floating[Any]], targets: NDArray[np.integer[Any]]
    ) -> list[Contributions]:
        """Return what each rating adds to the score of items: z_i · A⁻¹ (z_j (r_j - offset_j) + ridge · y_j / √n).

        Exact: offset_i + Σ_j amount_j is the score of the folded-in vector.
        """
        if not len(items):
            return Contributions.additive(self.offsets[targets], items, np.zeros((0, len(targets))))
        system, known = self._normal_equations(items)
        towards = np.linalg.solve(system, self.design[targets].T.astype(np.float64))  # A⁻¹ z_i, (d, m)
        amounts = (known @ towards) * self._residuals(items, ratings)[:, None]  # (k, m)
        if self.implied is not None:
            amounts += self.implied[items].astype(np.float64) @ (self.ridge[:, None] * towards) / len(items) ** 0.5
        return Contributions.additive(self.offsets[targets], items, amounts)

    def refitted(
        self,
        item: int,
        vectors: NDArray[np.float32],
        ratings: NDArray[np.floating[Any]],
        trained: Self | None = None,
    ) -> Self:
        """Return a copy in which one item follows its ratings, the users held fixed; a few ratings move it little.

        (o, z) minimize Σ_u (r_u - o - v_u[0] - z · v_u[1:])² + ridge · ((o, z) - (o, z) as trained)².

        Args:
            item: dense index.
            vectors: (k, d), of the users who rated it.
            ratings: (k,), theirs; without any the item is as trained.
            trained: where the item is as trained, if it has followed ratings here before.
        """
        start = trained or self
        known = np.concatenate([np.ones((len(vectors), 1)), vectors[:, 1:]], axis=1).astype(np.float64)  # (k, d)
        present = np.concatenate([[start.offsets[item]], start.design[item, 1:]]).astype(np.float64)  # (d,)
        error = np.asarray(ratings, np.float64) - vectors[:, 0] - known @ present
        step = np.linalg.solve(known.T @ known + np.diag(self.ridge), known.T @ error)
        other = copy(self)
        other.offsets, other.design = self.offsets.copy(), self.design.copy()
        other.offsets[item] = present[0] + step[0]
        other.design[item, 1:] = present[1:] + step[1:]
        return other

    def item_vectors(self) -> NDArray[np.float32]:
        """Return the design without its constant column, (n_items, d - 1)."""
        return self.design[:, 1:]

    def parameters(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by their names."""
        return {name: getattr(self, name) for name in _ARRAYS if getattr(self, name) is not None}

    def set_parameters(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take the arrays."""
        for name in _ARRAYS:
            setattr(self, name, arrays.get(name) if name == "implied" else arrays[name])

    def _normal_equations(self, items: NDArray[np.integer[Any]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return A (d, d) and Z (k, d) of a history."""
        known = self.design[items].astype(np.float64)  # (k, d)
        # A = ZᵀZ + diag(ridge + Σ_j s_j)
        system = known.T @ known
        system.flat[:: len(system) + 1] += self.ridge + self.uncertainty[items].sum(axis=0, dtype=np.float64)
        return system, known

    def _residuals(self, items: NDArray[np.integer[Any]], ratings: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Return what is left of the ratings above the items' offsets (k,)."""
        left: NDArray[np.float64] = np.asarray(ratings, np.float64) - self.offsets[items]
        return left


_ARRAYS = ("offsets", "design", "uncertainty", "ridge", "implied", "user_vectors")
_PAIRS_AT_ONCE = 65_536  # keeps the gathered factors within the cache whatever the number of pairs
