"""The record of imports and the rows that were kept aside."""

import pytest

from store import errors
from store.imports import Import, Quarantined, get_import, list_imports, quarantined


@pytest.fixture
def recorded(database):
    """Two imports: one done with rejects, one running."""
    with database.write() as db:
        db.execute(
            "INSERT INTO imports (source, format, options, state, started_at, finished_at, read, stored, updated, "
            "unchanged, rejected, reasons) VALUES ('a.csv', 'csv', '{\"duplicates\": \"latest\"}', 'done', 10.5, 12.5, "
            '9, 4, 1, 1, 3, \'{"not a number": 2, "no item": 1}\')'
        )
        db.execute(
            "INSERT INTO imports (source, format, options, state, started_at) "
            "VALUES ('[REC]/ratings', 'movielens', '{}', 'running', 20.0)"
        )
        db.executemany(
            "INSERT INTO quarantine (import, line, reason, raw, source) VALUES (?, ?, ?, ?, ?)",
            [
                (1, 30, "not a number", "1,2,x", ""),
                (2, 1, "no item", "\x1b[2J", "b.csv"),
                (1, 4, "no item", "1,,3", ""),
                (1, 200, "not a number", '"1,2', "a.csv"),
            ],
        )
    return database


def test_one_import_with_all_its_counts(recorded):
    assert get_import(recorded, 1) == Import(
        import_id=1,
        source="a.csv",
        format="csv",
        state="done",
        started_at=10.5,
        finished_at=12.5,
        read=9,
        stored=4,
        updated=1,
        unchanged=1,
        rejected=3,
        reasons={"not a number": 2, "no item": 1},
        options={"duplicates": "latest"},
        error=None,
    )
    running = get_import(recorded, 2)
    assert (running.state, running.finished_at, running.reasons, running.options) == ("running", None, {}, {})


def test_the_newest_come_first(recorded):
    assert [row.import_id for row in list_imports(recorded)] == [2, 1]
    assert [row.import_id for row in list_imports(recorded, limit=1)] == [2]


@pytest.mark.parametrize("number", [0, 3, -1])
def test_an_unknown_one_is_not_found(recorded, number):
    with pytest.raises(errors.NotFound, match=f"no import {number}") as caught:
        get_import(recorded, number)
    assert "imports list" in caught.value.hint


def test_a_number_beyond_all_bounds_is_refused(recorded):
    with pytest.raises(errors.UsageRefused):
        get_import(recorded, 2**64)


def test_rows_kept_aside_come_in_the_order_of_their_lines(recorded):
    assert quarantined(recorded, 1) == [
        Quarantined("", 4, "no item", "1,,3"),
        Quarantined("", 30, "not a number", "1,2,x"),
        Quarantined("a.csv", 200, "not a number", '"1,2'),
    ]
    assert [row.line for row in quarantined(recorded, 1, limit=2)] == [4, 30]
    assert quarantined(recorded, 2) == [Quarantined("b.csv", 1, "no item", "\x1b[2J")]
    assert quarantined(recorded, 9) == []
