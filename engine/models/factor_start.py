"""Where the factors of users start: the main directions of what biases and tastes leave of the ratings."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.models.factor_steps import weighted_sums_over

if TYPE_CHECKING:
    from engine.kernels import Rows


def spectral_directions(
    by_user: "Rows", by_item: "Rows", n_factors: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return users' coordinates (n_users, n_factors) along the main directions of the residuals, each of unit size.

    The residuals are scaled by 1/√(count + 5) of user and item, so that rare ones, which are mostly noise, do not make
    directions of their own. Two steps of subspace iteration find their leading left singular vectors. A direction that
    the data do not have is zero, and stays so: the rank never exceeds what there is to learn.

    Args:
        by_user: the residuals, grouped by user.
        by_item: the same, grouped by item.
        n_factors: how many directions.
        rng: makes the subspace to start from.

    Source: Halko, Martinsson, Tropp 2011, algorithm 4.4.
    """
    counts = np.diff(by_user.starts), np.diff(by_item.starts)
    of_user, of_item = ((1 / np.sqrt(_RARE + n))[:, None].astype(np.float32) for n in counts)

    def across(basis: NDArray[np.float32]) -> NDArray[np.float32]:  # (n_users, w) to (n_items, w)
        seen: NDArray[np.float32] = of_item * weighted_sums_over(by_item, of_user * basis)
        return seen

    width = min(n_factors + SPARE, len(of_user), len(of_item))
    basis: NDArray[np.float32] = rng.standard_normal((len(of_user), width), np.float32)
    for _ in range(_STEPS):
        basis, _ = np.linalg.qr(of_user * weighted_sums_over(by_user, of_item * across(basis)))
    _, _, rotation = np.linalg.svd(across(basis), full_matrices=False)
    found = (basis @ rotation.T)[:, :n_factors] * of_user
    size = np.sqrt(np.mean(found**2, axis=0))
    directions = np.zeros((len(of_user), n_factors), np.float32)
    directions[:, : found.shape[1]] = found / np.where(size > 0, size, 1)
    return directions


_RARE = 5.0
SPARE = 10  # extra columns of the subspace, which make its leading part accurate
_STEPS = 2
