"""Profiles whose numbers SQL gives again, and neighbours and exposure against looking at every list."""

import sqlite3
from contextlib import closing

import pytest

from engine.errors import UnknownItem
from engine.services import Services
from engine.services.profile import LEAST_RATERS
from engine.services.recommend import LEAST_KNOWN
from store import catalog, ratings
from store.errors import NotFound
from store.importers.pipeline import import_source
from tests.cli import few_ratings

TASTE = """
SELECT count(*), avg(r.rating),
       count(*) * 1.0 / (SELECT count(*) FROM ratings r JOIN users u ON u.id = r.user WHERE u.user = :user)
FROM ratings r JOIN users u ON u.id = r.user JOIN items i ON i.id = r.item WHERE u.user = :user AND {having}
"""
EVERYBODY = """
SELECT count(*) * 1.0 / (SELECT count(*) FROM ratings), avg(r.rating)
FROM ratings r JOIN items i ON i.id = r.item WHERE {having}
"""
GENRE = "EXISTS (SELECT 1 FROM item_genres l JOIN genres g ON g.id = l.genre WHERE l.item = i.id AND g.name = :of)"
DECADE = "i.year / 10 * 10 = :of"


@pytest.fixture(scope="module")
def services(tmp_path_factory):
    folder = tmp_path_factory.mktemp("profiles")
    opened = Services.open(folder / "films.db", create=True)
    import_source(opened.database, str(few_ratings(folder / "sample", 6000)))
    with closing(opened.database):
        yield opened


@pytest.fixture(scope="module")
def served(services):
    """The same services once a version is active."""
    registry = services.registry
    registry.activate(
        registry.resolve(services.training.train_model("mf", {"n_factors": 6, "epochs": 5})).id, who="test"
    )
    return services


def ask(services, query, **values):
    with closing(sqlite3.connect(services.database.path)) as db:
        return db.execute(query, values).fetchone()


@pytest.mark.parametrize("user", ["1", "8", "30"])
@pytest.mark.parametrize(("part", "key", "having"), [("genres", "genre", GENRE), ("eras", "decade", DECADE)])
def test_tastes_are_what_sql_says(services, user, part, key, having):
    rows = getattr(services.profiles.user(user), part)
    assert rows
    for row in rows:
        mine = ask(services, TASTE.format(having=having), user=user, of=row[key])
        theirs = ask(services, EVERYBODY.format(having=having), of=row[key])
        assert (row["n_ratings"], row["mean"], row["share"]) == pytest.approx(mine)
        assert (row["population_share"], row["population_mean"]) == pytest.approx(theirs)
        assert row["lift"] == pytest.approx(mine[2] / theirs[0])


def test_habits_are_what_sql_says(services):
    habits = services.profiles.user("8").habits
    mine = ask(
        services,
        "SELECT avg(rating), sqrt(avg(rating * rating) - avg(rating) * avg(rating)), min(at), max(at), "
        "count(DISTINCT at / 86400) FROM ratings r JOIN users u ON u.id = r.user WHERE u.user = '8'",
    )
    assert [habits[name] for name in ("mean", "deviation", "first_at", "last_at", "days")] == pytest.approx(mine)
    theirs = ask(services, "SELECT avg(rating), sqrt(avg(rating * rating) - avg(rating) * avg(rating)) FROM ratings")
    assert (habits["population_mean"], habits["population_deviation"]) == pytest.approx(theirs)
    beside = ask(
        services,
        "WITH of_all AS (SELECT item, avg(rating) AS mean, count(*) AS n FROM ratings GROUP BY item) "
        "SELECT avg(r.rating - a.mean), avg(a.n < (SELECT count(*) FROM users) / 100.0) FROM ratings r "
        "JOIN of_all a ON a.item = r.item JOIN users u ON u.id = r.user WHERE u.user = '8'",
    )
    assert (habits["agreement"], habits["obscurity"]) == pytest.approx(beside)


def test_the_distribution_has_every_step(services):
    found = services.profiles.user("8").distribution
    assert [row["rating"] for row in found] == [half / 2 for half in range(1, 11)]
    for row in found:
        query = "SELECT count(*) FROM ratings r JOIN users u ON u.id = r.user WHERE u.user = '8' AND rating = :value"
        assert row["count"] == ask(services, query, value=row["rating"])[0]


