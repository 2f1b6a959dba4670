"""Ratings as levels of an ordered probit: from latent values to ratings and back, and what a rating says of its value.

A rating is of level l where its latent value, N(score, 1 / root²), lies between cut l - 1 and cut l.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_Floats = NDArray[np.float64]
_GRID = 1_025  # scores at which the expected rating is worked out; between them it is a straight line
_BEYOND = 5.0  # standard deviations outside the outer cuts, where it is all but constant
_LEAST = 1e-300


def places_of(values: _Floats, ratings: NDArray[np.floating[Any]]) -> NDArray[np.intp]:
    """Return the level of each rating (n,) by the levels' values, the nearest where a rating is none of them."""
    return np.searchsorted((values[1:] + values[:-1]) / 2, ratings)


class Levels(NamedTuple):
    """The levels in one sample, in standardized ratings but for `values`.

    Attributes:
        values: float64 (n_levels,), the ratings, ascending.
        cuts: float64 (n_levels - 1,), ascending.
        centres: float64 (n_levels,), the mean of the latent values of each level.
        root: one over the standard deviation of latent values around their scores.
    """

    values: _Floats
    cuts: _Floats
    centres: _Floats
    root: float

    def expected(self, scores: NDArray[np.floating[Any]]) -> _Floats:
        """Return the expectation over the levels: Σ_l v_l P(l) = v_0 + Σ_l (v_{l+1} - v_l) Φ((score - cut_l) root)."""
        from scipy.special import ndtr

        total = np.full(len(scores), self.values[0])
        for cut, rise in zip(self.cuts, np.diff(self.values), strict=True):
            total += rise * ndtr((scores - cut) * self.root)
        return total

    def latent(self, places: NDArray[np.intp], scores: _Floats) -> _Floats:
        """Return the expectation of the latent values (n,) of ratings at these levels, given their scores.

        score + (φ(a) - φ(b)) / (Φ(b) - Φ(a)) / root, a and b the distances to the cuts in standard deviations.
        """
        from scipy.special import ndtr

        edges = np.concatenate([[-np.inf], self.cuts, [np.inf]])
        low, high = (edges[places] - scores) * self.root, (edges[places + 1] - scores) * self.root
        sign = np.where(low > 0, -1.0, 1.0)  # in the lower tail the difference keeps its digits
        low, high = np.where(low > 0, -high, low), np.where(low > 0, -low, high)
        inside = ndtr(high) - ndtr(low)
        rise = np.exp(-np.square(low) / 2) - np.exp(-np.square(high) / 2)
        inner = np.where(inside > _LEAST, rise / np.sqrt(2 * np.pi) / np.maximum(inside, _LEAST), high)
        found: _Floats = scores + sign * np.clip(inner, low, high) / self.root
        return found

    def curve(self) -> _Floats:
        """Return scores and the ratings expected there, (2, n), from where on they are constant on both sides."""
        scores = np.linspace(self.cuts[0] - _BEYOND / self.root, self.cuts[-1] + _BEYOND / self.root, _GRID)
        return np.stack([scores, self.expected(scores)])
