"""Train: the form, following, stopping, resuming, overlaying, and what is kept."""

import threading

import pytest

from recsys_tui.screens.train import Train
from recsys_tui.stream import THREADS
from recsys_tui.trainform import model_names
from recsys_tui.widgets.charts import Curves
from recsys_tui.widgets.form import FormField
from store.database import Database
from store.journal import Journal
from tests.recsys_tui.tui.pilot import drive


def journal(db):
    return Journal(Database(db))


def test_the_runs_and_the_newest_ones_curve_are_shown(films):
    async def script(ui):
        assert "runs 3" in ui.text
        assert "job 3 mf  done  made v3" in ui.text
        assert "train 0." in ui.text
        assert "held-out rmse" in ui.text
        assert "6/6" in ui.text

    drive(films, script, screen="train")


def test_no_run_says_what_to_do(database):
    async def script(ui):
        assert "t trains a first model" in ui.text
        assert "no runs yet" in ui.text

    drive(database.path, script, screen="train")


def test_a_training_from_the_form(films):
    """Model, a setting, Enter: a job of this program, whose curve and version appear."""

    async def script(ui):
        await ui.press("t")
        await ui.until(lambda: "Settings of" in ui.text)
        fields = {field.asked.name: field for field in ui.app.screen.query(FormField)}
        while fields["model"].value != "mf":
            await ui.press("right")
        await ui.until(lambda: "n_factors" in ui.text)
        fields = {field.asked.name: field for field in ui.app.screen.query(FormField)}
        fields["epochs"].take_focus()
        await ui.press("end", "backspace", "backspace", "3")
        assert "recsys-tui train mf --set epochs=3 --detach" in ui.text
        await ui.press("enter")
        await ui.until(lambda: any("goes on when you leave" in toast for toast in ui.toasts))
        await ui.until(lambda: "job 4 mf  done" in ui.text)

    drive(films, script, screen="train")
    job = journal(films).get(4)
    assert (job.origin, job.request["settings"], job.state) == ("tui", {"epochs": "3"}, "done")


def test_until_the_settings_of_the_model_picked_are_there_nothing_can_be_started(films):
    """Every thread is busy, so that reading them takes as long as this test wants."""
    go_on = threading.Event()

    async def script(ui):
        await ui.press("t")
        await ui.until(lambda: "Settings of mf" in ui.text)
        for number in range(THREADS):
            ui.app.place().ask(f"busy {number}", lambda _: go_on.wait(30), lambda _: None, offline=True)
        await ui.pilot.press("left")
        await ui.until(lambda: "reads the settings of" in ui.text)
        picked = ui.app.screen.query(FormField).first().value
        assert picked != "mf"
        assert "Settings of" not in ui.text
        assert "n_factors" not in ui.text
        assert "train mf" not in ui.text
        await ui.pilot.press("enter")
        await ui.until(lambda: f"the settings of {picked} are being read" in ui.text)
        go_on.set()
        await ui.until(lambda: f"Settings of {picked}" in ui.text and f"train {picked} --detach" in ui.text)
        await ui.press("enter")
        await ui.until(lambda: f"job 4 {picked}  done" in ui.text)

    try:
        drive(films, script, screen="train")
    finally:
        go_on.set()
    jobs = journal(films).recent()
    assert len(jobs) == 4
    assert jobs[0].request["model"] != "mf"


def test_what_is_wrong_is_said_beside_the_field_and_enter_goes_there(films):
    async def script(ui):
        await ui.press("t")
        await ui.until(lambda: "Settings of" in ui.text)
        fields = {field.asked.name: field for field in ui.app.screen.query(FormField)}
        fields["test"].take_focus()
        await ui.press("end", "backspace", "backspace", "backspace", "7")
        assert "test must be from 0 to 0.9" in ui.text
        fields["model"].take_focus()
        await ui.press("enter")
        assert ui.app.focused in fields["test"].query("Input")
        await ui.press("escape")
        assert isinstance(ui.app.screen, Train)

    drive(films, script, screen="train")
    assert len(journal(films).recent()) == 3


