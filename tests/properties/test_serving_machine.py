"""Rating, taking back, training, activating and asking in any order, against a reference that remembers nothing.

Two sets of services over one file stand for two processes: what one changes, the other must answer by.
"""

import shutil
import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from engine.models.base import FoldsIn
from engine.services import Services
from engine.services.filters import Filters
from store import catalog, ratings
from store.errors import NotFound
from store.importers.pipeline import import_source

USERS = [f"u{number}" for number in range(12)]
PEOPLE = ["u0", "u1", "new"]  # whose lists are looked at after every event
ITEMS = [f"i{number}" for number in range(25)]
STARS = st.integers(2, 10).map(lambda half: half / 2)
MODELS = {"mf": {"n_factors": 3, "epochs": 2}, "ials": {"n_factors": 4, "epochs": 2}, "popularity": {}}
CLOSE = 1e-4  # scores nearer than this may change places


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A database with one version, and its ratings."""
    folder = tmp_path_factory.mktemp("machine")
    draw = np.random.default_rng(0)
    lines = [f"{user},{item},{draw.integers(1, 6)}" for user in USERS for item in draw.permutation(ITEMS)[:12]]
    (folder / "ratings.csv").write_text("user,item,rating\n" + "\n".join(lines) + "\n")
    with (folder / "ratings.csv").open("a") as file:
        file.writelines(f"seed,{item},3\n" for item in ITEMS)  # so that every item is in the catalogue
    services = Services.open(folder / "films.db", create=True)
    with closing(services.database):
        import_source(services.database, str(folder / "ratings.csv"))
        services.training.train_model("mf", MODELS["mf"], test=0, activate=True)
    return folder


class Serving(RuleBasedStateMachine):
    """What is there, as plain values: ratings by (user, item), versions, the active one and those before it."""

    template: Path

    @initialize()
    def begin(self):
        self.folder = Path(tempfile.mkdtemp(prefix="machine-"))
        for name in ("films.db", "films.db.models"):
            source = self.template / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, self.folder / name)
        self.both = [Services.open(self.folder / "films.db") for _ in range(2)]
        self.given = {(row.user, row.item): row.rating for row in ratings.all_rows(self.both[0].database)}
        self.versions = [1]
        self.active = [1]

    def teardown(self):
        if hasattr(self, "folder"):
            stored = {(row.user, row.item): row.rating for row in ratings.all_rows(self.both[1].database)}
            assert stored == self.given
            assert [services.realtime.failures for services in self.both] == [0, 0]
            for services in self.both:
                services.realtime.flush()
                services.database.close()
            shutil.rmtree(self.folder)

    @rule(who=st.integers(0, 1), user=st.sampled_from(PEOPLE), item=st.sampled_from(ITEMS), stars=STARS)
    def rate(self, who, user, item, stars):
        done = self.both[who].realtime.rate(user, item, stars)
        assert (done.stored, done.previous) == (True, self.given.get((user, item)))
        assert done.version == f"v{self.active[-1]}"
        self.given[user, item] = stars

    @rule(who=st.integers(0, 1), updates=st.lists(st.tuples(st.sampled_from(PEOPLE), st.sampled_from(ITEMS), STARS)))
    def rate_many(self, who, updates):
        assert self.both[who].realtime.apply_updates(updates) == len(updates)
        self.given |= {(user, item): stars for user, item, stars in updates}

    @rule(who=st.integers(0, 1), user=st.sampled_from(PEOPLE), item=st.sampled_from(ITEMS))
    def take_back(self, who, user, item):
        if (user, item) in self.given:
            assert self.both[who].realtime.unrate(user, item).previous == self.given.pop((user, item))
        else:
            with pytest.raises(NotFound):
                self.both[who].realtime.unrate(user, item)

    @rule(who=st.integers(0, 1), name=st.sampled_from(sorted(MODELS)), activate=st.booleans())
    def train(self, who, name, activate):
        made = self.both[who].training.train_model(name, MODELS[name], test=0, activate=activate)
        self.versions.append(int(made[1:]))
        if activate:
            self.active.append(self.versions[-1])

    @rule(who=st.integers(0, 1), place=st.integers(0, 99))
    def activate(self, who, place):
        version = self.versions[place % len(self.versions)]
        self.both[who].registry.activate(version, who="test")
        if version != self.active[-1]:
            self.active.append(version)

    @precondition(lambda self: len(self.active) > 1)
    @rule(who=st.integers(0, 1))
    def roll_back(self, who):
        self.both[who].registry.rollback(who="test")
        self.active.pop()

    @rule(item=st.sampled_from(ITEMS), title=st.sampled_from(["Heat", "Alien", None]))
    def rename(self, item, title):
        with self.both[0].database.write() as db:
            db.execute("UPDATE items SET title = ? WHERE item = ?", (title, item))

    @rule(
        who=st.integers(0, 1),
        user=st.sampled_from([*PEOPLE, "u2", "nobody"]),
        n=st.sampled_from([1, 5, 10, 30]),
        seen=st.booleans(),
    )
    def ask(self, who, user, n, seen):
        made = self.both[who].recommender.recommend(user, n, filters=Filters(include_seen=seen))
        assert made == self.both[who].recommender.recommend(user, n, filters=Filters(include_seen=seen))
        fresh = Services.open(self.folder / "films.db")
        with closing(fresh.database):
            again = fresh.recommender.recommend(user, n, filters=Filters(include_seen=seen))
            self.compare(fresh, made, user, n, seen)
        assert [(row.item, row.title, row.rung) for row in made.items] == [
            (row.item, row.title, row.rung) for row in again.items
        ]
        assert [row.score for row in made.items] == pytest.approx([row.score for row in again.items], abs=1e-5)
        assert (made.version, made.notes) == (again.version, again.notes)

    def compare(self, fresh, made, user, n, seen):
        """Work the list out from the plain ratings and the arrays of the version."""
        snapshot = fresh.manager.snapshot()
        assert made.version == f"v{self.active[-1]}" == snapshot.version.name
        model, index = snapshot.model, snapshot.model.facts.items.index
        history = {index(item): value for (who, item), value in self.given.items() if who == user}
        order = [index(item) for item in sorted(ITEMS, key=lambda item: self.dense(fresh, item))]
        items = np.array([item for item in order if item in history], np.int64)
        values = np.array([history[item] for item in items.tolist()], np.float32)
        assert isinstance(model, FoldsIn)
        if len(items):
            scores = model.scores(model.fold_in(items, values))
        else:
            scores = snapshot.popular.scores(snapshot.popular.cold_vector())
        eligible = {item for item in range(len(ITEMS)) if seen or item not in history}
        listed = [index(row.item) for row in made.items]
        assert len(set(listed)) == len(listed) == min(n, len(eligible))
        assert set(listed) <= eligible
        theirs = [float(scores[item]) for item in listed]
        assert [row.score for row in made.items] == pytest.approx(theirs, abs=CLOSE)
        rest = max((float(scores[item]) for item in eligible - set(listed)), default=-np.inf)
        assert all(first >= second - CLOSE for first, second in zip(theirs, [*theirs[1:], rest], strict=True))

    def dense(self, services, item):
        """Return the dense id of an item: the order in which histories are read."""
        return catalog.need_item(services.database, item).id

    @invariant()
    def both_answer_by_what_is_there_now(self):
        if not hasattr(self, "both"):
            return
        fresh = Services.open(self.folder / "films.db")
        with closing(fresh.database):
            for user in PEOPLE:
                for services in self.both:
                    self.compare(fresh, services.recommender.recommend(user, 5), user, 5, seen=False)

    @invariant()
    def the_caches_keep_to_their_budgets(self):
        for services in getattr(self, "both", []):
            assert services.recommender.lists.bytes <= services.recommender.lists.budget
            assert services.recommender.ladder.views.bytes <= services.recommender.ladder.views.budget


@pytest.mark.slow
def test_any_order_of_events_gives_the_lists_of_the_reference(template):
    Serving.template = template
    run_state_machine_as_test(Serving, settings=settings(max_examples=25, stateful_step_count=15, deadline=None))
