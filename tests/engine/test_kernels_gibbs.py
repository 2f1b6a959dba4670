"""The compiled Gibbs steps against their definitions in NumPy."""

import numpy as np
import pytest

from engine.jit import over_rows
from engine.kernels import Rows
from engine.kernels_gibbs import Features, Given, residual_squares, sample_features, sample_rows
from engine.resources import thread_limit


def problem(n_rows=25, n_others=40, d=16, few=8, seed=0):
    """Rows of 0 to n_others ratings, so that both ways to draw occur, and rows without any."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, n_others + 1, n_rows)
    lengths[:5] = 0, 1, few, min(few + 1, n_others), n_others
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    others = np.concatenate([np.sort(rng.permutation(n_others)[:n]) for n in lengths]).astype(np.int32)
    rows = Rows(starts, others, rng.normal(0, 1, len(others)).astype(np.float32))
    offsets, design = rng.normal(0, 0.5, n_others), rng.normal(0, 0.5, (n_others, d))
    prior, normals = rng.normal(0, 1, (n_rows, d)), rng.normal(0, 1, (n_rows, d + few))
    arrays = [array.astype(np.float32) for array in (offsets, design, prior, normals)]
    return rows, Given(arrays[0], arrays[1], 1.7, arrays[2], arrays[3])


def posterior(rows, given, row):
    """Mean and covariance, from the formula."""
    span = slice(rows.starts[row], rows.starts[row + 1])
    z = given.design[rows.others[span]].astype(np.float64)
    t = given.scale * (rows.ratings[span].astype(np.float64) - given.offsets[rows.others[span]])
    covariance = np.linalg.inv(np.eye(z.shape[1]) + z.T @ z)
    mean = given.prior[row] + covariance @ z.T @ (t - z @ given.prior[row].astype(np.float64))
    return mean, covariance


def drawn(rows, given):
    means, samples = np.empty((2, *given.prior.shape), np.float32)
    over_rows(sample_rows, rows.starts, rows, given, means, samples)
    return means, samples


@pytest.mark.parametrize(("d", "few"), [(16, 8), (16, 0), (32, 40), (48, 16)])
def test_means_are_those_of_the_posterior(d, few):
    rows, given = problem(d=d, few=few)
    means, _ = drawn(rows, given)
    for row in range(25):
        np.testing.assert_allclose(means[row], posterior(rows, given, row)[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("few", [0, 40])
def test_both_ways_draw_from_the_posterior(few):
    """The same row many times over: moments of the draws against mean and covariance."""
    rng = np.random.default_rng(3)
    n, d, n_rows = 6, 16, 20_000
    rows = Rows(
        np.arange(n_rows + 1) * n, np.tile(np.arange(n, dtype=np.int32), n_rows), np.ones(n * n_rows, np.float32)
    )
    design = rng.normal(0, 1, (n, d)).astype(np.float32)
    normals = rng.standard_normal((n_rows, d + few), np.float32)
    given = Given(np.zeros(n, np.float32), design, 1.0, np.zeros((n_rows, d), np.float32), normals)
    _, samples = drawn(rows, given)
    mean, covariance = posterior(rows, given, 0)
    np.testing.assert_allclose(samples.mean(axis=0), mean, atol=0.04)
    np.testing.assert_allclose(np.cov(samples.T), covariance, atol=0.04)


def test_rows_without_normals_to_spare_follow_the_cholesky_factor():
    rows, given = problem(few=0)
    means, samples = drawn(rows, given)
    for row in range(25):
        factor = np.linalg.cholesky(np.linalg.inv(posterior(rows, given, row)[1]))
        wanted = np.linalg.solve(factor.T, given.normals[row].astype(np.float64))
        np.testing.assert_allclose(samples[row] - means[row], wanted, rtol=1e-4, atol=1e-5)


def test_features_are_drawn_one_after_the_other():
    rng = np.random.default_rng(5)
    n_rows, n_features, d = 30, 12, 32
    weights = np.where(rng.random((n_rows, n_features)) < 0.4, rng.random((n_rows, n_features)), 0).astype(np.float32)
    weights[:, 3] = 0  # a feature that no row has
    members = [np.flatnonzero(column) for column in weights.T]
    starts = np.concatenate([[0], np.cumsum([len(rows) for rows in members])]).astype(np.int64)
    features = Features(starts, np.concatenate(members).astype(np.int32), weights.T[weights.T != 0])
    precisions, normals = (rng.random(d) + 0.5).astype(np.float32), rng.standard_normal((n_features, d), np.float32)
    effects, left = rng.standard_normal((n_features, d), np.float32), rng.standard_normal((n_rows, d), np.float32)
    wanted, remaining = effects.astype(np.float64), left.astype(np.float64)
    for f in range(n_features):
        whole = remaining + np.outer(weights[:, f], wanted[f])
        precision = weights[:, f] @ weights[:, f] + precisions
        wanted[f] = weights[:, f] @ whole / precision + normals[f] / np.sqrt(precision)
        remaining = whole - np.outer(weights[:, f], wanted[f])
    for first in range(0, d, 16):
        sample_features(first, features, precisions, normals, left, effects)
    np.testing.assert_allclose(effects, wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(left, remaining, rtol=1e-4, atol=1e-5)


def test_squares_are_those_of_the_residuals():
    rows, given = problem(d=19)
    squares = np.empty(25)
    over_rows(residual_squares, rows.starts, rows, given.offsets, given.design, given.prior, squares)
    for row in range(25):
        span = slice(rows.starts[row], rows.starts[row + 1])
        left = (
            rows.ratings[span] - given.offsets[rows.others[span]] - given.design[rows.others[span]] @ given.prior[row]
        )
        assert squares[row] == pytest.approx(float(left @ left), rel=1e-5)


def test_threads_change_nothing():
    rows, given = problem(n_rows=2000)
    found = []
    for threads in (1, 2, 4):
        with thread_limit(threads):
            found.append(drawn(rows, given))
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)
