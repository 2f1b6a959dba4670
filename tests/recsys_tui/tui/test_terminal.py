"""On real terminals: beginning, ending by every signal, sizes, colours, a database that goes away."""

import base64
import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

import pytest
from typer.main import get_command

from recsys_tui.cli import tree
from recsys_tui.opening import plainly_asked
from recsys_tui.trainform import settings_of
from store.database import Database
from store.journal import Journal
from tests.cli import environment, run
from tests.hostile import harmful


def test_alone_on_a_terminal_it_opens_and_q_leaves(terminal, films):
    one = terminal(films)
    one.wait_for("active v1")
    assert "1 Train" in one.text
    assert one.left_on() == {"alternate screen", "mouse", "hidden cursor"}
    one.press("q")
    assert one.end() == 0
    assert one.left_on() == set()


def test_without_a_terminal_it_is_help_and_exit_2(films):
    done = run(films, expect=2)
    assert "recsys-tui recommend 42" in done.out


def test_tui_without_a_terminal_says_why(films):
    done = run(films, "tui", "--json", expect=2)
    assert "terminal" in done.error["message"]


def test_a_dumb_terminal_gets_help(terminal, films):
    one = terminal(films, TERM="dumb")
    assert one.end() == 2
    assert b"\x1b[?1049h" not in one.raw


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)], ids=str
)
def test_a_signal_ends_it_with_the_terminal_restored(terminal, films, number, code):
    one = terminal(films)
    one.wait_for("active v1")
    assert one.end(number) == code
    assert one.left_on() == set()
    assert b"Traceback" not in one.raw


def test_control_c_leaves(terminal, films):
    one = terminal(films)
    one.wait_for("active v1")
    one.press("\x03")
    assert one.end() == 0
    assert one.left_on() == set()


def test_a_terminal_that_is_gone_ends_it(terminal, films):
    one = terminal(films)
    one.wait_for("active v1")
    one.cut()
    for _ in range(400):
        if not one.child.ptyproc.isalive():
            return
        time.sleep(0.05)
    pytest.fail("the process went on without its terminal")


def test_a_fault_of_the_program_is_one_line_on_a_restored_terminal(terminal, films):
    code = (
        "from recsys_tui.app import RecsysApp\nfrom recsys_tui.__main__ import main\n"
        "RecsysApp.action_help = lambda self: 1 / 0\nmain()"
    )
    one = terminal(films, code=code)
    one.wait_for("active v1")
    one.press("?")
    assert one.end() == 1
    assert one.left_on() == set()
    assert b"unexpected ZeroDivisionError" in one.raw
    assert b"Traceback" not in one.raw


def test_it_follows_the_size_of_the_window(terminal, films):
    one = terminal(films, "tui", "--screen", "models")
    one.wait_for("versions 3")
    one.resize(40, 10)
    one.wait_for("terminal 40x10")
    assert "60x16" in one.text
    one.resize(20, 5)
    one.wait_for("60x16")
    one.resize(140, 40)
    one.wait_for("versions 3")
    one.wait_for("ndcg@10")
    assert max(len(line.rstrip()) for line in one.lines) > 120
    one.resize(80, 24)
    one.wait_for("versions 3")
    one.press("q")
    assert one.end() == 0


def test_no_color_sends_no_colour(terminal, films):
    one = terminal(films, NO_COLOR="1")
    one.wait_for("active v1")
    one.press("q")
    one.end()
    assert not re.search(rb"\x1b\[[0-9;]*\b[34]8;", one.raw)
    assert not re.search(rb"\x1b\[(?:[0-9;]*;)?(?:3[0-7]|4[0-7]|9[0-7]|10[0-7])m", one.raw)


@pytest.mark.parametrize("place", ["train", "models", "jobs"])
def test_ascii_sends_ascii(terminal, films, place):
    one = terminal(films, "tui", "--ascii", "--screen", place)
    one.wait_for("active v1")
    one.wait_for("Help")
    one.read(0.5)
    one.press("?")
    one.wait_for("help: ")
    assert one.raw.isascii()


