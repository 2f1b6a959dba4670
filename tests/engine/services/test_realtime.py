"""Ratings that come in one by one: durable first, then in the user's vector; items follow too, in this process."""

from contextlib import closing

import numpy as np
import pytest

from engine.models.base import FoldsIn
from engine.services import Services
from engine.services.request import TrainingRequest
from store import catalog, ratings, vectors
from store.importers.pipeline import import_source
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Services over the sample data with an active mf version."""
    services = Services.open(tmp_path_factory.mktemp("realtime") / "films.db", create=True)
    import_source(services.database, str(ROOT / "sample_data"))
    with closing(services.training.run(TrainingRequest("mf", full=True, activate=True))) as events:
        for _ in events:
            pass
    return services


def test_a_rating_is_folded_into_the_vector_that_the_next_process_finds(trained):
    listed = trained.recommender.recommend("42").items
    trained.realtime.rate("42", listed[0].item, 1.0)
    key = catalog.user_key(trained.database, "42")
    snapshot = trained.manager.snapshot()
    kept = vectors.get(trained.database, snapshot.version.id, *key)
    history = ratings.history(trained.database, "42")
    assert isinstance(snapshot.model, FoldsIn)
    positions = np.array([snapshot.position(row.item_id, row.item) for row in history])
    given = np.array([row.rating for row in history], np.float32)
    np.testing.assert_allclose(kept, snapshot.model.fold_in(positions, given), atol=1e-6)


def test_an_older_vector_never_replaces_a_newer_one(trained):
    key = catalog.user_key(trained.database, "43")
    version = trained.manager.snapshot().version.id
    newer, older = np.full(3, 2, np.float32), np.full(3, 1, np.float32)
    vectors.put(trained.database, version, key[0], 10_000, newer)
    vectors.put(trained.database, version, key[0], 9_999, older)
    np.testing.assert_array_equal(vectors.get(trained.database, version, key[0], 10_000), newer)


def test_many_updates_are_stored_together(trained):
    items = [item.item for item in catalog.list_items(trained.database, limit=5)]
    updates = [(user, item, 3.0) for user in ("50", "51", "a new one") for item in items]
    assert trained.realtime.apply_updates(updates) == 15
    assert {row.item for row in ratings.history(trained.database, "a new one")} == set(items)
    assert trained.recommender.recommend("a new one").rung == "fold-in"


def test_an_item_follows_its_ratings(trained):
    snapshot = trained.manager.snapshot()
    counts = snapshot.model.facts.item_counts
    rare = int(np.flatnonzero(counts > 0)[np.argmin(counts[counts > 0])])
    item = snapshot.model.facts.items.text(rare)
    somebody = [user.user for user in catalog.list_users(trained.database, limit=40)]
    before = float(np.mean([trained.recommender.predict(user, item).prediction for user in somebody]))
    for user in somebody:
        ratings.put(trained.database, user, item, 0.5, now=1.7e9)
    assert trained.realtime.update_movie_embedding(item) is True
    after = float(np.mean([trained.recommender.predict(user, item).prediction for user in somebody]))
    assert after < before - 0.5


def test_a_failed_fold_in_is_counted_and_the_rating_stays(trained, monkeypatch):
    item = catalog.list_items(trained.database, limit=1)[0].item
    failures = trained.realtime.failures

    def broken(*_args, **_kwargs):
        raise ArithmeticError

    for name in ("fold_in", "fold_in_many"):
        monkeypatch.setattr(type(trained.manager.snapshot().model), name, broken)
    done = trained.realtime.rate("60", item, 4.0)
    assert done.stored is True
    assert trained.realtime.failures > failures
    assert ratings.get(trained.database, "60", item).rating == 4.0


def test_every_user_of_a_group_that_could_not_be_folded_in_is_counted(trained, monkeypatch):
    item = catalog.list_items(trained.database, limit=1)[0].item
    failures = trained.realtime.failures

    def broken(*_args):
        raise ArithmeticError

    monkeypatch.setattr(trained.realtime._folding, "_fold", broken)
    trained.realtime.apply_updates([(user, item, 3.0) for user in ("61", "62", "63")])
    trained.realtime.flush()
    assert trained.realtime.failures == failures + 3
