"""The compiled loops of the ordered probit against the same written with SciPy."""

import numpy as np
import pytest
from scipy.stats import norm, truncnorm

from engine.kernels import Rows
from engine.kernels_probit import CHUNK, Graded, _quantile, cut_moments, draw_latent, expect_latent, predict_rows
from engine.models.levels import Levels

CUTS = np.array([-1.0, -0.3, 0.4, 1.2])
ROOT = 1.3


def graded(n=CHUNK + 500, seed=0, cuts=CUTS):
    """Levels at random, scores that have nothing to do with them."""
    rng = np.random.default_rng(seed)
    levels, scores = rng.integers(0, 5, n).astype(np.uint8), rng.normal(0, 1, n).astype(np.float32)
    return Graded(levels, scores, cuts, ROOT)


def bounds(ratings):
    edges = np.concatenate([[-np.inf], ratings.cuts, [np.inf]])
    return [(edges[ratings.levels + up] - ratings.scores) * ratings.root for up in (0, 1)]


def likelihood(cuts):
    low, high = bounds(graded(cuts=cuts))
    return np.log(norm.cdf(high) - norm.cdf(low)).sum()


def moments():
    sums = np.full((2, 3, 4), np.nan)
    cut_moments((0, 2), graded(), sums)
    return sums.sum(axis=0)


def test_quantiles_of_the_normal_distribution_to_fifteen_digits():
    shares = np.concatenate(
        [10.0 ** -np.arange(1, 300, 7), np.linspace(0.001, 0.999, 99), 1 - 10.0 ** -np.arange(1, 15)]
    )
    np.testing.assert_allclose([_quantile(p) for p in shares], norm.ppf(shares), rtol=1e-14, atol=1e-15)


def test_likelihood_and_gradient_of_the_cuts():
    found = moments()
    assert found[2, -1] == pytest.approx(likelihood(CUTS), rel=1e-10)
    step = 1e-5 * np.eye(4)
    wanted = [(likelihood(CUTS + d) - likelihood(CUTS - d)) / 2e-5 for d in step]
    np.testing.assert_allclose(found[0], wanted, rtol=1e-5)


def test_curvature_of_the_cuts():
    found, step = moments(), 1e-3 * np.eye(4)

    def curvature(a, b):
        signs = [(1, 1), (1, -1), (-1, 1), (-1, -1)]
        return -sum(s * t * likelihood(CUTS + s * a + t * b) for s, t in signs) / 4e-6

    np.testing.assert_allclose(found[1], [curvature(d, d) for d in step], rtol=1e-4)
    np.testing.assert_allclose(found[2, :-1], [curvature(*step[k : k + 2]) for k in range(3)], rtol=1e-4)


def test_latent_values_are_drawn_between_the_cuts_of_their_level():
    ratings = graded()
    shares = np.random.default_rng(1).random(len(ratings.levels), np.float32)
    latent = np.empty(len(shares), np.float32)
    draw_latent((0, 2), ratings, shares, latent)
    low, high = bounds(ratings)
    shares = shares.astype(float) + 2.0**-25
    wanted = ratings.scores + truncnorm.ppf(np.where(low > 0, 1 - shares, shares), low, high) / ROOT
    np.testing.assert_allclose(latent, wanted, atol=2e-6)


def test_expected_latent_values_are_the_same_with_and_without_a_compiler():
    ratings = graded()
    latent = np.empty(len(ratings.levels), np.float32)
    expect_latent((0, 2), ratings, latent)
    low, high = bounds(ratings)
    np.testing.assert_allclose(latent, ratings.scores + truncnorm.mean(low, high) / ROOT, atol=1e-5)
    levels = Levels(np.arange(5.0), CUTS, np.zeros(5), ROOT)
    again = levels.latent(ratings.levels.astype(np.int64), ratings.scores.astype(np.float64))
    np.testing.assert_allclose(again, latent, atol=1e-6)


@pytest.mark.parametrize("score", [-60.0, -45.0, 45.0, 60.0])
def test_scores_far_from_their_level_give_its_nearest_bound(score):
    scores = np.full(5, score, np.float32)
    ratings = Graded(np.arange(5, dtype=np.uint8), scores, CUTS, 1.0)
    drawn, expected = np.empty(5, np.float32), np.empty(5, np.float32)
    draw_latent((0, 1), ratings, np.full(5, 0.5, np.float32), drawn)
    expect_latent((0, 1), ratings, expected)
    plain = Levels(np.arange(5.0), CUTS, np.zeros(5), 1.0).latent(np.arange(5), scores.astype(np.float64))
    nearest = np.concatenate([[score], CUTS]) if score < 0 else np.concatenate([CUTS, [score]])
    for found in (drawn, expected, plain):
        np.testing.assert_allclose(found, nearest, rtol=1e-5, atol=0.05)
    sums = np.empty((1, 3, 4))
    cut_moments((0, 1), ratings, sums)
    assert np.isfinite(sums).all()


def test_scores_of_rows():
    rng = np.random.default_rng(2)
    rows = Rows(np.array([0, 2, 2, 5]), np.array([0, 3, 1, 2, 3], np.int32), np.zeros(5, np.float32))
    offsets, design, vectors = (rng.normal(0, 1, shape).astype(np.float32) for shape in (4, (4, 16), (3, 16)))
    scores = np.empty(5, np.float32)
    predict_rows((0, 3), rows, offsets, design, vectors, scores)
    owners = np.array([0, 0, 2, 2, 2])
    wanted = offsets[rows.others] + np.einsum("nk,nk->n", vectors[owners], design[rows.others])
    np.testing.assert_allclose(scores, wanted, rtol=1e-5)
