"""Commands in processes of their own: their answers, their errors, their progress, their end on request."""

import os
import sys
import time

import pytest

from recsys_tui import child
from tests.cli import SAMPLE, call


@pytest.fixture(autouse=True)
def _alone(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith(("RECSYS_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def test_an_answer_and_what_was_said_meanwhile(tmp_path):
    out = child.run(["import", str(SAMPLE)], tmp_path / "a.db")
    assert "stored\t25905" in out
    assert child.run_json(["stats"], tmp_path / "a.db")["ratings"] == 25905
    assert list((tmp_path / "state/recsys-tui/commands").iterdir()) == []


def test_an_error_in_its_own_words(tmp_path):
    with pytest.raises(child.ChildFailed, match=r"no-such.csv") as plain:
        child.run(["import", str(tmp_path / "no-such.csv")], tmp_path / "a.db")
    with pytest.raises(child.ChildFailed, match=r"no-such.csv") as told:
        child.run_json(["import", str(tmp_path / "no-such.csv")], tmp_path / "a.db")
    assert str(plain.value) == str(told.value)
    assert plain.value.hint == told.value.hint != ""


def test_it_ends_when_nobody_waits_for_it_any_more(tmp_path):
    call(tmp_path / "a.db", "init")
    began = time.monotonic()
    with pytest.raises(child.ChildFailed):
        child.run(["stats"], tmp_path / "a.db", stop=lambda: True)
    assert time.monotonic() - began < 20


def test_lines_on_stderr_are_passed_on(tmp_path, monkeypatch):
    program = (
        "import sys, time\nfor n in range(3):\n    print('line', n, file=sys.stderr, flush=True)\n    time.sleep(0.4)"
    )
    started = child.subprocess.Popen
    monkeypatch.setattr(child.subprocess, "Popen", lambda _, **kw: started([sys.executable, "-c", program], **kw))
    said = []
    child.run(["import"], tmp_path / "a.db", said=said.append)
    assert said == ["line 0", "line 1", "line 2"]


def test_the_command_as_a_person_types_it():
    assert child.line_of(["import", "my file.csv", "--map", "user=u"]) == "recsys-tui import 'my file.csv' --map user=u"
