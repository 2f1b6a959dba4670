"""One side of Bayesian matrix factorization, users or items: its vectors, the effects of its features, their priors.

    x_r ~ N(μ + Σ_f w_rf y_f, Λ⁻¹),    y_f ~ N(0, Λ_block⁻¹)

A vector is (bias, factors). The precisions have the hierarchical Wishart priors of Huang and Wand 2013, which are flat
over the scale of every coordinate, so that nothing is left to be tuned. Effects are drawn given the vectors, not given
the ratings: one pass over the features and not over the ratings' squares (Simm et al. 2015, "Macau").
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.jit import over_rows
from engine.kernels import Rows
from engine.kernels_gibbs import Features, Given, residual_squares, sample_features, sample_rows
from engine.kernels_gram import LANES
from engine.resources import threads

if TYPE_CHECKING:
    from scipy.sparse import csc_array

_SHAPE = 2.0  # degrees of freedom of the prior on correlations: uniform
_WIDTH = 1.0  # scale of the half-t prior on standard deviations, in standard deviations of the ratings
_MEAN_WEIGHT = 0.01  # how many rows the prior of μ, which is zero, counts for
_START_DEVIATION = 0.1
_MANY_RARE = 0.1  # share of rows with few ratings from which on these are drawn several times
_REPEATS = 2


@dataclass
class Prior:
    """A precision matrix (k, k) and the scales (k,) of its own prior."""

    precision: NDArray[np.float64]
    scales: NDArray[np.float64]

    @classmethod
    def start(cls, k: int) -> "Prior":
        """Begin with small, independent coordinates."""
        return cls(np.eye(k) / _START_DEVIATION**2, np.ones(k))

    def draw(self, scatter: NDArray[np.float64], n: int, rng: np.random.Generator) -> None:
        """Draw both given Σ x xᵀ (k, k) of n centred vectors.

        Λ | a ~ Wishart(n + ν + k - 1, (Σ x xᵀ + 2ν diag(1/a))⁻¹),  1/a_c ~ Gamma((ν + k)/2, ν Λ_cc + 1/A²)
        """
        k = len(scatter)
        factor = np.linalg.cholesky(np.linalg.inv(scatter + np.diag(2 * _SHAPE / self.scales)))
        bartlett = np.tril(rng.standard_normal((k, k)), -1)
        bartlett.flat[:: k + 1] = np.sqrt(rng.chisquare(n + _SHAPE + k - 1 - np.arange(k)))
        root = factor @ bartlett
        self.precision = root @ root.T
        rates = _SHAPE * np.diagonal(self.precision) + 1 / _WIDTH**2
        self.scales = rates / rng.gamma((_SHAPE + k) / 2, 1.0, k)

    def whitening(self, width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return L and L⁻¹ with Λ = L Lᵀ, padded with zeros to (width, width): rows x L have unit variance."""
        factor = np.linalg.cholesky(self.precision)
        return _padded(factor, width), _padded(np.linalg.inv(factor), width)


