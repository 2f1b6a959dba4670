"""Ordered probit: a rating is the level within whose bounds a latent, normal value lies; the bounds are sampled too.

The latent values take the ratings' place in the sampler. Two of the cuts between levels are held where they begin, half
way between their levels: that fixes origin and scale, and leaves the noise free. The other cuts are drawn with the
latent values integrated out, since given those each could move by the gap between two neighbouring values only.

Source: Albert & Chib 1993 (latent values); Cowles 1996, "Accelerating Monte Carlo Markov chain convergence for
cumulative-link generalized linear models" (cuts before latent values); Nandram & Chen 1996, "Reparameterizing the
generalized linear model to accelerate Gibbs sampler convergence" (which parameters are held); the proposal is a step
of Newton's method with the curvature as precision (Qi & Minka 2002, "Hessian-based Markov chain Monte Carlo").
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.data import Interactions
from engine.errors import SettingRefused
from engine.jit import in_threads, over_rows
from engine.kernels_probit import CHUNK, Graded, cut_moments, draw_latent, expect_latent, predict_rows
from engine.models.gibbs import Prior, Side, conditional
from engine.models.levels import Levels
from engine.models.samples import ROUNDS, Sample

MOST_LEVELS = 100
_HELD = (0.25, 0.75)  # shares of the ratings at which the held cuts are wanted


class _Said(NamedTuple):
    """Log-likelihood of cuts, where a Newton step leads from them, and the Cholesky factor of the curvature."""

    likelihood: float
    mean: NDArray[np.float64]
    factor: NDArray[np.float64]


class Latent:
    """Levels, cuts and latent values of the training rows.

    Attributes:
        values: float64 (n_levels,), the ratings that occur, ascending.
        cuts: float64 (n_levels - 1,), in standardized ratings.
        centres: float64 (n_levels,), the means of the latent values drawn last.
        root: one over the standard deviation of latent values around their scores.
    """

    def __init__(self, train: Interactions, mean: float, deviation: float) -> None:
        """Take the levels that occur.

        Raises:
            SettingRefused: one level, or so many that they are no levels.
        """
        values, levels, counts = np.unique(train.ratings, return_inverse=True, return_counts=True)
        if not 2 <= len(values) <= MOST_LEVELS:
            raise SettingRefused(
                f"likelihood=probit needs 2 to {MOST_LEVELS} different rating values; there are {len(values)} here",
                hint="train with --set likelihood=gaussian",
            )
        self.values = values.astype(np.float64)
        self._levels, self._counts = levels.astype(np.uint8), counts
        self._by_item = np.argsort(train.item_index, kind="stable")
        middles = (self.values[1:] + self.values[:-1]) / 2
        self.cuts, self.centres, self.root = (middles - mean) / deviation, (self.values - mean) / deviation, 1.0
        shares = np.cumsum(counts)[:-1] / len(train)
        first = int(np.argmin(np.abs(shares - _HELD[0])))
        second = int(np.argmin(np.where(np.arange(len(shares)) == first, np.inf, np.abs(shares - _HELD[1]))))
        self._free = np.setdiff1d(np.arange(len(shares)), [first, second])

    def take_noise(self, precision: float) -> float:
        """Take a drawn precision of the noise and return the one that holds: where there is but one cut, it is 1."""
        if len(self.cuts) > 1:
            self.root = precision**0.5
        return self.root**2

    def draw(self, users: Side, items: Side, rng: np.random.Generator, *, settling: bool) -> None:
        """Draw the cuts given scores and noise, then the latent values, and put these in the place of the ratings."""
        scores = self._scores(users, items.vectors, users.vectors)
        if len(self._free):
            self.cuts = self._moved(scores, self.root, rng, settling=settling)
        graded = Graded(self._levels, scores, self.cuts, self.root)
        uniforms, latent = rng.random(len(scores), np.float32), np.empty(len(scores), np.float32)
        in_threads(draw_latent, -(-len(scores) // CHUNK), graded, uniforms, latent)
        self.centres = np.bincount(self._levels, latent, len(self.values)) / self._counts
        users.set_ratings(latent)
        items.set_ratings(latent[self._by_item])

    def levels(self) -> Levels:
        """Return the levels as they are now."""
        return Levels(self.values, self.cuts, self.centres, self.root)

    def users_of(self, sample: Sample, users: Side) -> NDArray[np.float32]:
        """Return x - μ (n_users, k) of all users folded into a sample: the same as `fold_in`, for all at once."""
        k, width = users.k, users.vectors.shape[1]
        wider = ((0, 0), (0, width - k))
        items = np.pad(sample.items, wider)
        centre = np.zeros_like(users.vectors)
        centre[:, :k] = sample.level
        for block in users.blocks:
            centre += block.of_seen(np.pad(sample.effects, wider))
        fixed = items, centre, Prior(sample.precision, np.ones(k)), sample.noise_precision
        latent = sample.centres[self._levels].astype(np.float32)
        for _ in range(ROUNDS):
            vectors, _drawn = conditional(users.rows._replace(ratings=latent), *fixed)
            graded = Graded(self._levels, self._scores(users, items, vectors), sample.cuts, sample.root)
            latent = np.empty_like(latent)
            in_threads(expect_latent, -(-len(latent) // CHUNK), graded, latent)
        vectors, _drawn = conditional(users.rows._replace(ratings=latent), *fixed)
        return np.where(users.active[:, None], vectors[:, :k] - sample.level.astype(np.float32), np.float32(0.0))

    def _scores(self, users: Side, items: NDArray[np.float32], vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the scores of the ratings (n,) by items (n_items, width) and users' vectors (n_users, width)."""
        scores = np.empty(len(self._levels), np.float32)
        design = items.copy()
        design[:, 0] = 1.0
        over_rows(predict_rows, users.rows.starts, users.rows, items[:, 0].copy(), design, vectors, scores)
        return scores

    def _moved(
        self, scores: NDArray[np.float32], root: float, rng: np.random.Generator, *, settling: bool
    ) -> NDArray[np.float64]:
        """Return the next cuts: a Metropolis step, latent values integrated out."""
        normals, threshold = rng.standard_normal(len(self._free)), np.log(rng.random())
        here = self._said(self.cuts, scores, root)
        proposed = self.cuts.copy()
        proposed[self._free] = here.mean + np.linalg.solve(here.factor.T, normals)
        if (np.diff(proposed) <= 0).any():
            return self.cuts
        if settling:
            return proposed
        there = self._said(proposed, scores, root)
        # π(c') q(c | c') / (π(c) q(c' | c)), q normal around a Newton step
        ratio = there.likelihood - here.likelihood + _log_density(there, self.cuts[self._free])
        return proposed if threshold < ratio - _log_density(here, proposed[self._free]) else self.cuts

    def _said(self, cuts: NDArray[np.float64], scores: NDArray[np.float32], root: float) -> _Said:
        """Look at all ratings once."""
        n_chunks = -(-len(scores) // CHUNK)
        sums = np.empty((n_chunks, 3, len(cuts)))
        in_threads(cut_moments, n_chunks, Graded(self._levels, scores, cuts, root), sums)
        gradient, diagonal, beside = sums.sum(axis=0)
        curvature = np.diag(diagonal) + np.diag(beside[:-1], 1) + np.diag(beside[:-1], -1)
        curvature = curvature[np.ix_(self._free, self._free)]
        curvature.flat[:: len(curvature) + 1] += 1e-6 * (1 + curvature.diagonal())
        step = np.linalg.solve(curvature, gradient[self._free])
        return _Said(float(beside[-1]), cuts[self._free] + step, np.linalg.cholesky(curvature))


def _log_density(around: _Said, x: NDArray[np.float64]) -> float:
    """Return the log-density of x under N(mean, (F Fᵀ)⁻¹), but for a constant."""
    left = around.factor.T @ (x - around.mean)
    return float(np.log(around.factor.diagonal()).sum() - left @ left / 2)
