"""Compiled loops of Bayesian matrix factorization: a Gibbs step for every row, and one for every feature of the rows.

Both work in whitened coordinates, in which the prior of a row's vector is N(0, I): the caller multiplies by the factors
of the covariances once a sweep, and here no prior matrix is left. Normal draws come in as arrays, so that the result
depends neither on the number of threads nor on a generator that the compiler brings along.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.jit import compiled
from engine.kernels import Rows
from engine.kernels_gram import LANES, add_gram

_CHUNK = 128  # ratings whose vectors are gathered at a time


class Given(NamedTuple):
    """What the vectors of one side are drawn from, whitened; d is a multiple of LANES.

    Attributes:
        offsets: float32 (m,), taken off the ratings first, in the ratings' units.
        design: float32 (m, d), z, times the root of the noise precision.
        scale: the root of the noise precision.
        prior: float32 (n_rows, d), m.
        normals: float32 (n_rows, d + k): standard normal; a row of at most k ratings is drawn in the space of ratings.
    """

    offsets: NDArray[np.float32]
    design: NDArray[np.float32]
    scale: float
    prior: NDArray[np.float32]
    normals: NDArray[np.float32]


class Features(NamedTuple):
    """Features of rows, by feature: those of feature f stand at starts[f]:starts[f + 1].

    Attributes:
        starts: int64 (n_features + 1,).
        members: int32 (n,), the rows that have the feature.
        weights: float32 (n,).
    """

    starts: NDArray[np.int64]
    members: NDArray[np.int32]
    weights: NDArray[np.float32]


@compiled
def _factorize(system: NDArray[np.float64], n: int) -> None:
    """Turn the lower triangle of the leading (n, n) of a positive definite matrix into L, A = L L^T."""
    for i in range(n):
        row = system[i]
        for j in range(i):
            above = system[j]
            left = row[j]
            for k in range(j):
                left -= row[k] * above[k]
            row[j] = left / above[j]
        left = row[i]
        for k in range(i):
            left -= row[k] * row[k]
        row[i] = np.sqrt(left)


@compiled
def _forward(factor: NDArray[np.float64], right: NDArray[np.float64], n: int) -> None:
    """Replace right (n,) by L^-1 right."""
    for i in range(n):
        row = factor[i]
        left = right[i]
        for k in range(i):
            left -= row[k] * right[k]
        right[i] = left / row[i]


@compiled
def _backward(factor: NDArray[np.float64], right: NDArray[np.float64], n: int) -> None:
    """Replace right (n,) by L^-T right."""
    for i in range(n - 1, -1, -1):
        row = factor[i]
        right[i] /= row[i]
        weight = right[i]
        for k in range(i):
            right[k] -= weight * row[k]


@compiled
def _by_ratings(
    rows: Rows,
    given: Given,
    row: int,
    system: NDArray[np.float64],
    mean: NDArray[np.float32],
    sample: NDArray[np.float32],
) -> None:
    """Draw a row of few ratings: u ~ N(m, I), x = u + Z^T (I + Z Z^T)^-1 (t - Z u - N(0, I)); the mean takes u = m.

    Source: Bhattacharya, Chakraborty, Mallick 2016, "Fast sampling with Gaussian scale-mixture priors".
    """
    first, n, d = rows.starts[row], rows.starts[row + 1] - rows.starts[row], len(mean)
    known, drawn = np.empty(n), np.empty(n)
    for i in range(n):
        z = given.design[rows.others[first + i]]
        left = np.float32(given.scale) * (rows.ratings[first + i] - given.offsets[rows.others[first + i]])
        noise = given.normals[row, d + i]
        for a in range(d):
            left -= z[a] * given.prior[row, a]
            noise += z[a] * given.normals[row, a]
        known[i] = left
        drawn[i] = left - noise
        for j in range(i + 1):
            before = given.design[rows.others[first + j]]
            product = np.float32(0.0)
            for a in range(d):
                product += z[a] * before[a]
            system[i, j] = product
        system[i, i] += 1.0
    _factorize(system, n)
    for right in (known, drawn):
        _forward(system, right, n)
        _backward(system, right, n)
    for a in range(d):
        mean[a] = given.prior[row, a]
        sample[a] = given.prior[row, a] + given.normals[row, a]
    for i in range(n):
        z = given.design[rows.others[first + i]]
        of_mean, of_sample = np.float32(known[i]), np.float32(drawn[i])
        for a in range(d):
            mean[a] += of_mean * z[a]
            sample[a] += of_sample * z[a]


@compiled
def _by_factors(
    rows: Rows,
    given: Given,
    row: int,
    system: NDArray[np.float64],
    mean: NDArray[np.float32],
    sample: NDArray[np.float32],
) -> None:
    """Draw a row of many ratings: A = I + Z^T Z = L L^T, mean = m + A^-1 Z^T (t - Z m), sample = mean + L^-T ξ."""
    d = len(mean)
    gram, block = np.zeros((d, d), np.float32), np.empty((_CHUNK, d), np.float32)
    known, drawn, part = np.zeros(d), np.empty(d), np.empty(d, np.float32)
    for first in range(rows.starts[row], rows.starts[row + 1], _CHUNK):
        n = min(_CHUNK, rows.starts[row + 1] - first)
        part[:] = 0.0
        for i in range(n):
            z, copy = given.design[rows.others[first + i]], block[i]
            left = np.float32(given.scale) * (rows.ratings[first + i] - given.offsets[rows.others[first + i]])
            for a in range(d):
                copy[a] = z[a]
                left -= z[a] * given.prior[row, a]
            for a in range(d):
                part[a] += left * copy[a]
        add_gram(gram, block, n)
        for a in range(d):  # many small sums in float32 lose less than one long one
            known[a] += part[a]
    for a in range(d):
        for b in range(a + 1):
            system[a, b] = gram[a, b]
        system[a, a] += 1.0
    _factorize(system, d)
    _forward(system, known, d)
    for a in range(d):
        drawn[a] = known[a] + given.normals[row, a]
    _backward(system, known, d)
    _backward(system, drawn, d)
    for a in range(d):
        mean[a] = given.prior[row, a] + np.float32(known[a])
        sample[a] = given.prior[row, a] + np.float32(drawn[a])


@compiled
def sample_rows(
    span: tuple[int, int], rows: Rows, given: Given, means: NDArray[np.float32], samples: NDArray[np.float32]
) -> None:
    """Fill means and samples (n_rows, d) of a span: the posterior of each row given the other side, and a draw of it.

    prior x ~ N(m, I), observed scale · (r_j - offset_j) = z_j · x + N(0, 1).
    """
    d = given.design.shape[1]
    few = given.normals.shape[1] - d
    system = np.empty((max(d, few), max(d, few)))
    for row in range(span[0], span[1]):
        if rows.starts[row + 1] - rows.starts[row] <= few:
            _by_ratings(rows, given, row, system, means[row], samples[row])
        else:
            _by_factors(rows, given, row, system, means[row], samples[row])


@compiled
def sample_features(
    first: int,
    features: Features,
    precisions: NDArray[np.float32],
    normals: NDArray[np.float32],
    left: NDArray[np.float32],
    effects: NDArray[np.float32],
) -> None:
    """Draw the effects (n_features, d) in turn, in LANES columns from `first` on; keep `left` (n_rows, d) up to date.

    left_r = x_r - m - Σ_f w_rf y_f ~ N(0, I), prior y_f ~ N(0, 1 / D): with c = Σ_r w_rf²
    y_f ~ N((Σ_r w_rf left_r + c y_f) / (c + D), 1 / (c + D))
    """
    total, change = np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    for feature in range(len(features.starts) - 1):
        total[:] = 0.0
        squares = np.float32(0.0)
        for k in range(features.starts[feature], features.starts[feature + 1]):
            weight, row = features.weights[k], left[features.members[k]]
            squares += weight * weight
            for a in range(LANES):
                total[a] += weight * row[first + a]
        for a in range(LANES):
            old, precision = effects[feature, first + a], squares + precisions[first + a]
            mean = (total[a] + squares * old) / precision
            effects[feature, first + a] = mean + normals[feature, first + a] / np.sqrt(precision)
            change[a] = effects[feature, first + a] - old
        for k in range(features.starts[feature], features.starts[feature + 1]):
            weight, row = features.weights[k], left[features.members[k]]
            for a in range(LANES):
                row[first + a] -= weight * change[a]


@compiled
def residual_squares(
    span: tuple[int, int],
    rows: Rows,
    offsets: NDArray[np.float32],
    design: NDArray[np.float32],
    vectors: NDArray[np.float32],
    squares: NDArray[np.float64],
) -> None:
    """Fill squares (n_rows,) of a span with Σ_j (r_j - offset_j - z_j · x)²."""
    for row in range(span[0], span[1]):
        x, total = vectors[row], 0.0
        for rating in range(rows.starts[row], rows.starts[row + 1]):
            z, product = design[rows.others[rating]], np.float32(0.0)
            for a in range(len(x)):
                product += z[a] * x[a]
            error = np.float64(rows.ratings[rating] - offsets[rows.others[rating]] - product)
            total += error * error
        squares[row] = total
