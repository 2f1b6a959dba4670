"""`explain` and its what-if through the command line: what it answers, what it refuses, and that it stores nothing."""

import sqlite3
from contextlib import closing

import pytest

from tests.cli import call, few_ratings, run


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    """Few ratings; v1 predicts ratings and is active, v2 only ranks."""
    folder = tmp_path_factory.mktemp("explaining")
    path = folder / "films.db"
    call(path, "import", few_ratings(folder / "sample", 5000))
    call(path, "train", "mf", "--set", "n_factors=8", "--set", "epochs=5", "--activate", "--json")
    call(path, "train", "ials", "--set", "n_factors=8", "--json")
    return path


@pytest.fixture(scope="module")
def best(db):
    """The best item of user 1, by version."""
    return {name: call(db, "recommend", "1", "--version", name, "--json").json["items"] for name in ("v1", "v2")}


def content(db):
    with closing(sqlite3.connect(db)) as connection:
        return [connection.execute(f"SELECT * FROM {table}").fetchall() for table in ("ratings", "users", "meta")]


def rated_by(db, user):
    return [row["item"] for row in call(db, "users", "show", user, "--limit", "1000", "--json").json["history"]]


def test_what_if_shows_both_lists_and_stores_nothing(db, best):
    other, seen = best["v1"][5]["item"], rated_by(db, "1")[0]
    before = content(db)
    item = best["v1"][0]["item"]
    found = call(db, "explain", "1", item, "--what-if", f"{other}=5, {seen}=none", "--json").json["what_if"]
    assert content(db) == before
    assert [row["item"] for row in found["before"]] == [row["item"] for row in best["v1"]]
    assert {change["item"]: change["after"] for change in found["changes"]} == {other: 5.0, seen: None}
    assert other not in [row["item"] for row in found["after"]]
    call(db, "rate", "1", other, "5")
    value = next(row["before"] for row in found["changes"] if row["item"] == seen)
    call(db, "rate", "--unset", "1", seen)
    try:
        stored = call(db, "recommend", "1", "--json").json["items"]
        assert [row["item"] for row in found["after"]] == [row["item"] for row in stored]
    finally:
        call(db, "rate", "--unset", "1", other)
        call(db, "rate", "1", seen, str(value))


def test_without_what_if_there_is_none(db, best):
    found = call(db, "explain", "1", best["v1"][0]["item"], "--json").json
    assert found["what_if"] is None
    assert found["counterfactual"]["proof"] in {"smallest", "minimal", "none"}


def test_a_counterfactual_is_what_taking_the_ratings_back_does(db, best):
    """The proof of a set is in taking it back: the item is gone from the list of ten."""
    item = best["v1"][9]["item"]
    found = call(db, "explain", "1", item, "--json").json["counterfactual"]
    assert found["rank_before"] == 10
    assert found["ratings"]
    for row in found["ratings"]:
        call(db, "rate", "--unset", "1", row["item"])
    try:
        assert item not in [row["item"] for row in call(db, "recommend", "1", "--json").json["items"]]
    finally:
        for row in found["ratings"]:
            call(db, "rate", "1", row["item"], str(row["your_rating"]))


def test_a_rank_is_shown_as_a_percentile_never_as_a_product(db, best):
    item = best["v2"][0]["item"]
    found = call(db, "explain", "1", item, "--version", "v2", "--json").json
    assert found["percentile"] == pytest.approx(best["v2"][0]["percentile"])
    assert found["predicted_rating"] is found["confidence"] is None


def test_somebody_new_can_be_supposed_to_have_ratings(db, best):
    item = best["v1"][0]["item"]
    found = call(db, "explain", "nobody", item, "--what-if", "7=5,9=0.5", "--json").json["what_if"]
    assert [change["before"] for change in found["changes"]] == [None, None]
    assert {"7", "9"}.isdisjoint(row["item"] for row in found["after"])
    assert call(db, "users", "show", "nobody", "--json", expect=3).error["code"] == "not_found"


REFUSED = {
    "no such film=5": (3, "unknown item", "items search"),
    "7": (2, "names no item and rating", "ITEM=RATING"),
    "=5": (2, "names no item", "ITEM=RATING"),
    "7=great": (2, "neither a rating nor none", "ITEM=RATING"),
    "7=5,7=4": (2, "twice", "ITEM=RATING"),
    "7=9": (4, "not on the scale", "0.5 to 5"),
    "7=nan": (4, "not on the scale", "0.5 to 5"),
    "7=3.2": (4, "not on the scale", "0.5 to 5"),
}


