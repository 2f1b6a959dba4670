"""Which rows a version has certainly not trained on: what it holds out, and later rows where nothing else can be."""

from contextlib import closing

import numpy as np
import pytest

from engine.services import Services, heldout
from engine.services.heldout import aligned, held_out_of, measured, translation, unseen
from store import ratings
from store.importers.pipeline import import_source
from tests.data import planted, table

SPAN = 12


@pytest.fixture
def services(tmp_path):
    found = Services.open(tmp_path / "films.db", create=True)
    with closing(found.database):
        yield found


def load(services, folder, rows):
    path = folder / f"rows{len(list(folder.iterdir()))}.csv"
    lines = [f"u{u:02},i{i:02},{1 + (u + i) % 5},{at}" for u, i, at in rows]
    path.write_text("\n".join(["user,item,rating,timestamp", *lines]))
    import_source(services.database, str(path))


def early(users=range(30)):
    """A rating a day of each user, all at about the same times, of changing items."""
    return [(user, (3 * user + day) % 40, 1000 * day + user) for user in users for day in range(SPAN)]


def later(users=range(30)):
    return [(user, (3 * user + SPAN + 5) % 40, 1000 * SPAN + user) for user in users]


def names(data, mask):
    pairs = zip(data.user_index[mask], data.item_index[mask], strict=True)
    return {(data.users.text(user), data.items.text(item)) for user, item in pairs}


def unseen_now(services, name):
    version = services.registry.resolve(name)
    facts = services.manager.snapshot(name).model.facts
    data = services.training.load_data()
    held_out = held_out_of(services.registry, version, facts)
    return names(data, unseen(version, held_out, facts, data)), names(held_out, np.ones(len(held_out), bool))


def test_a_random_split_has_seen_all_but_what_it_holds_out(services, tmp_path):
    load(services, tmp_path, early())
    services.training.train_model("popularity")
    found, own = unseen_now(services, "v1")
    assert found == own
    load(services, tmp_path, later())
    assert unseen_now(services, "v1")[0] == own  # of new rows nobody knows that they are new


def test_a_temporal_split_has_not_seen_what_came_later(services, tmp_path):
    load(services, tmp_path, early())
    services.training.train_model("popularity", split="temporal")
    found, own = unseen_now(services, "v1")
    assert found == own
    load(services, tmp_path, later())
    new = {(f"u{user:02}", f"i{item:02}") for user, item, _ in later()}
    assert unseen_now(services, "v1")[0] == own | new


def test_a_training_rating_that_was_given_anew_is_not_taken_for_a_later_one(services, tmp_path):
    load(services, tmp_path, early())
    services.training.train_model("popularity", split="temporal")
    trained = (3 * 7) % 40  # of user 7, on the first day
    load(services, tmp_path, [*later(), (7, trained, 1000 * SPAN + 900)])
    found, own = unseen_now(services, "v1")
    assert ("u07", f"i{trained:02}") not in found
    assert {pair for pair in found if pair[0] == "u07"} == {pair for pair in own if pair[0] == "u07"}
    assert len(found) > len(own)  # the others' later rows still count


def test_an_older_rating_that_arrives_late_makes_its_user_uncertain(services, tmp_path):
    load(services, tmp_path, early())
    services.training.train_model("popularity", split="temporal")
    load(services, tmp_path, [*later(), (9, 39, 5)])
    found, own = unseen_now(services, "v1")
    assert {pair for pair in found if pair[0] == "u09"} == {pair for pair in own if pair[0] == "u09"}


def test_users_that_it_does_not_know_are_left_out(services, tmp_path):
    load(services, tmp_path, early())
    services.training.train_model("popularity", split="temporal")
    load(services, tmp_path, later(range(28, 60)))
    assert {user for user, _ in unseen_now(services, "v1")[0]} <= {f"u{user:02}" for user in range(30)}


def test_fitted_on_all_or_without_test_rows_nothing_is_unseen(services, tmp_path):
    load(services, tmp_path, early())
    services.training.train_model("popularity", full=True)
    services.training.train_model("popularity", test=0.0)
    data = services.training.load_data()
    for name in ("v1", "v2"):
        version = services.registry.resolve(name)
        facts = services.manager.snapshot(name).model.facts
        held_out = held_out_of(services.registry, version, facts)
        assert held_out is None
        assert not unseen(version, held_out, facts, data).any()
    assert ratings.count(services.database) == len(data)


def test_rows_keep_their_meaning_in_another_numbering():
    old = table([0, 1, 3], [0, 2, 3], [1, 2, 3])
    more = table([0, 1, 2, 3, 5], [0, 2, 5, 3, 1], [1, 2, 4, 3, 5], n_users=7, n_items=9)
    found = aligned(more, old)
    assert names(found, np.ones(len(found), bool)) == {
        pair for pair in names(more, np.ones(len(more), bool)) if pair[0] <= "0000003" and pair[1] <= "0000003"
    }
    assert translation(old.users, more.users).tolist() == [0, 1, 2, 3]
    assert translation(more.users, old.users).tolist() == [0, 1, 2, 3, -1, -1, -1]
    assert aligned(old, old) is old


def test_few_users_are_all_measured_and_many_by_the_same_draw(monkeypatch):
    _, test = planted(200, 50, 3000)
    assert measured(test, 1) is test
    monkeypatch.setattr(heldout, "MOST_USERS", 40)
    first, again, other = measured(test, 1), measured(test, 1), measured(test, 2)
    assert np.count_nonzero(first.user_counts) == 40
    np.testing.assert_array_equal(first.user_index, again.user_index)
    assert not np.array_equal(first.user_index, other.user_index)
    for user in np.flatnonzero(first.user_counts):
        assert first.user_counts[user] == test.user_counts[user]
