"""Ratings of many threads and processes at once: each is on the disk when its caller goes on, and none is lost."""

import logging
import random
import shutil
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pytest

from engine.models.base import FoldsIn
from engine.services import Services
from engine.services.group_commit import GroupCommit
from store import errors, ratings
from store.migrations import backup
from store.writes import Entry
from tests import processes


def everything(services):
    """Return the ratings as {(user, item): value}."""
    return {(row.user, row.item): row.rating for row in ratings.all_rows(services.database)}


def vectors_of(services):
    """Return the kept vectors of the active version by text id of their user, with the revisions taken off."""
    with services.database.read() as db:
        rows = db.execute(
            "SELECT u.user, l.vector, l.revision = u.revision FROM live_vectors l JOIN users u ON u.id = l.user "
            "JOIN versions v ON v.id = l.version AND v.state = 'active'"
        ).fetchall()
    assert all(row[2] for row in rows)
    return {user: np.frombuffer(vector, "<f4") for user, vector, _ in rows}


def draws(seed, n, users=30, items=40):
    """Return n ratings of pairs that differ, in an order of their own."""
    draw = random.Random(seed)
    pairs = draw.sample([(f"u{user}", f"i{item}") for user in range(users) for item in range(items)], n)
    return [(*pair, draw.randint(2, 10) / 2) for pair in pairs]


def one_after_the_other(services, tmp_path, updates):
    """Return vectors and ratings of a copy in which one thread made the same changes."""
    other = tmp_path / "other"
    other.mkdir()
    shutil.copytree(services.registry.folder, other / "films.db.models")
    backup(services.database, other / "films.db")
    alone = Services.open(other / "films.db")
    with closing(alone.database):
        for user, item, value in updates:
            alone.realtime.record(user, item, value)
        alone.realtime.flush()
        return vectors_of(alone), everything(alone)


@pytest.fixture
def held(services):
    """A function that holds the write lock while a block runs, so that requests gather behind it."""
    other = sqlite3.connect(services.database.path, isolation_level=None, check_same_thread=False)
    with closing(other):
        yield other


def together(services, held, requests):
    """Submit requests while the database is locked, so that all share a transaction; return results or errors."""
    queue = services.realtime._commits
    services.realtime.record("u0", "i0", 4.5)  # the writer runs and its model is loaded
    services.realtime.flush()
    held.execute("BEGIN IMMEDIATE")
    with ThreadPoolExecutor(len(requests) + 1) as pool:
        first = pool.submit(services.realtime.record, "u1", "i1", 4.5)  # the writer waits for the lock with this one
        while queue._waiting or not queue._writing:
            time.sleep(0.001)
        asked = [pool.submit(queue.submit, entries) for entries in requests]
        while len(queue._waiting) < len(requests):
            time.sleep(0.001)
        before = ratings.revision(services.database)
        held.execute("COMMIT")
        first.result()
    services.realtime.flush()
    return [future.exception() or future.result() for future in asked], ratings.revision(services.database) - before


def test_sixteen_threads_lose_nothing_and_give_the_vectors_of_one(services, tmp_path):
    updates = draws(1, 320)
    alone = one_after_the_other(services, tmp_path, updates)
    before = ratings.revision(services.database)
    with ThreadPoolExecutor(16) as pool:
        puts = list(pool.map(lambda update: services.realtime.record(*update), updates))
    services.realtime.flush()
    assert [put.state for put in puts].count("unchanged") < 100
    assert everything(services) == alone[1]
    found = vectors_of(services)
    assert found.keys() == alone[0].keys()
    for user, vector in found.items():  # compiled loops, loaded in the middle of a stream, round otherwise
        np.testing.assert_allclose(vector, alone[0][user], atol=1e-6)
    assert ratings.revision(services.database) - before < 320  # transactions were shared


def test_a_group_is_one_transaction_and_folds_each_user_in_once(services, held, monkeypatch):
    folded = []
    model = type(services.manager.snapshot().model)
    fold_in = model.fold_in_many
    monkeypatch.setattr(model, "fold_in_many", lambda self, users: folded.append(len(users)) or fold_in(self, users))
    requests = [[Entry("u5", f"i{item}", 1.5 + item / 2)] for item in range(6)] + [[Entry("new", "i3", 4)]]
    folded.clear()
    results, revisions = together(services, held, requests)
    assert revisions == 2  # the one that held the lock up, and all the others
    assert len({put.revision for puts in results for put in puts}) == 1
    assert folded == [1, 1, 2]  # the first, the one that held the lock up, and both users of the group together
    assert services.realtime.failures == 0


