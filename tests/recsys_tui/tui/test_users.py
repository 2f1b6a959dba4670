"""Users: finding somebody, their list, the reasons, and the same list by another version."""

import math

import pytest

from recsys_tui.screens import lists
from recsys_tui.widgets.virtual_table import VirtualTable
from store import catalog
from store.database import Database
from tests.cli import call
from tests.recsys_tui.tui.driving import drive


def items(driver):
    return driver.place.query_one("#items", VirtualTable)


def people(driver):
    return driver.place.query_one("#users", VirtualTable)


def users_of(db):
    return [row["user"] for row in call(db, "users", "list", "--limit", "1000", "--json").json]


class TestPeople:
    def test_everybody_stands_there_by_id_and_the_list_follows_the_cursor(self, films):
        ids = users_of(films)

        async def act(ui):
            await ui.see(f"users · {len(ids)}", f"{ids[0]} · top 10")
            await ui.press("down", "down")
            await ui.see(f"{ids[2]} · top 10", f"user {ids[2]}")
            await ui.press("end")
            await ui.see(f"{ids[-1]} · top 10")
            await ui.until(lambda: ui.place.found.user == ids[-1])
            return [line.item for line in ui.place.found.lines]

        shown = drive(films, act, screen="users")
        made = call(films, "recommend", ids[-1], "--json").json
        assert shown == [row["item"] for row in made["items"]]

    def test_a_part_of_an_id_finds_what_begins_with_it_then_what_holds_it(self, films):
        ids = users_of(films)
        expected = [i for i in ids if i.startswith("1")] + [i for i in ids if "1" in i and not i.startswith("1")]

        async def act(ui):
            await ui.see("users ·")
            await ui.press("slash")
            await ui.type("1")
            await ui.see(f"users · {len(expected)} of {len(ids)}")
            assert [row.user for row in ui.place.crowd.rows] == expected
            await ui.press("enter", "escape")
            await ui.see(f"users · {len(ids)} ")
            await ui.press("slash")
            await ui.type("nobody has this")
            await ui.see("nobody's id holds that")

        drive(films, act, screen="users")

    def test_what_was_found_for_fewer_letters_comes_too_late_for_more(self, films):
        async def act(ui):
            await ui.see("users ·")
            await ui.press("slash")
            await ui.type("1")
            await ui.until(lambda: ui.place.crowd.text == "1")
            fewer = ui.place.crowd
            ui.place._complete(fewer)  # as the timer does while somebody types on
            late = ui.place._tickets["inside"]
            await ui.type("2")
            await ui.until(lambda: ui.place.crowd.text == "12")
            late.then(fewer)
            assert ui.place.crowd.text == "12"
            await ui.see(f"users · {ui.place.crowd.count} of")

        drive(films, act, screen="users")

    def test_sorting_by_key_and_by_a_click_on_the_header(self, films):
        rows = call(films, "users", "list", "--limit", "1000", "--json").json
        most = max(rows, key=lambda row: row["ratings"])

        async def act(ui):
            await ui.see("by id")
            await ui.press("s")
            await ui.see("last first")
            await ui.press("home")
            await ui.until(lambda: people(ui).current and people(ui).current.user == rows[-1]["user"])
            await ui.press("s")
            await ui.see("most ratings first", "ratings ▼")
            await ui.press("home")
            await ui.until(lambda: people(ui).current.n_ratings == most["ratings"])
            await ui.pilot.click("#users", offset=(4, 0))
            await ui.see("user ▲")

        drive(films, act, screen="users")

    def test_anybody(self, films):
        async def act(ui):
            await ui.see("top 10")
            seen = set()
            for _ in range(12):
                await ui.press("o")
                await ui.pilot.pause()
                seen.add(people(ui).cursor)
            assert len(seen) > 2

        drive(films, act, screen="users")

    def test_nobody_yet_says_what_to_do(self, tmp_path):
        call(tmp_path / "new.db", "init")

        async def act(ui):
            await ui.see("users · 0", "5 (Data) imports them")
            await ui.press("w", "v", "o", "enter", "i", "z", "escape")

        drive(tmp_path / "new.db", act, screen="users")


