"""Kill the training process at random moments, also while it saves: the database is whole and serves as before."""

import json
import os
import random
import signal
import sqlite3
import time
from contextlib import closing
from dataclasses import asdict

import pytest

from engine.services import Services
from engine.services.request import TrainingRequest
from engine.services.worker import submit
from tests.cli import call, few_ratings

REQUEST = TrainingRequest("mf", {"n_factors": 16, "epochs": 8})
USERS = ("1", "20", "80", "nobody")


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    """Some of the sample data with an active version."""
    folder = tmp_path_factory.mktemp("kill")
    call(folder / "films.db", "import", few_ratings(folder / "sample"))
    call(folder / "films.db", "train", "popularity", "--activate", "--json")
    return folder / "films.db"


def answers(db) -> str:
    """Return what the active version says to some users, to the last digit."""
    recommender = Services.open(db).recommender
    return json.dumps([asdict(recommender.recommend(user)) for user in USERS])


def trained(services, job) -> float:
    """Wait until a run has ended and return how long its process took."""
    while not (found := services.journal.get(job)).ended:
        time.sleep(0.01)
    assert found.state == "done"
    return found.finished_at - found.started_at


def killed(services, moment: float) -> bool:
    """Start a run and kill its process a while after it began; return False where it had ended before."""
    job = submit(services, REQUEST)
    while (found := services.journal.get(job)).pid is None:
        time.sleep(0.002)
    time.sleep(moment)
    if services.journal.get(job).ended:
        return False
    os.kill(found.pid, signal.SIGKILL)
    while not (found := services.journal.get(job)).ended:
        time.sleep(0.002)
    return found.state == "lost"


def check(db, before: str) -> None:
    """Look at everything that a killed run could have left behind."""
    with closing(sqlite3.connect(db)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("SELECT count(*) FROM versions WHERE state = 'active'").fetchone() == (1,)
    services = Services.open(db)
    assert services.registry.active() == 1
    assert answers(db) == before
    for version in services.registry.versions():
        assert services.registry.verify(version.id) == []
        assert services.manager.snapshot(version.name).notes == ()
        assert {"rmse", "ndcg@10"} <= set(version.metrics)


def test_killed_runs_leave_the_database_whole_and_the_answers_as_they_were(db, rounds):
    services, draw = Services.open(db), random.Random(0)
    before = answers(db)
    whole = trained(services, submit(services, REQUEST))
    hits = 0
    for number in range(rounds(10)):
        # every other one in the last fifth of the run, where it saves
        moment = draw.uniform(0.8 * whole if number % 2 else 0.0, 1.02 * whole)
        hits += killed(services, moment)
        check(db, before)
    assert hits >= rounds(10) // 3
    trained(services, submit(services, REQUEST))  # the next run collects what the killed ones left
    known = {version.name for version in services.registry.versions()}
    left = {path.name for path in services.registry.folder.iterdir() if path.name.startswith("v")}
    assert left == known
