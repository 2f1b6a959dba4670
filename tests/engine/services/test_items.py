"""Items that follow their ratings: by what is stored alone, in whatever order it came, and back again."""

import threading
import time

import numpy as np
import pytest

from engine.services import Services
from engine.services.items import ItemQueue, as_trained
from store import catalog, ratings, vectors

ITEM = "i7"


def item_as_it_is(services, item=ITEM):
    model = services.manager.snapshot().model
    index = model.facts.items.index(item)
    return np.concatenate([[model.offsets[index]], model.design[index]])


def history(services, user):
    return [row.item for row in ratings.history(services.database, user)]


def rate_all(services, value, users=range(30)):
    for user in users:
        services.realtime.record(f"u{user}", ITEM, value)


def test_an_item_follows_its_new_ratings_and_the_others_stay(services):
    others = [item_as_it_is(services, f"i{item}") for item in (1, 2, 3)]
    before = services.recommender.predict("u1", ITEM).prediction
    rate_all(services, 1.0, range(10, 30))
    assert services.realtime.update_movie_embedding(ITEM) is True
    assert services.recommender.predict("u1", ITEM).prediction < before - 0.3
    for item, was in zip((1, 2, 3), others, strict=True):
        np.testing.assert_array_equal(item_as_it_is(services, f"i{item}"), was)


def test_without_new_ratings_an_item_is_as_trained(services):
    trained = item_as_it_is(services)
    assert services.realtime.update_movie_embedding(ITEM) is False
    np.testing.assert_array_equal(item_as_it_is(services), trained)
    services.realtime.record("new to all", ITEM, 5)  # of whom the version has no vector
    assert services.realtime.update_movie_embedding(ITEM) is False


def test_what_is_taken_back_is_as_if_it_had_never_been(services):
    trained = item_as_it_is(services)
    fresh = [f"u{user}" for user in range(30) if ITEM not in history(services, f"u{user}")][:5]
    for user in fresh:
        services.realtime.record(user, ITEM, 1.0)
        services.realtime.update_movie_embedding(ITEM)
    assert not np.array_equal(item_as_it_is(services), trained)
    for user in fresh:
        services.realtime.record(user, ITEM, None)
        services.realtime.update_movie_embedding(ITEM)
    np.testing.assert_allclose(item_as_it_is(services), trained, atol=1e-6)


def test_the_order_of_ratings_does_not_matter(services):
    rate_all(services, 1.5)
    services.realtime.update_movie_embedding(ITEM)
    rate_all(services, 4.5, range(5))
    services.realtime.update_movie_embedding(ITEM)
    late = Services.open(services.database.path)
    late.realtime.update_movie_embedding(ITEM)
    np.testing.assert_allclose(item_as_it_is(services), item_as_it_is(late), atol=1e-6)


def test_kept_vectors_are_of_the_items_as_trained_and_explanations_add_up(services):
    rate_all(services, 1.0, range(10, 30))
    services.realtime.update_movie_embedding(ITEM)
    services.realtime.record("u3", "i9", 4.5)
    services.realtime.flush()
    snapshot = services.manager.snapshot()
    key = catalog.user_key(services.database, "u3")
    kept = vectors.get(services.database, snapshot.version.id, *key)
    view = services.recommender.ladder.view(as_trained(snapshot), "u3")
    np.testing.assert_allclose(kept, view.model.fold_in(view.items, view.ratings), atol=1e-6)
    assert services.recommender.recommend("u3").rung == "fold-in"
    found = services.explainer.explain_recommendation("u3", ITEM)
    total = found.baseline + sum(part["amount"] for part in found.contributions)
    assert total == pytest.approx(found.score, abs=1e-5)


def test_ratings_move_items_by_the_queue(services):
    queue = services.realtime.follow_items()
    before = services.recommender.predict("u1", ITEM).prediction
    rate_all(services, 1.0, range(10, 30))
    queue.flush()
    assert (queue.failures, queue.dropped) == (0, 0)
    assert services.recommender.predict("u1", ITEM).prediction < before - 0.3


def test_the_queue_is_bounded_and_each_item_is_in_it_once():
    taken, go = [], threading.Event()

    def update(items):
        go.wait(10)
        taken.append(items)

    queue = ItemQueue(update, most=5)
    queue.offer("first")
    while queue._waiting:
        time.sleep(0.001)
    for item in "abcab":
        queue.offer(item)
    assert list(queue._waiting) == ["c", "a", "b"]
    for item in "defg":
        queue.offer(item)
    assert queue.dropped == 2
    go.set()
    queue.flush()
    assert taken == [["first"], ["b", "d", "e", "f", "g"]]


def test_what_fails_is_counted_and_the_next_goes_on():
    taken = []

    def update(items):
        if "bad" in items:
            raise ArithmeticError
        taken.extend(items)

    queue = ItemQueue(update)
    for item in ("bad", "good"):
        queue.offer(item)
        queue.flush()
    assert (queue.failures, taken) == (1, ["good"])
