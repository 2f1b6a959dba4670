"""A canary: a stable share of the users, evidence from the ratings that come in, and the way back by itself."""

import numpy as np
import pytest

from engine.errors import SettingRefused
from engine.services import Services
from engine.services.batch import predict_pairs, recommend_all
from store import errors
from store.artifacts import Bundle
from store.canaries import Canary, fresh_ratings, newest, running
from store.registry import NewVersion
from tests.engine.services.conftest import ITEMS, USERS


@pytest.fixture
def poor(services):
    """A version that knows the users and items, and nothing of taste: v3."""
    version = services.registry.get(1)
    bundle = services.registry.load(version)
    arrays = {
        name: array if name.startswith(("facts.", "calibration.")) else np.zeros_like(array)
        for name, array in bundle.arrays.items()
    }
    new = NewVersion("mf", version.hyperparameters, version.training_data, version.protocol, {})
    return services.registry.save(new, {"model": Bundle(arrays, bundle.extra)})


def rate(services, users):
    """Let users rate what they have not: by the rule of the data, even users like even items."""
    stored = services.training.load_data()
    known = set(zip(stored.user_index.tolist(), stored.item_index.tolist(), strict=True))
    updates = []
    for user in users:
        for item in range(ITEMS):
            pair = stored.users.index(f"u{user}"), stored.items.index(f"i{item}")
            if pair not in known:
                updates.append((f"u{user}", f"i{item}", 5.0 if (user + item) % 2 == 0 else 1.0))
    services.realtime.apply_updates(updates)
    return len(updates)


def served(services):
    return {f"u{user}": services.recommender.recommend(f"u{user}", 1).version for user in range(USERS)}


class TestShare:
    @pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
    def test_it_is_the_share_that_was_asked_for(self, share):
        canary = Canary(1, 7, 6, share, (), 0, 0.0)
        taken = sum(canary.takes(f"user {number}") for number in range(20_000))
        assert taken == pytest.approx(20_000 * share, abs=4 * (20_000 * share * (1 - share)) ** 0.5)

    def test_a_larger_share_keeps_the_users_of_a_smaller_one(self):
        small, large = (Canary(1, 7, 6, share, (), 0, 0.0) for share in (0.1, 0.3))
        users = [str(number) for number in range(2000)]
        assert {user for user in users if small.takes(user)} < {user for user in users if large.takes(user)}

    def test_another_version_tries_other_users(self):
        users = [str(number) for number in range(2000)]
        first, second = ({u for u in users if Canary(1, v, 6, 0.1, (), 0, 0.0).takes(u)} for v in (7, 8))
        assert len(first & second) < len(first) / 2

    def test_ids_of_any_kind(self):
        canary = Canary(1, 7, 6, 0.5, (), 0, 0.0)
        assert {canary.takes(user) for user in ("", "\0", "ü", "\udcff", "a" * 10_000)} <= {True, False}


class TestServing:
    def test_the_same_users_are_served_by_it_in_every_process_and_every_answer(self, services):
        services.canary.begin(services.registry.get(2), 0.3, (), who="ann")
        found = served(services)
        assert set(found.values()) == {"v1", "v2"}
        assert served(Services.open(services.database.path)) == found
        canary = running(services.database)
        assert {user for user, version in found.items() if version == "v2"} == {u for u in found if canary.takes(u)}
        for user, version in list(found.items())[:8]:
            assert services.recommender.predict(user, "i3").version == version
            assert services.explainer.explain_recommendation(user, "i3").version == version
        assert {services.recommender.recommend(user, version="v1").version for user in found} == {"v1"}

    def test_lists_for_everybody_are_those_of_each(self, services):
        services.canary.begin(services.registry.get(2), 0.3, (), who="ann")
        alone = {
            user: [
                (entry.item, pytest.approx(entry.score, abs=1e-5))
                for entry in services.recommender.recommend(user, 4).items
            ]
            for user in served(services)
        }
        together = {}
        for row in recommend_all(services, 4):
            together.setdefault(row["user"], []).append((row["item"], row["score"]))
        assert together == alone
        assert list(together) == sorted(together)

    def test_pairs_are_predicted_by_who_serves_the_user(self, services):
        services.canary.begin(services.registry.get(2), 0.3, (), who="ann")
        pairs = [(f"u{user}", f"i{item}") for item in (3, 5) for user in range(USERS)]
        versions = served(services)
        assert [(user, item) for user, item, _ in predict_pairs(services, pairs)] == pairs
        assert all(found.version == versions[user] for user, _, found in predict_pairs(services, pairs))

    def test_once_it_is_activated_it_serves_everybody(self, services):
        services.canary.begin(services.registry.get(2), 0.3, (), who="ann")
        services.registry.activate(2, who="ann")
        assert set(served(services).values()) == {"v2"}
        assert newest(services.database).outcome == "promoted"

    def test_another_activation_replaces_it(self, services, poor):
        services.canary.begin(services.registry.get(2), 0.3, (), who="ann")
        services.registry.activate(1, who="ann")  # which serves already
        assert running(services.database) is not None
        services.registry.activate(poor.id, who="ann")
        assert (newest(services.database).outcome, running(services.database)) == ("replaced", None)
        assert [change.action for change in services.registry.audit()[:2]] == ["activate", "canary-end"]

    def test_a_damaged_one_is_answered_for_and_taken_back(self, services):
        services.canary.begin(services.registry.get(2), 0.5, (), who="ann")
        (services.registry.folder / "v2" / "model.json").unlink()
        fresh = Services.open(services.database.path)
        user = next(f"u{n}" for n in range(USERS) if running(services.database).takes(f"u{n}"))
        made = fresh.recommender.recommend(user)
        assert made.version == "v1"
        assert "v1 answers in place of v2" in made.notes
        watched = fresh.canary.look(who="cron")
        assert watched.canary.outcome == "rolled back"
        assert "v2 cannot be used" in watched.breached[0]
        assert fresh.recommender.recommend(user).notes == ()


