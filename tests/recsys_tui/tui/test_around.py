"""Around the places: palette, help, copying, exporting, themes, zoom, pause, and the table of actions as a contract."""

import csv
import json
import shlex
import sqlite3
from collections.abc import Iterator

import click
import pytest
import typer

from recsys_tui.actions import EVERYWHERE, PLACES
from recsys_tui.cli import tree
from recsys_tui.screens import SCREENS, screen_class
from recsys_tui.screens.commands import command_choices
from recsys_tui.widgets.moving import Moving
from recsys_tui.widgets.row_table import RowTable
from store.database import Database
from store.journal import Journal
from store.registry import Registry
from tests.cli import call
from tests.hostile import HOSTILE, harmful
from tests.recsys_tui.tui.pilot import drive

ACTIONS = [*EVERYWHERE, *(action for name in SCREENS for action in screen_class(name).ACTIONS)]


def known_command(line: str) -> click.Command:
    """Return the command that a command line names, or fail."""
    found = typer.main.get_command(tree())
    for word in shlex.split(line)[1:]:
        if not isinstance(found, click.Group) or word.startswith("-"):
            break
        assert word in found.commands, f"no command {word} for {line}"
        found = found.commands[word]
    return found


CONTRACT = (
    "init|import|imports list|imports show|imports undo|stats|train|jobs list|jobs show|jobs tail|jobs cancel"
    "|jobs attach|models list|models show|models activate|models rollback|models delete|models verify|models export"
    "|models import|models label|models lineage|models gc|models audit|evaluate|compare|diff|metrics list"
    "|metrics explain|metrics history|recommend|predict|explain|similar|rate|onboard|users list|users show"
    "|users forget|items list|items show|items search|export|monitor|data health|backup"
    "|restore|demo|doctor|schedule show|schedule run-due|schedule install|config show|config path"
    "|config edit|config check|keys|tty-reset"
)
"""Every command that is promised."""


def leaves(command: click.Command, *words: str) -> Iterator[str]:
    """Yield the words of every command that is not hidden."""
    if isinstance(command, click.Group):
        for name, part in command.commands.items():
            if not part.hidden:
                yield from leaves(part, *words, name)
    else:
        yield " ".join(words)


class TestActions:
    @pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.id)
    def test_each_has_a_command_that_exists(self, action):
        words = {"show": "jobs list", "listing": "jobs list"}
        command = action.command
        for name, value in words.items():
            command = command.replace(f"{{{name}}}", value)
        found = known_command("recsys-tui " + command.replace("{", "").replace("}", ""))
        for word in shlex.split(command):
            if word.startswith("--") and word != "--help":
                assert any(word in parameter.opts for parameter in found.params), word

    @pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.id)
    def test_each_has_a_sentence_a_label_and_a_method(self, action):
        from recsys_tui.app import RecsysApp

        owner = RecsysApp if action.id.startswith("app.") else screen_class(action.id.partition(".")[0])
        assert hasattr(owner, f"action_{action.method}")
        assert action.sentence.endswith((".", "?"))
        assert 0 < len(action.label) <= 12

    def test_ids_and_keys_are_used_once(self):
        ids = [action.id for action in ACTIONS]
        assert len(ids) == len(set(ids))
        everywhere = {key: action.method for action in EVERYWHERE for key in action.key.split(",")}
        for name in SCREENS:
            keys = [(key, action.method) for action in screen_class(name).ACTIONS for key in action.key.split(",")]
            assert len(keys) == len(dict(keys)), name
            other = {key for key, method in keys if key in everywhere and everywhere[key] != method}
            assert other <= {"escape"}, f"{name}: a key of everywhere does something else here"

    def test_no_key_is_one_that_moves_in_a_list(self):
        """A list with the focus takes its keys before the place does; Enter reaches both."""
        moving = {key for binding in Moving.BINDINGS for key in binding.key.split(",")}
        assert [action.id for action in ACTIONS if moving & set(action.key.split(","))] == []

    def test_no_key_collides_with_multiplexers_and_flow_control(self):
        keys = {key for action in ACTIONS for key in action.key.split(",")}
        assert not keys & {f"ctrl+{letter}" for letter in "abjoqsz"}

    def test_every_command_is_reached_from_the_palette(self):
        choices = command_choices(set())
        reached = {" ".join(word for word in choice.value.split() if word.islower()) for choice in choices}
        assert {words for words in leaves(typer.main.get_command(tree())) if words != "tui"} == reached
        assert set(CONTRACT.split("|")) <= reached

    def test_the_keys_command_lists_them(self, films):
        rows = json.loads(call(films, "keys", "--json").out)
        assert {row["action"] for row in rows} == {action.id for action in ACTIONS}


