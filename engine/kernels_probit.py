"""Compiled loops of the ordered probit: latent values behind graded ratings, and the likelihood of the cuts between.

A rating is of level l where its latent value, N(score, 1 / precision), lies between cut l - 1 and cut l; below the
first cut and above the last there is no bound. Uniform draws come in as an array, and sums are taken in chunks of fixed
size, so that nothing depends on the number of threads.

Source: Albert & Chib 1993, "Bayesian Analysis of Binary and Polychotomous Response Data" (latent values); Wichura 1988,
algorithm AS 241 (the quantiles of the normal distribution).
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.jit import compiled
from engine.kernels import Rows

CHUNK = 4_096  # ratings whose sums are taken together
_FARTHEST = 37.0  # standard deviations from which on the tail is not a float64 any more
_LEAST = 1e-300


class Graded(NamedTuple):
    """Ratings as levels, with what is expected of their latent values.

    Attributes:
        levels: uint8 (n,).
        scores: float32 (n,).
        cuts: float64 (n_levels - 1,), ascending.
        root: the root of the precision of latent values around their scores.
    """

    levels: NDArray[np.uint8]
    scores: NDArray[np.float32]
    cuts: NDArray[np.float64]
    root: float


@compiled
def _below(x: float) -> float:
    """Return the probability of a standard normal number below x."""
    return 0.5 * math.erfc(-x * 0.7071067811865476)


@compiled
def _density(x: float) -> float:
    """Return the density of the standard normal distribution."""
    return 0.3989422804014327 * math.exp(-0.5 * x * x)


@compiled
def _quantile(p: float) -> float:
    """Return the x with P(N(0, 1) < x) = p, for 0 < p < 1, to 16 digits."""
    q = p - 0.5
    if abs(q) <= 0.425:
        r = 0.180625 - q * q
        top = 2509.0809287301226727 * r + 33430.575583588128105
        top = ((top * r + 67265.770927008700853) * r + 45921.953931549871457) * r + 13731.693765509461125
        top = ((top * r + 1971.5909503065514427) * r + 133.14166789178437745) * r + 3.387132872796366608
        low = 5226.495278852545925 * r + 28729.085735721942674
        low = ((low * r + 39307.89580009271061) * r + 21213.794301586595867) * r + 5394.1960214247511077
        low = ((low * r + 687.1870074920579083) * r + 42.313330701600911252) * r + 1.0
        return q * top / low
    r = math.sqrt(-math.log(p if q < 0 else 1.0 - p))
    if r <= 5.0:
        r -= 1.6
        top = 7.7454501427834140764e-4 * r + 0.0227238449892691845833
        top = ((top * r + 0.24178072517745061177) * r + 1.27045825245236838258) * r + 3.64784832476320460504
        top = ((top * r + 5.7694972214606914055) * r + 4.6303378461565452959) * r + 1.42343711074968357734
        low = 1.05075007164441684324e-9 * r + 5.475938084995344946e-4
        low = ((low * r + 0.0151986665636164571966) * r + 0.14810397642748007459) * r + 0.68976733498510000455
        low = ((low * r + 1.6763848301838038494) * r + 2.05319162663775882187) * r + 1.0
    else:
        r -= 5.0
        top = 2.01033439929228813265e-7 * r + 2.71155556874348757815e-5
        top = ((top * r + 0.0012426609473880784386) * r + 0.026532189526576123093) * r + 0.29656057182850489123
        top = ((top * r + 1.7848265399172913358) * r + 5.4637849111641143699) * r + 6.6579046435011037772
        low = 2.04426310338993978564e-15 * r + 1.4215117583164458887e-7
        low = ((low * r + 1.8463183175100546818e-5) * r + 7.868691311456132591e-4) * r + 0.0148753612908506148525
        low = ((low * r + 0.13692988092273580531) * r + 0.59983220655588793769) * r + 1.0
    return top / low if q > 0 else -top / low


@compiled
def _bounds(graded: Graded, rating: int) -> tuple[float, float]:
    """Return where the level of a rating begins and ends, in standard deviations from its score."""
    level, score = graded.levels[rating], np.float64(graded.scores[rating])
    low = (graded.cuts[level - 1] - score) * graded.root if level > 0 else -np.inf
    high = (graded.cuts[level] - score) * graded.root if level < len(graded.cuts) else np.inf
    return low, high


@compiled
def predict_rows(
    span: tuple[int, int],
    rows: Rows,
    offsets: NDArray[np.float32],
    design: NDArray[np.float32],
    vectors: NDArray[np.float32],
    scores: NDArray[np.float32],
) -> None:
    """Fill scores (n,) of the ratings of a span of rows with offset_j + z_j · x."""
    for row in range(span[0], span[1]):
        x = vectors[row]
        for rating in range(rows.starts[row], rows.starts[row + 1]):
            z, product = design[rows.others[rating]], np.float32(0.0)
            for a in range(len(x)):
                product += z[a] * x[a]
            scores[rating] = offsets[rows.others[rating]] + product


@compiled
def draw_latent(
    span: tuple[int, int], graded: Graded, uniforms: NDArray[np.float32], latent: NDArray[np.float32]
) -> None:
    """Fill latent (n,) of a span of chunks: normal around the score, between the cuts of the rating's level."""
    for rating in range(CHUNK * span[0], min(CHUNK * span[1], len(latent))):
        low, high = _bounds(graded, rating)
        sign = 1.0
        if low > 0:  # the lower tail keeps all its digits
            low, high, sign = -high, -low, -1.0
        start, stop = _below(low), _below(high)
        share = start + (np.float64(uniforms[rating]) + 2.0**-25) * (stop - start)
        x = _quantile(share) if share > _LEAST else high
        latent[rating] = graded.scores[rating] + sign * min(max(x, low), high) / graded.root


