"""Filters before the cut, and words for the one that left too little."""

import pytest

from engine.errors import SettingRefused
from engine.services import Services
from engine.services.filters import Filters
from store.importers.pipeline import import_source
from tests.cli import few_ratings


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Services over some of the sample data, served by popularity."""
    folder = tmp_path_factory.mktemp("filters")
    services = Services.open(folder / "films.db", create=True)
    import_source(services.database, str(few_ratings(folder / "sample", 1500)))
    services.training.train_model("popularity", activate=True, test=0)
    return services


def notes(services, user="1", n=10, **filters):
    made = services.recommender.recommend(user, n, filters=Filters(**filters))
    return made, " ".join(made.notes)


def test_a_year_that_no_film_has_is_named(films):
    made, said = notes(films, since_year=2999)
    assert made.items == ()
    assert "no item passes --since-year 2999" in said


def test_of_several_the_one_that_took_the_last_is_named(films):
    made, said = notes(films, only_genres=("Horror",), since_year=1900)
    left = len(made.items)
    made, said = notes(films, n=1000, only_genres=("Horror",), exclude_genres=("Horror",), since_year=1900)
    assert made.items == ()
    assert left
    assert "--exclude-genre Horror takes out all that is left before it" in said


def test_who_has_rated_everything_is_told_so(films):
    with films.database.read() as db:
        items = [item for (item,) in db.execute("SELECT item FROM items")]
    films.realtime.apply_updates([("completist", item, 3.0) for item in items])
    made, said = notes(films, user="completist")
    assert made.items == ()
    assert "rated already" in said
    assert "--include-seen" in said
    assert len(notes(films, user="completist", include_seen=True)[0].items) == 10


def test_a_list_that_is_only_short_counts_what_each_filter_leaves(films):
    made, said = notes(films, n=400, only_genres=("Horror",))
    assert 0 < len(made.items) < 400
    assert f"only {len(made.items)} of 400" in said
    assert f"--only-genre Horror leaves {len(made.items)}" in said


def test_enough_items_need_no_words(films):
    assert notes(films)[1] == ""


def test_an_unknown_genre_is_refused_with_those_there_are(films):
    with pytest.raises(SettingRefused) as caught:
        notes(films, only_genres=("Opera",))
    assert "Horror" in caught.value.hint
