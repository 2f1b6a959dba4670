"""Days as years, months or days: nothing is lost, and it fits a screen."""

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from recsys_tui.spans import by_time

FIRST, LAST = (day.toordinal() - date(1970, 1, 1).toordinal() for day in (date.min, date.max))


@given(st.dictionaries(st.integers(FIRST, LAST), st.integers(1, 99), max_size=30))
def test_counts_add_up_in_order_on_one_screen(days):
    found = by_time(dict(sorted(days.items())))
    assert sum(found.values()) == sum(days.values())
    assert len(found) <= 20
    assert list(found) == sorted(found)


def test_the_unit_follows_what_is_covered():
    new_year = date(2001, 1, 1).toordinal() - date(1970, 1, 1).toordinal()
    assert by_time({new_year: 1, new_year + 1: 2}) == {"2001-01-01": 1, "2001-01-02": 2}
    assert by_time({new_year - 1: 1, new_year: 2, new_year + 200: 4}) == {"2000-12": 1, "2001-01": 2, "2001-07": 4}
    assert by_time({new_year - 1: 1, new_year: 2, new_year + 2000: 4}) == {"2000": 1, "2001": 2, "2006": 4}
    assert by_time({366 * year: 1 for year in range(40)})["1970 to 1971"] == 2
