"""The list of users as numbered rows: every way to a page gives the rows that sorting all of them would give."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store import browse
from store.database import Database
from store.migrations import migrate
from tests.hostile import HOSTILE

ODD = ["", "\U0010ffff", "\U0010ffff\U0010ffffz", "\ud7ff", "\ue000", "1\U0010ffff", "é", "B", "b", "a\0b", "a%b_"]
STORABLE = [p.text for p in HOSTILE if p.text and not any("\ud800" <= char <= "\udfff" for char in p.text)]
IDS = sorted({*(str(n) for n in range(9000)), *(f"anna{n}" for n in range(40)), *ODD[1:], *STORABLE})


def filled(path):
    made = Database(path)
    migrate(made)
    shuffled = IDS[:]
    random.Random(1).shuffle(shuffled)
    with made.write() as db:
        db.executemany("INSERT INTO users (user) VALUES (?)", ((user,) for user in shuffled))
        db.execute("INSERT INTO items (item) VALUES ('1'), ('2'), ('3')")
        of = dict(db.execute("SELECT user, id FROM users").fetchall())
        rows = [(of["7"], 1, 4.0), (of["7"], 2, 5.0), (of["10"], 1, 3.0), (of["é"], 3, 2.0)]
        db.executemany("INSERT INTO ratings (user, item, rating) VALUES (?, ?, ?)", rows)
    return made


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    database = filled(tmp_path_factory.mktemp("browse") / "recsys.db")
    yield database
    database.close()


def users(rows):
    return [row.user for row in rows]


class TestPages:
    @pytest.mark.parametrize("surveyed", [False, True], ids=["unknown", "surveyed"])
    @pytest.mark.parametrize("descending", [False, True], ids=["up", "down"])
    @pytest.mark.parametrize("prefix", ["", "1", "89", "anna", "é", "\U0010ffff", "[", "none such"])
    def test_any_page_in_any_order_of_asking(self, many, prefix, descending, surveyed):
        expected = sorted((u for u in IDS if u.startswith(prefix)), reverse=descending)
        pages = browse.UserPages(many, prefix=prefix, descending=descending)
        if surveyed:
            pages.survey()
        assert len(pages) == len(expected)
        places = [0, len(expected) - 5, len(expected) // 2, 3, len(expected) // 3, len(expected) // 2 + 40]
        for first in [*places, *places[::-1]]:
            assert users(pages.rows(first, 30)) == expected[max(first, 0) : max(first + 30, 0)]
        for row in (0, len(expected) // 2, len(expected) - 1):
            if expected:
                assert pages.row_of(expected[row]) == row

    @given(st.lists(st.tuples(st.integers(-5, len(IDS) + 5), st.integers(0, 60)), max_size=12), st.booleans())
    def test_what_was_asked_before_changes_no_page(self, many, asked, descending):
        expected = IDS[::-1] if descending else IDS
        pages = browse.UserPages(many, descending=descending)
        for first, n in asked:
            assert users(pages.rows(first, n)) == expected[max(first, 0) : max(first + n, 0)]

    def test_rows_say_what_the_ratings_say(self, many):
        pages = browse.UserPages(many)
        row = pages.rows(pages.row_of("7"), 1)[0]
        assert (row.user, row.n_ratings, row.mean) == ("7", 2, 4.5)

    def test_marks_are_bounded_and_the_survey_sets_them(self, many, monkeypatch):
        monkeypatch.setattr(browse, "_SURVEY_STEP", 100)
        pages = browse.UserPages(many)
        pages.survey()
        assert len(pages._marks) == len(IDS) // 100 + 2
        assert [mark.user for mark in pages._marks[1:-1]] == IDS[100::100]
        monkeypatch.setattr(browse, "_MARKS", 95)
        for first in range(0, 9000, 17):
            assert users(pages.rows(first, 2)) == IDS[first : first + 2]
        assert len(pages._marks) <= 95

    def test_users_may_leave_while_it_is_shown(self, database):
        with database.write() as db:
            db.executemany("INSERT INTO users (user) VALUES (?)", ((str(n),) for n in range(100, 200)))
        pages = browse.UserPages(database)
        with database.write() as db:
            db.execute("DELETE FROM users WHERE user >= '150'")
        assert set(users(pages.rows(90, 20))) <= {str(n) for n in range(100, 150)}
        assert set(users(pages.rows(45, 10))) <= {str(n) for n in range(100, 150)}
        assert len(browse.UserPages(database)) == 50

    def test_nobody(self, database):
        pages = browse.UserPages(database)
        pages.survey()
        assert (len(pages), pages.rows(0, 10), pages.row_of("x")) == (0, [], 0)


class TestOtherOrders:
    def test_ids_that_hold_a_text_but_do_not_begin_with_it(self, many):
        assert users(browse.users_holding(many, "nna3")) == [u for u in IDS if "nna3" in u]
        assert users(browse.users_holding(many, "99")) == [u for u in IDS if "99" in u and u[:2] != "99"]
        assert users(browse.users_holding(many, "9", limit=3)) == [u for u in IDS if "9" in u and u[0] != "9"][:3]
        assert users(browse.users_holding(many, "%b_")) == ["a%b_"]

    def test_those_with_most_ratings_come_first(self, many):
        assert next((u.user, u.n_ratings) for u in browse.most_active(many, limit=2)) == ("7", 2)
        assert {u.user for u in browse.most_active(many, limit=9)} == {"7", "10", "é"}
        assert browse.most_active(many, limit=9, stop=lambda: True) == []

    @pytest.mark.parametrize("part", [1, 3, 1000])
    def test_the_parts_it_is_counted_in_make_no_difference(self, many, monkeypatch, part):
        monkeypatch.setattr(browse, "_PART", part)
        with many.read() as db:
            last = db.execute("SELECT max(user) FROM ratings").fetchone()[0]
        assert last > 1000
        assert [u.user for u in browse.most_active(many, limit=1)] == ["7"]
        assert len(browse.most_active(many, limit=3)) == 3
