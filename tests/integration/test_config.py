"""`config check` and `config edit`: what is wrong is named, and an edited file is checked before it is relied on."""

import os
import sys

import pexpect
import pytest

from tests.cli import call


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_settings_in_order(home):
    (home / "recsys.toml").write_text("threads = 1\n")
    assert call(home / "x.db", "config", "check", "--json").json == {"ok": True, "files": [str(home / "recsys.toml")]}


def test_everything_that_is_wrong_is_named(home):
    (home / "recsys.toml").write_text("threads = 'many'\nkep = 3\n")
    done = call(home / "x.db", "config", "check", expect=2)
    assert "threads = 'many' is not allowed" in done.err
    assert "did you mean keep?" in done.err


def test_no_editor_without_a_terminal(home):
    done = call(home / "x.db", "config", "edit", expect=2)
    assert "needs a terminal" in done.err
    assert not (home / "config").exists()


@pytest.mark.parametrize(
    ("adds", "code", "says"), [("threads = 2", 0, "in order"), ("threads = 'x'", 2, "not allowed")]
)
def test_a_new_file_has_every_setting_and_is_checked_after_the_editor(home, adds, code, says):
    editor = home / "editor.py"
    editor.write_text(f"import sys\nwith open(sys.argv[1], 'a') as file: file.write({adds!r})\n")
    env = os.environ | {"EDITOR": f"{sys.executable} {editor}", "VISUAL": "", "NO_COLOR": "1"}
    child = pexpect.spawn(sys.executable, ["-m", "recsys_tui", "config", "edit"], env=env, encoding="utf-8", timeout=60)
    child.expect(says)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == code
    written = (home / "config/recsys-tui/config.toml").read_text()
    assert "#   keep = " in written
    assert written.endswith(adds)
