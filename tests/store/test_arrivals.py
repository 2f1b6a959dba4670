"""What came in after a revision: counted by the revision itself, whatever the clock says."""

import pytest

from store import arrivals, ratings
from store.arrivals import Arrivals
from store.importers.pipeline import import_source


@pytest.fixture
def trained(database, tmp_path):
    """Three users and three items, all imported; and the revision of then."""
    path = tmp_path / "ratings.csv"
    path.write_text("user,item,rating\nann,heat,5\nann,alien,3\nbob,heat,1\ncid,zulu,4\n")
    import_source(database, str(path))
    return database, ratings.revision(database)


def late(database, revision):
    return sorted(row[:3] for row in arrivals.late_ratings(database, revision, limit=100))


def test_nothing_has_come_in_right_after_the_training(trained):
    assert arrivals.arrivals(*trained) == Arrivals(0, 0)
    assert late(*trained) == []


def test_new_and_changed_ratings_count_by_revision_and_not_by_time(trained):
    database, revision = trained
    ratings.put(database, "ann", "zulu", 4, at=1, now=0)  # the clock has gone back
    ratings.put(database, "bob", "heat", 2, now=0)
    ratings.put(database, "bob", "heat", 2, now=9e9)  # the same again changes nothing
    assert arrivals.arrivals(database, revision) == Arrivals(2, 2)
    assert late(database, revision) == [("ann", "zulu", 4.0), ("bob", "heat", 2.0)]
    assert arrivals.late_items(database, "ann", revision) == {"zulu"}
    assert arrivals.late_items(database, "cid", revision) == set()
    assert arrivals.arrivals(database, ratings.revision(database)) == Arrivals(0, 0)


def test_a_rating_taken_back_leaves_a_changed_user_and_no_rating(trained):
    database, revision = trained
    ratings.remove(database, "cid", "zulu")
    assert arrivals.arrivals(database, revision) == Arrivals(1, 0)


def test_an_import_after_the_training_is_new_and_one_before_is_not(trained, tmp_path):
    database, revision = trained
    path = tmp_path / "more.csv"
    path.write_text("user,item,rating\ncid,heat,2\ncid,zulu,4\ndan,alien,1\n")
    import_source(database, str(path))
    assert arrivals.arrivals(database, revision) == Arrivals(2, 2)
    assert late(database, revision) == [("cid", "heat", 2.0), ("dan", "alien", 1.0)]


def test_of_many_some_users_are_drawn_whole(trained):
    database, revision = trained
    for user in range(20):
        for item in ("heat", "alien", "zulu"):
            ratings.put(database, f"u{user}", item, 3, now=0)
    some = arrivals.late_ratings(database, revision, limit=30)
    assert len(some) == 30
    assert len({row.user for row in some}) == 10


def test_a_measurement_is_kept_until_the_next(trained):
    database, _ = trained
    assert arrivals.kept_gap(database) is None
    arrivals.keep_gap(database, {"version": "v1"})
    arrivals.keep_gap(database, {"version": "v2"})
    assert arrivals.kept_gap(database) == {"version": "v2"}