def test_what_is_refused_touches_nobody_else(services, held):
    requests = [
        [Entry("u5", "i1", 9)],
        [Entry("u5", "i2", 4.5)],
        [Entry("u6", "nothing", 4)],
        [Entry("u7", "i1", 2.5), Entry("nobody", "i1", 4), Entry("u7", "i2", 7)],
        [Entry("u8", "i1", None), Entry("u8", "i1", None)],
        [Entry("\ud800", "i1", 3)],
        [Entry("u9", "\ud800", 3)],
        [Entry("u10", "i5", 2.5), Entry("u10", "i5", 3.5)],
    ]
    before = everything(services)
    results, revisions = together(services, held, requests)
    kinds = [type(result).__name__ if isinstance(result, Exception) else "stored" for result in results]
    assert kinds == [
        "DataRefused", "stored", "NotFound", "DataRefused", "NotFound", "UsageRefused", "UsageRefused", "stored",
    ]  # fmt: skip
    assert "nearest" in results[2].hint or "items search" in results[2].hint
    assert revisions == 2
    changes = {("u0", "i0"): 4.5, ("u1", "i1"): 4.5, ("u5", "i2"): 4.5, ("u10", "i5"): 3.5}
    assert everything(services) == before | changes


def test_a_lock_that_stays_is_an_error_and_the_next_rating_goes_through(services, held):
    services.database.busy_seconds = 0.2
    services.database.close()
    held.execute("BEGIN IMMEDIATE")
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(services.realtime.record, f"u{k}", "i1", 4.5) for k in range(4)]
        assert [type(future.exception()) for future in asked] == [errors.Busy] * 4
    held.execute("ROLLBACK")
    assert services.realtime.record("u1", "i1", 2.5).state in {"stored", "updated"}


def test_who_comes_when_the_queue_is_full_waits_for_room(services, held):
    queue = services.realtime._commits = GroupCommit(services.database, services.realtime._folding, most=3)
    held.execute("BEGIN IMMEDIATE")
    with ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(services.realtime.record, f"u{k}", "i1", 4.5) for k in range(12)]
        longest, until = 0, time.monotonic() + 0.3
        while time.monotonic() < until:
            longest = max(longest, len(queue._waiting))
            time.sleep(0.001)
        held.execute("COMMIT")
        assert all(future.result().revision for future in asked)
    assert longest == 3


def test_a_vector_that_fails_is_counted_and_logged_and_the_rating_stays(services, monkeypatch, caplog):
    snapshot = services.manager.snapshot()
    services.realtime.record("u1", "i1", 4.5)

    def broken(*_args):
        raise ArithmeticError("no such luck")

    assert isinstance(snapshot.model, FoldsIn)
    for name in ("fold_in", "fold_in_many"):
        monkeypatch.setattr(snapshot.model, name, broken)
    with caplog.at_level(logging.ERROR):
        put = services.realtime.record("u2", "i2", 2.0)
        services.realtime.flush()
    assert put.state in {"stored", "updated"}
    assert services.realtime.failures == 1
    assert "u2" in caplog.text
    assert ratings.get(services.database, "u2", "i2").rating == 2.0
    assert services.recommender.recommend("u2").items  # from a lower rung
    done = services.realtime.rate("u2", "i2", 1.5)
    assert (done.stored, done.previous) == (True, 2.0)
    monkeypatch.undo()
    services.realtime.rate("u2", "i2", 2.5)
    assert services.recommender.recommend("u2").rung == "fold-in"
    assert "u2" in vectors_of(services)


def test_a_stream_of_ratings_has_the_log_and_a_pause_gives_it_up(services, monkeypatch):
    monkeypatch.setattr("engine.services.group_commit._STREAM", 4)
    monkeypatch.setattr("engine.services.group_commit._IDLE_SECONDS", 1.0)

    def mode():
        with services.database.read() as db:
            db.execute("SELECT count(*) FROM users").fetchone()  # a connection learns of the journal by reading
            return db.execute("PRAGMA journal_mode").fetchone()[0]

    if mode() == "wal":
        pytest.skip("this SQLite has the log all the time")
    services.realtime.record("u1", "i1", 4.5)
    modes = [mode()]
    for value in range(2, 10):
        services.realtime.record("u1", "i1", value / 2)
    modes.append(mode())
    deadline = time.monotonic() + 20
    while mode() == "wal" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [*modes, mode()] == ["delete", "wal", "delete"]
    assert ratings.get(services.database, "u1", "i1").rating == 4.5