class Block:
    """Features of one kind, their effects and the prior of these.

    Attributes:
        effects: float32 (n_features, width), y.
        prior: of the effects.
    """

    def __init__(self, weights: "csc_array", active: NDArray[np.bool_], k: int, width: int) -> None:
        """Take the features of all rows (n_rows, n_features); rows without ratings get their share but give none."""
        weights.sort_indices()
        seen = weights
        if not active[weights.indices].all():
            seen = weights.multiply(active[:, None]).tocsc()
            seen.eliminate_zeros()
            seen.sort_indices()
        self._features = Features(
            seen.indptr.astype(np.int64), seen.indices.astype(np.int32, copy=False), seen.data.astype(np.float32)
        )
        self._n_rows = len(active)
        self._unseen = weights[np.flatnonzero(~active)].tocsr().astype(np.float32)
        self._used = np.diff(self._features.starts) > 0
        self.effects = np.zeros((weights.shape[1], width), np.float32)
        self.prior = Prior.start(k)

    def draw(self, left: NDArray[np.float32], of_rows: Prior, rng: np.random.Generator) -> NDArray[np.float32]:
        """Draw effects and prior given what is left of the rows' vectors (n_rows, width); return what is left then."""
        k, width = len(self.prior.scales), left.shape[1]
        white, back = of_rows.whitening(width)
        # in coordinates where Λ is I and Λ_block diagonal, the columns are independent of each other
        inverse = back[:k, :k]
        sizes, axes = np.linalg.eigh(inverse @ self.prior.precision @ inverse.T)
        there = (white @ _padded(axes, width)).astype(np.float32)
        again = (_padded(axes.T, width) @ back).astype(np.float32)
        precisions = np.ones(width, np.float32)
        precisions[:k] = sizes
        left, effects = left @ there, self.effects @ there
        normals = rng.standard_normal(effects.shape, np.float32)
        fixed = (self._features, precisions, normals, left, effects)
        columns = range(0, width, LANES)
        with ThreadPoolExecutor(max(1, min(len(columns), threads()))) as pool:
            list(pool.map(lambda first: sample_features(first, *fixed), columns))
        self.effects = effects @ again
        used = self.effects[self._used, :k].astype(np.float64)
        self.prior.draw(used.T @ used, len(used), rng)
        return left @ again

    def of_seen(self, effects: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what other effects (n_features, width) would add to the vectors of the rows with ratings."""
        from scipy.sparse import csc_array

        starts, members, weights = self._features
        table = csc_array((weights, members, starts), shape=(self._n_rows, len(effects)))
        added: NDArray[np.float32] = table @ effects
        return added

    def of_unseen(self) -> NDArray[np.float32]:
        """Return what the features add to the vectors of the rows without ratings."""
        added: NDArray[np.float32] = self._unseen @ self.effects
        return added


@dataclass
class Side:
    """All that is drawn for users, or for items.

    Attributes:
        rows: the ratings, centred and in units of their standard deviation.
        k: length of a vector, bias included.
        blocks: kinds of features.
        vectors: float32 (n, width), zero from column k on.
        means: float32 (n, width), the vectors' expectation given the other side.
        centre: float32 (n, width), μ + Σ_f w_rf y_f.
        level: float64 (k,), μ.
        prior: of the vectors around their centre.
    """

    rows: Rows
    k: int
    blocks: Sequence[Block]
    vectors: NDArray[np.float32]
    active: NDArray[np.bool_]
    level: NDArray[np.float64] = field(init=False)
    prior: Prior = field(init=False)
    centre: NDArray[np.float32] = field(init=False)
    means: NDArray[np.float32] = field(init=False)

    def __post_init__(self) -> None:
        self.level, self.prior = np.zeros(self.k), Prior.start(self.k)
        self.centre, self.means = np.zeros_like(self.vectors), np.zeros_like(self.vectors)
        counts = np.diff(self.rows.starts)
        self._rare = np.flatnonzero((counts > 0) & (counts <= _few(self.vectors.shape[1])))
        self._rare_rows = _rows_of(self.rows, self._rare)

    def set_ratings(self, ratings: NDArray[np.float32]) -> None:
        """Put other values (n,) in the place of the ratings, in the order of the rows."""
        self.rows = self.rows._replace(ratings=ratings)
        self._rare_rows = _rows_of(self.rows, self._rare)

    def draw_priors(self, rng: np.random.Generator) -> None:
        """Draw the effects of the features, then level and precision, all given the vectors."""
        width, k = self.vectors.shape[1], self.k
        before = _row(self.level, width)
        left = np.where(self.active[:, None], self.vectors - self.centre, np.float32(0.0))
        for block in self.blocks:
            left = block.draw(left, self.prior, rng)
        x = (left + before)[self.active, :k].astype(np.float64)
        n, total = len(x), x.sum(axis=0)
        # with the prior μ ~ N(0, (β Λ)⁻¹):  Σ (x - x̄)(x - x̄)ᵀ + β n / (β + n) x̄ x̄ᵀ = Σ x xᵀ - (Σ x)(Σ x)ᵀ / (β + n)
        self.prior.draw(x.T @ x - np.outer(total, total) / (_MEAN_WEIGHT + n), n, rng)
        root = np.linalg.cholesky(self.prior.precision * (_MEAN_WEIGHT + n))
        self.level = total / (_MEAN_WEIGHT + n) + np.linalg.solve(root.T, rng.standard_normal(k))
        after = _row(self.level, width)
        self.centre = self.vectors - left + (after - before)
        self.centre[~self.active] = after + sum(block.of_unseen() for block in self.blocks)

    def draw(self, other: "Side", noise_precision: float, rng: np.random.Generator) -> None:
        """Draw priors and vectors given the other side's vectors, those of the rows with few ratings several times.

        These rows follow their prior and the prior follows them; drawn once each they would creep towards their
        posterior together.
        """
        self.draw_priors(rng)
        if len(self._rare) > _MANY_RARE * self.active.sum():
            for _ in range(_REPEATS):
                self._draw_vectors(self._rare, self._rare_rows, other, noise_precision, rng)
                self.draw_priors(rng)
        self._draw_vectors(np.arange(len(self.vectors)), self.rows, other, noise_precision, rng)

    def _draw_vectors(
        self,
        which: NDArray[np.intp],
        rows: Rows,
        other: "Side",
        noise_precision: float,
        rng: np.random.Generator,
    ) -> None:
        """Draw the vectors of some rows, whose ratings are given."""
        width = self.vectors.shape[1]
        normals = rng.standard_normal((len(which), width + _few(width)), np.float32)
        self.means[which], self.vectors[which] = conditional(
            rows, other.vectors, self.centre[which], self.prior, noise_precision, normals
        )

    def design(self) -> NDArray[np.float32]:
        """Return (1, factors) (n, width): what multiplies the other side's vectors."""
        return _design(self.vectors)

    def squares(self, other: "Side") -> float:
        """Return the sum of the squared residuals of all ratings."""
        squares = np.empty(len(self.vectors))
        fixed = (other.vectors[:, 0].copy(), other.design())
        over_rows(residual_squares, self.rows.starts, self.rows, *fixed, self.vectors, squares)
        return float(squares.sum())

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what a resumed run needs, by name."""
        named: dict[str, NDArray[Any]] = {"vectors": self.vectors.copy(), "centre": self.centre, "level": self.level}
        priors = {"own": self.prior} | {f"block{number}": block.prior for number, block in enumerate(self.blocks)}
        for name, prior in priors.items():
            named |= {f"{name}.precision": prior.precision, f"{name}.scales": prior.scales}
        return named | {f"block{number}.effects": block.effects for number, block in enumerate(self.blocks)}

    def set_arrays(self, named: dict[str, NDArray[Any]]) -> None:
        """Take back what `arrays` gave."""
        self.vectors, self.centre, self.level = named["vectors"].copy(), named["centre"], named["level"]
        self.prior = Prior(named["own.precision"], named["own.scales"])
        for number, block in enumerate(self.blocks):
            block.prior = Prior(named[f"block{number}.precision"], named[f"block{number}.scales"])
            block.effects = named[f"block{number}.effects"]


def conditional(
    rows: Rows,
    others: NDArray[np.float32],
    centre: NDArray[np.float32],
    prior: Prior,
    noise_precision: float,
    normals: NDArray[np.float32] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return expectation and draw (n, width) of vectors around a centre (n, width), given the other side's (m, width).

    Without normals the draw is the expectation.
    """
    width = others.shape[1]
    white, back = (matrix.astype(np.float32) for matrix in prior.whitening(width))
    scale = float(np.sqrt(noise_precision))
    if normals is None:
        normals = np.zeros((len(centre), width + _few(width)), np.float32)
    design = np.float32(scale) * (_design(others) @ back.T)
    given = Given(others[:, 0].copy(), design, scale, centre @ white, normals)
    means, samples = np.empty((2, len(centre), width), np.float32)
    over_rows(sample_rows, rows.starts, rows, given, means, samples)
    return means @ back, samples @ back


def _design(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (1, factors) (n, width) of vectors (bias, factors)."""
    design = vectors.copy()
    design[:, 0] = 1.0
    return design


def padded_width(k: int) -> int:
    """Return k rounded up to whole vector registers."""
    return -(-k // LANES) * LANES


def _few(width: int) -> int:
    """Return up to how many ratings a row is drawn in the space of its ratings, which is smaller then."""
    return width // 2


def _rows_of(rows: Rows, which: NDArray[np.intp]) -> Rows:
    """Return some of the rows with their ratings."""
    counts = np.diff(rows.starts)
    kept = np.repeat(np.isin(np.arange(len(counts)), which), counts)
    starts = np.concatenate([[0], np.cumsum(counts[which])]).astype(np.int64)
    return Rows(starts, rows.others[kept], rows.ratings[kept])


def _padded(matrix: NDArray[np.floating[Any]], width: int) -> NDArray[np.float64]:
    """Return a square matrix in the corner of a larger one of zeros."""
    padded = np.zeros((width, width))
    padded[: len(matrix), : len(matrix)] = matrix
    return padded


def _row(vector: NDArray[np.float64], width: int) -> NDArray[np.float32]:
    """Return a vector with zeros behind it, float32 (width,)."""
    return np.pad(vector, (0, width - len(vector))).astype(np.float32)
