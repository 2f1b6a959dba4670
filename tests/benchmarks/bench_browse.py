"""The list of a million users: how long it takes to open, to turn a page, to jump anywhere and to search."""

import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from recsys_tui.app import Options, RecsysApp
from recsys_tui.screens.users import Users
from recsys_tui.ui_state import UiState
from recsys_tui.widgets.virtual_table import VirtualTable
from store.database import Database
from store.migrations import migrate
from tests.benchmarks.figures import Figure

USERS, ITEMS, EACH = 1_000_000, 2_000, 5
PAGE_GOAL, SEARCH_GOAL, OPEN_GOAL = 0.030, 0.050, 0.300
SIZE = (140, 40)


def fill(path: Path, users: int) -> None:
    """Make a database of so many users in random order of their ids, five ratings each."""
    database, chance = Database(path), random.Random(7)
    migrate(database)
    ids = list(range(1, users + 1))
    chance.shuffle(ids)
    with database.write() as db:
        db.executemany("INSERT INTO items (item, title) VALUES (?, ?)", ((str(n), f"Film {n}") for n in range(ITEMS)))
        db.executemany("INSERT INTO users (user) VALUES (?)", ((str(n),) for n in ids))
        rows = (
            (user, item, 0.5 * chance.randint(1, 10), chance.randint(10**9, 17 * 10**8))
            for user in range(1, users + 1)
            for item in sorted(chance.sample(range(1, ITEMS + 1), EACH))
        )
        db.executemany("INSERT INTO ratings (user, item, rating, at) VALUES (?, ?, ?, ?)", rows)
        scale = [("scale_low", 0.5), ("scale_high", 5.0), ("scale_step", 0.5)]
        db.executemany("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", scale)
        db.execute("UPDATE meta SET value = 1 WHERE key = 'revision'")
    database.close()


def shown(table: VirtualTable) -> bool:
    """Tell whether every line of the table has its row."""
    rows = range(table.top, min(table.top + table.size.height - 1, table.count))
    return bool(table.count) and all(table._window.row(row) is not None for row in rows)


async def until(done: Callable[[], bool]) -> None:
    """Let the app work until something holds."""
    while not done():  # noqa: ASYNC110  what is measured must not have to tell of itself
        await asyncio.sleep(0.0005)


async def seconds(act: Callable[[], Any], done: Callable[[], bool], table: VirtualTable) -> float:
    """Return how long it takes until something is done and every line of the table is drawn with it."""
    began = time.perf_counter()
    act()
    await until(done)
    for y in range(table.size.height):
        table.render_line(y)
    return time.perf_counter() - began


async def measure(path: Path, rounds: int) -> dict[str, list[float]]:
    """Open the place Users and go about in it."""
    taken: dict[str, list[float]] = {}
    chance = random.Random(1)
    app = RecsysApp(path, Options(screen="users"), kept=UiState(path.with_name("ui.json")))
    before = psutil.Process().memory_info().rss
    async with app.run_test(size=SIZE) as pilot:
        await until(lambda: isinstance(app.screen, Users) and bool(app.screen.query(VirtualTable)))
        place: Any = app.screen
        table, find = place.query_one("#users", VirtualTable), place.query_one("#find")
        await until(lambda: place.crowd is not None and shown(table))
        taken["open"] = [
            await seconds(place.look_again, lambda crowd=place.crowd: place.crowd is not crowd and shown(table), table)
            for _ in range(rounds)
        ]
        for name, act in (
            ("next page", lambda: table.action_move_pages(1.0)),
            ("anywhere", lambda: setattr(table, "cursor", chance.randrange(table.count))),
            ("end and back", lambda: setattr(table, "cursor", 0 if table.cursor else table.count - 1)),
        ):
            taken[name] = [await seconds(act, lambda: shown(table), table) for _ in range(4 * rounds)]
        taken["search"] = []
        for _ in range(rounds):
            text = str(chance.randrange(1, table.count))[: chance.randint(1, 6)]

            def found(text: str = text) -> bool:
                return place.crowd.text == text and shown(table)

            taken["search"].append(await seconds(lambda text=text: setattr(find, "value", text), found, table))
        taken["memory"] = [(psutil.Process().memory_info().rss - before) / 1e6]
        await pilot.pause()
    return taken


def run(*, quick: bool = False) -> dict[str, Figure]:
    """Return the medians, with the slowest of all in the note."""
    users = USERS // 10 if quick else USERS
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "many.db"
        fill(path, users)
        taken = asyncio.run(measure(path, 5 if quick else 25))
    goals = {"open": OPEN_GOAL, "search": SEARCH_GOAL}
    figures = {
        f"users in the UI, {users:,}: {name}": Figure(
            statistics.median(each), goal=goals.get(name, PAGE_GOAL), note=f"slowest of {len(each)}: {max(each):.3f} s"
        )
        for name, each in taken.items()
        if name != "memory"
    }
    return figures | {f"users in the UI, {users:,}: memory": Figure(taken["memory"][0], "MB", note="beyond the start")}
