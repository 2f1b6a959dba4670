"""The compiled loops against their definitions in NumPy."""

import numpy as np
import pytest

from engine.jit import over_rows
from engine.kernels import Rows, Side, solve_rows
from engine.kernels_sgd import descend
from engine.kernels_sums import remainders, squared_errors, sum_members
from engine.models.factor_steps import errors_of, remaining, sums_over, sweep_side, weighted_sums_over
from tests.data import in_threads_of


def problem(n_rows=23, n_others=40, d=19, seed=0):
    """Rows of 0 to n_others ratings, so that both ways to solve occur, and rows without any."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, n_others + 1, n_rows)
    lengths[:3] = 0, 1, n_others
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    others = np.concatenate([np.sort(rng.permutation(n_others)[:n]) for n in lengths]).astype(np.int32)
    rows = Rows(starts, others, rng.normal(3, 1, len(others)).astype(np.float32))
    offsets, design = rng.normal(3, 1, n_others), rng.normal(0, 1, (n_others, d))
    uncertainty = rng.random((n_others, d)) / 10
    return rows, Side(*(array.astype(np.float32) for array in (offsets, design, uncertainty))), rng.random(d) + 0.5


def by_definition(rows, side, ridge, noise, row):
    span = slice(rows.starts[row], rows.starts[row + 1])
    others = rows.others[span]
    known = side.design[others].astype(np.float64)
    left = rows.ratings[span].astype(np.float64) - side.offsets[others]
    inverse = np.linalg.inv(known.T @ known + np.diag(ridge + side.uncertainty[others].sum(axis=0, dtype=np.float64)))
    return inverse @ known.T @ left, noise * np.diag(inverse)


@pytest.mark.parametrize("d", [1, 2, 16, 17, 51])
def test_rows_are_ridge_regressions(d):
    rows, side, ridge = problem(d=d)
    vectors, variances = np.empty((2, 23, d), np.float32)
    over_rows(solve_rows, rows.starts, rows, side, ridge, 0.7, vectors, variances)
    for row in range(23):
        vector, variance = by_definition(rows, side, ridge, 0.7, row)
        np.testing.assert_allclose(vectors[row], vector, rtol=2e-5, atol=2e-6)
        np.testing.assert_allclose(variances[row], variance, rtol=2e-5)


def test_vectors_alone_are_the_same():
    rows, side, ridge = problem()
    vectors, variances, alone = np.empty((3, 23, 19), np.float32)
    over_rows(solve_rows, rows.starts, rows, side, ridge, 0.7, vectors, variances)
    over_rows(solve_rows, rows.starts, rows, side, ridge, 0.7, alone, np.empty((0, 19), np.float32))
    np.testing.assert_allclose(alone, vectors, rtol=1e-5, atol=1e-6)


def swept_by_definition(rows, side, ridge, noise, prior, row, vector):
    """One number after the other in float64, each sum as its formula says."""
    span = slice(rows.starts[row], rows.starts[row + 1])
    others = rows.others[span]
    z, s = side.design[others].astype(np.float64), side.uncertainty[others].astype(np.float64)
    above, v, t = rows.ratings[span].astype(np.float64) - side.offsets[others], vector.astype(np.float64), []
    for a in range(len(v)):
        rest = above - z @ v + z[:, a] * v[a]
        curvature = (z[:, a] ** 2 + s[:, a]).sum() + ridge[a]
        v[a] = (z[:, a] @ rest + ridge[a] * prior[row, a]) / curvature
        t.append(noise / curvature if a else 0.0)
    return v, np.array(t), ((above - z @ v) ** 2).sum(), (t * z**2 + s * v**2 + s * t).sum()


@pytest.mark.parametrize("d", [1, 2, 16, 17, 51])
@pytest.mark.parametrize("expected", [True, False])
def test_sweeps_move_one_number_after_the_other(d, expected):
    rows, side, ridge = problem(n_others=75, d=d)
    start, means = np.random.default_rng(1).normal(0, 1, (2, 23, d)).astype(np.float32)
    swept = sweep_side(rows, side, ridge, 0.7, start, means if expected else None)
    wanted = [
        swept_by_definition(rows, side, ridge, 0.7, means if expected else np.zeros((23, d)), row, start[row])
        for row in range(23)
    ]
    for row, (vector, variance, _, _) in enumerate(wanted):
        np.testing.assert_allclose(swept.vectors[row], vector, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(swept.variances[row], variance, rtol=1e-5)
    for found, sums in ((swept.squares, [one[2] for one in wanted]), (swept.doubt, [one[3] for one in wanted])):
        assert found == pytest.approx(sum(sums) / len(rows.ratings), rel=1e-5)


def test_sweeps_come_to_the_ridge_regression():
    rows, side, ridge = problem()
    vectors = np.zeros((23, 19), np.float32)
    for _ in range(300):
        vectors = sweep_side(rows, side, ridge, 0.7, vectors).vectors
    for row in range(23):
        np.testing.assert_allclose(vectors[row], by_definition(rows, side, ridge, 0.7, row)[0], rtol=1e-3, atol=1e-4)


def test_weighted_sums_are_a_sparse_product():
    rows, side, _ = problem()
    found = weighted_sums_over(rows, side.design)
    for row in range(23):
        span = slice(rows.starts[row], rows.starts[row + 1])
        wanted = rows.ratings[span].astype(np.float64) @ side.design[rows.others[span]]
        np.testing.assert_allclose(found[row], wanted, rtol=1e-5, atol=1e-5)


def test_threads_change_nothing():
    rows, side, ridge = problem(n_rows=3000)  # enough ratings for four threads
    assert len(rows.ratings) > 4 * 8_192
    start = np.random.default_rng(1).normal(0, 1, (3000, 19)).astype(np.float32)
    found = []
    for threads in (1, 2, 4):
        vectors, variances = np.empty((2, 3000, 19), np.float32)
        with in_threads_of(threads):
            over_rows(solve_rows, rows.starts, rows, side, ridge, 0.7, vectors, variances)
            swept = sweep_side(rows, side, ridge, 0.7, start)
            sums = (
                weighted_sums_over(rows, side.design),
                sums_over(rows, side.design),
                remaining(rows, start, side.design),
            )
            found.append((vectors, variances, *swept, *sums, *errors_of(rows, side, vectors, variances)))
    for other in found[1:]:
        for first, second in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(first, second)


def test_no_rows_at_all():
    nothing = Rows(np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32))
    _, side, ridge = problem()
    vectors, variances = np.empty((2, 0, 19), np.float32)
    over_rows(solve_rows, nothing.starts, nothing, side, ridge, 0.7, vectors, variances)


def test_errors_and_doubts_of_a_row():
    rows, side, _ = problem()
    rng = np.random.default_rng(1)
    vectors, variances = rng.normal(size=(23, 19)).astype(np.float32), rng.random((23, 19)).astype(np.float32)
    sums = np.empty((23, 2))
    over_rows(squared_errors, rows.starts, rows, side, vectors, variances, sums)
    for row in range(23):
        span = slice(rows.starts[row], rows.starts[row + 1])
        others, v, t = rows.others[span], vectors[row].astype(np.float64), variances[row]
        z, s = side.design[others].astype(np.float64), side.uncertainty[others]
        left = rows.ratings[span] - side.offsets[others] - z @ v
        assert sums[row, 0] == pytest.approx(np.sum(left**2), rel=1e-4)
        assert sums[row, 1] == pytest.approx(np.sum(t * z**2 + s * v**2 + s * t), rel=1e-4)


def test_what_another_part_leaves_and_sums_over_members():
    rows, side, _ = problem()
    vectors = np.random.default_rng(2).normal(size=(23, 19)).astype(np.float32)
    left, sums = np.empty_like(rows.ratings), np.full((23, 19), np.nan, np.float32)
    over_rows(remainders, rows.starts, rows, vectors, side.design, left)
    over_rows(sum_members, rows.starts, rows, side.design, sums)
    for row in range(23):
        span = slice(rows.starts[row], rows.starts[row + 1])
        z = side.design[rows.others[span]]
        np.testing.assert_allclose(left[span], rows.ratings[span] - z @ vectors[row], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(sums[row], z.sum(axis=0), rtol=1e-4, atol=1e-4)


def test_one_step_of_descent_by_hand():
    # e = 2 - 0.5 - 0.25 - 0.1·0.2 = 1.23; b_u' = 0.9·0.5 + 0.5·1.23 and p' = 0.8·0.1 + 1·1.23·0.2
    users, items = np.array([[0.5, 0.1]], np.float32), np.array([[0.25, 0.2]], np.float32)
    triples = (np.zeros(1, np.int32), np.zeros(1, np.int32), np.array([2.0], np.float32))
    descend(np.zeros(1, np.int64), triples, users, items, (0.5, 1.0), 0.2)
    np.testing.assert_allclose(users, [[0.9 * 0.5 + 0.615, 0.8 * 0.1 + 1.23 * 0.2]], rtol=1e-6)
    np.testing.assert_allclose(items, [[0.9 * 0.25 + 0.615, 0.8 * 0.2 + 1.23 * 0.1]], rtol=1e-6)