def test_number_keys_go_to_the_places(films):
    async def script(ui):
        for number, name in enumerate(PLACES, 1):
            if name in SCREENS:
                await ui.press(str(number))
                assert name == ui.app.place().NAME

    drive(films, script)


def test_the_palette_finds_and_runs_an_action(films):
    async def script(ui):
        await ui.press("colon")
        await ui.type("log axis")
        assert "recsys-tui jobs tail 3" in ui.text
        await ui.press("enter")
        assert "log axis" in ui.text

    drive(films, script, screen="train")


def test_the_palette_runs_an_action_of_another_place(films):
    async def script(ui):
        await ui.press("colon")
        await ui.type("models: compare")
        await ui.press("enter")
        assert ui.app.place().NAME == "models"

    drive(films, script, screen="train")


def test_the_palette_runs_a_command_and_shows_what_it_prints(films):
    async def script(ui):
        await ui.press("colon")
        await ui.type("stats")
        await ui.press("enter")
        await ui.press("enter")
        await ui.until(lambda: "ratings" in ui.text and "done" in ui.text)

    drive(films, script, screen="train", size=(100, 40))


def test_help_is_of_the_place(films):
    async def script(ui):
        await ui.press("question_mark")
        assert "help: Models" in ui.text
        assert "Go back to the version that was active before" in ui.text or "Serve this version" in ui.text
        await ui.press("escape")
        assert "versions 3" in ui.text

    drive(films, script, screen="models")


