"""The weekly training as cron meets it: once for each time, gated, cleared up after, and told apart by exit codes."""

import json
import os
import shutil
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from recsys_tui.timers import Timer
from store import timetable
from store.database import Database
from tests.cli import call, few_ratings, run

DAY = 86_400


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Some of the sample data with two versions of popularity, v1 active, as they were ten days ago."""
    folder = tmp_path_factory.mktemp("schedule")
    db = folder / "films.db"
    call(db, "import", few_ratings(folder / "sample", 2000))
    call(db, "train", "popularity", "--activate", "--json")
    call(db, "train", "popularity", "--seed", "1", "--json")
    with closing(sqlite3.connect(db)) as rows, rows:
        rows.execute("UPDATE versions SET trained_at = trained_at - ?", (10 * DAY,))
        rows.execute("UPDATE imports SET finished_at = finished_at - ?", (11 * DAY,))
    return folder


@pytest.fixture
def db(made, tmp_path):
    """A copy of it to change."""
    shutil.copytree(made, tmp_path / "copy")
    return tmp_path / "copy" / "films.db"


def add_ratings(db, rows=600):
    """Import ratings of new users, lower ones than there were."""
    text = "".join(f"x{number // 10},{number % 10 + 1},{0.5 + number % 3 / 2}\n" for number in range(rows))
    path = db.parent / "more.csv"
    path.write_text("user,item,rating\n" + text)
    call(db, "import", path)


def ungated(db):
    """Take the guards off without beginning the schedule anew."""
    with closing(Database(db)) as database:
        timetable.keep(database, timetable.PLAN, {"guards": []})


def crontab(tmp_path, monkeypatch):
    """Stand a program for the machine's crontab in the PATH: it keeps its table in a file."""
    table = tmp_path / "table"
    program = tmp_path / "bin" / "crontab"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\n[ "$1" = -l ] || exec cat > {table}\n'
        f"[ -f {table} ] && exec cat {table}\necho no crontab for me >&2\nexit 1\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return table


class TestRunDue:
    def test_once_for_each_time_and_the_next_calls_change_nothing(self, db):
        add_ratings(db)
        ungated(db)
        assert call(db, "schedule", "show", "--json").json["due"]
        done = call(db, "schedule", "run-due", "--json").json
        assert done["due"]
        trained = done["trained"]
        assert (trained["state"], trained["version"], trained["active"]) == ("done", "v3", True)
        assert call(db, "jobs", "list", "--json").json[0]["origin"] == "cron"
        assert call(db, "models", "show", "v3", "--json").json["protocol"]["beside"] == "v1"
        before = call(db, "models", "list", "--json").json
        again = call(db, "schedule", "run-due", "--json").json
        assert (again["due"], again["trained"]) == (False, None)
        assert call(db, "models", "list", "--json").json == before
        shown = call(db, "schedule", "show", "--json").json
        assert (shown["due"], shown["last"]["state"], shown["last"]["version"]) == (False, "done", "v3")
        assert shown["next_at"] > shown["looked_at"]

    def test_what_changed_is_told_once_and_kept_in_the_audit_trail(self, db):
        add_ratings(db)
        call(db, "schedule", "set", "--off")
        first, second = (call(db, "schedule", "run-due", "--json").json["alerts"] for _ in range(2))
        [told] = [alert for alert in first if "the mean of" in alert["text"]]
        assert told["new"]
        assert not any(alert["new"] for alert in second if alert["kind"] == "drift")
        kept = [row for row in call(db, "models", "audit", "v1", "--json").json if row["action"] == "alert"]
        assert "of the users are folded in" in kept[-1]["why"] or "the mean of" in kept[-1]["why"]

    def test_without_new_ratings_nothing_is_trained(self, db):
        done = call(db, "schedule", "run-due", "--json").json["trained"]
        assert (done["state"], done["version"], done["job"]) == ("unchanged", "v1", None)
        assert not call(db, "schedule", "show", "--json").json["due"]

    def test_a_refusal_of_the_gate_is_exit_6_and_settles_it(self, db):
        call(db, "schedule", "set", "--if-better", "ndcg@10", "--guard", "none")
        refused = call(db, "schedule", "run-due", "--force", "--json", expect=6)
        assert "v3 is not shown to be better than v1" in refused.error["message"]
        assert call(db, "models", "show", "active", "--json").json["version"] == "v1"
        assert call(db, "schedule", "show", "--json").json["last"]["state"] == "refused"
        assert call(db, "schedule", "run-due", "--json").json["trained"] is None

    def test_a_training_that_fails_is_tried_three_times_and_told(self, db, monkeypatch):
        monkeypatch.setenv("RECSYS_MEMORY_GB", "0.001")
        add_ratings(db, 10)
        for _ in range(3):
            assert "are available" in call(db, "schedule", "run-due", "--json", expect=5).error["message"]
        shown = call(db, "schedule", "show", "--json").json
        assert (shown["last"]["state"], shown["due"]) == ("failed", False)
        assert any("the scheduled training failed" in alert for alert in shown["alerts"])
        assert call(db, "models", "show", "active", "--json").json["version"] == "v1"

    def test_old_versions_go_and_are_named(self, db, monkeypatch):
        monkeypatch.setenv("RECSYS_KEEP", "1")
        call(db, "models", "label", "v2", "keep this one")
        add_ratings(db)
        ungated(db)
        first = call(db, "schedule", "run-due", "--json").json["trained"]
        assert first["deleted"] == []  # v1 is what a rollback goes to, v2 has a label
        call(db, "models", "label", "v2", "")
        done = call(db, "schedule", "run-due", "--force")
        assert "deleted, beyond the newest 1 of each model: v2, v1" in done.err
        [why] = [
            row["why"]
            for row in call(db, "models", "audit", "--json").json
            if (row["action"], row["version"]) == ("delete", "v2")
        ]
        assert why == "not among the newest 1 of popularity"
        assert [version["version"] for version in call(db, "models", "list", "--json").json] == ["v4", "v3"]

    def test_two_at_once_are_exit_75(self, db):
        with closing(Database(db)) as database, timetable.one_at_a_time(database):
            assert "is at work" in call(db, "schedule", "run-due", expect=75).err

    def test_a_canary_is_watched_and_the_new_version_waits_for_its_end(self, db):
        call(db, "models", "activate", "v2", "--canary", "10%")
        done = call(db, "schedule", "run-due", "--force", "--json").json
        assert (done["canary"]["outcome"], done["trained"]["active"]) == ("running", False)
        assert "a canary runs" in done["trained"]["reason"]
        path = db.with_name(f"{db.name}.models") / "v2" / "model.safetensors"
        path.write_bytes(path.read_bytes()[:-1])
        assert call(db, "schedule", "run-due", "--json").json["canary"]["outcome"] == "rolled back"

    def test_nothing_to_train_on(self, tmp_path):
        db = tmp_path / "new.db"
        call(db, "init")
        assert call(db, "schedule", "run-due", "--json").json["trained"] is None
        assert "too few" in call(db, "schedule", "run-due", "--force", expect=4).err