class TestList:
    def test_all_ten_stand_on_a_small_screen_once_the_list_has_the_keys(self, films):
        async def act(ui):
            await ui.see("top 10")
            assert len([line for line in ui.lines if "├" in line]) >= 5
            await ui.press("enter")
            await ui.until(lambda: all(line.title[:20] in ui.text for line in ui.place.found.lines))
            assert len(ui.place.found.lines) == 10
            assert ui.lines[-2].startswith("╰")  # nothing runs out below
            await ui.press("enter")
            await ui.until(lambda: ui.focused_id == "parts")
            assert ui.place.query_one("#parts").size.height >= 7
            assert ui.lines[-2].startswith("╰")

        call(films, "models", "activate", "v3")
        drive(films, act, screen="users")

    def test_reasons_and_contributions_that_sum_to_the_score(self, films):
        call(films, "models", "activate", "v3")

        async def act(ui):
            await ui.see("top 10")
            await ui.press("enter")
            await ui.until(lambda: ui.place.why is not None and ui.focused_id == "items")
            await ui.press("down")
            await ui.until(lambda: ui.place.why.movie_id == items(ui).current.item)
            await ui.press("w")
            await ui.see("baseline", "ratings = ")
            table = ui.place.query_one("#parts", VirtualTable)
            rows = [table._window.row(k) for k in range(table.count)]
            assert math.isclose(sum(row["amount"] for row in rows[:-1]), rows[-1]["amount"], abs_tol=1e-4)
            assert rows[-1]["amount"] == pytest.approx(ui.place.why.score)
            assert "80%" in ui.text
            await ui.press("escape", "escape")
            assert ui.focused_id == "users"

        drive(films, act, screen="users", size=(140, 40))

    def test_held_against_another_version(self, films):
        user = users_of(films)[0]

        async def act(ui):
            await ui.see("top 10 · v1")
            await ui.press("v")
            await ui.see("v1 | v3", "move")
            first = ui.place.found
            await ui.press("V")
            await ui.see("v1 | v2")
            await ui.press("v")
            await ui.until(lambda: not ui.place.found.other)
            return first

        found = drive(films, act, screen="users", size=(140, 40))
        active, other = (
            [row["item"] for row in call(films, "recommend", user, "--version", version, "--json").json["items"]]
            for version in ("v1", "v3")
        )
        assert found.common == len(set(active) & set(other))
        for line in found.lines:
            if line.move == "out":
                assert line.item in active
                assert line.item not in other
            elif line.move == "new":
                assert line.item not in active
            else:
                up = active.index(line.item) - other.index(line.item)
                assert line.move == (f"{up:+d}" if up else "=")
        assert {line.item for line in found.lines} == {*active, *other}

    def test_seen_length_and_filters(self, films):
        user = users_of(films)[0]
        genre = call(films, "items", "search", "the", "--json").json[0]["genres"][0]

        async def act(ui):
            await ui.see("seen hidden")
            await ui.press("i", "L")
            await ui.see("top 20", "seen shown")
            await ui.press("f")
            await ui.see("which items")
            await ui.type(genre)
            await ui.press("tab", "tab")
            await ui.type("19x")
            await ui.see("a year of four digits")
            await ui.press("backspace", "enter")
            await ui.see("which items")
            await ui.press("backspace", "backspace", "enter")
            await ui.see(f"{genre}, seen shown")
            return [line.item for line in ui.place.found.lines]

        shown = drive(films, act, screen="users", size=(140, 40))
        made = call(films, "recommend", user, "-n", "20", "--include-seen", "--only-genre", genre, "--json").json
        assert shown == [row["item"] for row in made["items"]]

    def test_a_genre_that_no_item_has_is_said_beside_it(self, films):
        async def act(ui):
            await ui.see("top 10")
            await ui.press("f")
            await ui.type("Comdy")
            await ui.see("! no genre 'Comdy'; there are")
            await ui.press("enter")
            await ui.see("which items", "Comdy")
            await ui.press("backspace", "backspace")
            await ui.until(lambda: "! no genre" not in ui.text)  # the beginning of one
            await ui.press("enter")
            await ui.see("! no genre 'Com'; there are")
            await ui.type("edy")
            await ui.press("enter")
            await ui.until(lambda: ui.place.wanted.only == ("Comedy",))

        drive(films, act, screen="users")

    def test_a_version_activated_elsewhere_makes_the_list(self, films):
        async def act(ui):
            await ui.see("top 10 · v1")
            call(films, "models", "activate", "v2")
            await ui.see("top 10 · v2")

        drive(films, act, screen="users")

    def test_hostile_titles_appear_as_they_are(self, films):
        user = users_of(films)[0]
        best = call(films, "recommend", user, "-n", "2", "--json").json["items"]
        database = Database(films)
        with database.write() as db:
            db.execute("UPDATE items SET title = '[REC] (2007)' WHERE item = ?", (best[0]["item"],))
            title = "\x1b[2JFoo[/b]"
            db.execute("UPDATE items SET title = ? WHERE item = ?", (title, best[1]["item"]))
        database.close()

        async def act(ui):
            await ui.see("[REC] (2007)", "\\x1b[2JFoo[/b]")
            await ui.press("enter", "enter")
            await ui.see("why [REC] (2007)")
            assert not any(ord(char) < 32 for line in ui.lines for char in line)

        drive(films, act, screen="users", size=(140, 40))


