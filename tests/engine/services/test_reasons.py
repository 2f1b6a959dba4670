"""Reasons whose numbers SQL gives again, over every model of the table, for a list and for one item."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from math import isclose

import numpy as np
import pytest

from engine.models import MODELS, model_class
from engine.models.base import Explains
from engine.models.removal import MOST, contributions_by_removal
from engine.services import Services
from engine.services.crowds import Agreement, Crowds
from engine.services.reasons import LEAST_CROWD, Target, contributions, sentence
from store import catalog, evidence, ratings
from store.importers.pipeline import import_source
from tests.cli import few_ratings

LIKED = """
WITH mine AS (SELECT r.item, r.rating FROM ratings r JOIN users u ON u.id = r.user WHERE u.user = :user),
     target AS (SELECT id FROM items WHERE item = :item),
     wanted AS (SELECT genre FROM item_genres WHERE item IN target),
     liked AS (SELECT item FROM mine WHERE rating >= (SELECT avg(rating) - 1e-9 FROM mine) AND item NOT IN target)
SELECT avg(EXISTS (SELECT 1 FROM item_genres g WHERE g.item = liked.item AND g.genre IN wanted)) FROM liked
"""
AGREEING = """
SELECT count(*), avg(r.rating) FROM ratings r JOIN items i ON i.id = r.item WHERE i.item = ? AND r.user IN (
    SELECT theirs.user FROM ratings mine JOIN ratings theirs ON theirs.item = mine.item
    JOIN users u ON u.id = mine.user JOIN items s ON s.id = mine.item
    WHERE u.user = ? AND s.item IN ({marks}) AND theirs.user <> mine.user
      AND theirs.rating BETWEEN mine.rating - ? AND mine.rating + ?)
