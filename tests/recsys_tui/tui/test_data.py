"""Data: what is stored and drawn, an import from the preview to the last row, rejected rows, undoing."""

import time

import pytest

from recsys_tui.screens.importing import Importing
from recsys_tui.screens.stock import Stock, by_span, freshness
from recsys_tui.screens.stockview import curve_of, tail_of
from recsys_tui.widgets.virtual_table import VirtualTable
from store.activity import Activity
from tests.cli import SAMPLE, call
from tests.recsys_tui.tui.driving import drive

GOOD = "user,item,rating,time\n" + "".join(
    f"n{u},{i},{1 + (u + i) % 5},{86_400 * u}\n" for u in range(9) for i in range(9)
)
BAD = GOOD + "1,b,9,100\n3,,4,100\n\x1b[2Jx,c,3,x\n5,[REC] (2007),oops,100\n"


@pytest.fixture
def csv(tmp_path):
    path = tmp_path / "new ratings.csv"
    path.write_text(BAD)
    return path


class TestStored:
    def test_counts_and_distribution_are_those_of_stats(self, films):
        told = call(films, "stats", "--json").json

        async def act(ui):
            await ui.see(f"{told['ratings']:,}", f"{told['users']:,}", f"{told['items']:,}", f"{told['density']:.4%}")
            for row in told["distribution"]:
                assert f"{row['count']:,}" in ui.text
            await ui.see("ratings over time", "a cell is", "v1 trained", "learned from")

        drive(films, act, screen="data", size=(140, 40))

    def test_an_empty_database_offers_the_sample_data_and_takes_it(self, tmp_path):
        async def act(ui):
            await ui.see("No ratings yet", "sample data")
            await ui.press("s")
            await ui.see("stored", "25,905", seconds=60)
            await ui.press("3")
            await ui.see("users · 600")

        drive(tmp_path / "new.db", act, screen="data")
        assert call(tmp_path / "new.db", "stats", "--json").json["ratings"] == 25905

    def test_the_sample_data_is_not_mixed_into_ratings_without_a_question(self, films):
        before = call(films, "stats", "--json").json["ratings"]

        async def act(ui):
            await ui.see(f"{before:,}")
            await ui.press("s")
            await ui.see("Add the sample data to")
            await ui.press("n")
            await ui.see("imports")

        drive(films, act, screen="data")
        assert call(films, "stats", "--json").json["ratings"] == before

    def test_health_says_first_what_asks_for_a_look(self, films):
        checks = call(films, "data", "health", "--json").json["checks"]
        poor = next(check for check in checks if not check["ok"])

        async def act(ui):
            await ui.see("imports")
            await ui.press("h")
            await ui.see("health of the data", f"look  {poor['name']}", poor["detail"][:20], seconds=60)
            await ui.press("escape")
            await ui.until(lambda: len(ui.app.screen_stack) == 1)

        drive(films, act, screen="data", size=(140, 40))

    def test_read_only_imports_nothing(self, films):
        async def act(ui):
            await ui.see("imports")
            await ui.press("i")
            await ui.hear("--read-only")
            await ui.press("s", "x")
            assert len(ui.app.screen_stack) == 1

        drive(films, act, screen="data", read_only=True)


class TestImporting:
    def test_from_the_preview_to_the_rejected_rows_and_back(self, films, csv):
        before = call(films, "stats", "--json").json["ratings"]

        async def act(ui):
            await ui.see("imports")
            await ui.press("i")
            await ui.type("nowhere.csv")
            await ui.see("no file or folder nowhere.csv")
            source = ui.app.screen.query_one("#source")
            source.value = str(csv)
            await ui.see(f"$ recsys-tui import '{csv}'"[:60])
            await ui.press("enter")
            await ui.see("85 read", "81 stored", "4 rejected", "line", seconds=60)
            assert call(films, "stats", "--json").json["ratings"] == before
            await ui.until(lambda: ui.focused_id == "import")
            await ui.press("enter")
            await ui.until(lambda: len(ui.place.imports) == 2 and ui.place.importing is None, 60)
            await ui.see(f"{before + 81:,}", seconds=30)
            ui.place.query_one("#imports", VirtualTable).cursor = 0
            await ui.press("enter")
            await ui.see("rejected by import 2 · 4", "rating outside the scale", "missing item", "[REC] (2007),oops")
            assert "\\x1b[2Jx,c,3,x" in ui.text
            await ui.press("escape", "x")
            await ui.see("Undo import 2?", "ratings that go")
            await ui.press("y")
            await ui.hear("is undone")

        drive(films, act, screen="data")
        assert call(films, "stats", "--json").json["ratings"] == before

    def test_a_source_that_cannot_be_used_says_why_beside_it(self, films, tmp_path):
        broken = tmp_path / "broken.csv"
        broken.write_bytes(b"\0\1\2" * 100)

        async def act(ui):
            await ui.see("imports")
            await ui.press("i")
            ui.app.screen.query_one("#source").value = str(broken)
            await ui.press("enter")
            await ui.see("! ", seconds=60)
            wrong = {
                "format": ("xls", "! one of auto, "),
                "map": ("user", "! user=…,item=…"),
                "scale": ("5:1", "! write low:high"),
                "duplicates": ("newest", "! one of latest, first, mean, error"),
            }
            for name, (typed, _) in wrong.items():
                ui.app.screen.query_one(f"#{name}").value = typed
            await ui.see(*(told for _, told in wrong.values()))
            lines = ui.text.splitlines()
            for typed, told in wrong.values():  # below its own field
                [below] = [number for number, line in enumerate(lines) if told in line]
                assert typed in lines[below - 1]
            assert ui.app.screen.query_one("#import").disabled
            for name in wrong:
                ui.app.screen.query_one(f"#{name}").value = ""
            await ui.until(lambda: not any(told in ui.text for _, told in wrong.values()))
            assert not ui.app.screen.query_one("#import").disabled
            await ui.press("escape")
            await ui.see("imports")

        drive(films, act, screen="data")
        assert len(call(films, "imports", "list", "--json").json) == 1

    def test_an_import_that_fails_is_told_and_another_can_be_started(self, films):
        async def act(ui):
            await ui.see("imports")
            ui.place._start(Importing(["/gone.csv"]))
            await ui.see("gone.csv", seconds=60)
            await ui.until(lambda: ui.place.importing is None, 60)

        drive(films, act, screen="data")

    def test_a_password_does_not_reach_the_list_of_processes(self, films):
        async def act(ui):
            await ui.see("imports")
            await ui.press("i")
            ui.app.screen.query_one("#source").value = "mongodb://me:secret@db/films"
            await ui.pilot.pause()
            return ui.app.screen.wanted(), ui.text

        wanted, text = drive(films, act, screen="data")
        assert "secret" not in " ".join(wanted.arguments)
        assert "secret" not in text.rpartition("$ recsys-tui")[2]
        assert wanted.secrets == {"RECSYS_MONGO_URI": "mongodb://me:secret@db/films"}


