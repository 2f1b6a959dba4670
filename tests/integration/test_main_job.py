"""The main job on real data, through the command line alone: import, train, recommend, explain, predict, rate."""

import csv
import sqlite3

import numpy as np
import pytest

from tests.cli import run


@pytest.fixture(scope="module")
def trained(movielens, tmp_path_factory):
    """A database with all of ml-latest-small and an active mf version."""
    db = tmp_path_factory.mktemp("main") / "films.db"
    imported = run(db, "import", movielens, "--json").json
    version = run(db, "train", "mf", "--activate", "--json").json
    return db, imported, version


def test_import_reports_every_rating(trained):
    _, imported, _ = trained
    counts = {key: imported[key] for key in ("read", "stored", "updated", "unchanged", "rejected")}
    assert counts == {"read": 100004, "stored": 100004, "updated": 0, "unchanged": 0, "rejected": 0}
    assert imported["users"] == 671
    assert imported["items"] == 9066  # of the 9,125 in the catalogue, those that somebody rated


def test_importing_again_changes_nothing(trained, movielens):
    db, _, _ = trained
    again = run(db, "import", movielens, "--json").json
    assert (again["stored"], again["updated"], again["unchanged"]) == (0, 0, 100004)


def test_training_reports_epochs_metrics_and_data(trained):
    _, _, version = trained
    assert version["state"] == "done"
    assert version["active"] is True
    assert version["training_data"]["n_ratings"] == pytest.approx(80003, abs=400)
    assert version["metrics"]["rmse"] < 0.90
    losses = [epoch["losses"]["train"] for epoch in version["epochs"]]
    assert losses[-1] < losses[0]


def test_recommendations_have_reasons_whose_numbers_sql_gives_again(trained):
    db, _, _ = trained
    made = run(db, "recommend", "1", "-n", "10", "--explain", "--json").json
    assert [item["rank"] for item in made["items"]] == list(range(1, 11))
    assert len({item["item"] for item in made["items"]}) == 10
    connection = sqlite3.connect(db)
    seen = {
        item
        for (item,) in connection.execute(
            "SELECT i.item FROM ratings r JOIN items i ON i.id = r.item JOIN users u ON u.id = r.user "
            "WHERE u.user = '1'"
        )
    }
    for item in made["items"]:
        assert item["item"] not in seen
        assert 0.5 <= item["lower"] <= item["prediction"] <= item["upper"] <= 5.0
        assert item["reasons"]
        for reason in item["reasons"]:
            _recompute(connection, "1", item["item"], reason)


def _recompute(connection, user, item, reason):
    if reason["type"] == "similar_movies":
        for movie in reason["movies"]:
            given = connection.execute(
                "SELECT r.rating, i.title FROM ratings r JOIN users u ON u.id = r.user JOIN items i ON i.id = r.item "
                "WHERE u.user = ? AND i.item = ?",
                (user, movie["id"]),
            ).fetchone()
            assert given == (movie["your_rating"], movie["title"])
    elif reason["type"] == "genre_match":
        share = connection.execute(
            "WITH mine AS (SELECT r.item, r.rating FROM ratings r JOIN users u ON u.id = r.user WHERE u.user = :u), "
            "target AS (SELECT ig.genre FROM item_genres ig JOIN items i ON i.id = ig.item WHERE i.item = :i), "
            "liked AS (SELECT item FROM mine WHERE rating >= (SELECT avg(rating) FROM mine)) "
            "SELECT avg(item IN (SELECT item FROM item_genres WHERE genre IN target)) FROM liked",
            {"u": user, "i": item},
        ).fetchone()[0]
        assert reason["match_score"] == pytest.approx(share)
    elif reason["type"] == "similar_users":
        marks = ",".join("?" * len(reason["agree_on"]))
        rows = connection.execute(
            f"SELECT r.rating FROM ratings r JOIN items i ON i.id = r.item WHERE i.item = ? AND r.user IN ("
            f"SELECT b.user FROM ratings a JOIN users u ON u.id = a.user JOIN ratings b ON b.item = a.item "
            f"JOIN items s ON s.id = a.item WHERE u.user = ? AND b.user <> a.user AND s.item IN ({marks}) "
            f"AND abs(a.rating - b.rating) <= ?)",
            (item, user, *reason["agree_on"], reason["tolerance"]),
        ).fetchall()
        assert reason["similar_user_count"] == len(rows) >= 5
        assert reason["avg_rating"] == pytest.approx(np.mean([rating for (rating,) in rows]))
    else:
        assert reason["type"] == "popularity"