def test_a_locale_without_utf8_gets_ascii(terminal, films):
    one = terminal(films, LANG="de_DE.ISO-8859-1", LC_ALL="de_DE.ISO-8859-1")
    one.wait_for("active v1")
    one.read(0.3)
    assert one.raw.isascii()


def test_a_broken_settings_file_is_a_notice(terminal, films):
    folder = films.parent / "config" / "recsys-tui"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text("threads = 'many'\ncolor = [")
    one = terminal(films)
    one.wait_for("active v1")
    one.wait_for("TOML")


def test_keys_of_the_settings_file(terminal, films):
    folder = films.parent / "config" / "recsys-tui"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text("[keys]\n'app.models' = 'M'\n")
    one = terminal(films, "tui", "--screen", "train")
    one.wait_for("active v1")
    one.press("M")
    one.wait_for("versions 3")


def test_no_database_says_what_to_do(terminal, tmp_path):
    one = terminal(tmp_path / "none.db")
    one.wait_for("no database at")
    one.wait_for("recsys-tui import|recsys-tui init")
    assert not (tmp_path / "none.db").exists()


def test_a_newer_database_is_refused_on_the_screen(terminal, films):
    with sqlite3.connect(films) as db:
        db.execute("PRAGMA user_version = 999")
    one = terminal(films)
    one.wait_for("schema 999")
    one.press("q")
    assert one.end() == 0


def test_a_strangers_file_is_refused_on_the_screen(terminal, tmp_path):
    (tmp_path / "x.db").write_bytes(b"PK\x03\x04" + bytes(5000))
    one = terminal(tmp_path / "x.db")
    one.wait_for("not a database|another program|cannot|no database")


def test_a_database_that_is_deleted_and_comes_back(terminal, films):
    one = terminal(films, "tui", "--screen", "models")
    one.wait_for("versions 3")
    kept = films.with_name("kept.db")
    for suffix in ("-wal", "-shm"):
        films.with_name(films.name + suffix).unlink(missing_ok=True)
    shutil.copy(films, kept)
    films.unlink()
    one.wait_for("no database at")
    shutil.copy(kept, films)
    one.wait_gone("no database at")
    one.press("q")
    assert one.end() == 0


