"""Histories that go on from rating to rating are those that the database would give."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.services.folding import History, histories
from store import catalog, ratings
from store.writes import Entry, store_requests

STEP = st.tuples(st.integers(0, 5), st.sampled_from([None, 0.5, 3.0]), st.integers(-2, 2))


@given(st.lists(STEP, max_size=30))
def test_a_history_after_changes_is_in_the_order_of_fold_in(steps):
    known, history = {}, History("u", 1, np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros(0, np.int64))
    for item, rating, at in steps:
        known.pop(item, None)
        if rating is not None:
            known[item] = (at, rating)
        history = history.after(item, rating, at)
        rows = sorted((at, item, rating) for item, (at, rating) in known.items())
        assert (
            list(zip(*(column.tolist() for column in (history.times, history.items, history.ratings)), strict=True))
            == rows
        )


def test_what_another_process_stored_meanwhile_is_read(services):
    """The history kept of a user ends with their revision, whoever changed it."""
    folding = services.realtime._folding
    services.realtime.record("u1", "i1", 4.5)
    services.realtime.flush()
    with services.database.write():
        outcome = store_requests(services.database, [[Entry("u1", "i2", 2.0, 7)]], now=0)  # as another process would
    services.realtime.record("u1", "i3", 3.5)
    services.realtime.flush()
    [kept] = histories(services.database, folding._snapshot, {"u1": outcome.touched["u1"].id})
    revision, history = folding._known.get(outcome.touched["u1"].id)
    assert revision > outcome.revision
    np.testing.assert_array_equal(history.items, kept.items)
    np.testing.assert_array_equal(history.ratings, kept.ratings)


def test_what_a_failed_transaction_wrote_is_forgotten(services, monkeypatch):
    folding = services.realtime._folding
    services.realtime.record("u1", "i1", 4.5)
    services.realtime.flush()
    read = folding.read
    monkeypatch.setattr(folding, "read", lambda *given: read(*given) and 1 / 0)  # after the histories were kept
    monkeypatch.setattr(services.realtime._commits, "_start", lambda outcome, _: folding.read(outcome))
    with pytest.raises(ZeroDivisionError):
        services.realtime.record("u1", "i2", 2.0)
    monkeypatch.undo()
    assert ratings.get(services.database, "u1", "i2") is None
    services.realtime.record("u1", "i3", 3.5)
    services.realtime.flush()
    user_id = catalog.user_key(services.database, "u1")[0]
    [kept] = histories(services.database, folding._snapshot, {"u1": user_id})
    np.testing.assert_array_equal(folding._known.get(user_id)[1].items, kept.items)
