"""Users, Rate and Data as text, on a database and with lists whose every figure and time is written down here.

`RECSYS_SNAPSHOTS=write python -m pytest tests/recsys_tui/tui/test_pictures.py` writes them anew; look at what changed.
"""

from types import SimpleNamespace

import pytest

from recsys_tui.screens.lists import Line, Lists
from recsys_tui.widgets.person import WhyPane
from store.database import Database
from store.migrations import migrate
from tests.recsys_tui.tui.driving import drive
from tests.recsys_tui.tui.test_snapshots import AT, every_look, matches

TITLES = (
    "[REC] (2007)",
    "Foo [/bold]",
    "\x1b[2JBlank",
    "静かな川と黄色い傘の長い物語 (2004)",
    "Stalker (1979)",
    "Heat (1995)",
)
ENDS = (0.5, 5.0)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """Forty users, six items with odd titles, ratings over four years, two imports."""
    database = Database(tmp_path_factory.mktemp("shelf") / "films.db")
    migrate(database)
    with database.write() as db:
        db.execute("INSERT INTO genres (name) VALUES ('Drama'), ('Horror')")
        for n, title in enumerate(TITLES, 1):
            db.execute("INSERT INTO items (id, item, title) VALUES (?, ?, ?)", (n, str(n), title))
            db.execute("INSERT INTO item_genres VALUES (?, ?)", (n, 1 + n % 2))
        for user in range(1, 41):
            db.execute("INSERT INTO users (id, user) VALUES (?, ?)", (user, f"u{user:04d}"))
            for item in range(1, 2 + user % 6):
                row = (user, item, 0.5 + (user * item) % 10 / 2, AT - 3_000_000 * (user + item))
                db.execute("INSERT INTO ratings (user, item, rating, at) VALUES (?, ?, ?, ?)", row)
        columns = "source, format, options, state, started_at, finished_at, read, stored, rejected"
        rows = [
            ("/srv/films/ml-latest/", "movielens", "{}", "done", AT, AT + 9, 140, 138, 2),
            ("/srv/films/new [week].csv", "csv", "{}", "failed", AT + 60, AT + 61, 0, 0, 0),
        ]
        db.executemany(f"INSERT INTO imports ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        refused = [(1, 7, "rating is not a number", "3,4,\x1b[31mx,100"), (1, 9, "missing item", "3,,4,100")]
        db.executemany("INSERT INTO quarantine (import, line, reason, raw) VALUES (?, ?, ?, ?)", refused)
        scale = [("scale_low", 0.5), ("scale_high", 5.0), ("scale_step", 0.5), ("revision", 1)]
        db.executemany("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", scale)
    database.close()
    return database.path


@pytest.fixture(autouse=True)
def afresh(shelf):
    """Begin each test without what the one before has chosen."""
    shelf.with_name("ui.json").unlink(missing_ok=True)


def made(**changes):
    """A list of six by v1."""
    lines = [
        Line(
            n,
            str(n),
            title.replace("\x1b", "\x1b"),
            4.7 - 0.3 * n,
            (3.1 - 0.3 * n, 5.0 - 0.1 * n),
            "Drama",
            "Heat (1995) +2",
        )
        for n, title in enumerate(TITLES, 1)
    ]
    return Lists("u0001", "v1", "stored", predicts=True, ends=ENDS, lines=lines, **changes)


WHY = SimpleNamespace(
    user="u0001",
    movie_id="1",
    movie_title=TITLES[0],
    version="v1",
    predicted_rating=4.4,
    lower=2.8,
    upper=4.9,
    confidence=0.83,
    rung="stored",
    reasons=(),
    contributions=tuple(
        {"item": str(n), "title": title, "your_rating": 0.5 * n + 1, "amount": amount}
        for n, (title, amount) in enumerate(zip(TITLES[1:], (0.62, -0.31, 0.21, 0.05, -0.02), strict=True), 2)
    ),
    baseline=3.85,
    score=4.4,
    method="additive",
    text="you gave 5 to Heat (1995), 4 to Foo [/bold]; 41% of what you like is Drama",
)


def test_users(shelf):
    async def act(ui):
        await ui.see("users · 40", "u0001")
        await ui.until(lambda: ui.place.query_one("ProfilePane").found is not None)
        ui.place.show_list(made(), explain=False)
        ui.place.query_one(WhyPane).show(WHY, ENDS)
        await ui.press("enter")
        await ui.pilot.pause(0.3)
        await every_look(ui, "users")

    drive(shelf, act, screen="users", theme="textual-dark")


def test_rate(shelf):
    async def act(ui):
        await ui.press("c")
        await ui.type("u0003")
        await ui.press("enter")
        await ui.see("4 ratings")
        moved = made(moved=True)
        lines = [
            Line(**{**vars(line), "move": move})
            for line, move in zip(moved.lines, ("=", "+2", "new", "-1", "-1", "out"), strict=True)
        ]
        ui.place.show_list(Lists(**{**vars(moved), "lines": lines}), explain=False)
        ui.place.query_one(WhyPane).show(WHY, ENDS)
        await ui.press("enter")
        await ui.see("esc leaves")
        await every_look(ui, "rate")

    drive(shelf, act, screen="rate", theme="textual-dark")


def test_data(shelf):
    async def act(ui):
        await ui.see("density", "a cell is", "imports", seconds=60)
        await ui.press("j", "enter")
        await ui.see("rating is not a number")
        await ui.press("escape")
        await ui.pilot.pause(0.3)
        await every_look(ui, "data")

    drive(shelf, act, screen="data", theme="textual-dark")


def test_the_dialog_of_an_import(shelf):
    async def act(ui):
        await ui.see("density", "a cell is")
        await ui.press("i")
        await ui.type("nowhere.csv")
        await ui.see("no file or folder nowhere.csv")
        matches("data-import", ui.text)

    drive(shelf, act, screen="data", theme="textual-dark")


@pytest.mark.parametrize("place", ["users", "rate", "data"])
def test_in_ascii(shelf, place):
    async def act(ui):
        await ui.see(*{"users": ["u0001", "mean 1.25"], "rate": ["[REC]"], "data": ["density", "a cell is"]}[place])
        if place != "data":
            ui.place.show_list(made(), explain=False)
            ui.place.query_one(WhyPane).show(WHY, ENDS)
        await ui.pilot.pause(0.5)
        text = "\n".join(
            "".join(segment.text for segment in strip.apply_filter(ui.app._plain, ui.app.screen.styles.background))
            for strip in ui.app.screen._compositor.render_strips()
        )
        assert text.isascii()
        matches(f"{place}-ascii", text)

    drive(shelf, act, screen=place, ascii=True)