def test_a_refusal_stands_in_the_form(database):
    """An empty database: nothing to train on."""

    async def script(ui):
        await ui.press("t")
        await ui.until(lambda: "Settings of" in ui.text or "nothing to set" in ui.text)
        await ui.press("enter")
        await ui.until(lambda: "too few" in ui.text)

    drive(database.path, script, screen="train")
    assert journal(database.path).recent() == []


def test_members_that_there_are_not_are_said_beside_their_field(films):
    async def script(ui):
        await ui.press("t")
        await ui.until(lambda: "Settings of" in ui.text)
        for _ in range(len(model_names())):
            if "< ensemble >" in ui.text:
                break
            await ui.press("right")
        await ui.until(lambda: "Settings of ensemble" in ui.text)
        await ui.press("tab", *"abc", "enter")
        await ui.until(lambda: "! members = abc is refused" in ui.text)
        await ui.press("ctrl+u")
        await ui.until(lambda: "! members" not in ui.text)

    drive(films, script, screen="train")
    assert len(journal(films).recent()) == 3


def test_stopping_asks_first_and_the_run_is_resumed(films):
    from tests.cli import run

    run(films, "train", "mf", "--set", "epochs=2000", "--set", "n_factors=48", "--detach")

    async def script(ui):
        await ui.until(lambda: "job 4 mf  running  epoch" in ui.text)
        await ui.press("x")
        assert "Stop job 4 (mf)?" in ui.text
        await ui.press("enter")  # stands on No
        assert journal(films).get(4).state == "running"
        await ui.press("x", "y")
        await ui.until(lambda: journal(films).get(4).state == "cancelled")
        await ui.until(lambda: "× cancelled" in ui.text)
        await ui.press("R")
        await ui.until(lambda: journal(films).get(5).state == "running")
        await ui.until(lambda: "goes on after epoch" in ui.text)
        await ui.press("g", "x", "y")
        await ui.until(lambda: journal(films).get(5).ended)

    drive(films, script, screen="train")
    assert journal(films).get(5).request["resume"] == 4


def test_one_epoch_is_told_in_words(trained):
    """The first run, of a model that is counted and not trained in rounds."""

    async def script(ui):
        await ui.press("G", "enter")
        await ui.until(lambda: "after epoch 1" in ui.text and "A curve takes two epochs" in ui.text)

    drive(trained, script, screen="train")


def test_marked_runs_are_overlaid(films):
    async def script(ui):
        assert len(ui.app.screen.query_one(Curves)._curves) == 2
        await ui.press("j", "space")
        names = ["3 train", "3 held-out rmse", "2 train", "2 held-out rmse"]
        assert [curve.name for curve in ui.app.screen.query_one(Curves)._curves] == names
        assert "job 3, job 2" in ui.text
        await ui.press("C")
        assert len(ui.app.screen.query_one(Curves)._curves) == 2

    drive(films, script, screen="train")


def test_the_axis_and_the_log_are_kept_between_sessions(films):
    async def change(ui):
        await ui.press("L", "l")
        assert "log axis" in ui.text

    async def again(ui):
        assert "log axis" in ui.text
        assert not ui.app.screen.query_one("#log-pane").display

    drive(films, change, screen="train")
    drive(films, again)  # the place is kept too


def test_a_run_that_died_is_lost_and_says_what_to_do(films):
    made = journal(films).create("train", "mf", {"model": "mf"})
    journal(films).start(made, 2**22 - 3)

    async def script(ui):
        await ui.until(lambda: "! lost" in ui.text)
        await ui.press("6")
        await ui.until(lambda: "ended without a word" in ui.text)
        assert f"--resume {made}" in ui.text

    drive(films, script, screen="train", size=(140, 40))


def test_slow_draws_lines_of_text_instead_of_a_plot(films):
    async def script(ui):
        assert "┤" not in ui.text
        assert "train" in ui.text

    drive(films, script, screen="train", slow=True)


@pytest.mark.parametrize("key", ["t", "x", "R"])
def test_read_only_refuses_what_writes(films, key):
    async def script(ui):
        await ui.press(key)
        assert isinstance(ui.app.screen, Train)
        assert any("--read-only" in toast for toast in ui.toasts)

    drive(films, script, screen="train", read_only=True)