class TestMoves:
    def line(self, rank, item):
        return lists.Line(rank, item, item, float(rank or 0), None, "")

    def test_against_another_list(self):
        before = [self.line(1, "a"), self.line(2, "b"), self.line(3, "c")]
        after = [self.line(1, "b"), self.line(2, "a"), self.line(3, "d")]
        assert [(line.item, line.rank, line.other, line.move) for line in lists.moves(before, after)] == [
            ("a", 1, 2.0, "-1"), ("b", 2, 1.0, "+1"), ("c", 3, None, "out"), ("d", None, 3.0, "new"),
        ]  # fmt: skip

    def test_since_an_earlier_list(self):
        before = [self.line(1, "a"), self.line(2, "b"), self.line(3, "c")]
        now = [self.line(1, "b"), self.line(2, "d"), self.line(3, "c")]
        assert [(line.item, line.rank, line.move) for line in lists.since(before, now)] == [
            ("b", 1, "+1"), ("d", 2, "new"), ("c", 3, "="), ("a", None, "out"),
        ]  # fmt: skip


def test_the_words_and_flags_of_a_filter():
    wanted = lists.Wanted(n=5, only=("Drama",), without=("War",), since=1990, diversity=0.3, seen=True)
    assert wanted.words == "Drama, no War, since 1990, diversity 0.3, seen shown"
    assert (
        wanted.flags == "-n 5 --only-genre Drama --exclude-genre War --since-year 1990 --diversity 0.3 --include-seen"
    )


def test_what_is_looked_for_stays_found_when_somebody_rates(films):
    ids = users_of(films)

    async def act(ui):
        await ui.see("users ·")
        await ui.press("slash")
        await ui.type(ids[3])
        await ui.see(" of ")
        item = catalog.list_items(ui.app.services().database, limit=1)[0].item
        call(films, "rate", ids[3], item, "4")
        await ui.pilot.pause(1.2)
        assert " of " in ui.text

    drive(films, act, screen="users")


class TestWhatIf:
    def test_the_list_without_a_rating_is_shown_and_nothing_is_stored(self, films):
        call(films, "models", "activate", "v3")
        user = users_of(films)[0]
        before = call(films, "users", "show", user, "--json").json

        async def act(ui):
            await ui.see("top 10 · v3")
            await ui.until(lambda: ui.place.why is not None)
            await ui.press("x")
            await ui.until(lambda: ui.focused_id == "parts")
            await ui.press("x")
            await ui.hear("choose a rating")
            await ui.press("j", "x")
            await ui.see("what if", "without 1 rating", "move")
            without, why = ui.place.without, ui.place.why
            lines = [(line.item, line.rank) for line in ui.place.found.lines if line.move != "out"]
            assert ui.place.selected()["supposed"] == f"{next(iter(without))}=none"
            await ui.press("j", "x")
            await ui.see("without 2 ratings")
            await ui.press("escape")
            await ui.see("top 10 · v3")
            assert ui.place.without == frozenset()
            return without, why.movie_id, lines

        without, item, lines = drive(films, act, screen="users", size=(140, 40))
        told = call(films, "explain", user, item, "--what-if", f"{next(iter(without))}=none", "--json").json["what_if"]
        assert lines == [(row["item"], row["rank"]) for row in told["after"]]
        assert call(films, "users", "show", user, "--json").json == before

    def test_what_cannot_be_supposed_is_said_and_the_list_stays(self, films):
        async def act(ui):
            await ui.see("top 10 · v1")
            await ui.until(lambda: ui.place.why is not None)
            ui.place.suppose(frozenset({"no such item"}), ui.place.why.movie_id)
            await ui.see("unknown item 'no such item'")
            assert ui.place.without == frozenset()
            assert not ui.place.found.moved

        drive(films, act, screen="users")
