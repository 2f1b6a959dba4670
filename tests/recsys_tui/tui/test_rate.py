"""Rate: one key a rating, stored before it is shown, undone by another; the list of that person follows."""

import asyncio
import time

import pytest
from textual.app import App

from recsys_tui.screens.rate import _ITEMS
from recsys_tui.screens.rating import Item
from recsys_tui.widgets.rating_table import RatingTable
from recsys_tui.widgets.virtual_table import VirtualTable
from store.database import Database
from tests.cli import call
from tests.recsys_tui.tui.driving import drive


def found(ui):
    return ui.place.query_one("#found", RatingTable)


def stored(db, user):
    return {row["item"]: row["rating"] for row in call(db, "users", "show", user, "--json").json["history"]}


def stored_of(db, user="newcomer"):
    done = call(db, "users", "show", user, "--json", expect=None)
    return stored(db, user) if done.code == 0 else {}


@pytest.fixture
def user(films):
    return call(films, "users", "list", "--limit", "1", "--json").json[0]["user"]


@pytest.fixture
def unseen(films, user):
    """An item whose title finds nothing else, and that the user has not rated."""
    rows = call(films, "recommend", user, "--json").json["items"]
    return next(row for row in rows if len(call(films, "items", "search", row["title"], "--json").json) == 1)


async def choose(ui, user, title):
    await ui.press("c")
    await ui.type(user)
    await ui.press("enter")
    await ui.see(f"{user} · top 10")
    await ui.press("slash")
    for char in title:
        ui.place.query_one("#find").insert_text_at_cursor(char)
    await ui.until(lambda: found(ui).count == 1)
    await ui.press("enter", "enter")
    await ui.until(lambda: found(ui).rating)


class TestRating:
    def test_what_came_into_the_list_by_a_rating_is_explained(self, films, user, unseen):
        call(films, "models", "activate", "v3")

        async def act(ui):
            await choose(ui, user, unseen["title"])
            await ui.press("1")
            await ui.see("1 ·", "[1]")
            await ui.until(lambda: ui.place.found.moved)
            lines = [line for line in ui.place.found.lines if line.move != "out"]
            came = next(place for place, line in enumerate(lines) if line.move == "new")
            items = ui.place.query_one("#items", VirtualTable)
            items.cursor = came
            await ui.until(lambda: ui.place.why is not None and ui.place.why.movie_id == lines[came].item)
            assert "names no version" not in ui.text

        drive(films, act, screen="rate", size=(140, 40))

    def test_a_digit_rates_and_the_list_moves_and_undo_puts_it_back(self, films, user, unseen):
        before = stored(films, user)
        call(films, "models", "activate", "v3")

        async def act(ui):
            await choose(ui, user, unseen["title"])
            await ui.press("4")
            await ui.see("4 ·", "[4]")
            given = stored(films, user)
            listed = {line.item for line in ui.place.found.lines if line.move != "out"}
            assert ui.place.found.moved
            await ui.press("plus")
            await ui.see("[4.5]", "was 4")
            await ui.press("escape", "u")
            await ui.see("4, was 4.5")
            await ui.press("u")
            await ui.see("taken back")
            await ui.press("u")
            await ui.hear("nothing to undo")
            return given, listed

        given, listed = drive(films, act, screen="rate")
        assert given[unseen["item"]] == 4.0
        assert unseen["item"] not in listed
        assert stored(films, user) == before

    def test_zero_takes_a_rating_back(self, films, user, unseen):
        call(films, "rate", user, unseen["item"], "2")

        async def act(ui):
            await choose(ui, user, unseen["title"])
            await ui.see("[2]")
            await ui.press("0")
            await ui.see("taken back")
            await ui.press("0")
            await ui.see("there was no rating")
            await ui.press("escape", "u")
            await ui.see("2 ·")

        drive(films, act, screen="rate")
        assert stored(films, user)[unseen["item"]] == 2.0

    def test_keys_that_come_fast_are_stored_in_their_order(self, films, user, unseen):
        async def act(ui):
            await choose(ui, user, unseen["title"])
            await ui.press("1", "2", "3", "5", "4", "plus", "minus", "3")
            await ui.until(lambda: len(ui.place.done) == 8 and not ui.place._at_work)
            await ui.see("[3]")

        drive(films, act, screen="rate")
        assert stored(films, user)[unseen["item"]] == 3.0

    def test_digits_switch_places_while_the_cell_has_not_the_keys(self, films, user, unseen):
        async def act(ui):
            await choose(ui, user, unseen["title"])
            await ui.press("escape", "3")
            await ui.until(lambda: ui.place.NAME == "users")
            await ui.press("4")
            await ui.until(lambda: ui.place.NAME == "rate")

        drive(films, act, screen="rate")
        assert unseen["item"] not in stored(films, user)

    def test_a_digit_that_is_no_rating_is_refused_with_the_scale(self, films, user, unseen):
        async def act(ui):
            await choose(ui, user, unseen["title"])
            await ui.press("9")
            await ui.hear("the scale goes from 0.5 to 5")

        drive(films, act, screen="rate")
        assert unseen["item"] not in stored(films, user)

    def test_somebody_new_is_made_by_their_first_rating(self, films, unseen):
        async def act(ui):
            await choose(ui, "newcomer", unseen["title"])
            assert "new: a rating adds them" in ui.text
            await ui.press("5")
            await ui.see("1 ratings", "5 ·")

        drive(films, act, screen="rate")
        assert stored(films, "newcomer") == {unseen["item"]: 5.0}

    def test_read_only_rates_nothing(self, films, user, unseen):
        async def act(ui):
            await ui.press("c")
            await ui.type(user)
            await ui.press("enter")
            await ui.see(f"{user} · top 10")
            await ui.until(lambda: found(ui).count)
            await ui.press("enter")
            await ui.hear("--read-only")
            assert not found(ui).rating
            await ui.press("u")

        before = stored(films, user)
        drive(films, act, screen="rate", read_only=True)
        assert stored(films, user) == before

    def test_a_title_that_nothing_holds(self, films):
        async def act(ui):
            await ui.press("slash")
            await ui.type("zzzz")
            await ui.see("no title holds that")
            await ui.press("enter", "enter", "5")

        drive(films, act, screen="rate")

    def test_a_writer_that_holds_the_database_delays_the_rating_and_loses_nothing(self, films, user, unseen):
        async def act(ui):
            await choose(ui, user, unseen["title"])
            other = Database(films)
            with other.write() as db:
                db.execute("UPDATE meta SET value = value WHERE key = 'revision'")
                await ui.press("4")
                began = time.monotonic()
                await ui.press("j")  # the screen goes on meanwhile
                assert time.monotonic() - began < 1.0
                assert ui.place.done == []
            other.close()
            await ui.see("4 ·", seconds=30)

        drive(films, act, screen="rate")
        assert stored(films, user)[unseen["item"]] == 4.0