def test_copying_tells_the_truth_about_its_route(films, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("TMUX", raising=False)

    async def script(ui):
        await ui.press("y")
        assert "command" in ui.text
        await ui.press("enter")
        await ui.until(lambda: any("OSC 52" in toast for toast in ui.toasts))

    drive(films, script, screen="models")
    assert (tmp_path / "state/recsys-tui/clipboard.txt").read_text() == "v1"


def test_exporting_writes_what_is_shown(films, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    async def script(ui):
        await ui.press("e")
        assert "3 rows" in ui.text
        await ui.press("enter")
        await ui.until(lambda: any("wrote 3 rows" in toast for toast in ui.toasts))

    drive(films, script, screen="models")
    rows = list(csv.DictReader((tmp_path / "models.csv").read_text().splitlines()))
    assert [row["version"] for row in rows] == ["v3", "v2", "v1"]
    assert rows[2]["state"] == "active"


def test_exporting_says_what_is_wrong_with_the_name(films):
    async def script(ui):
        await ui.press("e")
        await ui.type("x")
        assert "suffix" in ui.text

    drive(films, script, screen="models")


def test_a_theme_is_chosen_and_kept(films):
    async def choose(ui):
        await ui.press("T")
        await ui.type("nord")
        await ui.press("enter")
        assert ui.app.theme == "nord"

    async def again(ui):
        assert ui.app.theme == "nord"

    drive(films, choose)
    drive(films, again)


def test_zoom_gives_a_pane_the_screen(films):
    async def script(ui):
        await ui.press("z")
        assert "trained" not in ui.text.splitlines()[-8]
        assert ui.app.screen.maximized is not None
        await ui.press("z")
        assert ui.app.screen.maximized is None

    drive(films, script, screen="models")


def test_paused_the_screen_holds_still(films):
    async def script(ui):
        await ui.press("p")
        call(films, "models", "activate", "v2")
        await ui.pilot.pause(1.5)
        assert "active v1" in ui.text
        await ui.press("p")
        await ui.until(lambda: "active v2" in ui.text)

    drive(films, script, screen="models")


def test_a_screenshot_is_svg_and_text(films, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    async def script(ui):
        await ui.press("P")
        await ui.until(lambda: any("saved" in toast for toast in ui.toasts))

    drive(films, script, screen="models")
    assert [path.suffix for path in sorted(tmp_path.glob("recsys-models-*"))] == [".svg", ".txt"]


def test_a_state_file_that_is_broken_is_a_notice(films, tmp_path):
    kept = tmp_path / "broken.json"
    kept.write_text("{")

    async def script(ui):
        assert any("cannot be read" in toast for toast in ui.toasts)

    drive(films, script, kept=kept)


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (140, 40), (60, 16)], ids=str)
@pytest.mark.parametrize("place", ["train", "models", "jobs"])
def test_nothing_is_wider_than_the_screen_and_the_keys_are_there(films, place, size):
    async def script(ui):
        lines = ui.text.splitlines()
        assert len(lines) == size[1]
        assert max(map(len, lines)) <= size[0]
        assert "? Help" in lines[-1]
        assert "recsys" in lines[0]

    drive(films, script, screen=place, size=size)


def test_the_loop_is_never_held_up(films):
    """While places are shown and a comparison is worked out, the event loop goes on: no read or sum is done on it.

    What the loop computes between two of its turns is told by the processor time of its thread, which other processes
    do not lengthen; that it waits for nothing is told by the clock, which they do.
    """
    import asyncio
    import time

    async def script(ui):
        worst = computed = 0.0
        going = True

        async def watch():
            nonlocal worst, computed
            while going:
                began, used = time.monotonic(), time.thread_time()
                await asyncio.sleep(0.01)
                worst = max(worst, time.monotonic() - began - 0.01)
                computed = max(computed, time.thread_time() - used)

        for key in ("1", "2", "6"):
            await ui.press(key)  # each is made once before it is measured
        task = asyncio.create_task(watch())
        for key in ("2", "6", "1", "2", "j", "c", "escape", "i", "escape"):
            await ui.press(key)
        going = False
        await task
        assert computed < 0.2
        assert worst < 0.5

    drive(films, script)


def test_read_only_does_not_even_migrate(films):
    with sqlite3.connect(films) as db:
        db.execute("PRAGMA user_version = 1")
    db.close()

    async def script(ui):
        assert "takes a migration" in ui.text

    drive(films, script, read_only=True)
    with sqlite3.connect(films) as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == 1
    db.close()


def test_the_mouse_does_what_the_keys_do(films):
    """A click on a place, on a key in the footer, and on a row."""

    async def script(ui):
        header = ui.text.splitlines()[0]
        await ui.pilot.click("#header", offset=(header.index("2 Models") + 1, 0))
        await ui.settle()
        assert ui.app.place().NAME == "models"
        keys = ui.text.splitlines()[-1]
        await ui.pilot.click("#keys", offset=(keys.index("? Help") + 1, 0))
        await ui.settle()
        assert "help: Models" in ui.text
        await ui.press("escape")
        await ui.pilot.click("#versions", offset=(5, 1))
        await ui.settle()
        assert ui.app.screen.query_one("#versions").current["version"] == "v3"

    drive(films, script, screen="train")


def test_hostile_text_is_shown_safe_and_does_nothing(films):
    """A label, reasons of failure and hints are text from outside, on Models and on Jobs."""
    texts = [payload.text[:60].encode(errors="replace").decode() for payload in HOSTILE]
    Registry(Database(films)).label(1, " ".join(texts))
    journal = Journal(Database(films))
    for text in texts:
        journal.fail(journal.create("train", "mf", {"model": text}), code="error", error=f"{text} [/bold]", hint=text)

    async def script(ui):
        await ui.press("G")
        assert not harmful(ui.text.replace("\n", ""))
        assert r"\x1b]0;" in ui.text
        await ui.press("6", "g", "j")
        assert "[/bold]" in ui.text
        for _ in range(4):
            await ui.press("pagedown")
            assert not harmful(ui.text.replace("\n", ""))

    drive(films, script, screen="models", size=(140, 40))


class TestWords:
    """`/` narrows, esc shows all again, n and N go through the rows that have the words."""

    @pytest.mark.parametrize("place", ["train", "models", "jobs"])
    def test_in_every_list(self, films, place):
        async def script(ui):
            table = ui.app.screen.query_one(RowTable)
            key = "version" if place == "models" else "job"

            def at():
                return str(table.current[key]).removeprefix("v")

            await ui.press("slash")
            await ui.type("mf")
            await ui.press("enter")
            assert table.count == 2
            assert "/mf  esc shows all" in ui.text
            await ui.press("escape", "g")
            assert table.count == 3
            seen = []
            for keys in ("n", "n", "n", "N"):
                await ui.press(keys)
                seen.append(at())
            assert "1" not in seen
            assert seen[0] == seen[2] != seen[1] == seen[3]
            await ui.press("escape")
            assert any("q quits" in toast for toast in ui.toasts)

        drive(films, script, screen=place)

    def test_without_words_every_row_is_one(self, films):
        async def script(ui):
            table = ui.app.screen.query_one(RowTable)
            await ui.press("G", "n")
            assert table.cursor == 0
            await ui.press("N")
            assert table.cursor == table.count - 1

        drive(films, script, screen="jobs")
