"""What the serving path remembers ends with any change of the database, whoever makes it: us, a thread, a process."""

import threading
from contextlib import suppress

import pytest

from engine.services import Services
from engine.services.recommend import Recommender
from store import catalog, ratings
from store.changes import Watch
from store.errors import NotFound
from tests import processes


def _elsewhere(services: Services, code: str) -> None:
    """Run lines in another process, where `services` are over the same file."""
    opening = "import sys; from engine.services import Services; services = Services.open(sys.argv[1])\n"
    processes.finish(processes.start(opening + code, services.database.path))


def _items(recommender: Recommender, user: str) -> list[str]:
    return [entry.item for entry in recommender.recommend(user).items]


def test_a_rating_by_another_process_is_in_the_next_list(services: Services) -> None:
    recommender = services.recommender
    best = _items(recommender, "u2")[0]
    assert _items(recommender, "u2")[0] == best
    _elsewhere(services, f"services.realtime.rate('u2', {best!r}, 1.0)")
    after = recommender.recommend("u2")
    assert best not in [entry.item for entry in after.items]
    assert after.rung == "fold-in"
    _elsewhere(services, f"services.realtime.unrate('u2', {best!r})")
    assert _items(recommender, "u2")[0] == best


def test_an_activation_by_another_process_answers_the_next_question(services: Services) -> None:
    recommender = services.recommender
    assert recommender.recommend("u2").version == "v1"
    _elsewhere(services, "services.registry.activate(2, who='another')")
    assert recommender.recommend("u2").version == "v2"
    assert services.manager.snapshot("previous").version.name == "v1"
    _elsewhere(services, "services.registry.rollback(who='another')")
    assert recommender.recommend("u2").version == "v1"


def test_a_deleted_version_is_not_remembered(services: Services) -> None:
    assert services.recommender.recommend("u2", version="v2").version == "v2"
    _elsewhere(services, "services.registry.delete(2)")
    with pytest.raises(NotFound):
        services.recommender.recommend("u2", version="v2")


def test_a_title_from_another_process_is_in_the_next_list(services: Services) -> None:
    first = services.recommender.recommend("u2").items[0]
    assert first.title is None
    rename = f"db.execute('UPDATE items SET title = ? WHERE item = ?', ('Heat', {first.item!r}))"
    _elsewhere(services, f"with services.database.write() as db: {rename}")
    assert services.recommender.recommend("u2").items[0].title == "Heat"


def test_our_own_rating_is_in_the_next_list(services: Services) -> None:
    best = _items(services.recommender, "u2")[0]
    ratings.put(services.database, "u2", best, 1.0, now=0)
    assert best not in _items(services.recommender, "u2")


def test_a_rating_by_another_thread_is_in_the_next_list(services: Services) -> None:
    best = _items(services.recommender, "u2")[0]
    thread = threading.Thread(target=ratings.put, args=(services.database, "u2", best, 1.0), kwargs={"now": 0})
    thread.start()
    thread.join()
    assert best not in _items(services.recommender, "u2")


def test_what_was_seen_inside_a_transaction_is_forgotten_with_it(services: Services) -> None:
    best = _items(services.recommender, "u2")[0]
    with suppress(InterruptedError), services.database.write():
        ratings.put(services.database, "u2", best, 1.0, now=0)
        assert best not in _items(services.recommender, "u2")
        raise InterruptedError
    assert _items(services.recommender, "u2")[0] == best


def test_bulk_access_ends_what_was_remembered_unless_the_header_says_it_is_still_true(services: Services) -> None:
    watch = Watch(services.database)
    assert watch.changed()
    assert not watch.changed()
    known = services.database.header.read() is not None
    ratings.read_all(services.database)  # closes our connections: their counts mean nothing any more
    assert watch.changed() is not known
    assert not watch.changed()
    for value in (1.0, 4.5):
        ratings.put(services.database, "u2", "i1", value, now=0)
    ratings.read_all(services.database)
    assert watch.changed()


def test_a_quiet_database_is_asked_one_question_at_most(services: Services) -> None:
    services.recommender.recommend("u2")
    asked: list[str] = []
    with services.database.read() as db:
        db.set_trace_callback(asked.append)
        services.recommender.recommend("u2")
        db.set_trace_callback(None)
    assert asked in ([], ["PRAGMA data_version"])  # as its journal is


def test_items_are_read_once_and_unknown_ones_are_missing(services: Services) -> None:
    services.memory.now()
    found = services.memory.items(["i1", "i2", "nothing"])
    assert found == catalog.items_by_id(services.database, ["i1", "i2"])
    assert services.memory.items(["i1"])["i1"] is found["i1"]
