"""Training runs as jobs: they outlive the terminal, are followed, cancelled, resumed, lost, and wait for each other."""

import os
import signal
import time

import pytest

from tests.cli import call, few_ratings, run, start

LONG = ["--set", "epochs=10000", "--seed", "3"]  # minutes, unless somebody stops it


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    """Some of the sample data."""
    folder = tmp_path_factory.mktemp("jobs")
    call(folder / "films.db", "import", few_ratings(folder / "sample"))
    return folder / "films.db"


@pytest.fixture(autouse=True)
def nothing_left(db):
    """Stop whatever a test leaves running."""
    yield
    for job in call(db, "jobs", "list", "--json").json:
        if job["state"] in {"queued", "running"}:
            call(db, "jobs", "cancel", str(job["job"]), "--json", expect=None)


def detached(db, *words):
    """Start a run in the background and wait until it trains."""
    number = call(db, "train", "mf", *words, "--detach", "--json").json["job"]
    return reached(db, number)


def reached(db, number, epochs=2):
    """Wait until a run has done some epochs."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        shown = call(db, "jobs", "show", str(number), "--json").json
        if len(shown["epochs"]) >= epochs:
            return number
        assert shown["state"] in {"queued", "running"}, shown
        time.sleep(0.02)
    raise AssertionError("the run does not get on")


def state(db, number):
    return call(db, "jobs", "show", str(number), "--json").json["state"]


def ended(db, number):
    """Wait until a run no longer runs and return its state."""
    deadline = time.monotonic() + 10
    while (found := state(db, number)) == "running" and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def newest(db):
    return max((job["job"] for job in call(db, "jobs", "list", "--json").json), default=0)


def pid_of(db, number):
    """Return the process of a run, as the database knows it."""
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(db)) as connection:
        return connection.execute("SELECT pid FROM jobs WHERE id = ?", (number,)).fetchone()[0]


def test_a_detached_run_is_attached_to_and_answers_as_train_does(db):
    begun = call(db, "train", "mf", "--detach", "--json").json
    assert (begun["state"], begun["version"]) == ("queued", None)
    attached = call(db, "jobs", "attach", str(begun["job"]), "--json").json
    assert attached["state"] == "done"
    assert attached["job"] == begun["job"]
    again = call(db, "train", "mf", "--json").json
    assert again["metrics"] == attached["metrics"]
    shown = call(db, "jobs", "show", str(begun["job"]), "--json").json
    assert [epoch["losses"] for epoch in shown["epochs"]] == [epoch["losses"] for epoch in again["epochs"]]


def test_the_tail_of_a_run_ends_with_it(db):
    number = call(db, "train", "mf", "--set", "epochs=3", "--detach", "--json").json["job"]
    events = call(db, "jobs", "tail", str(number), "-f", "--json").json
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert [event["number"] for event in events if event["kind"] == "epoch"] == [1, 2, 3]
    assert events[-1]["kind"] == "version"
    assert call(db, "jobs", "tail", str(number), "--json").json == events


def test_a_run_that_is_cancelled_and_killed_resumes_to_the_same_result(db):
    settings = ["--set", "epochs=120", "--set", "n_factors=64"]
    number = detached(db, *settings)
    assert call(db, "jobs", "cancel", str(number), "--json").json["state"] == "cancelled"
    before = len(call(db, "jobs", "show", str(number), "--json").json["epochs"])
    assert before < 120
    assert call(db, "jobs", "attach", str(number), "--json", expect=130).error["code"] == "interrupted"
    again = call(db, "train", "--resume", str(number), "--detach", "--json").json["job"]
    assert call(db, "jobs", "show", str(reached(db, again, 40)), "--json").json["epochs"][0]["number"] == before + 1
    os.kill(pid_of(db, again), signal.SIGKILL)
    assert ended(db, again) == "lost"
    resumed = call(db, "train", "--resume", str(again), "--json").json
    assert before + 1 < resumed["epochs"][0]["number"]  # of the killed run too something was kept
    assert resumed["epochs"][-1]["number"] == 120
    whole = call(db, "train", "mf", *settings, "--json").json
    assert resumed["metrics"] == whole["metrics"]
    files = [call(db, "models", "show", run["version"], "--json").json["sha256"] for run in (resumed, whole)]
    assert files[0] == files[1]


def test_a_run_that_was_resumed_is_resumed_again(db):
    first = detached(db, *LONG)
    call(db, "jobs", "cancel", str(first), "--json")
    done = len(call(db, "jobs", "show", str(first), "--json").json["epochs"])
    second = call(db, "train", "--resume", str(first), "--detach", "--json").json["job"]
    reached(db, second)
    call(db, "jobs", "cancel", str(second), "--json")
    done += len(call(db, "jobs", "show", str(second), "--json").json["epochs"])
    third = call(db, "train", "--resume", str(second), "--detach", "--json").json["job"]
    reached(db, third)
    assert call(db, "jobs", "show", str(third), "--json").json["epochs"][0]["number"] == done + 1


def test_a_killed_run_is_lost_and_says_how_to_go_on(db):
    number = detached(db, *LONG)
    os.kill(pid_of(db, number), signal.SIGKILL)
    assert ended(db, number) == "lost"
    done = call(db, "jobs", "attach", str(number), "--json", expect=5)
    assert f"--resume {number}" in done.error["hint"]
    assert call(db, "train", "popularity", "--json").json["state"] == "done"  # the lock went with the process


def test_one_training_at_a_time(db):
    number = detached(db, *LONG)
    jobs = len(call(db, "jobs", "list", "--json").json)
    refused = call(db, "train", "popularity", "--json", expect=75)
    assert refused.error["code"] == "busy"
    assert "--wait" in refused.error["hint"]
    assert len(call(db, "jobs", "list", "--json").json) == jobs
    waiting = start(db, "train", "popularity", "--wait", "1m", "--json")
    time.sleep(1.0)
    assert waiting.poll() is None
    call(db, "jobs", "cancel", str(number), "--json")
    out, err = waiting.communicate(timeout=60)
    assert waiting.returncode == 0, err
    assert b'"done"' in out


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, -1)])
def test_signals_to_the_command_in_front(db, number, code):
    before = newest(db)
    with start(db, "train", "mf", *LONG) as process:
        while (job := newest(db)) == before:
            time.sleep(0.05)
        reached(db, job)
        began = time.monotonic()
        process.send_signal(number)
        _, err = process.communicate(timeout=10)
        assert time.monotonic() - began < 2.0
    assert process.returncode == code
    assert b"Traceback" not in err
    if number == signal.SIGINT:
        assert f"--resume {job}".encode() in err
        assert call(db, "jobs", "cancel", str(job), "--json", expect=None).code in {0, 2}
        assert state(db, job) == "cancelled"
    else:
        seen = len(call(db, "jobs", "show", str(job), "--json").json["epochs"])
        reached(db, job, seen + 1)  # it goes on without the terminal
        assert state(db, job) == "running"


def test_a_run_told_to_terminate_stops_as_if_cancelled(db):
    number = detached(db, *LONG)
    os.kill(pid_of(db, number), signal.SIGTERM)
    assert ended(db, number) == "cancelled"


def test_changed_ratings_are_not_resumed_on(db):
    number = detached(db, *LONG)
    call(db, "jobs", "cancel", str(number), "--json")
    call(db, "rate", "1", "7", "1", "--json")
    done = call(db, "train", "--resume", str(number), "--json", expect=None)
    assert done.code in {2, 4}
    assert "changed" in done.error["message"]


def test_progress_is_a_line_an_epoch_where_nobody_watches(db):
    done = run(db, "train", "mf", "--set", "epochs=3")
    assert [line.split()[1] for line in done.err.splitlines() if "epoch" in line] == ["1/3", "2/3", "3/3"]
    assert "\r" not in done.err
    assert "\x1b" not in done.err + done.out
    assert "epoch" not in done.out.replace("epochs", "")
