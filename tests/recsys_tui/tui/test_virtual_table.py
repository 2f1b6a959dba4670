"""The table that never holds its rows: what is read, what is shown, and every way to move about in it."""

import asyncio
from dataclasses import dataclass
from itertools import pairwise

import pytest
from rich.cells import cell_len
from textual.app import App

from recsys_tui.widgets.columns import Field, Window, cell_text, heading, lay_out
from recsys_tui.widgets.virtual_table import VirtualTable
from tests.hostile import HOSTILE, harmful, names

FIELDS = [
    Field("name", grows=True, width=10, order="name"),
    Field("n", "count", width=7, align="right", order="n"),
    Field("extra", width=10, spare=True, tone="dim"),
]


@dataclass(frozen=True)
class Row:
    name: str
    n: int
    extra: str = "x"


class Shelf(App[None]):
    """A table of `count` rows named row0, row1, …; what is asked for and what is told is written down."""

    def __init__(self, count=1_000_000, *, late=False, rows=None):
        super().__init__()
        self.count, self.late, self.rows = count, late, rows
        self.asked, self.told, self.waiting = [], [], []

    def compose(self):
        yield VirtualTable(FIELDS, key="name", empty="nothing here")

    def on_mount(self):
        table = self.query_one(VirtualTable)
        if self.rows is not None:
            table.show(self.rows)
        else:
            table.show_pages(self.count, self.read)
        table.focus()

    def read(self, first, n, then):
        self.asked.append((first, n))
        rows = [Row(f"row{k}", k) for k in range(first, min(first + n, self.count))]
        if self.late:
            self.waiting.append((then, rows))
        else:
            then(rows)

    def on_virtual_table_highlighted(self, message):
        self.told.append(("at", message.row.name if message.row else None))

    def on_virtual_table_chosen(self, message):
        self.told.append(("chosen", message.row.name))

    def on_virtual_table_marked(self, message):
        self.told.append(("marked", message.row.name))

    def on_virtual_table_order_asked(self, message):
        self.told.append(("order", message.row))


def drive(app, act, size=(60, 12)):
    async def run():
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            table = app.query_one(VirtualTable)
            await act(pilot, table)
            return [table.render_line(y).text for y in range(table.size.height)]

    return asyncio.run(run())


class TestLayout:
    def test_growing_columns_take_what_is_left_and_spare_ones_give_way(self):
        assert [(p.field.key, p.x, p.width) for p in lay_out(FIELDS, 50, left=2)] == [
            ("name", 2, 29), ("n", 33, 7), ("extra", 42, 10),
        ]  # fmt: skip
        assert [p.field.key for p in lay_out(FIELDS, 25)] == ["name", "n"]

    @pytest.mark.parametrize("width", range(60))
    def test_no_line_is_wider_than_its_room(self, width):
        placed = lay_out(FIELDS, width)
        assert all(p.x + p.width <= width for p in placed)
        assert all(a.x + a.width < b.x for a, b in pairwise(placed))

    def test_two_growing_columns_share_by_their_weights(self):
        fields = [Field("a", grows=True, width=30), Field("b", grows=True, width=10)]
        assert [p.width for p in lay_out(fields, 42)] == [30, 10]
        assert [p.width for p in lay_out(fields, 82)] == [60, 20]

    @pytest.mark.parametrize("payload", HOSTILE, ids=names)
    @pytest.mark.parametrize("width", [1, 7, 40])
    def test_any_text_fills_its_column_exactly_and_is_harmless(self, payload, width):
        placed = lay_out([Field("name", grows=True, width=width)], width)[0]
        text = cell_text({"name": payload.text}, placed)
        assert cell_len(text) == width
        assert not harmful(text)

    def test_a_title_that_looks_like_markup_stays_character_for_character(self):
        placed = lay_out([Field("name", grows=True, width=30)], 30)[0]
        for title in ("[REC] (2007)", "Foo [/bold]", "[@click=app.quit]x[/]", "\\[bold]x"):
            assert cell_text({"name": title}, placed).rstrip() == title

    def test_figures_stand_at_the_right_and_the_order_has_an_arrow(self):
        placed = lay_out(FIELDS, 50)[1]
        assert cell_text(Row("a", 12345), placed) == " 12,345"
        assert heading(placed, "n", reverse=True) == "count ▼"
        assert heading(placed, "name", reverse=True) == "  count"


class TestWindow:
    def test_little_is_read_and_little_is_kept(self):
        read = []
        window = Window(
            1_000_000, lambda first, n, then: (read.append((first, n)), then(range(first, first + n))), list
        )
        for first in range(0, 100_000, 100):
            window.want(first, 24)
            assert window.row(first) == first
        assert all(n <= 5 * Window.PAGE for _, n in read)
        assert len(window._pages) <= Window.PAGES
        assert window.row(0) is None

    def test_a_question_is_asked_once(self):
        read = []
        window = Window(1000, lambda first, n, then: read.append((first, n)), list)
        for _ in range(3):
            window.want(0, 20)
        assert len(read) == 1
        window.again()
        window.want(0, 20)
        assert len(read) == 2