class TestLooking:
    def test_ratings_since_it_began_are_the_evidence(self, services, poor):
        services.realtime.rate("u0", "i0", 5.0)
        canary = services.canary.begin(poor, 0.5, ["rmse:+1%"], who="ann")
        assert fresh_ratings(services.database, canary) == []
        watched = services.canary.look(who="cron")
        assert (watched.users, watched.rows, watched.canary.outcome) == (0, (), None)
        count = rate(services, range(4))
        assert len(fresh_ratings(services.database, canary)) == count
        assert len(fresh_ratings(services.database, canary, limit=5)) == 5

    def test_a_breached_guard_takes_it_back(self, services, poor):
        services.canary.begin(poor, 0.5, ["rmse:+1%"], who="ann")
        count = rate(services, range(USERS))
        watched = services.canary.look(who="cron")
        row = next(row for row in watched.rows if row.metric == "rmse")
        assert row.values["v3"] > row.values["v1"]
        assert row.low > 0
        assert sum(arm.ratings for arm in watched.arms) == count
        assert sum(arm.users for arm in watched.arms) == watched.users == USERS
        assert watched.breached[0].startswith("guard rmse:+1% is breached: rmse ")
        assert watched.canary.outcome == "rolled back"
        assert running(services.database) is None
        assert set(served(services).values()) == {"v1"}
        change = services.registry.audit()[0]
        assert (change.version, change.action, change.why) == (3, "canary-end", watched.breached[0])
        assert change.figures["rows"]
        assert services.canary.look(who="cron") is None

    def test_a_better_one_runs_on_and_so_does_one_without_guards(self, services, poor):
        services.registry.activate(poor.id, who="ann")
        services.canary.begin(services.registry.get(1), 0.5, ["rmse:+1%", "coverage:-90%"], who="ann")
        rate(services, range(USERS))
        watched = services.canary.look(who="cron")
        assert next(row for row in watched.rows if row.metric == "rmse").winner == "v1"
        assert watched.breached == ()
        assert running(services.database) is not None
        services.canary.stop(who="ann")
        services.registry.activate(1, who="ann")
        services.canary.begin(poor, 0.5, (), who="ann")
        assert services.canary.look(who="cron").breached == ()

    def test_few_users_are_no_evidence(self, services, poor):
        services.canary.begin(poor, 0.5, ["rmse:+0%", "coverage:-0%"], who="ann")
        rate(services, [0])
        assert services.canary.look(who="cron").breached == ()


class TestRefusals:
    def test_what_cannot_begin(self, services):
        registry = services.registry
        begin = services.canary.begin
        with pytest.raises(errors.UsageRefused, match="v1 serves everybody already"):
            begin(registry.get(1), 0.1, (), who="ann")
        with pytest.raises(SettingRefused, match="says not how much worse"):
            begin(registry.get(2), 0.1, ["rmse"], who="ann")
        begin(registry.get(2), 0.1, (), who="ann")
        with pytest.raises(errors.UsageRefused, match="v2 is a canary already") as caught:
            begin(registry.get(2), 0.2, (), who="ann")
        assert "models rollback" in caught.value.hint
        for version in (1, 2):
            with pytest.raises(errors.UsageRefused, match=r"is active|takes part in a canary"):
                registry.delete(version)
        assert len([change for change in registry.audit() if change.action == "canary"]) == 1

    def test_damaged_files_do_not_begin(self, services):
        (services.registry.folder / "v2" / "model.json").unlink()
        with pytest.raises(errors.Damaged):
            services.canary.begin(services.registry.get(2), 0.1, (), who="ann")
        assert running(services.database) is None

    def test_without_an_active_version_there_is_nothing_to_compare_with(self, tmp_path, services):
        fresh = Services.open(tmp_path / "fresh.db", create=True)
        bundle = services.registry.load(services.registry.get(1))
        new = NewVersion("mf", {}, services.registry.get(1).training_data, {}, {})
        version = fresh.registry.save(new, {"model": bundle})
        with pytest.raises(errors.NotFound, match="no active version"):
            fresh.canary.begin(version, 0.1, (), who="ann")

    def test_ending_none_is_no_error(self, services):
        assert services.canary.stop(who="ann") is None
