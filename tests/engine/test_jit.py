"""Compiling without a cache, and dealing rows to threads."""

import threading

import numpy as np
import pytest

from engine import jit
from engine.resources import processors, thread_limit, threads


def test_compiles_where_no_cache_can_be_written():
    names = {}
    exec(compile("def doubled(x):\n    return 2 * x\n", "<no file>", "exec"), names)  # no file, so no place for a cache
    assert jit.compiled(names["doubled"])(21) == 42


def test_compiling_is_timed_and_what_is_there_already_is_not():
    names = {}
    exec(compile("def summed(x):\n    return x.sum()\n", "<no file>", "exec"), names)
    kernel = jit.compiled(names["summed"])
    with jit.Compiling() as compiling:
        kernel(np.zeros(3))
        assert compiling.taken() > 0
        kernel(np.zeros(3))
        assert compiling.taken() == 0


@pytest.mark.parametrize("limit", [1, 2])
def test_every_row_is_dealt_once(limit):
    lengths = np.random.default_rng(0).integers(0, 2_000, 97)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    dealt = {"over_rows": np.zeros(97, int), "in_threads": np.zeros(97, int)}

    def kernel(span, counts):
        counts[span[0] : span[1]] += 1

    with thread_limit(limit):
        jit.over_rows(kernel, starts, dealt["over_rows"])
        jit.in_threads(kernel, 97, dealt["in_threads"])
    for counts in dealt.values():
        assert (counts == 1).all()


def test_nothing_to_deal():
    spans = []
    jit.over_rows(spans.append, np.zeros(1, np.int64))
    jit.in_threads(spans.append, 0)
    assert all(start == stop == 0 for start, stop in spans)


def test_an_error_in_a_thread_is_raised():
    def kernel(_span):
        raise ZeroDivisionError

    with thread_limit(2), pytest.raises(ZeroDivisionError):
        jit.in_threads(kernel, 1_000)


def test_the_limit_holds_for_this_thread_and_ends():
    with thread_limit(1) as limit:
        assert limit == threads() == 1
        others = []
        other = threading.Thread(target=lambda: others.append(threads()))
        other.start()
        other.join()
        assert others == [processors()]
    assert threads() == processors()
