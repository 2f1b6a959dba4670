"""Rows kept aside: shown field by field, mended in a file, imported again."""

import csv
import json

import pytest

from recsys_tui.exports import write_rows
from store import errors
from store.importers.pipeline import import_source
from store.mend import COLUMNS, mend, rejected_rows
from tests.store.rows import quarantine, stored

DIRTY = 'userId;movieId;rating\n=a;1;4\n=a;2;good\nb;1\nc;"1;3\nd;;3\n'


@pytest.fixture
def refused(database, tmp_path):
    (tmp_path / "dirty.csv").write_text(DIRTY)
    return import_source(database, str(tmp_path / "dirty.csv")).import_id


def written(database, number, tmp_path, change):
    """Write the rejected rows as the command does, change them, and return the file."""
    path = tmp_path / "rejected.csv"
    write_rows(path, rejected_rows(database, number), list(COLUMNS))
    with path.open(newline="") as file:
        rows = [change(row) for row in csv.DictReader(file)]
    with path.open("w", newline="") as file:
        out = csv.DictWriter(file, list(COLUMNS))
        out.writeheader()
        out.writerows(row for row in rows if row)
    return path


def test_fields_are_told_apart_as_far_as_they_can_be(database, refused):
    rows = [
        (row["line"], row["reason"], row["user"], row["item"], row["rating"])
        for row in rejected_rows(database, refused)
    ]
    assert rows == [
        (3, "rating is not a number", "=a", "2", "good"),
        (4, "wrong number of fields", "", "", ""),
        (5, "unbalanced quote", "", "", ""),
        (6, "missing item", "d", "", "3"),
    ]


def test_mended_rows_leave_the_quarantine_and_the_others_stay(database, refused, tmp_path):
    def change(row):
        mended = {"3": {"rating": "3.5"}, "4": {"user": "b", "item": "1", "rating": "3.5"}}
        return row | mended.get(row["line"], {})

    found = mend(database, refused, written(database, refused, tmp_path, change))
    assert (found.mended, found.result.stored, found.result.rejected) == (2, 2, 2)
    assert stored(database) == {("=a", "1"): (4.0, None), ("=a", "2"): (3.5, None), ("b", "1"): (3.5, None)}
    assert [line for line, *_ in quarantine(database)] == [5, 6]


def test_a_row_that_was_left_out_stays(database, refused, tmp_path):
    path = written(database, refused, tmp_path, lambda row: row | {"item": "7"} if row["line"] == "6" else None)
    assert mend(database, refused, path).mended == 1
    assert [line for line, *_ in quarantine(database)] == [3, 4, 5]


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "", "line,user,item,rating,time\nx,1,2,3,4\n", "\xff\xfe"])
def test_another_file_is_refused(database, refused, tmp_path, text):
    (tmp_path / "other.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(errors.DataRefused):
        mend(database, refused, tmp_path / "other.csv")
    assert len(quarantine(database)) == 4


def test_a_row_of_another_import_is_refused(database, refused, tmp_path):
    path = written(database, refused, tmp_path, lambda row: row | {"line": "77"})
    with pytest.raises(errors.DataRefused, match="line 77"):
        mend(database, refused, path)
    with pytest.raises(errors.NotFound):
        mend(database, refused, tmp_path / "nothing.csv")
    with pytest.raises(errors.NotFound):
        mend(database, 9, path)


def test_fields_of_nested_rows(database, tmp_path):
    lines = [{"who": {"id": "u"}, "film": 1, "stars": 3}, {"who": {"id": "u"}, "film": 2, "stars": "x"}]
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    mapping = {"user": "who.id", "item": "film", "rating": "stars"}
    number = import_source(database, str(tmp_path / "r.jsonl"), mapping=mapping).import_id
    (row,) = rejected_rows(database, number)
    assert (row["user"], row["item"], row["rating"]) == ("u", "2", "x")
