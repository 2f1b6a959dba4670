"""Overlap of lists worked by hand, and against the definitions spelled out as loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.overlap import overlaps, rank_biased

LIST = st.lists(st.integers(0, 9), unique=True, max_size=6)


def padded(*lists, n=6):
    return np.array([[*row, *[-1] * (n - len(row))] for row in lists], np.int64)


def by_definition(first, second, p):
    """Webber, Moffat, Zobel 2010: agreement at each depth, weighted, and the last one kept on for ever."""
    k = max(len(first), len(second))
    if not k:
        return 1.0
    agreement = [len(set(first[:d]) & set(second[:d])) / d for d in range(1, k + 1)]
    seen = sum((1 - p) * p ** (d - 1) * share for d, share in enumerate(agreement, 1))
    endless = sum((1 - p) * p ** (d - 1) for d in range(k + 1, 5000)) * agreement[-1]
    return seen + endless


def test_by_hand():
    first, second = padded([1, 2, 3], n=3), padded([1, 4, 2], n=3)
    assert overlaps(first, second).tolist() == pytest.approx([2 / 3])
    # agreement 1, 1/2, 2/3 with p = 1/2: 1/2 (1 + 1/4 + 1/6) + 1/8 * 2/3
    assert rank_biased(first, second, p=0.5).tolist() == pytest.approx([0.5 * (1 + 0.25 + 2 / 12) + 2 / 24])


def test_the_first_places_count_most():
    base = padded([1, 2, 3, 4, 5, 6])
    at_the_top, at_the_end = padded([9, 2, 3, 4, 5, 6]), padded([1, 2, 3, 4, 5, 9])
    assert overlaps(base, at_the_top) == overlaps(base, at_the_end)
    assert rank_biased(base, at_the_top) < rank_biased(base, at_the_end)


@given(st.lists(st.tuples(LIST, LIST), min_size=1, max_size=5), st.sampled_from([0.5, 0.9, 0.98]))
def test_against_the_definition(pairs, p):
    first, second = (padded(*side) for side in zip(*pairs, strict=True))
    assert rank_biased(first, second, p).tolist() == pytest.approx([by_definition(a, b, p) for a, b in pairs])
    expected = [len(set(a) & set(b)) / max(len(a), len(b)) if a or b else 1.0 for a, b in pairs]
    assert overlaps(first, second).tolist() == pytest.approx(expected)


@given(LIST, LIST)
def test_bounds_and_symmetry(a, b):
    first, second = padded(a), padded(b)
    for measure in (overlaps, rank_biased):
        (here,), (there,), (own,) = measure(first, second), measure(second, first), measure(first, first)
        assert 0 <= here <= 1
        assert here == pytest.approx(there)
        assert own == pytest.approx(1)
        if (a or b) and not set(a) & set(b):
            assert here == 0


def test_lists_of_no_places():
    nothing = np.empty((3, 0), np.int64)
    assert overlaps(nothing, nothing).tolist() == rank_biased(nothing, nothing).tolist() == [1, 1, 1]