@compiled
def expect_latent(span: tuple[int, int], graded: Graded, latent: NDArray[np.float32]) -> None:
    """Fill latent (n,) of a span of chunks with its expectation given the rating's level."""
    for rating in range(CHUNK * span[0], min(CHUNK * span[1], len(latent))):
        low, high = _bounds(graded, rating)
        sign = 1.0
        if low > 0:
            low, high, sign = -high, -low, -1.0
        inside = _below(high) - _below(low)
        x = (_density(low) - _density(high)) / inside if inside > _LEAST else high
        latent[rating] = graded.scores[rating] + sign * min(max(x, low), high) / graded.root


@compiled
def cut_moments(span: tuple[int, int], graded: Graded, sums: NDArray[np.float64]) -> None:
    """Fill sums (n_chunks, 3, n_cuts) of a span of chunks: what its ratings say of the cuts.

    sums[:, 0] is the gradient of the log-likelihood and, of its negated Hessian, [:, 1] the diagonal and [:, 2] what is
    next to it; the log-likelihood itself stands at [:, 2, -1], where the Hessian has nothing.
    """
    last = len(graded.cuts) - 1
    for chunk in range(span[0], span[1]):
        found = sums[chunk]
        found[:] = 0.0
        for rating in range(CHUNK * chunk, min(CHUNK * (chunk + 1), len(graded.levels))):
            low, high = _bounds(graded, rating)
            level = graded.levels[rating]
            inside = _below(-low) - _below(-high) if low > 0 else _below(high) - _below(low)
            inside = max(inside, _LEAST)
            found[2, last] += math.log(inside)
            rise = min(_density(high) / inside, _FARTHEST) * graded.root if level <= last else 0.0
            fall = min(_density(low) / inside, _FARTHEST) * graded.root if level > 0 else 0.0
            if level <= last:
                found[0, level] += rise
                found[1, level] += rise * (high * graded.root + rise)
            if level > 0:
                found[0, level - 1] -= fall
                found[1, level - 1] += fall * (fall - low * graded.root)
            if 0 < level <= last:
                found[2, level - 1] -= rise * fall