@pytest.mark.parametrize("supposed", REFUSED)
def test_what_cannot_be_supposed_is_refused(db, best, supposed):
    code, said, hint = REFUSED[supposed]
    done = call(db, "explain", "nobody", best["v1"][0]["item"], "--what-if", supposed, "--json", expect=code)
    assert said in done.error["message"]
    assert hint in done.error["hint"]
    assert done.out == ""


def test_a_rating_that_does_not_exist_cannot_be_left_out(db, best):
    item = best["v1"][0]["item"]
    done = call(db, "explain", "1", item, "--what-if", f"{item}=none", "--json", expect=3)
    assert "no rating" in done.error["message"]
    assert "users show" in done.error["hint"]


def test_ids_with_commas_and_equals_signs(tmp_path):
    source = tmp_path / "odd.csv"
    rows = [f'u{n // 12},"a,{n % 12}=b",{1 + n % 5}' for n in range(360) if n % 7]
    source.write_text("user,item,rating\n" + "\n".join(dict.fromkeys(rows)) + "\n")
    db = tmp_path / "odd.db"
    call(db, "import", source, "--duplicates", "latest")
    call(db, "train", "popularity", "--activate", "--json")
    found = call(db, "explain", "new", "a,1=b", "--what-if", '"a,3=b=4","a,5=b=1"', "--json").json["what_if"]
    assert [(change["item"], change["after"]) for change in found["changes"]] == [("a,3=b", 4.0), ("a,5=b", 1.0)]


def test_histories_of_nothing_and_of_equal_ratings(db):
    """All-equal ratings are all at the user's mean: everything is liked, and nothing divides by zero."""
    items = [row["item"] for row in call(db, "recommend", "nobody", "-n", "12", "--json").json["items"]]
    for item in items[:6]:
        call(db, "rate", "steady", item, "3")
    made = call(db, "recommend", "steady", "--explain", "--json").json["items"]
    assert all(entry["reasons"] for entry in made)
    found = call(db, "explain", "steady", made[0]["item"], "--json").json
    assert found["contributions"]
    assert 0 <= found["confidence"] <= 1
    for item in items[:6]:
        call(db, "rate", "--unset", "steady", item)
    nothing = call(db, "explain", "steady", items[0], "--json").json
    assert nothing["contributions"] == []
    assert [reason["type"] for reason in nothing["reasons"]] == ["popularity"]
    assert nothing["counterfactual"]["ratings"] == []


def test_filters_that_leave_nothing_say_which(db):
    done = run(db, "recommend", "1", "--since-year", "2999", "--explain", "--json")
    assert done.json["items"] == []
    assert any("--since-year 2999" in note for note in done.json["notes"])


def test_a_model_that_only_ranks_predicts_a_percentile_and_no_bounds(db, best):
    item = best["v2"][3]["item"]
    found = call(db, "predict", "1", item, "--version", "v2", "--json").json
    assert found["prediction"] is found["lower"] is found["confidence"] is None
    assert found["percentile"] == pytest.approx(best["v2"][3]["percentile"])
    shown = call(db, "predict", "1", item, "--version", "v2", screen=True).out
    assert f"at or above {found['percentile']:.1f}% of all items" in shown
    assert "between" not in shown
    assert call(db, "predict", "1", item, "--json").json["percentile"] is None  # a rating speaks for itself


def test_a_newcomer_has_no_mean_to_be_compared_with(db, best):
    item = best["v1"][0]["item"]
    assert "at or above the mean" in call(db, "predict", "nobody", item, screen=True).out
    assert "at or above the user's own mean" in call(db, "predict", "1", item, screen=True).out


def test_the_ratings_of_a_counterfactual_are_named_by_title(db, best):
    found = call(db, "explain", "1", best["v1"][9]["item"], "--json").json["counterfactual"]
    for row in found["ratings"][:5]:
        assert f"{row['title']} ({row['your_rating']:g})" in found["text"]
    assert found["text"].startswith("without your rating")
    left = len(found["ratings"]) - 5
    assert (f"and {left} more" in found["text"]) == (left > 1)


def test_one_day_is_no_days(db):
    call(db, "rate", "once", rated_by(db, "1")[0], "4")
    try:
        assert "1 on 1 day\n" in call(db, "users", "show", "once", screen=True).out
    finally:
        call(db, "rate", "--unset", "once", rated_by(db, "1")[0])
