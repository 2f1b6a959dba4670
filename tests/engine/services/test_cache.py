"""The cache of lists: bounded in bytes whatever comes, and what it takes is no less than it says."""

import tracemalloc
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from engine.services.cache import ByteCache
from engine.services.recommend import Filters

STEPS = st.lists(st.tuples(st.sampled_from("pgc"), st.integers(0, 9), st.integers(0, 60)), max_size=60)


@given(steps=STEPS)
def test_it_is_the_latest_that_fit_the_budget(steps):
    cache: ByteCache[int, int] = ByteCache(100)
    kept: dict[int, tuple[int, int]] = {}  # the model: dictionaries keep the order of entering
    for number, (what, key, size) in enumerate(steps):
        if what == "p":
            cache.put(key, number, size)
            kept.pop(key, None)
            kept[key] = number, size
            while sum(size for _, size in kept.values()) > 100:
                kept.pop(next(iter(kept)))
        elif what == "g":
            found = kept.pop(key, None)
            assert cache.get(key) == (found[0] if found else None)
            if found:
                kept[key] = found
        else:
            cache.clear()
            kept.clear()
        assert cache.bytes == sum(size for _, size in kept.values()) <= 100
        assert len(cache) == len(kept)


def test_what_is_larger_than_the_budget_is_not_kept_and_takes_the_place_of_nothing_else():
    cache: ByteCache[str, int] = ByteCache(10)
    cache.put("small", 1, 5)
    cache.put("large", 2, 11)
    assert (cache.get("small"), cache.get("large"), cache.bytes) == (1, None, 5)
    cache.put("small", 3, 11)
    assert (cache.get("small"), cache.bytes) == (None, 0)


def test_threads_leave_the_count_right():
    cache: ByteCache[int, int] = ByteCache(1_000)

    def work(seed):
        for step in range(2_000):
            cache.put((seed * 7 + step) % 50, step, 1 + step % 40)
            cache.get(step % 50)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert cache.bytes == sum(size for _, size in cache._entries.values()) <= 1_000


def test_lists_take_no_more_memory_than_they_are_counted_for(services):
    recommender = services.recommender
    for user in range(30):  # everything else that is remembered is there before
        recommender.recommend(f"u{user}", 40)
    recommender.lists.clear()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for user in range(30):
            for n in range(1, 21):
                recommender.recommend(f"u{user}", n, filters=Filters(since_year=None, include_seen=n % 2 == 0))
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(recommender.lists) == 600
    assert after - before <= recommender.lists.bytes


def test_a_full_cache_stays_within_its_budget_and_answers_the_same(services):
    recommender = services.recommender
    alone = {f"u{user}": recommender.recommend(f"u{user}") for user in range(30)}
    recommender.lists.clear()
    recommender.lists.budget = 5 * 20_000
    for _ in range(3):
        for user, made in alone.items():
            assert recommender.recommend(user) == made
            assert recommender.lists.bytes <= recommender.lists.budget
    assert 0 < len(recommender.lists) < 30
