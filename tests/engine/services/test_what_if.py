"""What would be, against what is once the ratings are stored; and the fewest ratings, against trying every one."""

import shutil
from contextlib import closing
from itertools import combinations

import numpy as np
import pytest

from engine.models import MODELS, model_class
from engine.services import Services
from engine.services.counterfactual import BEST
from store import catalog, ratings
from store.errors import DataRefused, NotFound
from store.importers.pipeline import import_source
from tests.cli import few_ratings

SMALL = {"n_factors": 4, "epochs": 6}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A database with a version of each model, over few ratings."""
    folder = tmp_path_factory.mktemp("what-if")
    with closing(Services.open(folder / "films.db", create=True).database) as database:
        services = Services(database)
        import_source(database, str(few_ratings(folder / "sample", 2500)))
        for name in MODELS:
            known = set(model_class(name).Config.__dataclass_fields__)
            services.training.train_model(name, {key: value for key, value in SMALL.items() if key in known})
    return folder


@pytest.fixture
def services(made, tmp_path):
    """Services over a copy, their own to change."""
    shutil.copytree(made, tmp_path / "copy")
    opened = Services.open(tmp_path / "copy" / "films.db")
    with closing(opened.database):
        yield opened


@pytest.fixture(params=MODELS)
def version(services, request):
    return next(row.name for row in services.registry.versions() if row.model_type == request.param)


def everything(database):
    with database.read() as db:
        return [
            db.execute(f"SELECT * FROM {table}").fetchall() for table in ("ratings", "users", "live_vectors", "meta")
        ]


def listed(services, user, version, n=BEST):
    return [
        (entry.item, pytest.approx(entry.score, abs=1e-5))
        for entry in services.recommender.recommend(user, n, version=version).items
    ]


@pytest.mark.parametrize("user", ["2", "nobody yet"])
def test_what_would_be_is_what_is_once_it_is_stored(services, version, user):
    before = services.recommender.recommend(user, version=version)
    raised, unseen = before.items[3].item, before.items[-1].item
    supposed = {raised: 5.0, unseen: 1.0}
    if user == "2":
        supposed[ratings.history(services.database, user)[0].item] = None
        supposed[ratings.history(services.database, user)[1].item] = 2.5
    asked = before.items[0].item
    content = everything(services.database)
    found = services.what_if.suppose(user, asked, supposed, version=version)
    assert everything(services.database) == content
    assert [(row.item, row.score) for row in found.before] == listed(services, user, version)
    assert found.rank_before == 1
    for item, value in supposed.items():
        if value is None:
            ratings.remove(services.database, user, item)
        else:
            ratings.put(services.database, user, item, value, now=2_000_000_000)  # what is supposed is given now
    assert [(row.item, row.score) for row in found.after] == listed(services, user, version)
    everywhere = {e.item: e.rank for e in services.recommender.recommend(user, 100_000, version=version).items}
    assert found.rank_after == everywhere.get(asked)
    for row in found.before:
        assert row.other_rank == everywhere.get(row.item)
        assert row.moved == (None if row.other_rank is None else row.rank - row.other_rank)
    assert {change.item: change.after for change in found.changes} == supposed


def test_leaving_out_all_is_having_none(services, version):
    supposed = dict.fromkeys((row.item for row in ratings.history(services.database, "4")), None)
    found = services.what_if.suppose("4", "7", supposed, version=version)
    assert [row.item for row in found.after] == [
        e.item for e in services.recommender.recommend("x", version=version).items
    ]


def test_a_rated_item_is_no_candidate(services):
    best = services.recommender.recommend("2", version="v1").items[0].item
    found = services.what_if.suppose("2", best, {best: 3.0}, version="v1")
    assert (found.rank_before, found.rank_after) == (1, None)
    assert next(row for row in found.before if row.item == best).moved is None


def test_what_cannot_be_supposed_is_refused(services):
    seen = {row.item for row in ratings.history(services.database, "2")}
    other = next(item.item for item in catalog.list_items(services.database) if item.item not in seen)
    for supposed, error in (
        ({"nothing": 3.0}, NotFound),
        ({other: None}, NotFound),
        ({other: 9.0}, DataRefused),
        ({other: float("nan")}, DataRefused),
        ({other: 3.3}, DataRefused),
    ):
        with pytest.raises(error) as refused:
            services.what_if.suppose("2", other, supposed, version="v1")
        assert refused.value.hint


def test_a_film_newer_than_the_model_is_noted(services):
    with services.database.write() as db:
        db.execute("INSERT INTO items (item, title) VALUES ('new', 'Brand new')")
    found = services.what_if.suppose("2", "new", {"new": 5.0}, version="v1")
    assert "came after" in found.notes[0]
    assert (found.rank_before, found.rank_after, found.score_after) == (None, None, None)
    assert [row.item for row in found.before] == [row.item for row in found.after]


# --- counterfactual ---------------------------------------------------------------------------------------------------


def leaves(services, user, version, item, removed):
    """Tell whether an item is out of the best ten once ratings are taken back, and put them back."""
    given = {row.item: row for row in ratings.history(services.database, user)}
    for name in removed:
        ratings.remove(services.database, user, name)
    gone = item not in [entry.item for entry in services.recommender.recommend(user, BEST, version=version).items]
    for name in removed:
        ratings.put(services.database, user, name, given[name].rating, now=given[name].at or 0)
    return gone


@pytest.mark.parametrize("place", [0, 9])
def test_without_them_the_item_leaves_and_each_is_needed(services, version, place):
    user = "3"
    item = services.recommender.recommend(user, version=version).items[place].item
    found = services.counterfactual.find(user, item, version=version)
    assert found.rank_before == place + 1
    names = [row["item"] for row in found.ratings]
    if found.proof == "none":
        assert names == []
        assert found.rank_after is None
        return
    assert found.rank_after > BEST
    assert found.tried <= 800 + 2 * len(ratings.history(services.database, user))  # leaving out greedily may go beyond
    assert leaves(services, user, version, item, names)
    for name in names if len(names) < 8 else ():
        rest = [other for other in names if other != name]
        assert not rest or not leaves(services, user, version, item, rest)
    assert f"number {found.rank_after}" in found.text


@pytest.mark.parametrize("name", ["mf", "ials", "ease", "content"])
def test_smallest_means_that_no_smaller_set_will_do(services, name):
    version = next(row.name for row in services.registry.versions() if row.model_type == name)
    user = min(
        (user for user in catalog.list_users(services.database, limit=200) if user.n_ratings >= 12),
        key=lambda user: user.n_ratings,
    ).user
    history = [row.item for row in ratings.history(services.database, user)]
    proved = 0
    for entry in services.recommender.recommend(user, version=version).items[::3]:
        found = services.counterfactual.find(user, entry.item, version=version)
        if found.proof != "smallest" or len(found.ratings) > 2:
            continue
        proved += 1
        for smaller in combinations(history, len(found.ratings) - 1) if len(found.ratings) > 1 else ():
            assert not leaves(services, user, version, entry.item, smaller)
    assert proved or name == "content"


def test_an_item_that_is_not_in_the_list_needs_nothing(services):
    last = services.recommender.recommend("3", 30, version="v1").items[-1].item
    found = services.counterfactual.find("3", last, version="v1")
    assert (found.rank_before, found.proof, found.ratings, found.tried) == (30, "none", (), 0)
    rated = ratings.history(services.database, "3")[0].item
    assert services.counterfactual.find("3", rated, version="v1").rank_before is None


def test_without_a_history_there_is_nothing_to_leave_out(services):
    best = services.recommender.recommend("nobody", version="v1").items[0].item
    found = services.counterfactual.find("nobody", best, version="v1")
    assert (found.rank_before, found.proof) == (1, "none")
    assert np.isfinite(found.tried)