class TestShowing:
    def test_only_what_is_near_the_screen_is_read(self):
        app = Shelf()

        async def act(pilot, table):
            await pilot.press("end")
            table.cursor = 500_000
            await pilot.pause()

        drive(app, act)
        assert sum(n for _, n in app.asked) < 1500
        assert {round(first, -5) for first, _ in app.asked} == {0, 500_000, 1_000_000}

    def test_header_rows_and_cursor(self):
        async def act(pilot, table):
            table.order, table.reverse = "n", True
            await pilot.press("down")

        lines = drive(Shelf(), act)
        assert lines[0].split() == ["name", "count", "▼", "extra"]
        assert lines[1].startswith("  row0 ")
        assert lines[2].startswith("> row1 ")
        assert all(len(line) == len(lines[0]) for line in lines)

    def test_no_rows_say_so(self):
        async def act(pilot, table):
            await pilot.press("down", "enter", "pagedown", "end")

        app = Shelf(rows=[])
        assert drive(app, act)[1].strip() == "nothing here"
        assert app.told == [("at", None)]

    def test_rows_that_come_late_are_dots_until_they_are_there(self):
        app = Shelf(late=True)
        before = []

        async def act(pilot, table):
            before.extend(table.render_line(y).text.strip() for y in (1, 2))
            await pilot.press("enter")
            then, rows = app.waiting.pop(0)
            then(rows)
            await pilot.pause()

        lines = drive(app, act)
        assert before == ["> ·", "·"]
        assert lines[1].startswith("> row0")
        assert app.told == [("at", "row0")]

    def test_rows_of_an_earlier_question_are_not_taken_for_those_of_a_newer_one(self):
        app = Shelf(late=True)

        async def act(pilot, table):
            old = app.waiting.pop(0)
            table.show([Row("new", 1)])
            old[0](old[1])
            await pilot.pause()

        assert drive(app, act)[1].startswith("> new")

    def test_rows_that_could_not_be_read_are_asked_for_again(self):
        app = Shelf(late=True)

        async def act(pilot, table):
            app.waiting.clear()
            table.ask_again()
            await pilot.pause(0.7)
            for then, rows in app.waiting:
                then(rows)
            await pilot.pause()

        assert drive(app, act)[1].startswith("> row0")


class TestMoving:
    @pytest.mark.parametrize(
        ("keys", "row"),
        [
            (["down", "j", "up"], 1),
            (["k"], 0),
            (["end"], 999_999),
            (["G", "up"], 999_998),
            (["G", "down"], 999_999),
            (["end", "home"], 0),
            (["G", "g"], 0),
            (["pagedown"], 10),
            (["pagedown", "pagedown", "pageup"], 10),
            (["ctrl+d"], 5),
            (["ctrl+d", "ctrl+u"], 0),
        ],
    )
    def test_keys(self, keys, row):
        app = Shelf()

        async def act(pilot, table):
            await pilot.press(*keys)
            assert table.cursor == row
            assert table.top <= row < table.top + 11
            assert table.current == Row(f"row{row}", row)

        drive(app, act)
        assert app.told[-1] == ("at", f"row{row}")

    def test_enter_chooses_and_marks_are_by_key(self):
        app = Shelf()

        async def act(pilot, table):
            await pilot.press("down", "enter")
            table.toggle_mark()
            await pilot.press("down")
            table.toggle_mark()
            table.toggle_mark()
            await pilot.pause()
            assert table.marks == {"row1"}

        lines = drive(app, act)
        assert ("chosen", "row1") in app.told
        assert app.told.count(("marked", "row2")) == 2
        assert lines[2].startswith(" *row1")

    def test_mouse(self):
        app = Shelf()

        async def act(pilot, table):
            await pilot.click(VirtualTable, offset=(5, 4))
            assert table.cursor == 3
            await pilot.click(VirtualTable, offset=(5, 4))
            await pilot.click(VirtualTable, offset=(3, 0))
            await pilot.hover(VirtualTable, offset=(5, 6))
            assert table._hover == 5
            table.scroll_to(y=100, animate=False, immediate=True)
            await pilot.pause()
            await pilot.click(VirtualTable, offset=(5, 1))
            assert table.cursor == 100

        drive(app, act)
        assert ("chosen", "row3") in app.told
        assert ("order", "name") in app.told

    def test_a_click_below_the_last_row_does_nothing(self):
        app = Shelf(rows=[Row("only", 1)])

        async def act(pilot, table):
            await pilot.click(VirtualTable, offset=(5, 6))
            assert table.cursor == 0

        drive(app, act)
        assert app.told == [("at", "only")]

    def test_the_wheel_leaves_the_cursor_and_enter_comes_back_to_it(self):
        app = Shelf()

        async def act(pilot, table):
            table.scroll_to(y=5000, animate=False, immediate=True)
            await pilot.pause()
            assert table.cursor == 0
            await pilot.press("enter")
            await pilot.pause()
            assert table.top == 0

        drive(app, act)

    def test_resizing_keeps_the_cursor_on_the_screen(self):
        app = Shelf()

        async def act(pilot, table):
            for _ in range(9):
                await pilot.press("down")
            await pilot.resize_terminal(30, 5)
            await pilot.pause()
            assert table.top <= 9 < table.top + 4
            await pilot.resize_terminal(100, 30)
            await pilot.pause()

        lines = drive(app, act)
        assert any(line.startswith("> row9") for line in lines)
        assert len(lines) == 30

    def test_showing_other_rows_tells_the_one_under_the_cursor(self):
        app = Shelf()

        async def act(pilot, table):
            table.show([Row("a", 1), Row("b", 2)], cursor=1)
            await pilot.pause()
            table.show([])
            await pilot.pause()

        drive(app, act)
        assert app.told == [("at", "row0"), ("at", "b"), ("at", None)]
