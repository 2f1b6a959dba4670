"""Ratings by day: exact while there are few, an even sample of them where there are many."""

import pytest

from store.activity import Activity, activity


def rate(database, times, per_user=10):
    with database.write() as db:
        db.executemany("INSERT INTO items (id, item) VALUES (?, ?)", ((n, str(n)) for n in range(1, per_user + 1)))
        rows = ((1 + n // per_user, 1 + n % per_user, 3.0, at) for n, at in enumerate(times))
        db.executemany("INSERT INTO ratings (user, item, rating, at) VALUES (?, ?, ?, ?)", rows)


def test_days_are_counted_in_order_and_the_undated_apart(database):
    rate(database, [86_400 * 9, None, 0, 86_399, 86_400, -1, None])
    assert activity(database) == Activity({-1: 1, 0: 2, 1: 1, 9: 1}, 7, 2, sampled=False)
    assert list(activity(database).days) == [-1, 0, 1, 9]


def test_nothing(database):
    assert activity(database) == Activity({}, 0, 0, sampled=False)


@pytest.mark.parametrize("most", [999, 1000, 5000, 9999, 10_000])
def test_all_are_looked_at_where_they_are_few_enough(database, most):
    rate(database, [86_400 * (n % 7) for n in range(1000)])
    found = activity(database, most=most)
    assert found.sampled == (most < 1000)
    if not found.sampled:
        assert found.days == {day: 1000 // 7 + (day < 1000 % 7) for day in range(7)}


def test_a_sample_has_its_share_of_every_part(database):
    rate(database, [86_400 * (n // 5000) for n in range(50_000)])
    found = activity(database, most=10_000)
    assert found.sampled
    assert found.counted <= 10_000
    assert all(abs(count - 1000) < 100 for count in found.days.values())
    assert set(found.days) == set(range(10))