class TestPlan:
    def test_set_and_shown(self, db):
        call(db, "schedule", "set", "--at", "sat 23:30", "--zone", "Europe/Berlin", "--model", "auto")
        found = call(
            db, "schedule", "set", "--guard", "rmse:+1%", "--guard", "recall:-2%", "--time-limit", "10m", "--json"
        ).json
        assert found["at"] == "Saturday 23:30 Europe/Berlin"
        assert (found["model"], found["guards"], found["time_limit"]) == ("auto", ["rmse:+1%", "recall:-2%"], 600.0)
        assert not found["due"]
        off = call(db, "schedule", "set", "--off", "--json").json
        assert (off["on"], off["next_at"]) == (False, None)

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (("--at", "someday 02:00"), "no day of the week"),
            (("--at", "sun 24:00"), "no day of the week"),
            (("--zone", "Mars/Olympus"), "no time zone"),
            (("--zone", "../../etc/passwd"), "no time zone"),
            (("--model", "mff"), "mff"),
            (("--if-better", "nonsense"), "unknown metric"),
            (("--guard", "coverage:5%"), "how much worse"),
            (("--time-limit", "soon"), "no duration"),
        ],
    )
    def test_what_makes_no_sense_is_refused_and_nothing_changes(self, db, arguments, words):
        before = call(db, "schedule", "show", "--json").json
        assert words in call(db, "schedule", "set", *arguments, expect=2).err
        assert call(db, "schedule", "show", "--json").json == before


class TestInstall:
    def test_without_a_flag_nothing_is_touched(self, db, tmp_path, monkeypatch):
        table = crontab(tmp_path, monkeypatch)
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
        shown = call(db, "schedule", "install", "--json").json
        assert shown["installed"] is None
        assert "schedule run-due" in shown["cron"]
        assert not table.exists()
        assert not (tmp_path / "config").exists()

    def test_cron_keeps_other_lines_and_its_own_one_once(self, db, tmp_path, monkeypatch):
        table = crontab(tmp_path, monkeypatch)
        table.write_text("5 4 * * * echo other\n")
        assert call(db, "schedule", "install", "--cron", "--json").json["changed"]
        assert not call(db, "schedule", "install", "--cron", "--json").json["changed"]
        call(db, "schedule", "set", "--at", "sun 02:30")
        call(db, "schedule", "install", "--cron")
        other, own = table.read_text().splitlines()
        assert other == "5 4 * * * echo other"
        assert own.startswith("30 * * * * ")

    def test_the_line_runs_under_a_shell_without_our_environment(self, db):
        line = Timer(db, 0).cron
        command = line.split("* * * * ", 1)[1].replace("\\%", "%")
        began = time.time()

        environment = {"PATH": "/usr/bin:/bin", "HOME": str(db.parent), "PYTHONPATH": str(Path(__file__).parents[2])}
        subprocess.run(["/bin/sh", "-c", command], check=True, env=environment, cwd=db.parent)
        state = json.loads(call(db, "schedule", "show", "--json").out)
        assert state["looked_at"] is not None
        assert time.time() - began < 60
        assert Path(f"{db}.schedule.log").stat().st_mode & 0o777 == 0o600

    def test_a_percent_sign_and_a_space_in_the_path_survive(self, tmp_path):
        timer = Timer(tmp_path / "my 50% films.db", 7)
        assert "'" in timer.cron
        assert "50\\%" in timer.cron
        assert "my 50%% films.db" in timer.units()[f"{timer.unit}.service"]

    def test_both_ways_at_once(self, db):
        assert "twice" in run(db, "schedule", "install", "--cron", "--systemd", expect=2).err
