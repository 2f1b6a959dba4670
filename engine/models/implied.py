"""What a row is expected to be from who is in it, whatever the ratings: the implicit feedback of SVD++, on either side.

The prior mean of a user's vector is m_u = |N(u)|^(-1/2) Σ_{j ∈ N(u)} y_j over the items that the user rated, with a
vector y of its own for each item; and of an item's vector the same over the users who rated it.

Source: Koren 2008, "Factorization meets the neighborhood", section 4; Rendle, Zhang, Koren 2019, "On the Difficulty of
Evaluating Baselines", for both sides together.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.models.factor_steps import sums_over

if TYPE_CHECKING:
    from engine.kernels import Rows

_RATIO = np.float32(5.0)  # variance of a vector around its prior mean, over that of y; from 3 to 10 it matters little
_STEPS = 4  # of conjugate gradients an epoch; the next goes on from there


def root_counts(rows: "Rows") -> NDArray[np.float32]:
    """Return √|N| of each row (n_rows, 1), one for a row without ratings."""
    return np.sqrt(np.maximum(np.diff(rows.starts), 1)).astype(np.float32)[:, None]


def prior_means(rows: "Rows", effects: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return m = X y, (n_rows, d), from the effects y (m, d) of the others; X has 1/√|N| where a rating is."""
    return sums_over(rows, effects) / root_counts(rows)


def expectation(
    rows: "Rows", across: "Rows", vectors: NDArray[np.float32], effects: NDArray[np.float32] | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return effects y (m, d) nearer to the ridge regression of vectors (n_rows, d) on who is in them, and m = X y.

    Solves (Xᵀ X + ratio) y = Xᵀ v for all columns by a few steps of conjugate gradients.

    Args:
        rows: the ratings by row.
        across: the same ratings by the other side.
        vectors: v.
        effects: y so far, None at first.
    """
    if effects is None:
        effects = np.zeros((len(across.starts) - 1, vectors.shape[1]), np.float32)
    roots = root_counts(rows)
    left = sums_over(across, (vectors - prior_means(rows, effects)) / roots) - _RATIO * effects  # (m, d)
    direction, squares = left, _squares(left)
    for _ in range(_STEPS):
        moved = sums_over(across, prior_means(rows, direction) / roots) + _RATIO * direction
        length = squares / np.maximum(np.einsum("md,md->d", direction, moved), _LEAST)
        effects = effects + length * direction
        left = left - length * moved
        before, squares = squares, _squares(left)
        direction = left + (squares / np.maximum(before, _LEAST)) * direction
    return effects, prior_means(rows, effects)


def _squares(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the squared length of each column (d,)."""
    squares: NDArray[np.float32] = np.einsum("md,md->d", vectors, vectors)
    return squares


_LEAST = np.float32(1e-30)
