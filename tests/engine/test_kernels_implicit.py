"""The compiled loops against the formula, written slowly in float64."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from engine.jit import over_rows
from engine.kernels import Rows
from engine.kernels_ease import count_together
from engine.kernels_gram import LANES, add_gram
from engine.kernels_implicit import Fixed, padded, solve_by_blocks, solve_by_gradients, solve_exactly
from engine.resources import thread_limit
from tests.data import in_threads_of

ALPHA = 0.3


@pytest.fixture(autouse=True)
def _few_threads():
    """Small matrices: threads of BLAS would only wait for each other."""
    with thread_limit(1):
        yield


def problem(n_rows=40, n_others=60, d=48, density=0.3, seed=0):
    """Random rows, some of them empty, one longer than any block, with weights that are not all one."""
    rng = np.random.default_rng(seed)
    there = rng.random((n_rows, n_others)) < rng.uniform(0, 2 * density, n_rows)[:, None]
    there[3], there[5] = False, True
    weights = csr_array(np.where(there, rng.uniform(0.2, 2.0, there.shape), 0).astype(np.float32))
    vectors = (rng.standard_normal((n_others, d)) * 0.3).astype(np.float32)
    base = (ALPHA * vectors.T @ vectors).astype(np.float32)
    ridge = rng.uniform(0.5, 3, n_rows).astype(np.float32)
    return Rows(weights.indptr.astype(np.int64), weights.indices, weights.data), Fixed(vectors, base, ridge), weights


def reference(fixed, weights):
    """A⁻¹ b and bᵀ A⁻¹ b of each row."""
    q, solutions, gains = fixed.vectors.astype(np.float64), [], []
    for row, ridge in enumerate(fixed.ridge):
        c = weights[[row]].toarray()[0].astype(np.float64)
        system = ALPHA * q.T @ q + (q.T * c) @ q + ridge * np.eye(q.shape[1])
        solutions.append(np.linalg.solve(system, q.T @ c))
        gains.append((q.T @ c) @ solutions[-1])
    return np.array(solutions), np.array(gains)


def loss_taken_off(fixed, weights, vectors):
    """Σ c - loss of each row at any vectors."""
    c, q, x = weights.toarray().astype(np.float64), fixed.vectors.astype(np.float64), vectors.astype(np.float64)
    scores = x @ q.T
    losses = (c * (1 - scores) ** 2).sum(1) + ALPHA * (scores**2).sum(1) + fixed.ridge * (x**2).sum(1)
    return c.sum(1) - losses


@pytest.mark.parametrize("d", [16, 48, 64, 160])
@pytest.mark.parametrize("n_others", [10, 60, 500])
def test_exact_solves_follow_the_formula(d, n_others):
    rows, fixed, weights = problem(d=d, n_others=n_others)
    solved, gains = np.full((40, d), 7, np.float32), np.full(40, 7.0)
    over_rows(solve_exactly, rows.starts, rows, fixed, solved, gains)
    expected, expected_gains = reference(fixed, weights)
    np.testing.assert_allclose(solved, expected, atol=1e-5)
    np.testing.assert_allclose(gains, expected_gains, rtol=1e-5, atol=1e-5)
    assert not solved[3].any()


@pytest.mark.parametrize(("kernel", "how"), [(solve_by_gradients, 12), (solve_by_blocks, 16), (solve_by_blocks, 48)])
def test_iterative_solves_arrive_at_the_exact_ones(kernel, how):
    rows, fixed, weights = problem()
    solved, gains = np.ones((40, 48), np.float32), np.zeros(40)
    for _ in range(100):
        over_rows(kernel, rows.starts, rows, fixed, solved, gains, how)
    expected, expected_gains = reference(fixed, weights)
    np.testing.assert_allclose(solved, expected, atol=2e-5)
    np.testing.assert_allclose(gains, expected_gains, rtol=1e-4, atol=1e-4)
    assert not solved[3].any()


@pytest.mark.parametrize(("kernel", "how"), [(solve_by_gradients, 2), (solve_by_blocks, 16)])
def test_each_step_lowers_the_loss_by_what_the_gains_say(kernel, how):
    rows, fixed, weights = problem(seed=2)
    solved, before = np.full((40, 48), 0.1, np.float32), None
    for _ in range(3):
        gains = np.zeros(40)
        over_rows(kernel, rows.starts, rows, fixed, solved, gains, how)
        np.testing.assert_allclose(gains, loss_taken_off(fixed, weights, solved), rtol=1e-4, atol=1e-3)
        assert before is None or (gains >= before - 1e-4).all()
        before = gains


def test_blocks_as_wide_as_the_vectors_are_exact_at_once():
    rows, fixed, weights = problem(d=32)
    solved, gains = np.zeros((40, 32), np.float32), np.zeros(40)
    over_rows(solve_by_blocks, rows.starts, rows, fixed, solved, gains, 32)
    np.testing.assert_allclose(solved, reference(fixed, weights)[0], atol=1e-5)


@pytest.mark.parametrize(("kernel", "how"), [(solve_exactly, ()), (solve_by_gradients, (2,)), (solve_by_blocks, (16,))])
def test_threads_change_nothing(kernel, how):
    rows, fixed, _ = problem(n_rows=1500)  # enough ratings for four threads
    found = []
    for threads in (1, 2, 4):
        solved, gains = np.full((1500, 48), 0.1, np.float32), np.zeros(1500)
        with in_threads_of(threads):
            over_rows(kernel, rows.starts, rows, fixed, solved, gains, *how)
        found.append((solved, gains))
    for solved, gains in found[1:]:
        np.testing.assert_array_equal(solved, found[0][0])
        np.testing.assert_array_equal(gains, found[0][1])


def test_a_system_that_is_not_positive_is_nan_and_not_noise():
    rows, fixed, _ = problem(d=16)
    solved, gains = np.zeros((40, 16), np.float32), np.zeros(40)
    over_rows(solve_exactly, rows.starts, rows, fixed._replace(ridge=np.full(40, -1e6, np.float32)), solved, gains)
    assert np.isnan(solved[5]).all()
    assert np.isnan(gains[5])


@pytest.mark.parametrize("n", [0, 1, 7, 100])
@pytest.mark.parametrize("d", [16, 32, 80])
def test_gram_of_a_block(d, n):
    rng = np.random.default_rng(n)
    block, start = rng.standard_normal((100, d)).astype(np.float32), rng.standard_normal((d, d)).astype(np.float32)
    gram = start.copy()
    add_gram(gram, block, n)
    expected = start + block[:n].astype(np.float64).T @ block[:n]
    np.testing.assert_allclose(np.tril(gram), np.tril(expected), atol=1e-4)


def test_widths_are_padded_to_whole_registers():
    assert [padded(width) for width in (1, LANES, LANES + 1)] == [LANES, LANES, 2 * LANES]


def test_items_are_counted_together():
    weights = csr_array(np.array([[1, 0, 1], [0.5, 1, 1], [0, 0, 2]], np.float32))
    sides = [
        Rows(side.indptr.astype(np.int64), side.indices.astype(np.int32), side.data)
        for side in (weights.tocsc(), weights)
    ]
    gram = np.zeros((3, 3))
    over_rows(count_together, sides[0].starts, *sides, gram)
    np.testing.assert_array_equal(gram, [[1.25, 0, 0], [0.5, 1, 0], [1.5, 1, 6]])