class TestNewcomers:
    def test_five_questions_and_the_answers_are_kept_as_ratings(self, films):
        call(films, "models", "activate", "v3")

        async def act(ui):
            await ui.press("a")
            await ui.type("newcomer")
            await ui.press("enter")
            asked = []
            for number, key in enumerate(("5", "0", "3", "4", "space"), 1):
                await ui.see(f"{number} of 5", "the list so far")
                asked.append(ui.app.screen._step.question.item)
                assert stored_of(films) == {}
                await ui.press(key)
            await ui.see("enter keeps 3 ratings")
            await ui.press("3", "enter")
            await ui.see("newcomer · top 10")
            return asked

        asked = drive(films, act, screen="rate")
        assert stored(films, "newcomer") == {asked[0]: 5.0, asked[2]: 3.0, asked[3]: 4.0}

    def test_leaving_stores_nothing(self, films):
        call(films, "models", "activate", "v3")

        async def act(ui):
            await ui.press("a")
            await ui.type("newcomer")
            await ui.press("enter")
            await ui.see("1 of 5")
            await ui.press("9")
            await ui.hear("the scale goes")
            await ui.press("5")
            await ui.see("2 of 5")
            await ui.press("escape")
            await ui.until(lambda: len(ui.app.screen_stack) == 1)

        drive(films, act, screen="rate")
        assert stored_of(films) == {}


def test_the_person_of_users_is_the_one_to_rate_for_and_of_this_database_only(films, tmp_path):
    async def act(ui):
        await ui.see("top 10")
        await ui.press("down", "down")
        await ui.until(lambda: ui.place.found is not None and ui.place.found.user == ui.place.user)
        user = ui.place.user
        await ui.press("4")
        await ui.until(lambda: ui.place.NAME == "rate")
        await ui.see(f"{user} · top 10")

    drive(films, act, screen="users")
    other = tmp_path / "other.db"
    call(other, "init")

    async def nobody(ui):
        await ui.see("no items yet")
        assert ui.place.user == ""

    drive(other, nobody, screen="rate")


class TestScales:
    @pytest.mark.parametrize(
        ("scale", "key", "value"),
        [
            ((1.0, 5.0, 1.0), "5", 5.0),
            ((0.0, 10.0, 1.0), "7", 7.0),
            ((0.0, 100.0, None), "7", 70.0),
            ((-10.0, 10.0, None), "3", 3.0),
            ((1.0, 5.0, 1.0), "plus", 3.0),
            ((0.5, 5.0, 0.5), "minus", 2.5),
            ((0.0, 100.0, None), "plus", 50.0),
        ],
    )
    def test_what_a_key_means_depends_on_the_scale(self, scale, key, value):
        class Cell(App[None]):
            def __init__(self):
                super().__init__()
                self.given = []

            def compose(self):
                yield RatingTable(_ITEMS, key="item")

            def on_rating_table_rated(self, message):
                self.given.append(message.value)

        async def run():
            app = Cell()
            async with app.run_test() as pilot:
                table = app.query_one(RatingTable)
                table.scale = scale
                table.show([Item("a", "A", "", None)])
                table.focus()
                await pilot.pause()
                table.rating = True
                await pilot.press(key)
                await pilot.pause()
                return app.given

        assert asyncio.run(run())[-1] == value