def test_an_explanation_sums_to_its_score(trained):
    db, _, _ = trained
    best = run(db, "recommend", "1", "-n", "1", "--json").json["items"][0]
    explained = run(db, "explain", "1", best["item"], "--json").json
    assert explained["method"] == "additive"
    total = explained["baseline"] + sum(part["amount"] for part in explained["contributions"])
    assert total == pytest.approx(explained["score"], abs=1e-5)
    assert explained["score"] == pytest.approx(best["score"], abs=1e-5)


def test_a_rating_changes_the_next_list(trained):
    db, _, _ = trained
    before = run(db, "recommend", "2", "--json").json["items"]
    rated = run(db, "rate", "2", before[0]["item"], "0.5", "--json").json
    assert rated["stored"] is True
    assert rated["previous"] is None
    assert rated["changed"] is True
    after = run(db, "recommend", "2", "--json").json
    assert before[0]["item"] not in [item["item"] for item in after["items"]]
    assert after["rung"] == "fold-in"
    run(db, "rate", "--unset", "2", before[0]["item"])
    restored = run(db, "recommend", "2", "--json").json["items"]
    assert [item["item"] for item in restored] == [item["item"] for item in before]


def test_pairs_are_predicted_in_order_and_well(movielens, tmp_path):
    """RMSE on a tenth that was never imported; the goal is 0.880 as a mean of three seeds, measured by `make bench`."""
    with (movielens / "ratings.csv").open() as file:
        header, *rows = list(csv.reader(file))
    kept = np.random.default_rng(0).random(len(rows)) < 0.9
    train, test = tmp_path / "train.csv", tmp_path / "test.csv"
    for path, wanted in ((train, kept), (test, ~kept)):
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([header, *(row for row, keep in zip(rows, wanted, strict=True) if keep)])
    db, out = tmp_path / "films.db", tmp_path / "predicted.csv"
    run(db, "import", train)
    run(db, "train", "mf", "--full", "--activate", "--json")
    done = run(db, "predict", "--pairs", test, "--out", out, "--json").json
    with out.open() as file:
        predicted = list(csv.DictReader(file))
    wanted = [row for row, keep in zip(rows, kept, strict=True) if not keep]
    assert done["rows"] == len(predicted) == len(wanted)
    assert [(row["user"], row["item"]) for row in predicted] == [(row[0], row[1]) for row in wanted]
    errors = np.array([float(row["prediction"]) - float(true[2]) for row, true in zip(predicted, wanted, strict=True)])
    assert np.sqrt(np.mean(errors**2)) < 0.89


def test_unknown_users_get_a_list_that_says_where_it_comes_from(trained):
    db, _, _ = trained
    made = run(db, "recommend", "nobody", "-n", "5", "--json").json
    assert made["rung"] == "popularity"
    assert len(made["items"]) == 5
    liked = run(db, "recommend", "nobody", "-n", "5", "--prefer-genre", "Horror", "--json").json
    assert liked["rung"] == "content"
    assert all("Horror" in item["genres"] for item in liked["items"])


def test_unknown_items_are_not_found_and_the_nearest_are_named(trained):
    db, _, _ = trained
    done = run(db, "explain", "1", "Toy Story", "--json", expect=3)
    assert done.error["code"] == "not_found"
    assert "Toy Story (1995)" in done.error["hint"]
