"""Jobs and their events: every way to end, processes that vanish, cancelling, and the lock of training."""

import os
import sys
import threading
import time
from pathlib import Path

import pytest

from store import errors
from store.database import Database
from store.journal import ENDED, Journal, training_lock
from tests import processes

REQUEST = {"model": "mf", "settings": {"n_factors": 3}, "seed": 42}
RUN = """
import os, sys
from store.database import Database
from store.journal import Journal
journal = Journal(Database(sys.argv[1]))
print(journal.start(int(sys.argv[2]), os.getpid()))
journal.add_event(int(sys.argv[2]), "epoch", {"number": 1})
print("running", flush=True)
sys.stdin.read()
"""
LEADERLESS = """
import ctypes, os, sys, threading
from store.database import Database
from store.journal import Journal
Journal(Database(sys.argv[1])).start(int(sys.argv[2]), os.getpid())
threading.Thread(target=sys.stdin.readline).start()
print("running", flush=True)
ctypes.CDLL(None).pthread_exit(None)
"""
HOLD = """
import sys
from pathlib import Path
from store.journal import training_lock
with training_lock(Path(sys.argv[1])):
    print("holding", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def journal(database):
    return Journal(database)


@pytest.fixture
def job(journal):
    return journal.create("train", "mf", REQUEST, origin="tui")


def shift(database, job, column, amount):
    with database.write() as db:
        db.execute(f"UPDATE jobs SET {column} = {column} + ? WHERE id = ?", (amount, job))


class TestLife:
    def test_a_new_job_waits_with_all_that_was_asked(self, journal, job):
        found = journal.get(job)
        assert (found.id, found.kind, found.model, found.request) == (1, "train", "mf", REQUEST)
        assert (found.origin, found.state, found.pid, found.cancel_requested) == ("tui", "queued", None, False)
        assert abs(found.created_at - time.time()) < 5
        assert not found.ended

    def test_from_queued_to_done(self, journal, job):
        assert journal.start(job, os.getpid())
        running = journal.get(job)
        assert (running.state, running.pid, running.ended) == ("running", os.getpid(), False)
        assert running.started_at == running.heartbeat_at >= running.created_at
        journal.finish(job, "done", exit_code=0, version=7)
        done = journal.get(job)
        assert (done.state, done.exit_code, done.version, done.ended) == ("done", 0, 7, True)
        assert done.finished_at >= done.started_at

    def test_a_failure_says_what_and_what_next(self, journal, job):
        journal.start(job, os.getpid())
        journal.fail(job, code="training_failed", error="the loss is not finite", hint="lower the rate")
        failed = journal.get(job)
        assert (failed.state, failed.exit_code, failed.code) == ("failed", 1, "training_failed")
        assert (failed.error, failed.hint, failed.ended) == ("the loss is not finite", "lower the rate", True)

    def test_a_beat_moves_the_heartbeat(self, journal, job, database):
        journal.start(job, os.getpid())
        shift(database, job, "heartbeat_at", -100)
        journal.beat(job)
        assert abs(journal.get(job).heartbeat_at - time.time()) < 5

    def test_the_newest_come_first(self, journal):
        for model in "abc":
            journal.create("train", model, {})
        assert [found.model for found in journal.recent()] == ["c", "b", "a"]
        assert [found.model for found in journal.recent(2)] == ["c", "b"]

    def test_an_unknown_job_is_not_found(self, journal):
        for ask in (journal.get, journal.request_cancel):
            with pytest.raises(errors.NotFound, match="no job 9"):
                ask(9)
        with pytest.raises(errors.StoreError):
            journal.get(2**70)
        assert journal.cancel_requested(9) is False
        assert journal.events(9) == []

    def test_numbers_are_not_used_again(self, journal, job, database):
        with database.write() as db:
            db.execute("DELETE FROM jobs")
        assert journal.create("train", "mf", {}) == job + 1


class TestVanishedProcesses:
    def test_one_killed_is_lost_and_the_hint_resumes_it(self, journal, job, database):
        child = processes.start(RUN, database.path, job)
        processes.wait_for(child, "running")
        assert journal.get(job).state == "running"
        processes.kill(child)
        lost = journal.get(job)
        assert (lost.state, lost.ended, lost.error) == ("lost", True, "the process ended without a word")
        assert lost.hint.startswith(f"`recsys-tui train --resume {job}`")
        assert lost.finished_at >= lost.started_at
        assert [event.data for event in journal.events(job)] == [{"number": 1}]
        assert [found.state for found in journal.recent()] == ["lost"]

    def test_one_that_nobody_has_waited_for_yet_is_lost_too(self, journal, job, database):
        child = processes.start(RUN, database.path, job)
        processes.wait_for(child, "running")
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, and still in the table of processes
        assert journal.get(job).state == "lost"
        processes.kill(child)

    @pytest.mark.skipif(sys.platform != "linux", reason="threads of a process that is a zombie are counted on Linux")
    def test_one_of_which_a_thread_is_left_is_not_lost_before_that_is_gone(self, journal, job, database):
        child = processes.start(LEADERLESS, database.path, job)
        processes.wait_for(child, "running")
        stat = Path(f"/proc/{child.pid}/stat")
        while b") Z" not in stat.read_bytes():
            time.sleep(0.005)
        assert journal.get(job).state == "running"
        child.stdin.write("\n")
        child.stdin.flush()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert journal.get(job).state == "lost"
        processes.kill(child)

    @pytest.mark.parametrize("seconds", [-1000, 1000])
    def test_another_process_with_the_same_number_is_not_it(self, journal, job, database, seconds):
        journal.start(job, os.getpid())
        shift(database, job, "started_ticks", seconds)
        assert journal.get(job).state == "lost"

    def test_a_job_whose_process_never_came_is_lost_after_a_while(self, journal, job, database):
        assert journal.get(job).state == "queued"
        shift(database, job, "created_at", -29)
        assert journal.get(job).state == "queued"
        shift(database, job, "created_at", -2)
        assert journal.get(job).state == "lost"

    @pytest.mark.parametrize("state", sorted(ENDED))
    def test_what_has_ended_stays_as_it_ended(self, journal, job, database, state):
        journal.start(job, os.getpid())
        journal.finish(job, state, exit_code=3)
        shift(database, job, "started_ticks", 1000)
        assert journal.get(job).state == state
        assert journal.get(job).exit_code == 3

    def test_an_end_told_late_counts(self, journal, job, database):
        """A reader in another container cannot see the process; the process itself knows better."""
        journal.start(job, os.getpid())
        shift(database, job, "started_ticks", 1000)
        assert journal.get(job).state == "lost"
        journal.finish(job, "done", exit_code=0, version=1)
        assert journal.get(job).state == "done"


class TestCancelling:
    def test_a_queued_job_ends_at_once_and_is_never_started(self, journal, job):
        cancelled = journal.request_cancel(job)
        assert (cancelled.state, cancelled.exit_code, cancelled.ended) == ("cancelled", 130, True)
        assert journal.start(job, os.getpid()) is False
        assert journal.get(job).state == "cancelled"

    def test_a_running_job_is_asked_and_goes_on_until_it_looks(self, journal, job):
        journal.start(job, os.getpid())
        assert journal.cancel_requested(job) is False
        asked = journal.request_cancel(job)
        assert (asked.state, asked.cancel_requested) == ("running", True)
        assert journal.cancel_requested(job) is True
        assert journal.request_cancel(job).state == "running"  # asking twice is no error

    @pytest.mark.parametrize("state", sorted(ENDED))
    def test_one_that_has_ended_is_refused(self, journal, job, state):
        journal.finish(job, state, exit_code=0)
        with pytest.raises(errors.UsageRefused, match=f"already {state}"):
            journal.request_cancel(job)
        assert journal.cancel_requested(job) is False

    def test_one_whose_process_is_gone_is_refused_as_lost(self, journal, job, database):
        journal.start(job, os.getpid())
        shift(database, job, "started_ticks", 1000)
        with pytest.raises(errors.UsageRefused, match="already lost"):
            journal.request_cancel(job)


class TestEvents:
    def test_they_come_in_order_and_from_a_point_on(self, journal, job):
        journal.add_event(job, "stage", {"stage": "reading ratings"})
        for number in (1, 2, 3):
            journal.add_event(job, "epoch", {"number": number, "losses": {"train": 1 / number}})
        events = journal.events(job)
        assert [(event.seq, event.kind) for event in events] == [(1, "stage"), (2, "epoch"), (3, "epoch"), (4, "epoch")]
        assert events[0].data == {"stage": "reading ratings"}
        assert events[3].data == {"number": 3, "losses": {"train": 1 / 3}}
        assert [event.at for event in events] == sorted(event.at for event in events)
        assert journal.events(job, after=2) == events[2:]
        assert journal.events(job, after=4) == []

    def test_each_job_counts_its_own(self, journal, job):
        other = journal.create("train", "mf", {})
        for target in (job, other, job):
            journal.add_event(target, "note", {"job": target})
        assert [(event.seq, event.data["job"]) for event in journal.events(job)] == [(1, job), (2, job)]
        assert [(event.seq, event.data["job"]) for event in journal.events(other)] == [(1, other)]

    def test_they_are_a_heartbeat(self, journal, job, database):
        journal.start(job, os.getpid())
        shift(database, job, "heartbeat_at", -100)
        journal.add_event(job, "note", {})
        assert abs(journal.get(job).heartbeat_at - time.time()) < 5

    def test_threads_that_write_at_once_lose_none(self, database, job):
        def write():
            own = Journal(Database(database.path))
            for _ in range(10):
                own.add_event(job, "note", {})

        threads = [threading.Thread(target=write) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [event.seq for event in Journal(database).events(job)] == list(range(1, 41))


class TestTrainingLock:
    def test_a_second_process_is_refused_while_the_first_trains(self, tmp_path):
        holder = processes.start(HOLD, tmp_path / "models")
        processes.wait_for(holder, "holding")
        with pytest.raises(errors.Busy, match="another training") as caught, training_lock(tmp_path / "models"):
            pass
        assert "jobs list" in caught.value.hint
        processes.finish(holder)
        with training_lock(tmp_path / "models"):
            pass

    def test_a_kill_frees_it(self, tmp_path):
        holder = processes.start(HOLD, tmp_path)
        processes.wait_for(holder, "holding")
        processes.kill(holder)
        with training_lock(tmp_path):
            pass

    def test_it_can_be_waited_for(self, tmp_path):
        entered = []

        def train():
            with training_lock(tmp_path, wait_seconds=20):
                entered.append(time.monotonic())

        with training_lock(tmp_path):
            thread = threading.Thread(target=train)
            thread.start()
            time.sleep(0.3)
            left = time.monotonic()
        thread.join()
        assert entered[0] >= left

    def test_waiting_ends(self, tmp_path):
        began = time.monotonic()
        with training_lock(tmp_path), pytest.raises(errors.Busy), training_lock(tmp_path, wait_seconds=0.3):
            pass
        assert 0.3 <= time.monotonic() - began < 5

    def test_an_error_inside_frees_it(self, tmp_path):
        with pytest.raises(ValueError, match="x"), training_lock(tmp_path):
            raise ValueError("x")
        with training_lock(tmp_path):
            pass

    def test_a_folder_that_cannot_be_made_is_one_of_our_errors(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(errors.StoreError), training_lock(tmp_path / "file" / "models"):
            pass

    def test_runs_side_by_side_share_it_and_keep_others_out(self, tmp_path):
        together = training_lock(tmp_path, shared=True), training_lock(tmp_path, shared=True)
        with together[0], together[1], pytest.raises(errors.Busy), training_lock(tmp_path):
            pass
        with training_lock(tmp_path), pytest.raises(errors.Busy), training_lock(tmp_path, shared=True):
            pass