"""
GIVEN = (
    "SELECT r.rating, i.title FROM ratings r JOIN users u ON u.id = r.user JOIN items i ON i.id = r.item "
    "WHERE u.user = ? AND i.item = ?"
)
EVERYBODY = "SELECT count(*), avg(r.rating) FROM ratings r JOIN items i ON i.id = r.item WHERE i.item = ?"
SMALL = {"n_factors": 4, "epochs": 6}


@pytest.fixture(scope="module")
def services(tmp_path_factory):
    """A version of each model over about eighty users."""
    folder = tmp_path_factory.mktemp("reasons")
    opened = Services.open(folder / "films.db", create=True)
    import_source(opened.database, str(few_ratings(folder / "sample", 3000)))
    for name in MODELS:
        known = set(model_class(name).Config.__dataclass_fields__)
        opened.training.train_model(name, {key: value for key, value in SMALL.items() if key in known})
    with closing(opened.database):
        yield opened


@pytest.fixture(params=MODELS)
def version(services, request):
    """The name of the version of each model."""
    return next(row.name for row in services.registry.versions() if row.model_type == request.param)


def recompute(db, user, item, reason):
    """Assert that SQL gives the numbers of a reason."""
    if reason["type"] == "similar_movies":
        assert reason["movies"]
        for movie in reason["movies"]:
            assert db.execute(GIVEN, (user, movie["id"])).fetchone() == (movie["your_rating"], movie["title"])
            assert movie["id"] != item
    elif reason["type"] == "genre_match":
        assert reason["match_score"] == pytest.approx(db.execute(LIKED, {"user": user, "item": item}).fetchone()[0])
        assert reason["match_score"] > 0
    elif reason["type"] == "similar_users":
        query = AGREEING.format(marks=",".join("?" * len(reason["agree_on"])))
        tolerance = reason["tolerance"]
        row = db.execute(query, (item, user, *reason["agree_on"], tolerance, tolerance)).fetchone()
        assert (reason["similar_user_count"], reason["avg_rating"]) == (row[0], pytest.approx(row[1]))
        assert row[0] >= LEAST_CROWD
    else:
        row = db.execute(EVERYBODY, (item,)).fetchone()
        assert (reason["n_ratings"], reason["avg_rating"]) == (row[0], row[1] and pytest.approx(row[1]))


def test_each_item_of_a_list_has_reasons_that_sql_gives_again(services, version):
    kinds = set()
    with closing(sqlite3.connect(services.database.path)) as db:
        for user in ("1", "7", "23", "nobody"):
            made = services.recommender.recommend(user, version=version)
            for entry, reasons in zip(made.items, services.explainer.reasons_for(made), strict=True):
                assert reasons
                assert sentence(reasons)
                for reason in reasons:
                    kinds.add(reason["type"])
                    recompute(db, user, entry.item, reason)
    assert {"similar_movies", "genre_match", "similar_users", "popularity"} <= kinds


def test_a_list_says_what_explaining_its_items_one_by_one_says(services, version):
    exact = isinstance(services.manager.snapshot(version).model, Explains)
    made = services.recommender.recommend("3", version=version)
    for entry, reasons in zip(made.items, services.explainer.reasons_for(made), strict=True):
        found = services.explainer.explain_recommendation("3", entry.item, version=version)
        alone = {reason["type"]: reason for reason in found.reasons}
        assert not exact or list(alone) == [reason["type"] for reason in reasons]
        for reason in reasons:
            if exact and reason["type"] != "similar_movies":
                assert reason == alone[reason["type"]]
        assert found.percentile == pytest.approx(entry.percentile)
        assert (found.lower_95 is None) == (found.lower is None)
        if found.lower is not None:
            assert found.lower_95 <= found.lower <= found.upper <= found.upper_95


def test_the_parts_of_a_score_add_up(services, version):
    made = services.recommender.recommend("5", version=version)
    found = services.explainer.explain_recommendation("5", made.items[0].item, version=version)
    assert found.method in {"additive", "removal"}
    if found.method == "additive":
        total = found.baseline + sum(part["amount"] for part in found.contributions)
        assert isclose(total, found.score, abs_tol=1e-5 * max(1, abs(found.score)))
    sizes = [abs(part["amount"]) for part in found.contributions]
    assert sizes == sorted(sizes, reverse=True)


def test_removal_is_what_the_score_loses(services):
    """Of a model that is taken apart by removal, each amount is a second opinion without that rating."""
    snapshot = services.manager.snapshot("v1")
    view = services.recommender.ladder.view(snapshot, "9")
    targets = np.array([3, 40])
    for at, parts in enumerate(contributions_by_removal(view.model, view.items, view.ratings, targets)):
        assert parts.method == "removal"
        assert len(parts.items) == min(MOST, len(view.items))
        assert parts.baseline == pytest.approx(float(view.model.scores(view.model.cold_vector(), targets)[at]))
        for item, amount in list(zip(parts.items, parts.amounts, strict=True))[:5]:
            rest = view.items != item
            without = view.model.scores(view.model.fold_in(view.items[rest], view.ratings[rest]), targets)[at]
            assert parts.score - amount == pytest.approx(float(without), abs=1e-6)


def test_a_model_that_cannot_be_taken_apart_is_explained_by_removal_and_says_so(services):
    snapshot = services.manager.snapshot("v1")
    view = services.recommender.ladder.view(snapshot, "9")

    class Opaque:
        """A model with no more than folding in."""

        facts = view.model.facts
        cold_vector, fold_in, scores = view.model.cold_vector, view.model.fold_in, view.model.scores

    assert not isinstance(Opaque(), Explains)
    [parts] = contributions(replace(view, model=Opaque()), np.array([3]))
    assert parts.method == "removal"


@pytest.mark.parametrize("kind", ["ncf", "ensemble"])
def test_the_reasons_of_a_list_are_by_removal_where_the_model_knows_no_other_way(services, kind):
    """Each weight of a similar film is what the score loses when the user is folded in without its rating."""
    name = next(row.name for row in services.registry.versions() if row.model_type == kind)
    made = services.recommender.recommend("9", 5, version=name)
    view = services.recommender.ladder.view(services.manager.snapshot(name), "9")
    index = view.model.facts.items.index
    weighed = 0
    for entry, reasons in zip(made.items, services.explainer.reasons_for(made), strict=True):
        at = np.array([index(entry.item)])
        whole = view.model.scores(view.model.fold_in(view.items, view.ratings), at)[0]
        for similar in (reason for reason in reasons if reason["type"] == "similar_movies"):
            assert similar["method"] == "removal"
            for movie in similar["movies"]:
                rest = view.items != index(movie["id"])
                without = view.model.scores(view.model.fold_in(view.items[rest], view.ratings[rest]), at)[0]
                assert movie["weight"] == pytest.approx(float(whole - without), abs=1e-6)
                assert movie["weight"] > 0
                weighed += 1
    assert weighed


# --- crowds -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def crowds(services):
    services.memory.now()
    return Crowds(services.database, services.memory)


def naive(given, user, item, shared, tolerance):
    """Count as the definition says."""
    values = [
        theirs[item]
        for other, theirs in given.items()
        if other != user and item in theirs
        if any(i in theirs and abs(theirs[i] - given[user][i]) <= tolerance for i in shared)
    ]
    return Agreement(len(values), pytest.approx(sum(values) / len(values)) if values else None)


def given_now(services):
    with services.database.read() as db:
        rows = db.execute("SELECT user, item, rating FROM ratings").fetchall()
    found = {}
    for user, item, rating in rows:
        found.setdefault(user, {})[item] = rating
    return found


@pytest.mark.parametrize("tolerance", [0.0, 0.5, 5.0])
def test_crowds_are_as_counted_naively(services, crowds, tolerance):
    given = given_now(services)
    rng = np.random.default_rng(2)
    for user in list(given)[:8]:
        own = dict(list(given[user].items())[:6])
        about = {int(item): rng.choice(list(own), 3).tolist() for item in rng.integers(1, 200, 10)}
        found = crowds.agreeing(user, own, about, tolerance)
        assert found == {item: naive(given, user, item, shared, tolerance) for item, shared in about.items()}


def test_a_new_rating_is_counted_at_once(services, crowds):
    given = given_now(services)
    user, own = next(iter(given.items()))
    shared, value = next(iter(own.items()))
    before = crowds.agreeing(user, {shared: value}, {shared: [shared]}, 0.0)[shared]
    with services.database.read() as db:
        item = db.execute("SELECT item FROM items WHERE id = ?", (shared,)).fetchone()[0]
    ratings.put(services.database, "somebody new", item, value, now=0)
    try:
        services.memory.now()
        after = crowds.agreeing(user, {shared: value}, {shared: [shared]}, 0.0)[shared]
        assert after.n_raters == before.n_raters + 1
    finally:
        ratings.remove(services.database, "somebody new", item)


def test_memory_is_bounded(services, crowds, monkeypatch):
    monkeypatch.setattr("engine.services.crowds.BYTES", 5_000)
    given = given_now(services)
    user, own = next(iter(given.items()))
    for item in range(1, 150):
        crowds.agreeing(user, own, {item: list(own)}, 0.5)
    assert crowds._bytes <= 5_000
    assert crowds._bytes == sum(200 + found.users.nbytes + found.ratings.nbytes for found in crowds._raters.values())


def test_small_groups_are_not_reported(services):
    """A crowd below five is left out, and what is left out says nothing anywhere in the reason."""
    quiet = 0
    for item in catalog.list_items(services.database, limit=300):
        found = services.explainer.get_similar_users_influence("2", item.item, version="v1")
        quiet += found is None
        assert found is None or found["similar_user_count"] >= LEAST_CROWD
    assert quiet


def test_an_item_that_nobody_rated_has_no_invented_reason(services):
    with services.database.write() as db:
        db.execute("INSERT OR IGNORE INTO items (item, title) VALUES ('blank', 'A blank')")
    found = services.explainer.explain_recommendation("2", "blank", version="v1")
    assert found.reasons == ({"type": "popularity", "n_ratings": 0, "avg_rating": None},)
    assert found.contributions == ()
    assert evidence.everybody(services.database, catalog.need_item(services.database, "blank").id).count == 0
    assert Target(catalog.need_item(services.database, "blank"), -1).position == -1