def test_a_locked_database_does_not_hold_the_keys_up(terminal, films):
    """Another process writes for seconds: reading goes on, and keys are answered."""
    one = terminal(films, "tui", "--screen", "models")
    one.wait_for("versions 3")
    lock = sqlite3.connect(films, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    lock.execute("UPDATE meta SET value = value WHERE key = 'revision'")
    one.press("?")
    assert one.wait_for("help: Models", 3.0) < 3.0
    one.press("\x1b")
    one.wait_for("versions 3")
    lock.execute("ROLLBACK")
    lock.close()


def test_what_another_process_activates_appears(terminal, films):
    one = terminal(films, "tui", "--screen", "models")
    one.wait_for("active v1")
    run(films, "models", "activate", "v2")
    one.wait_for("active v2", 10)


def test_a_job_of_another_process_appears_and_its_end_is_told(terminal, films):
    one = terminal(films, "tui", "--screen", "train")
    one.wait_for("active v1")
    run(films, "train", "mf", "--set", "epochs=3")
    one.wait_for("job 4 mf is done", 20)


def test_titles_cannot_touch_the_terminal(terminal, films):
    """A label is text of the operator's: it is shown character for character, and does nothing."""
    evil = "\x1b]0;owned\x07[bold]x[/] \u202eevil"
    run(films, "models", "label", "v1", evil)
    one = terminal(films, "tui", "--screen", "models")
    one.wait_for(re.escape(r"\x1b]0;owned"))
    assert b"\x1b]0;owned" not in one.raw
    assert "\u202e" not in one.raw.decode(errors="replace")
    assert not harmful(one.text.replace("\n", ""))


def test_what_is_copied_goes_to_the_terminal_and_help_opens_over_it(terminal, films):
    """OSC 52 with exactly the text; and `?` shows the keys of the place."""
    one = terminal(films, "tui", "--screen", "models")
    one.wait_for("versions 3")
    one.press("?")
    one.wait_for("help: Models")
    one.press("\x1b")
    one.wait_gone("help: Models")
    one.press("y")
    one.wait_for("JSON")
    one.press("\r")
    one.wait_for("OSC")
    sent = re.findall(rb"\x1b\]52;c;([A-Za-z0-9+/=]*)(?:\x07|\x1b\\)", one.raw)
    assert [base64.b64decode(text).decode() for text in sent] == ["v1"]


def test_leaving_while_a_training_runs_says_that_it_goes_on(terminal, films):
    run(films, "train", "mf", "--set", "epochs=3000", "--set", "n_factors=64", "--detach")
    one = terminal(films)
    try:
        one.wait_for("job 4 mf  running")
        one.press("q")
        assert one.end() == 0
        assert b"job 4 (mf) goes on" in one.raw
        job = json.loads(run(films, "jobs", "show", "4", "--json").out)
        assert job["state"] == "running"
    finally:
        run(films, "jobs", "cancel", "4")


def test_a_training_of_the_ui_survives_its_terminal_and_is_found_again(terminal, films):
    one = terminal(films, "tui", "--screen", "train")
    one.wait_for("job 3 mf  done")
    one.press("t")
    one.wait_for("Settings of")
    place = [option.name for option in settings_of("mf")].index("epochs") + 1
    for key in ("\t" * place, "\x1b[F", "000"):
        one.press(key)
        one.read(0.3)
    one.wait_for("train mf --set epochs=10000")
    one.press("\r")
    one.wait_for("job 4 mf  running")
    one.cut()
    try:
        again = terminal(films, "tui", "--screen", "train")
        again.wait_for("job 4 mf  running  epoch")
        again.press("x")
        again.wait_for(r"Stop job 4 \(mf\)\?")
        again.press("y")
        again.wait_for("× cancelled")
        again.press("q")
        assert again.end() == 0
    finally:
        for job in Journal(Database(films)).recent():
            if not job.ended:
                run(films, "jobs", "cancel", str(job.id))


def test_tty_reset_restores(films, terminal):
    one = terminal(films, "tty-reset")
    assert one.end() == 0
    assert b"\x1b[?25h" in one.raw
    assert b"\x1b[?1049l" in one.raw


def test_a_picture_needs_no_terminal(films, tmp_path):
    out = tmp_path / "models.svg"
    run(films, "tui", "--screen", "models", "--screenshot", out, "--size", "100x30")
    assert out.read_text().startswith("<svg")
    assert "versions 3" in out.with_suffix(".txt").read_text()
    run(films, "tui", "--screenshot", out, "--size", "big", expect=2)


def test_starting_imports_nothing_heavy(films):
    code = (
        "import sys\nfrom recsys_tui.app import RecsysApp\nfrom recsys_tui.screens import SCREENS, screen_class\n"
        "[screen_class(n) for n in SCREENS]\n"
        "heavy = {'numpy', 'torch', 'pandas', 'scipy', 'pyarrow', 'numba', 'typer', 'click'}\n"
        "print(sorted({m.partition('.')[0] for m in sys.modules} & heavy))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(films), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


LOADED_BY_THE_FIRST_PLACE = """
import sys, threading
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name in {"typer", "click"} and threading.current_thread() is threading.main_thread():
            raise AssertionError(f"{name} is loaded")
sys.meta_path.insert(0, Watch())
from recsys_tui.__main__ import main
main()
"""


@pytest.mark.parametrize("arguments", [(), ("tui", "--screen", "jobs", "--read-only"), ("tui", "--help")], ids=str)
def test_the_ui_opens_without_the_libraries_of_the_command_line(terminal, films, arguments):
    """The list of commands for the palette takes them, later and in a thread of its own."""
    one = terminal(films, *arguments, code=LOADED_BY_THE_FIRST_PLACE)
    if "--help" in arguments:
        one.wait_for("AssertionError: typer is loaded|AssertionError: click is loaded")
        return
    one.wait_for("active v1")
    one.press("q")
    assert one.end() == 0


PLAINLY_ASKED = [
    [],
    ["tui"],
    ["tui", "--screen", "users", "--read-only", "--slow", "--ascii", "--no-mouse", "--paused"],
    ["tui", "--theme", "nord", "--db", "a.db", "--theme", "--slow"],
]
LEFT_TO_THE_PARSER = [
    ["tui", "--help"],
    ["tui", "--screen", "nowhere"],
    ["tui", "--screen=users"],
    ["tui", "--screen"],
    ["tui", "--screenshot", "a.svg"],
    ["tui", "--json"],
    ["tui", "users"],
    ["--db", "a.db"],
    ["models", "list"],
]


@pytest.mark.parametrize("arguments", PLAINLY_ASKED, ids=str)
def test_what_is_plainly_asked_is_what_the_parser_would_find(arguments):
    asked = plainly_asked(arguments)
    found = get_command(tree(["tui"])).commands["tui"].make_context("tui", arguments[1:]).params
    found["ascii"] = found.pop("plain")
    given = {name: str(value) if name == "db" else value for name, value in found.items() if value}
    given.pop("size")
    assert asked == given


@pytest.mark.parametrize("arguments", LEFT_TO_THE_PARSER, ids=str)
def test_what_is_not_plain_is_left_to_the_parser(arguments):
    assert plainly_asked(arguments) is None


@pytest.mark.parametrize("keys", ["q", "4q", "3q", "/\x1bq", "?\x1bq", ":\x1bq", "2\x1b1q"])
def test_keys_typed_faster_than_anything_is_made_act_in_their_order(terminal, films, keys):
    """All in one piece, as soon as the place stands there; none may go into a line, to a list or nowhere."""
    one = terminal(films, "tui", "--screen", "users")
    one.wait_for("1 Train")
    one.press(keys)
    assert one.end() == 0


def test_keys_of_another_character_set_do_not_end_the_keyboard(terminal, films):
    one = terminal(films, "tui", "--screen", "models")
    one.wait_for("active v1")
    one.child.send(b"\xe9\xff")  # é of Latin-1
    one.press("?")
    one.wait_for("help: Models")


def test_a_sequence_that_comes_in_pieces_is_one_key_within_escdelay(terminal, films):
    one = terminal(films, "tui", "--screen", "models", ESCDELAY="4000")
    one.wait_for("> v1")
    one.press("\x1b")
    one.read(0.3)
    one.press("[A")
    one.wait_for("> v2")


def test_what_is_typed_right_after_slash_is_what_is_looked_for(terminal, films):
    one = terminal(films, "tui", "--screen", "models")
    one.wait_for("1 Train")
    one.press("/pop\r")
    one.wait_for("versions 1 of 3")
    one.press("2\x1b/mf\r")
    one.wait_for("versions 2 of 3")
    one.press("/\x15zz\x7f\x7fpop\r")  # all before it goes, then two letters again
    one.wait_for("versions 1 of 3")


def test_a_line_that_holds_something_takes_what_is_typed_at_once_in_its_place(terminal, films):
    one = terminal(films, "tui", "--screen", "rate")
    one.wait_for("their rating")
    one.press("/first\r")
    one.wait_for("find  first")
    for word in ("second", "third"):
        one.press(f"/\x15{word}\r")
        one.wait_for(f"find  {word} ")
        one.press(f"/{word}s\r/\r64")  # what it held was selected; Enter gives the list the keys
        one.wait_for(f"find  {word}s ")
