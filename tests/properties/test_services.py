"""The design's properties of the services, over every model in the table, on one small database."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.models import MODELS, model_class
from engine.models.base import FoldsIn
from engine.services import Services
from engine.services.recommend import Filters
from store import catalog, ratings
from store.importers.pipeline import import_source
from tests.cli import few_ratings

LOW, HIGH = 0.5, 5.0
STARS = st.integers(1, 10).map(lambda half: half / 2)
SMALL = {"n_factors": 4, "epochs": 8, "embedding_dim": 4, "hidden_layers": [4], "negatives": 8}


class World:
    """The services with a version of each model, and the data as plain dictionaries."""

    def __init__(self, services):
        self.services = services
        self.versions = {}
        for name in MODELS:
            known = set(model_class(name).Config.__dataclass_fields__)
            hyper = {key: value for key, value in SMALL.items() if key in known}
            self.versions[name] = services.training.train_model(name, hyper)
        self.films = {item.item: item for item in catalog.list_items(services.database, limit=10_000)}
        self.genres = sorted({genre for film in self.films.values() for genre in film.genres})
        self.users = sorted(set(self.given))

    @property
    def given(self):
        """The ratings by user, then item, as they are now."""
        found = defaultdict(dict)
        for row in ratings.all_rows(self.services.database):
            found[row.user][row.item] = row.rating
        return found

    def serve(self, name):
        """Make the version of a model the active one."""
        registry = self.services.registry
        registry.activate(registry.resolve(self.versions[name]).id, who="test")
        return self.services

    def known(self, name):
        """Return the items that the version of a model knows."""
        return set(self.services.manager.load_model(self.versions[name]).facts.items.texts())


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("services")
    services = Services.open(folder / "films.db", create=True)
    import_source(services.database, str(few_ratings(folder / "sample", 1500)))
    return World(services)


def somebody(world, data):
    """Draw a user with ratings."""
    return data.draw(st.sampled_from(world.users), "user")


def listed(made):
    return [entry.item for entry in made.items]


# Feature: ml-enhancement, Property 2: predicted ratings lie within the rating scale
@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=100)
@given(data=st.data())
def test_predictions_and_their_bounds_lie_within_the_scale(world, name, data):
    user = data.draw(st.sampled_from([*world.users, "nobody"]), "user")
    item = data.draw(st.sampled_from(sorted(world.films)), "item")
    found = world.services.recommender.predict(user, item, version=world.versions[name])
    if found.prediction is None:
        assert not model_class(name).predicts_ratings
        assert (found.lower, found.upper, found.confidence) == (None, None, None)
        return
    assert LOW <= found.prediction <= HIGH
    if found.lower is not None:
        assert LOW <= found.lower <= found.prediction <= found.upper <= HIGH
        assert 0 <= found.confidence <= 1


# Feature: ml-enhancement, Property 4: recommendations asked right after a rating reflect it
@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=100)
@given(data=st.data(), stars=STARS, place=st.integers(0, 9))
def test_the_list_after_a_rating_reflects_it(world, name, data, stars, place):
    services = world.serve(name)
    user = data.draw(st.sampled_from([*world.users, "newcomer"]), "user")
    before = services.recommender.recommend(user)
    item = listed(before)[place]
    services.realtime.rate(user, item, stars)
    try:
        after = services.recommender.recommend(user)
        assert item not in listed(after)
        snapshot = services.manager.snapshot()
        view = services.recommender.ladder.view(snapshot, user)
        assert item in {snapshot.model.facts.items.text(int(index)) for index in view.items}
        if isinstance(snapshot.model, FoldsIn):
            assert after.rung == "fold-in"
            np.testing.assert_allclose(view.vector, snapshot.model.fold_in(view.items, view.ratings), atol=1e-5)
        if place == 0:  # a process that begins now knows it too
            assert item not in listed(Services.open(services.database.path).recommender.recommend(user))
    finally:
        services.realtime.unrate(user, item)
    restored = services.recommender.recommend(user)
    assert item in listed(restored)
    assert restored.rung in {before.rung, "fold-in"}


# Feature: ml-enhancement, Property 5: every explanation has at least one reason with supporting data
@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=100)
@given(data=st.data())
def test_every_reason_can_be_recomputed_from_the_ratings(world, name, data):
    user = data.draw(st.sampled_from([*world.users, "nobody"]), "user")
    item = data.draw(st.sampled_from(sorted(world.films)), "item")
    found = world.services.explainer.explain_recommendation(user, item, version=world.versions[name])
    assert found.reasons
    assert found.text
    given_now = world.given
    for reason in found.reasons:
        RECOMPUTED[reason["type"]](world, given_now, user, item, reason)
    if found.method == "additive":
        total = found.baseline + sum(part["amount"] for part in found.contributions)
        assert total == pytest.approx(found.score, abs=1e-5 * max(1, abs(found.score)))
    for part in found.contributions:
        assert part["your_rating"] == given_now[user][part["item"]]


def similar_movies(world, given_now, user, item, reason):
    assert 1 <= len(reason["movies"]) <= 3
    for movie in reason["movies"]:
        assert movie["your_rating"] == given_now[user][movie["id"]]
        assert movie["title"] == world.films[movie["id"]].title
        assert movie["id"] != item
        assert movie["weight"] > 0


def genre_match(world, given_now, user, item, reason):
    mine = given_now[user]
    mean = sum(mine.values()) / len(mine)
    wanted = set(world.films[item].genres)
    liked = [other for other, rating in mine.items() if rating >= mean - 1e-9 and other != item]
    share = sum(bool(wanted & set(world.films[other].genres)) for other in liked) / len(liked)
    assert set(reason["genres"]) == wanted
    assert reason["match_score"] == pytest.approx(share)
    assert share > 0


def similar_users(_, given_now, user, item, reason):
    mine = given_now[user]
    agreeing = [
        theirs[item]
        for other, theirs in given_now.items()
        if other != user and item in theirs
        if any(i in theirs and abs(theirs[i] - mine[i]) <= reason["tolerance"] for i in reason["agree_on"])
    ]
    assert reason["similar_user_count"] == len(agreeing) >= 5
    assert reason["avg_rating"] == pytest.approx(sum(agreeing) / len(agreeing))


def popularity(_, given_now, __, item, reason):
    everybody = [theirs[item] for theirs in given_now.values() if item in theirs]
    assert reason["n_ratings"] == len(everybody)
    assert reason["avg_rating"] == (pytest.approx(sum(everybody) / len(everybody)) if everybody else None)


RECOMPUTED = {
    "similar_movies": similar_movies,
    "genre_match": genre_match,
    "similar_users": similar_users,
    "popularity": popularity,
}


# Feature: ml-enhancement, Property 6: a user with no ratings gets recommendations from genre preferences
@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=100)
@given(data=st.data(), n=st.integers(1, 20))
def test_genre_preferences_decide_where_there_are_no_ratings(world, name, data, n):
    liked = data.draw(st.lists(st.sampled_from(world.genres), min_size=1, max_size=3, unique=True), "liked")
    having = {film.item for film in world.films.values() if set(liked) & set(film.genres)}
    made = world.services.recommender.recommend("nobody", n, version=world.versions[name], prefer=liked)
    assert made.rung == "content"
    assert len(set(listed(made))) == len(made.items) == min(n, len(world.known(name)))
    plain = world.services.recommender.recommend("nobody", n, version=world.versions[name])
    assert plain.rung == "popularity"
    assert made.items[0].item in having  # a taste raises what has it; it is no filter
    assert len(having & set(listed(made))) >= len(having & set(listed(plain)))


# Feature: ml-enhancement, Property 10: a top-N list holds N distinct items
@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=100)
@given(
    data=st.data(),
    n=st.integers(1, 500),
    include_seen=st.booleans(),
    since_year=st.none() | st.integers(1930, 2027),
    diversity=st.sampled_from([0.0, 0.0, 0.3, 1.0]),
)
def test_a_list_has_exactly_the_eligible_items_or_n_of_them(world, name, data, n, include_seen, since_year, diversity):
    user = data.draw(st.sampled_from([*world.users, "nobody"]), "user")
    some = st.lists(st.sampled_from(world.genres), max_size=2, unique=True)
    only, exclude = tuple(data.draw(some, "only")), tuple(data.draw(some, "exclude"))
    assume(n < 200 or not diversity)  # which compares all pairs of what is left
    filters = Filters(include_seen, only, exclude, since_year)
    made = world.services.recommender.recommend(
        user, n, version=world.versions[name], filters=filters, diversity=diversity
    )
    seen = world.given[user]
    eligible = {
        item
        for item in world.known(name)
        if include_seen or item not in seen
        if not only or set(only) & set(world.films[item].genres)
        if not set(exclude) & set(world.films[item].genres)
        if since_year is None or (world.films[item].year or 0) >= since_year
    }
    assert len(made.items) == len(set(listed(made))) == min(n, len(eligible))
    assert set(listed(made)) <= eligible
    assert [entry.rank for entry in made.items] == list(range(1, len(made.items) + 1))
    if len(made.items) < n:
        assert any("eligible" in note for note in made.notes)