def test_a_scale_without_steps_is_cut_into_twentieths(tmp_path):
    source = tmp_path / "jokes.csv"
    source.write_text(
        "user,item,rating\n" + "".join(f"{n % 20},{n // 20},{-10 + n * 0.0499:.4f}\n" for n in range(400))
    )
    services = Services.open(tmp_path / "jokes.db", create=True)
    with closing(services.database):
        import_source(services.database, str(source), scale=(-10.0, 10.0, None))
        found = services.profiles.item("3").distribution
        assert len(found) == 20
        assert found[0]["rating"] == -10.0
        assert sum(row["count"] for row in found) == 20
        assert [row["count"] for row in found if row["count"]] == [1, 19]  # -7.006, then -6.956 and up


def test_a_new_rating_is_in_the_profile_at_once(services):
    services.profiles.user("1")
    before = services.profiles.item("7").raters["n"]
    ratings.put(services.database, "just now", "7", 5.0, now=0)
    try:
        assert services.profiles.item("7").raters["n"] == before + 1
        found = services.profiles.user("just now")
        assert found.habits["mean"] == found.habits["median"] == 5.0
        assert found.habits["deviation"] == 0.0
    finally:
        ratings.remove(services.database, "just now", "7")


def test_somebody_whose_ratings_are_all_taken_back_has_a_profile_of_nothing(services):
    ratings.put(services.database, "gone", "7", 5.0, now=0)
    ratings.remove(services.database, "gone", "7")
    found = services.profiles.user("gone")
    assert (found.genres, found.eras, found.habits["mean"], found.habits["days"]) == ((), (), None, 0)
    assert sum(row["count"] for row in found.distribution) == 0


def test_unknown_ones_are_refused(services):
    with pytest.raises(NotFound):
        services.profiles.user("nobody")
    with pytest.raises(NotFound):
        services.profiles.item("nothing")


def test_without_a_version_there_are_no_neighbours_and_no_exposure(services):
    if services.registry.active() is None:
        found = services.profiles.item("7")
        assert (found.neighbours, found.exposure) == ((), None)


def test_raters_are_what_sql_says(served):
    item = ask(
        served, "SELECT i.item FROM ratings r JOIN items i ON i.id = r.item GROUP BY r.item ORDER BY count(*) DESC"
    )[0]
    raters = served.profiles.item(item).raters
    assert raters["rank"] == 1
    levels = "SELECT user, count(*) AS n, avg(rating) AS mean FROM ratings GROUP BY user"
    wanted = ask(
        served,
        "SELECT count(*), avg(l.mean), avg(r.rating >= l.mean - 1e-9) "
        f"FROM ratings r JOIN ({levels}) l ON l.user = r.user JOIN items i ON i.id = r.item WHERE i.item = :item",
        item=item,
    )
    assert raters["n"] == raters["sampled"] == wanted[0]
    assert (raters["mean_of_means"], raters["liked_share"]) == pytest.approx(wanted[1:])


def test_of_few_raters_only_their_number_is_told(served):
    query = "SELECT i.item FROM ratings r JOIN items i ON i.id = r.item GROUP BY r.item HAVING count(*) < :few"
    raters = served.profiles.item(ask(served, query, few=LEAST_RATERS)[0]).raters
    assert set(raters) == {"n", "rank"}


def test_exposure_counts_the_lists_that_hold_the_item(served):
    users = [user.user for user in catalog.list_users(served.database, limit=10_000) if user.n_ratings]
    facts = served.manager.snapshot().model.facts
    trained = [user for user in users if (at := facts.users.index(user)) is not None and facts.user_counts[at]]
    lists = [[entry.item for entry in served.recommender.recommend(user).items] for user in trained]
    best = lists[0][0]
    found = served.profiles.item(best).exposure
    assert found["sampled"] == len(trained)
    assert found["in_best_10"] == sum(best in made for made in lists) > 0
    assert found["share"] == pytest.approx(found["in_best_10"] / len(trained))


def test_neighbours_are_known_well_enough(served):
    facts = served.manager.snapshot().model.facts
    item = facts.items.text(int(facts.item_counts.argmax()))
    for row in served.profiles.item(item, n=20).neighbours:
        assert facts.item_counts[facts.items.index(row["item"])] >= LEAST_KNOWN
        assert -1.0001 <= row["similarity"] <= 1.0001
        assert row["item"] != item


def test_an_item_of_which_nothing_is_known_is_similar_to_nothing(served):
    with served.database.write() as db:
        db.execute("INSERT OR IGNORE INTO items (item, title) VALUES ('blank', 'A blank')")
    version = served.training.train_model("content", {})
    with pytest.raises(UnknownItem):
        served.recommender.similar("blank", version=version)
