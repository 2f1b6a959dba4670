"""Lists for everybody: the same as one by one, in memory that does not grow with the number of users."""

import tracemalloc

import numpy as np
import pytest

from engine.data import Interactions
from engine.diversity import Wish
from engine.models.popularity import Popularity
from engine.services import batch
from engine.services.batch import list_batches, recommend_all
from engine.services.filters import Filters


@pytest.mark.parametrize("wish", [Wish(), Wish(0.4), Wish(0.3, 0.5), Wish(0.5, 0.0, "genres"), Wish(0, 1)])
@pytest.mark.parametrize("filters", [Filters(), Filters(include_seen=True)])
def test_everybody_gets_the_list_that_they_get_alone(services, wish, filters):
    services.realtime.record("newcomer", "i3", 5)
    rows = list(recommend_all(services, 7, filters=filters, wish=wish))
    users = sorted({row["user"] for row in rows})
    assert users == sorted([*(f"u{number}" for number in range(30)), "newcomer"])
    for user in users:
        alone = services.recommender.recommend(user, 7, filters=filters, wish=wish)
        mine = [row for row in rows if row["user"] == user]
        assert [(row["rank"], row["item"]) for row in mine] == [(entry.rank, entry.item) for entry in alone.items]
        assert [row["score"] for row in mine] == pytest.approx([entry.score for entry in alone.items], abs=1e-5)


def test_it_goes_on_after_a_user_and_counts_those_with_empty_lists(services):
    whole = [row for part in list_batches(services, 3) for row in part.rows]
    later = [row for part in list_batches(services, 3, after="u20") for row in part.rows]
    assert later == [row for row in whole if row["user"] > "u20"]
    nobody = list(list_batches(services, 3, filters=Filters(since_year=3000)))
    assert sum(part.users for part in nobody) == 30
    assert [part.rows for part in nobody] == [[]]


@pytest.mark.parametrize("budget", [1, 20_000, 1 << 28])
def test_batches_keep_to_the_budget(services, budget):
    sizes = [part.users for part in list_batches(services, 3, byte_budget=budget)]
    assert sum(sizes) == 30
    model = services.manager.snapshot().model
    assert max(sizes) == min(30, batch._batch_size(model, budget, 3))


def test_long_lists_come_few_at_a_time():
    """Their rows are what takes the memory, and what a run that is killed would have to make again."""
    items, rows = [f"i{number:04}" for number in range(3_000)], np.arange(3_000)
    model = Popularity()
    for _ in model.fit_epochs(Interactions.build(["u"], items, 0 * rows, rows, np.full(3_000, 4.0))):
        pass
    sizes = {n: batch._batch_size(model, 1 << 40, n) for n in (1, 10, 100, 1_000, 10**6)}
    assert sizes == {1: 1_024, 10: 1_024, 100: 500, 1_000: 50, 10**6: 16}


def test_memory_is_bounded_whatever_the_number_of_users(services):
    """Ten times the users take no more memory at the peak than one batch does."""
    with services.database.write() as db:
        db.executemany("INSERT INTO users (user) VALUES (?)", ((f"x{number}",) for number in range(3_000)))

    def peak(budget):
        tracemalloc.start()
        try:
            users = sum(part.users for part in list_batches(services, 5, byte_budget=budget))
            return users, tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    users, small = peak(1 << 16)
    assert users == 3_030
    assert small < 3 << 20
    assert small < peak(1 << 28)[1]