def test_a_version_deleted_under_its_vectors_costs_no_rating(services):
    services.realtime.record("u1", "i1", 4.5)
    services.registry.activate(2, who="test")
    services.registry.delete(1)
    assert services.realtime.record("u2", "i2", 2.0).state in {"stored", "updated"}
    services.realtime.flush()
    assert set(vectors_of(services)) == {"u2"}


def test_without_a_version_ratings_are_stored_all_the_same(tmp_path):
    services = Services.open(tmp_path / "films.db", create=True)
    with services.database.write() as db:
        db.execute("INSERT INTO items (item) VALUES ('i1')")
    assert services.realtime.record("somebody", "i1", 4).state == "stored"
    assert services.realtime.rate("somebody", "i1", 5).version is None
    assert services.realtime.failures == 0


def test_a_writer_that_cannot_go_on_leaves_nobody_waiting(services, monkeypatch):
    def broken(_limit):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("engine.services.group_commit.thread_limit", broken)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(services.realtime.record, f"u{k}", "i1", 4.5) for k in range(4)]
        assert [type(future.exception(timeout=20)) for future in asked] == [RuntimeError] * 4
    services.realtime.flush()
    monkeypatch.undo()
    assert services.realtime.record("u1", "i1", 2.5).previous != 4.5


def test_the_threads_end_when_nothing_comes(services, monkeypatch):
    monkeypatch.setattr("engine.services.group_commit._IDLE_SECONDS", 0.05)
    for value in (4.5, 3.5):
        services.realtime.record("u1", "i1", value)
        deadline = time.monotonic() + 5
        while any(thread.name.startswith(("ratings", "fold-in")) for thread in threading.enumerate()):
            assert time.monotonic() < deadline
            time.sleep(0.01)


RATER = """
import sys, threading
from engine.services import Services
services = Services.open(sys.argv[1])
number, each = int(sys.argv[2]), int(sys.argv[3])
lock = threading.Lock()

def client(thread):
    for step in range(each):
        place = (number * 4 + thread) * each + step
        user, item, value = f"u{place % 30}", f"i{place // 30 % 40}", (2 + place % 9) / 2
        services.realtime.record(user, item, value)
        with lock:
            print(user, item, value, flush=True)

services.manager.snapshot()
print("ready", flush=True)
sys.stdin.readline()
threads = [threading.Thread(target=client, args=(thread,)) for thread in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
services.realtime.flush()
"""


def acknowledged(out):
    """Return the ratings that a process was told are stored; a killed one may have been cut off in the middle."""
    lines = [line.split() for line in out.splitlines(keepends=True) if line.endswith("\n") and line != "ready\n"]
    return {(user, item): float(value) for user, item, value in lines}


def race(services, each):
    """Start four processes of four threads each, wait until all are ready, and let them go."""
    running = [processes.start(RATER, services.database.path, number, each) for number in range(4)]
    for process in running:
        processes.wait_for(process, "ready")
    for process in running:
        process.stdin.write("go\n")
        process.stdin.flush()
    return running


@pytest.mark.slow
def test_four_processes_lose_nothing_and_give_the_vectors_of_one(services, tmp_path):
    told = {}
    outs = [processes.finish(process) for process in race(services, 20)]
    for out in outs:
        told |= acknowledged(out)
    assert len(told) == 320
    stored = everything(services)
    assert {pair: stored[pair] for pair in told} == told
    vectors, alone = one_after_the_other(services, tmp_path, [(*pair, value) for pair, value in told.items()])
    assert alone == stored
    found = vectors_of(services)
    for user, vector in found.items():
        np.testing.assert_array_equal(vector, vectors.get(user, vector))
    touched = {user for user, _ in told}
    assert touched <= found.keys()


@pytest.mark.faults
def test_sigkill_in_the_middle_loses_no_acknowledged_rating(services, rounds):
    draw = random.Random(0)
    for _ in range(rounds(3)):
        running = race(services, 70)
        time.sleep(draw.uniform(0.05, 0.6))
        told = {}
        for process in running[:2]:
            process.kill()
        for process in running[:2]:
            told |= acknowledged(process.communicate()[0])
        for process in running[2:]:
            told |= acknowledged(processes.finish(process))
        stored = everything(services)
        assert {pair: stored[pair] for pair in told} == told
        with closing(sqlite3.connect(services.database.path)) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