class TestOnATerminal:
    def test_an_import_goes_on_when_the_connection_drops(self, terminal, tmp_path):
        one = terminal(tmp_path / "new.db", "tui", "--screen", "data")
        one.wait_for("takes the sample data")
        one.press("s")
        one.wait_for("importing")
        one.cut()
        for _ in range(120):
            done = call(tmp_path / "new.db", "imports", "list", "--json", expect=None)
            if done.code == 0 and [row["state"] for row in done.json] == ["done"]:
                break
            time.sleep(0.5)
        assert call(tmp_path / "new.db", "stats", "--json").json["ratings"] == 25905

    def test_a_tiny_terminal_and_back(self, terminal, films):
        one = terminal(films, "tui", "--screen", "users")
        one.wait_for("top 10")
        one.resize(40, 10)
        one.wait_for("needs 60x16")
        one.resize(140, 40)
        one.wait_for("why ")
        one.press("q")
        assert one.end() == 0
        assert b"Traceback" not in one.raw


class TestSpans:
    def test_days_go_into_cells_in_their_order_and_none_is_lost(self):
        found = Activity({100: 5, 101: 1, 199: 4}, 10, 0, sampled=False)
        counts, span = by_span(found, 10)
        assert (counts, span) == ([6, 0, 0, 0, 0, 0, 0, 0, 0, 4], "10 days")
        assert by_span(found, 200) == ([5, 1, *[0] * 97, 4], "day")
        assert by_span(Activity({0: 1, 3650: 1}, 2, 0, sampled=False), 10)[1] == "12 months"
        assert by_span(Activity({}, 0, 0, sampled=False), 10) == ([], "")

    @pytest.mark.parametrize("width", [8, 20, 40, 80])
    def test_the_curve_is_as_wide_as_its_room(self, width):
        found = Activity({day: day % 7 for day in range(1000)}, 3000, 0, sampled=True)
        lines = curve_of(found, width, 5).plain.split("\n")
        assert len(lines) == 5
        assert width < 16 or all(len(line) == width for line in lines)
        assert width < 60 or "of a sample" in lines[-1]

    def test_no_times_at_all(self):
        assert curve_of(Activity({}, 5, 5, sampled=False), 20, 4).plain == "no rating has a time"


def test_many_values_become_parts_of_the_scale():
    values = {k / 10: 1 for k in range(101)}
    found = Stock(1, 1, 101, 0.1, (0.0, 10.0, None), None, None, values)
    assert list(found.bars().values()) == [10, 10, 10, 10, 10, 10, 10, 10, 10, 11]
    assert Stock(1, 1, 2, 0.1, (1.0, 5.0, 1.0), None, None, {1.0: 1, 5.0: 1}).bars() == {"1": 1, "5": 1}


def test_freshness_of_nothing():
    assert freshness(None, [], None) == []


@pytest.mark.parametrize(
    ("source", "tail"),
    [
        ("/a/b/c/ml-25m/", "…/c/ml-25m"),
        ("x.csv", "x.csv"),
        ("/a/x.csv", "/a/x.csv"),
        ("mongodb://h/d", "mongodb://h/d"),
    ],
)
def test_the_end_of_a_path_is_shown(source, tail):
    assert tail_of(source) == tail


def test_the_sample_is_there():
    from recsys_tui.screens.stock import sample_folder

    assert sample_folder() == SAMPLE
