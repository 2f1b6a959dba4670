"""Figures drawn in text: exact widths, exact sums, and nothing drawn where nothing is known."""

import math
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_tui.screens.stockview import health_page
from recsys_tui.widgets.drawn import area, distribution, interval, ranged, score_parts, signed_bar

FINITE = st.floats(-1e6, 1e6)


class TestInterval:
    @pytest.mark.parametrize(
        ("value", "low", "high", "drawn"),
        [
            (3.0, 1.0, 5.0, "├────●────┤"),
            (1.0, 1.0, 5.0, "●─────────┤"),
            (4.2, 3.4, 5.0, "      ├─●─┤"),
            (4.2, None, None, "        ●  "),
            (None, None, None, "           "),
            (math.nan, 1.0, 2.0, "           "),
            (9.0, 7.0, 12.0, "          ●"),
        ],
    )
    def test_on_a_scale_from_1_to_5(self, value, low, high, drawn):
        assert interval(value, low, high, (1.0, 5.0), 11) == drawn

    @given(FINITE, FINITE, FINITE, st.integers(3, 40))
    def test_always_as_wide_as_asked(self, value, low, high, width):
        assert len(interval(value, min(low, high), max(low, high), (0.5, 5.0), width)) == width

    def test_a_scale_of_one_value_draws_nothing(self):
        assert interval(3.0, 3.0, 3.0, (3.0, 3.0), 5) == "     "


class TestSignedBar:
    @pytest.mark.parametrize(
        ("amount", "drawn"),
        [
            (2.0, "     │█████"),
            (-2.0, "█████│     "),
            (1.0, "     │██▌  "),
            (-1.0, "  ███│     "),
            (0.0, "     │     "),
        ],
    )
    def test_to_both_sides_of_the_middle(self, amount, drawn):
        assert signed_bar(amount, 2.0, 11) == drawn

    @given(FINITE, st.floats(0, 1e6))
    def test_always_as_wide_as_asked(self, amount, largest):
        assert len(signed_bar(amount, largest, 11)) == 11


@dataclass
class Found:
    score: float
    baseline: float | None
    contributions: list = field(default_factory=list)


def rows(amounts):
    return [{"item": str(k), "title": f"film {k}", "your_rating": 4.0, "amount": a} for k, a in enumerate(amounts)]


class TestScoreParts:
    @given(st.floats(-10, 10), st.lists(st.floats(-5, 5), max_size=60), st.integers(0, 50))
    def test_what_is_shown_sums_to_the_score_however_few_are_shown(self, baseline, amounts, most):
        score = baseline + math.fsum(amounts)
        shown, rest = score_parts(Found(score, baseline, rows(amounts)), most)
        assert math.isclose(math.fsum(row["amount"] for row in shown), score, abs_tol=1e-9)
        assert abs(rest) < 1e-9
        assert len(shown) == 1 + min(most, len(amounts)) + (len(amounts) > most)

    def test_what_does_not_add_up_is_told(self):
        assert score_parts(Found(5.0, 1.0, rows([1.0, 2.0])), 10)[1] == pytest.approx(1.0)

    def test_a_model_that_does_not_take_its_score_apart_has_no_rows(self):
        assert score_parts(Found(5.0, None), 10) == ([], 5.0)

    def test_an_item_without_title_is_told_by_its_id(self):
        found = Found(1.0, None, [{"item": "b07", "title": None, "your_rating": 3.0, "amount": 1.0}])
        assert score_parts(found, 5)[0][0]["title"] == "b07"


class TestDistribution:
    def test_bars_counts_and_shares(self):
        lines = distribution({"1": 10, "5": 30}, 40).plain.splitlines()
        assert [len(line) for line in lines] == [40, 40]
        assert [line.split()[-2:] for line in lines] == [["10", "25.0%"], ["30", "75.0%"]]
        assert [line.count("█") for line in lines] == [9, 27]

    def test_nothing_and_zeros(self):
        assert distribution({}, 40).plain == ""
        assert "0.0%" in distribution({"1": 0}, 40).plain


class TestArea:
    def test_the_largest_reaches_the_top_and_zero_is_blank(self):
        assert area([0, 1, 2], 3, 2).plain == "  █\n ██"

    def test_the_least_there_is_can_be_seen(self):
        assert area([1, 1000], 2, 1).plain == "▁█"

    @given(st.lists(st.integers(0, 10**9), min_size=1, max_size=50), st.integers(1, 90), st.integers(1, 12))
    def test_always_as_large_as_asked(self, values, width, height):
        lines = area(values, width, height).plain.split("\n")
        assert [len(line) for line in lines] == [width] * height

    def test_nothing(self):
        assert area([], 10, 3).plain == ""


def test_figures_stand_under_each_other():
    lines = ranged([("ratings", "100,004", ""), ("users", "671", "")], 40).plain.splitlines()
    assert lines == ["ratings  100,004", "users        671"]


def test_checks_wrap_under_their_own_words():
    checks = [
        {"name": "copies", "ok": True, "detail": "0 users", "hint": ""},
        {"name": "bursts", "ok": False, "detail": "word " * 30, "hint": "look at them"},
    ]
    lines = health_page(checks, 60).plain.splitlines()
    assert lines[0] == "look  bursts"
    assert lines[-2:] == ["ok    copies", "      0 users"]
    assert all(len(line) <= 60 for line in lines)
    assert all(line.startswith("      ") for line in lines[1:-2])
    assert "      look at them" in lines
