"""Long answers in parts: whatever moment a run ends at, going on gives the file that a run in one piece gives."""

import csv
import json

import pytest

from recsys_tui import parts as module
from recsys_tui.parts import Parts
from store.errors import NotFound, UsageRefused
from tests.cli import call, few_ratings
from tests.integration.test_contract import read

COLUMNS = ["user", "rank"]
TASK = {"version": "v1", "-n": 3}


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Parts of ten rows."""
    monkeypatch.setattr(module, "PART_ROWS", 10)


def fill(parts, first, last):
    """Add three rows for each of some users."""
    for user in range(first, last):
        parts.add([{"user": f"u{user:03}", "rank": rank} for rank in (1, 2, 3)], f"u{user:03}", users=1)


@pytest.mark.parametrize("suffix", [".csv", ".ndjson", ".parquet"])
@pytest.mark.parametrize("stop", [0, 3, 4, 7, 30])
def test_a_run_that_goes_on_gives_the_same_file(tmp_path, suffix, stop):
    whole, out = tmp_path / f"whole{suffix}", tmp_path / f"out{suffix}"
    parts = Parts(whole, COLUMNS, TASK, resume=False)
    fill(parts, 0, 30)
    parts.finish()
    fill(Parts(out, COLUMNS, TASK, resume=False), 0, stop)  # and never finished
    assert not out.exists()
    if stop < 4:  # not even one part was full
        with pytest.raises(NotFound):
            Parts(out, COLUMNS, TASK, resume=True)
        return
    again = Parts(out, COLUMNS, TASK, resume=True)
    assert again.users == int(again.mark[1:]) + 1
    assert again.rows == 3 * again.users
    fill(again, again.users, 30)
    again.finish()
    assert (again.users, again.rows) == (30, 90)
    assert read(out) == read(whole)
    if suffix != ".parquet":
        assert out.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([out.name, whole.name])
    assert out.stat().st_mode & 0o077 == 0


def test_parts_of_another_task_are_refused_and_beginning_anew_removes_them(tmp_path):
    out = tmp_path / "out.csv"
    fill(Parts(out, COLUMNS, TASK, resume=False), 0, 9)
    with pytest.raises(UsageRefused, match="another run: -n"):
        Parts(out, COLUMNS, TASK | {"-n": 4}, resume=True)
    (tmp_path / "out.csv.parts" / "state.json").write_text("[")
    with pytest.raises(UsageRefused, match="not as it was left"):
        Parts(out, COLUMNS, TASK, resume=True)
    parts = Parts(out, COLUMNS, TASK, resume=False)
    fill(parts, 0, 2)
    parts.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


def test_a_part_that_was_not_noted_is_made_again(tmp_path):
    out = tmp_path / "out.csv"
    fill(Parts(out, COLUMNS, TASK, resume=False), 0, 9)
    folder = tmp_path / "out.csv.parts"
    state = json.loads((folder / "state.json").read_text())
    (folder / f"{len(state['parts']) + 1:06}.csv").write_text("half a line")  # killed before the note
    again = Parts(out, COLUMNS, TASK, resume=True)
    fill(again, again.users, 30)
    again.finish()
    assert [row["user"] for row in read(out)][::3] == [f"u{user:03}" for user in range(30)]


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    call(folder / "films.db", "import", few_ratings(folder / "sample", 1500))
    call(folder / "films.db", "train", "popularity", "--test", "0", "--activate", "--json")
    return folder / "films.db"


def interrupted(monkeypatch, after):
    """Let the commands be interrupted after so many parts."""
    write = module.Parts._write_part

    def stops(self):
        if len(self._names) == after:
            raise KeyboardInterrupt
        write(self)

    monkeypatch.setattr(module.Parts, "_write_part", stops)
    return lambda: monkeypatch.setattr(module.Parts, "_write_part", write)


@pytest.mark.parametrize("suffix", [".csv", ".ndjson", ".parquet"])
def test_lists_for_everybody_go_on_where_they_were_interrupted(db, tmp_path, monkeypatch, suffix):
    monkeypatch.setattr("engine.services.batch._MOST_USERS", 3)
    whole, out = tmp_path / f"whole{suffix}", tmp_path / f"out{suffix}"
    done = call(db, "recommend", "--all", "--out", whole, "-n", "5", "--json").json
    undo = interrupted(monkeypatch, 2)
    stopped = call(db, "recommend", "--all", "--out", out, "-n", "5", expect=130)
    assert "--resume" in stopped.err
    undo()
    again = call(db, "recommend", "--all", "--out", out, "-n", "5", "--resume", "--json").json
    assert (again["users"], again["rows"]) == (done["users"], done["rows"])
    assert read(out) == read(whole)
    assert suffix == ".parquet" or out.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("suffix", [".csv", ".ndjson"])
def test_pairs_go_on_where_they_were_interrupted(db, tmp_path, monkeypatch, suffix):
    monkeypatch.setattr("recsys_tui.commands.everybody._TOGETHER", 7)
    pairs, whole, out = tmp_path / "pairs.csv", tmp_path / f"whole{suffix}", tmp_path / f"out{suffix}"
    with pairs.open("w", newline="") as file:
        csv.writer(file).writerows([("user", "item"), *((str(k % 30), str(k % 50)) for k in range(100))])
    call(db, "predict", "--pairs", pairs, "--out", whole, "--json")
    undo = interrupted(monkeypatch, 3)
    call(db, "predict", "--pairs", pairs, "--out", out, expect=130)
    undo()
    assert call(db, "predict", "--pairs", pairs, "--out", out, "--resume", "--json").json["rows"] == 100
    assert out.read_bytes() == whole.read_bytes()


def test_nothing_to_go_on_with_is_said(db, tmp_path):
    done = call(db, "recommend", "--all", "--out", tmp_path / "x.csv", "--resume", expect=3)
    assert "leave out --resume" in done.err
    assert (
        "standard input" in call(db, "predict", "--pairs", "-", "--out", tmp_path / "x.csv", "--resume", expect=2).err
    )
