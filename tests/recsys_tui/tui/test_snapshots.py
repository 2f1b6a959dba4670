"""The places as text, on a database whose every figure and time is written down here.

`RECSYS_SNAPSHOTS=write python -m pytest tests/recsys_tui/tui/test_snapshots.py` writes them anew; look at what changed.
"""

import os
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from rich.color import ColorType

from engine.services.timetable import Schedule, set_schedule
from store.artifacts import Bundle
from store.database import Database
from store.journal import Journal
from store.migrations import migrate
from store.versions import MetricRow, NewVersion
from tests.recsys_tui.tui.pilot import drive

FOLDER = Path(__file__).parent / "snapshots"
SIZES = {"80x24": (80, 24), "100x30": (100, 30), "140x40": (140, 40)}
AT = 1_780_000_000
"""28 May 2026, 20:26:40 UTC."""


def build(db: Path) -> None:
    """Make three versions and five runs: done twice, failed, cancelled, and one whose process is gone."""
    database = Database(db)
    migrate(database)
    journal = Journal(database)
    from store.registry import Registry

    registry = Registry(database, clock=lambda: float(AT))
    models = [("popularity", 0.2518, 0.9871), ("mf", 0.1029, 0.8455), ("bayesian-mf", 0.1131, 0.8402)]
    for number, (model, ndcg, rmse) in enumerate(models, 1):
        job = journal.create("train", model, {"model": model, "seed": 42, "settings": {"epochs": 8}}, origin="cli")
        for epoch in range(1, 9):
            losses = {"train": 0.6 + 0.4 / epoch, "valid": 0.8 + 0.3 / epoch}
            data = {"number": epoch, "of": 8, "losses": losses, "seconds": 2.5, "ratings_per_second": 31_400}
            journal.add_event(job, "epoch", data)
        new = NewVersion(
            model_type=model,
            hyperparameters={"n_factors": 16 * number, "epochs": 8},
            training_data={"n_users": 671, "n_movies": 9066, "n_ratings": 80_003, "fingerprint": "f"},
            protocol={"split": "random", "test": 0.2, "seed": 42, "test_rows": 20_001, "full": False},
            lineage={},
            metrics={
                "ndcg@10": MetricRow(ndcg, ndcg - 0.01, ndcg + 0.01, 671),
                "rmse": MetricRow(rmse, rmse - 0.02, rmse + 0.02, 671),
                "coverage": MetricRow(0.05 * number),
            },
            job=job,
        )
        registry.save(new, {"model": Bundle({"x": np.zeros(3, np.float32)}, {})})
        journal.finish(job, "done", exit_code=0, version=number)
    registry.activate(1, who="ada", why="first")
    registry.label(2, "[bold]spring[/] \x1b[2Jsale")
    journal.finish(journal.create("train", "ials", {"model": "ials"}, origin="tui"), "cancelled", exit_code=130)
    failed = journal.create("train", "mf", {"model": "mf"}, origin="cron")
    for epoch in range(1, 9):
        held_out = {"rmse": 0.83 + 0.3 / epoch + 0.002 * epoch**2} if epoch % 2 else {}
        data = {"number": epoch, "of": 12, "losses": {"train": 0.6 + 0.4 / epoch}, "seconds": 2.5, "held_out": held_out}
        journal.add_event(failed, "epoch", data)
    journal.fail(failed, code="training_failed", error="the loss is not finite in epoch 9", hint="lower learning_rate")
    set_schedule(database, Schedule(on=False))  # when the next one is depends on the day
    database.close()
    with sqlite3.connect(db) as connection:
        connection.execute("UPDATE jobs SET created_at = ? + 60 * id, started_at = ? + 60 * id", (AT, AT))
        connection.execute("UPDATE jobs SET finished_at = started_at + 20 + id, pid = NULL")
        connection.execute("UPDATE events SET at = ? + seq", (AT,))
        connection.execute("UPDATE versions SET trained_at = ? + id", (AT,))
    connection.close()


@pytest.fixture(scope="module")
def frozen(tmp_path_factory):
    """The database of the pictures; nothing in these tests writes to it."""
    db = tmp_path_factory.mktemp("frozen") / "films.db"
    build(db)
    return db


def matches(name: str, text: str) -> None:
    """Compare a text with the one that is kept."""
    file = FOLDER / f"{name}.txt"
    if os.environ.get("RECSYS_SNAPSHOTS") == "write":
        FOLDER.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8"), f"{name} looks different: see the docstring of this file"


def styled(ui) -> str:
    """Return the screen with the style of each run of text; colours may only be those of the terminal."""
    lines = []
    for strip in ui.app.screen._compositor.render_strips():
        runs: list[tuple[str, str]] = []
        for text, style, _ in strip:
            colors = {color for color in (style.color, style.bgcolor) if color is not None}
            assert not [color for color in colors if color.type in {ColorType.TRUECOLOR, ColorType.EIGHT_BIT}], text
            name = str(style)
            if runs and runs[-1][0] == name:
                runs[-1] = (name, runs[-1][1] + text)
            else:
                runs.append((name, text))
        lines.append("".join(f"{{{name}}}{text}" for name, text in runs))
    return "\n".join(lines) + "\n"


async def every_look(ui, place: str) -> None:
    """Compare a place in each size, then in the colours of a terminal of sixteen, all of them one after the other."""
    for name, (columns, rows) in {**SIZES, "ansi": SIZES["80x24"]}.items():
        if name == "ansi":
            ui.app.theme = "ansi-dark"
        await ui.pilot.resize_terminal(columns, rows)
        await ui.pilot.pause(0.3)
        matches(f"{place}-{name}", styled(ui) if name == "ansi" else ui.text)


@pytest.mark.parametrize("place", ["train", "models", "jobs"])
def test_places(frozen, tmp_path, place):
    async def script(ui):
        await every_look(ui, place)

    drive(frozen, script, screen=place, kept=tmp_path / "ui.json", theme="textual-dark")


@pytest.mark.parametrize("place", ["train", "models", "jobs"])
def test_places_in_ascii(frozen, tmp_path, place):
    async def script(ui):
        await ui.until(lambda: ui.app.state.schedule)  # the line under the list of runs comes last
        text = "\n".join(
            "".join(segment.text for segment in strip.apply_filter(ui.app._plain, ui.app.screen.styles.background))
            for strip in ui.app.screen._compositor.render_strips()
        )
        assert text.isascii()
        matches(f"{place}-ascii", text)

    drive(frozen, script, screen=place, kept=tmp_path / "ui.json", ascii=True)


@pytest.mark.parametrize(
    ("name", "keys"), [("help", ["question_mark"]), ("palette", ["colon"]), ("copy", ["y"]), ("delete", ["D"])]
)
def test_dialogs(frozen, tmp_path, name, keys):
    async def script(ui):
        await ui.press("g", "j", *keys)
        matches(f"models-{name}", ui.text)

    drive(frozen, script, screen="models", kept=tmp_path / "ui.json", theme="textual-dark")


def test_the_form(frozen, tmp_path):
    async def script(ui):
        await ui.press("t")
        await ui.until(lambda: "Settings of mf" in ui.text and "n_factors" in ui.text)
        first = [line.rstrip() for line in ui.text.splitlines()]
        assert "new training" in ui.text
        assert "$ recsys-tui train mf --detach" in ui.text
        assert max(map(len, first)) <= 80

    drive(frozen, script, screen="train", kept=tmp_path / "ui.json", theme="textual-dark")
