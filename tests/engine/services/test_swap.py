"""A version takes over without a gap: whoever asks meanwhile is answered by the one before, and soon."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from engine.services import swap
from engine.services.gate import activate
from store import errors
from tests import processes

SLOW = 0.6


@pytest.fixture
def slow(services, monkeypatch):
    """Services whose second version takes long to load."""
    monkeypatch.setattr(swap, "SMALL_BYTES", 0)
    load, started = services.registry.load, []

    def waits(version, *names):
        if version.id == 2:
            started.append(time.monotonic())
            time.sleep(SLOW)
        return load(version, *names)

    monkeypatch.setattr(services.registry, "load", waits)
    services.started = started
    return services


def test_readers_never_wait_for_the_next_version(slow):
    recommend, seen, longest, stop = slow.recommender.recommend, [], [], threading.Event()
    assert recommend("u1").version == "v1"

    def reader(number):
        slow.recommender.recommend(f"u{number}")
        worst = 0.0
        while not stop.is_set():
            began = time.monotonic()
            seen.append(recommend(f"u{number}").version)
            worst = max(worst, time.monotonic() - began)
            time.sleep(0.001)
        longest.append(worst)

    readers = [threading.Thread(target=reader, args=(number,)) for number in range(4)]
    for thread in readers:
        thread.start()
    time.sleep(0.1)
    slow.registry.activate(2, who="test")
    deadline = time.monotonic() + 20
    while "v2" not in seen and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.05)
    stop.set()
    for thread in readers:
        thread.join()
    assert set(seen) == {"v1", "v2"}
    assert len(slow.started) == 1  # one loads for all
    assert max(longest) < SLOW / 2  # 0.03 s on a machine that does nothing else
    assert recommend("u1").version == "v2"


ASK = """
import gc, sys
from contextlib import closing
from engine.services import Services
services = Services.open(sys.argv[1])
with closing(services.database):
    services.recommender.recommend("u1")
    print(gc.get_freeze_count(), len(gc.get_objects()))
"""


def test_collecting_garbage_passes_over_what_serves(services):
    kept, others = map(int, processes.finish(processes.start(ASK, services.database.path)).split())
    assert kept > 10 * others


def test_many_who_ask_first_load_it_once(slow):
    slow.registry.activate(2, who="test")
    with ThreadPoolExecutor(4) as pool:
        lists = list(pool.map(slow.recommender.recommend, ["u1", "u2", "u3", "u4"]))
    assert [made.version for made in lists] == ["v2"] * 4
    assert len(slow.started) == 1


def test_the_first_version_and_one_asked_for_by_name_are_waited_for(slow):
    assert slow.recommender.recommend("u1", version="v2").version == "v2"
    slow.registry.activate(2, who="test")
    assert slow.recommender.recommend("u1").version == "v2"


def test_a_version_that_cannot_be_loaded_leaves_the_one_before_with_a_note(slow, monkeypatch):
    slow.recommender.recommend("u1")
    slow.registry.activate(2, who="test")

    def broken(version, *names):
        time.sleep(0.1)
        raise errors.Damaged("bits have flipped")

    monkeypatch.setattr(slow.registry, "load", broken)
    deadline = time.monotonic() + 10
    while not (made := slow.recommender.recommend("u1")).notes and time.monotonic() < deadline:
        time.sleep(0.01)
    assert made.version == "v1"
    assert "v2 cannot be used" in " ".join(made.notes)


def test_one_that_is_activated_here_is_loaded_first_and_answers_at_once(slow):
    slow.recommender.recommend("u1")
    activate(slow, slow.registry.get(2), who="test")
    began = time.monotonic()
    assert slow.recommender.recommend("u2").version == "v2"
    assert time.monotonic() - began < SLOW / 2
    assert len(slow.started) == 1


def test_a_version_of_the_same_items_has_met_what_the_one_before_has(services):
    services.recommender.recommend("u1")
    before = services.manager.snapshot()
    services.registry.activate(2, who="test")
    after = services.manager.snapshot()
    assert after is not before
    assert before.positions
    assert after.positions == before.positions
    assert after.model.facts.items == before.model.facts.items


def test_small_versions_take_over_with_the_first_question(services):
    assert services.recommender.recommend("u1").version == "v1"
    services.registry.activate(2, who="test")
    assert services.recommender.recommend("u1").version == "v2"
