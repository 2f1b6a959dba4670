"""Versions: whole or absent, exactly one active, names that mean what they say, and nothing lost to a kill."""

import os
import random
import shutil
import tempfile
import threading
import time
from contextlib import closing, suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle as Known
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from engine.services import retention
from store import database as database_module
from store import errors, names
from store.artifacts import MODEL_ARRAYS, Bundle
from store.audit import ACTIVATIONS
from store.database import Database
from store.migrations import migrate
from store.registry import MetricRow, ModelVersion, NewVersion, Registry
from tests import processes

FACTORS = np.arange(12, dtype=np.float32).reshape(4, 3)
PROTOCOL = {"split": "random", "test": 0.2, "seed": 42}
DATA = {"n_users": 3, "n_movies": 4, "n_ratings": 5, "fingerprint": "f"}


def new(ndcg=None, protocol=PROTOCOL, data=DATA, model="mf", **more):
    figures = {} if ndcg is None else {"ndcg@10": MetricRow(ndcg)}
    return NewVersion(model, {"n_factors": 3}, data, protocol, {"host": "h"}, figures, **more)


def save(registry, ndcg=None, **more):
    return registry.save(new(ndcg, **more), {"model": Bundle({"factors": FACTORS}, {"epochs": 3})})


@pytest.fixture
def registry(database):
    return Registry(database)


@pytest.fixture
def three(registry):
    """Versions v1, v2, v3, activated in that order."""
    for _ in range(3):
        registry.activate(save(registry).id, who="ann")
    return registry


def active(registry):
    return [version.id for version in registry.versions() if version.active]


def served(registry):
    """The lines of the audit trail that say which version was served."""
    return [change for change in registry.audit() if change.action in ACTIVATIONS]


class TestSaving:
    def test_everything_comes_back(self, registry):
        figures = {"rmse": MetricRow(0.9, 0.85, 0.95, 610), "ndcg@10": MetricRow(None)}
        described = NewVersion("mf", {"n_factors": 3}, DATA, PROTOCOL, {"host": "h"}, figures, job=7, parent=None)
        before = time.time()
        saved = registry.save(described, {"model": Bundle({"factors": FACTORS}, {"x": 1}), "rows": Bundle({}, {})})
        assert isinstance(saved, ModelVersion)
        assert before <= saved.trained_at <= time.time()
        assert saved == registry.get(1) == registry.versions()[0] == registry.resolve("latest")
        assert (saved.name, saved.state, saved.active, saved.label, saved.job) == ("v1", "candidate", False, "", 7)
        assert (saved.hyperparameters, saved.training_data) == ({"n_factors": 3}, DATA)
        assert (saved.protocol, saved.lineage, saved.metrics) == (PROTOCOL, {"host": "h"}, figures)
        assert set(saved.files) == {"model.safetensors", "model.json", "rows.safetensors", "rows.json"}
        assert saved.bytes == sum(path.stat().st_size for path in (registry.folder / "v1").iterdir())
        loaded = registry.load(saved)
        assert loaded.extra == {"x": 1}
        assert loaded.arrays["factors"].tolist() == FACTORS.tolist()
        assert registry.load(saved, "rows") == Bundle({}, {})

    def test_numbers_count_up_and_are_never_used_again(self, registry):
        names = [save(registry).name for _ in range(3)]
        registry.delete(3)
        assert [*names, save(registry).name] == ["v1", "v2", "v3", "v4"]

    def test_figures_can_be_added_and_replaced(self, registry):
        save(registry, 0.1)
        registry.set_metrics(1, {"ndcg@10": MetricRow(0.2, users=9), "rmse": MetricRow(0.9)})
        assert registry.get(1).metrics == {"ndcg@10": MetricRow(0.2, users=9), "rmse": MetricRow(0.9)}

    def test_a_label_is_kept(self, registry):
        save(registry)
        assert registry.label(1, "[REC] (2007)").label == "[REC] (2007)"
        with pytest.raises(errors.NotFound):
            registry.label(2, "x")

    def test_a_full_disk_leaves_no_row(self, small_disk):
        database = Database(small_disk / "recsys.db")
        migrate(database)
        registry = Registry(database)
        save(registry)
        with pytest.raises(errors.NoSpace):
            registry.save(new(), {"model": Bundle({"a": np.zeros(10**6)}, {})})
        assert [version.name for version in registry.versions()] == ["v1"]
        assert [path.name for path in registry.folder.iterdir()] == ["v1"]
        database.close()


class TestActivating:
    def test_the_one_before_is_retired_and_the_change_is_recorded(self, registry):
        save(registry)
        save(registry)
        assert registry.active() is None
        registry.activate(1, who="ann", why="first")
        registry.activate(2, who="bob", why="better", figures={"rmse": 0.8})
        assert registry.active() == 2
        assert [(version.id, version.state) for version in registry.versions()] == [(2, "active"), (1, "retired")]
        trail = [(a.version, a.previous, a.who, a.action, a.why, a.figures) for a in registry.audit()]
        assert trail == [
            (2, 1, "bob", "activate", "better", {"rmse": 0.8}),
            (1, None, "ann", "activate", "first", {}),
            (2, None, "", "register", "", {}),
            (1, None, "", "register", "", {}),
        ]
        assert registry.audit(1) == [registry.audit()[1], registry.audit()[3]]

    def test_the_active_one_again_changes_nothing(self, three):
        three.activate(3, who="ann")
        assert len(served(three)) == 3
        assert three.resolve("previous").id == 2

    def test_an_unknown_version_is_refused(self, three):
        with pytest.raises(errors.NotFound, match="v9"):
            three.activate(9, who="ann")
        assert active(three) == [3]

    def test_a_damaged_version_is_refused_and_the_active_one_stays(self, three):
        path = three.folder / "v1" / "model.safetensors"
        path.write_bytes(path.read_bytes()[:-1] + b"?")
        with pytest.raises(errors.Damaged, match=r"v1/model\.safetensors"):
            three.activate(1, who="ann")
        assert active(three) == [3]
        assert len(served(three)) == 3

    def test_a_version_deleted_at_the_same_moment_is_not_activated(self, three):
        class Slow(Registry):
            def verify(self, version, files=""):
                found = super().verify(version, files)
                thread = threading.Thread(target=three.delete, args=(version,))
                thread.start()
                thread.join()
                return found

        with pytest.raises(errors.NotFound, match="deleted"):
            Slow(three.database).activate(1, who="ann")
        assert active(three) == [3]
        assert len(served(three)) == 3


class TestGates:
    def test_a_refusal_is_written_down_and_changes_nothing(self, three):
        three.refuse(1, who="cron", why="worse", figures={"ndcg@10": [0.1, 0.2]})
        assert active(three) == [3]
        assert [version.state for version in three.versions()] == ["active", "retired", "retired"]
        assert three.audit(1)[0]._replace(at=0) == (1, 3, 0, "cron", "refuse", "worse", {"ndcg@10": [0.1, 0.2]})
        assert three.resolve("previous").id == 2

    def test_two_activations_at_once_the_later_one_is_refused(self, three):
        """Both have seen v3 serve; whoever commits second is told, and what the first did stands."""
        barrier, ended = threading.Barrier(2), []

        class Meeting(Registry):
            def verify(self, version, files=""):
                barrier.wait()
                return super().verify(version, files)

        def activate(number):
            try:
                Meeting(three.database).activate(number, who="ann", expect=3)
                ended.append(number)
            except errors.Busy as error:
                ended.append(str(error))

        threads = [threading.Thread(target=activate, args=(number,)) for number in (1, 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        [winner] = [one for one in ended if isinstance(one, int)]
        assert f"v{winner} was activated at the same moment" in ended
        assert active(three) == [winner]
        assert len(served(three)) == 4

    def test_two_rollbacks_at_once_go_one_step_back(self, three):
        class Slow(Registry):
            def verify(self, version, files=""):
                if three.active() == 3:
                    three.rollback(who="bob")
                return super().verify(version, files)

        with pytest.raises(errors.Busy, match="v2 was activated"):
            Slow(three.database).rollback(who="ann")
        assert active(three) == [2]


class TestMembers:
    def test_a_member_of_an_ensemble_cannot_be_deleted_before_it(self, three):
        ensemble = save(three, members={"v1": "0" * 64, "v2": "0" * 64})
        assert three.get(ensemble.id).members == {"v1": "0" * 64, "v2": "0" * 64}
        with pytest.raises(errors.UsageRefused, match="v1 is a member of v4") as caught:
            three.delete(1)
        assert "delete v4 first" in caught.value.hint
        assert three.verify(1) == []
        three.delete(4)
        three.delete(1)
        assert [version.id for version in three.versions()] == [3, 2]


class TestBest:
    def test_it_goes_by_the_metric_asked_for_and_its_direction(self, registry):
        for ndcg, rmse in ((0.3, 0.9), (0.2, 0.8), (0.1, None)):
            registry.set_metrics(save(registry, ndcg).id, {"rmse": MetricRow(rmse)})
        assert names.best(registry.database) == 1
        assert names.best(registry.database, "rmse", lower_is_better=True) == 2
        assert names.best(registry.database, "rmse") == 1
        assert names.best(registry.database, "mae") is None


class TestRollback:
    def test_each_one_goes_one_activation_further_back(self, three):
        assert [three.rollback(who="ann").id for _ in range(2)] == [2, 1]
        with pytest.raises(errors.NotFound, match="previous"):
            three.rollback(who="ann")
        assert active(three) == [1]

    def test_going_to_and_fro_does_not_go_round_in_circles(self, three):
        """Activations 1 2 3 1 2: rollbacks retrace 1 3 2 1, then stop."""
        three.activate(1, who="ann")
        three.activate(2, who="ann")
        assert [three.rollback(who="ann").id for _ in range(4)] == [1, 3, 2, 1]
        with pytest.raises(errors.NotFound):
            three.rollback(who="ann")

    def test_an_activation_after_a_rollback_starts_from_there(self, three):
        three.rollback(who="ann")
        save(three)
        three.activate(4, who="ann")
        assert [three.rollback(who="ann").id for _ in range(2)] == [2, 1]

    def test_deleted_versions_are_passed_over(self, three):
        three.delete(2)
        assert three.rollback(who="ann").id == 1
        assert three.audit()[0]._replace(at=0) == (1, 3, 0, "ann", "rollback", "", {})

    def test_a_damaged_one_is_refused_and_the_active_one_stays(self, three):
        (three.folder / "v2" / "model.json").unlink()
        with pytest.raises(errors.Damaged):
            three.rollback(who="ann")
        assert active(three) == [3]
        assert served(three)[0].action == "activate"

    def test_without_history_it_says_what_would_make_one(self, registry):
        with pytest.raises(errors.NotFound) as caught:
            registry.rollback(who="ann")
        assert "another is activated" in caught.value.hint


class TestDeleting:
    def test_row_and_files_go(self, three):
        three.delete(1)
        with pytest.raises(errors.NotFound):
            three.get(1)
        assert sorted(path.name for path in three.folder.iterdir()) == ["v2", "v3"]
        with three.database.read() as db:
            assert db.execute("SELECT count(*) FROM metrics WHERE version = 1").fetchone() == (0,)

    def test_the_active_one_is_refused(self, three):
        with pytest.raises(errors.UsageRefused, match="active") as caught:
            three.delete(3)
        assert "another version first" in caught.value.hint
        assert three.verify(3) == []

    def test_one_activated_at_the_same_moment_keeps_its_files(self, three):
        class Slow(Registry):
            def get(self, version):
                found = super().get(version)
                if three.active() != version:
                    three.activate(version, who="bob")
                return found

        with pytest.raises(errors.UsageRefused, match="active"):
            Slow(three.database).delete(1)
        assert active(three) == [1]
        assert three.verify(1) == []

    def test_an_unknown_one_is_refused(self, three):
        with pytest.raises(errors.NotFound):
            three.delete(9)

    def test_missing_files_are_no_obstacle(self, three):
        shutil.rmtree(three.folder / "v1")
        three.delete(1)
        assert [version.id for version in three.versions()] == [3, 2]

    @pytest.mark.parametrize("wal", [False, True], ids=["delete", "wal"])
    def test_it_works_on_a_full_disk_and_makes_room(self, small_disk, monkeypatch, wal):
        monkeypatch.setattr(database_module, "wal_is_safe", lambda: wal)
        database = Database(small_disk / "recsys.db")
        migrate(database)
        registry = Registry(database)
        for _ in range(2):
            registry.save(new(), {"model": Bundle({"a": np.zeros(50_000)}, {})})
        registry.activate(2, who="ann")
        database.close()
        with (small_disk / "filler").open("wb", buffering=0) as file, suppress(OSError):
            while file.write(b"x" * 4096):
                pass
        assert shutil.disk_usage(small_disk).free == 0
        assert [version.name for version in registry.versions()] == ["v2", "v1"]
        assert registry.load(registry.resolve("active")).arrays["a"].shape == (50_000,)
        with pytest.raises(errors.UsageRefused):
            registry.delete(2)
        registry.delete(1)
        assert [version.name for version in registry.versions()] == ["v2"]
        assert shutil.disk_usage(small_disk).free > 300_000
        assert registry.verify(2) == []
        assert save(registry).name == "v3"
        database.close()


class TestNames:
    @pytest.mark.parametrize(
        "name",
        [
            "",
            "v0",
            "v01",
            "V1",
            "v-1",
            "v1 ",
            " v1",
            "1",
            "../v1",
            "v1/..",
            "v1\n",
            "Active",
            "v1\0",
            "v\u0661",
            "v" * 99,
        ],
    )
    def test_what_is_no_name_is_refused(self, three, name):
        with pytest.raises(errors.UsageRefused, match="names no version") as caught:
            three.resolve(name)
        assert "v<n>" in caught.value.hint

    @pytest.mark.parametrize("name", ["v4", "v999999999999999999"])
    def test_a_version_that_is_not_there(self, three, name):
        with pytest.raises(errors.NotFound, match=f"no version {name}"):
            three.resolve(name)

    @pytest.mark.parametrize("name", ["active", "latest", "best", "previous"])
    def test_an_empty_registry_says_how_to_get_one(self, registry, name):
        with pytest.raises(errors.NotFound, match=f"no {name} version") as caught:
            registry.resolve(name)
        assert caught.value.hint

    def test_each_finds_its_own(self, registry):
        for ndcg in (0.1, 0.3, 0.2):
            save(registry, ndcg)
        registry.activate(3, who="ann")
        registry.activate(1, who="ann")
        found = {name: registry.resolve(name).id for name in ("active", "latest", "best", "previous", "v2")}
        assert found == {"active": 1, "latest": 3, "best": 2, "previous": 3, "v2": 2}

    def test_best_compares_only_what_was_measured_alike(self, registry):
        save(registry, 0.9, protocol=PROTOCOL | {"split": "last"})
        save(registry, 0.9, protocol=PROTOCOL | {"seed": 7})
        save(registry, 0.9, data=DATA | {"fingerprint": "older data"})
        save(registry, 0.2)
        save(registry, 0.3)
        save(registry, None)
        assert registry.resolve("best").id == 5

    def test_the_newest_of_equals_is_best(self, registry):
        for _ in range(3):
            save(registry, 0.25)
        assert registry.resolve("best").id == 3

    def test_best_does_not_need_a_seed_or_a_fingerprint(self, registry):
        for ndcg in (0.3, 0.2):
            save(registry, ndcg, protocol={"split": "temporal", "test": 0.2}, data={})
        assert registry.resolve("best").id == 1


class TestVerifying:
    def test_it_names_each_file_that_is_not_as_written(self, registry):
        registry.save(new(), {"model": Bundle({"a": FACTORS}, {}), "rows": Bundle({"b": FACTORS}, {})})
        assert registry.verify(1) == []
        (registry.folder / "v1" / "rows.json").unlink()
        (registry.folder / "v1" / "model.safetensors").write_bytes(b"short")
        problems = registry.verify(1)
        assert len(problems) == 2
        assert "model.safetensors: 5 bytes" in problems[0]
        assert "rows.json: cannot be read" in problems[1]

    def test_an_ensemble_is_as_sound_as_its_members(self, three):
        members = {name: three.resolve(name).files["model.safetensors"].sha256 for name in ("v1", "v2")}
        ensemble = save(three, members=members).id
        another = save(three, members={"v1": "0" * 64, "v2": members["v2"]}).id
        assert three.verify(ensemble) == []
        assert three.verify(another) == ["v1 is not the version that v5 was made of"]
        path = three.folder / "v2" / "model.safetensors"
        path.write_bytes(path.read_bytes()[:-1] + b"?")
        [problem] = three.verify(ensemble)
        assert "checksum" in problem
        assert problem.endswith("v4 is made of v2")
        shutil.rmtree(three.folder / "v1")
        assert len(three.verify(ensemble)) == 3  # both files of v1, and one of v2
        with three.database.write() as db:
            db.execute("DELETE FROM versions WHERE id = 1")
        assert three.verify(ensemble)[0] == "v1, of which v4 is made, is gone"
        assert len(three.verify(3)) == 0

    def test_a_link_to_the_same_bytes_is_not_what_was_written(self, three, tmp_path):
        path = three.folder / "v1" / "model.json"
        path.rename(tmp_path / "kept")
        path.symlink_to(tmp_path / "kept")
        assert len(three.verify(1)) == 1


class TestOrphans:
    def test_folders_without_a_row_go_and_nothing_else(self, three, tmp_path):
        outside = tmp_path / "outside"
        (outside / "precious").mkdir(parents=True)
        kept = ["jobs", "checkpoints", "v0", "v01", "v7.old", "V7", "vv", "v", "x7", "v7.partial.partial"]
        for name in kept:
            (three.folder / name).mkdir()
            (three.folder / name / "file").touch()
        (three.folder / "training.lock").touch()
        (three.folder / "v8").touch()  # a file
        (three.folder / "v9").symlink_to(outside)
        for name in ("v4", "v1.partial", "v123.partial"):
            (three.folder / name).mkdir()
            (three.folder / name / "model.json").touch()
        assert three.collect_orphans() == ["v1.partial", "v123.partial", "v4"]
        left = {path.name for path in three.folder.iterdir()}
        assert left == {*kept, "training.lock", "v8", "v9", "v1", "v2", "v3"}
        assert (outside / "precious").exists()
        assert all(three.verify(version.id) == [] for version in three.versions())
        assert three.collect_orphans() == []

    def test_without_a_folder_there_is_nothing_to_do(self, registry):
        assert registry.collect_orphans() == []


# Feature: ml-enhancement, Property 7: a newer version has a later timestamp
@given(st.lists(st.floats(0, 4e9), min_size=2, max_size=8))
@settings(max_examples=100)
def test_a_newer_version_is_later_whatever_the_clock_says(clock):
    with (
        tempfile.TemporaryDirectory(dir=fast_disk()) as folder,
        closing(Database(Path(folder) / "recsys.db")) as database,
    ):
        migrate(database)
        times = iter(clock)
        now = [0.0]
        registry = Registry(database, clock=lambda: now[0])
        saved = []
        for time_shown in times:
            now[0] = time_shown
            saved.append(registry.save(new(), {}))
        assert [version.id for version in saved] == list(range(1, len(clock) + 1))
        stamps = [version.trained_at for version in saved]
        assert all(earlier < later for earlier, later in pairwise(stamps))
        assert stamps[0] == clock[0]
        assert all(stamp >= shown for stamp, shown in zip(stamps, clock, strict=True))


def fast_disk():
    """Return a folder in memory where there is one: these tests are about meaning, not about fsync."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


class Killed(BaseException):
    """Stands for the end of the process: nothing that catches errors sees it."""


def dying(*_arguments, **_options):
    raise Killed


class Versions(RuleBasedStateMachine):
    """The registry against a dictionary of versions and a list of activations."""

    names = Known("names")

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir=fast_disk())
        self.database = Database(Path(self.folder.name) / "recsys.db")
        migrate(self.database)
        self.registry = Registry(self.database)
        self.known = {}  # number -> (model, label, ndcg, members)
        self.stack = []  # activations not yet taken back, the active one last
        self.actions = []
        self.orphans = set()

    @rule(
        target=names,
        model=st.sampled_from(["mf", "ials"]),
        ndcg=st.none() | st.sampled_from([0.1, 0.2, 0.3]),
        blend=st.booleans(),
    )
    def save(self, model, ndcg, blend):
        members = self.newest() if blend and self.known else {}
        number = save(self.registry, ndcg, model=model, members=members).id
        assert number not in self.known
        self.known[number] = (model, "", ndcg, members)
        self.actions.append("register")
        return number

    def newest(self):
        """The newest version, as an ensemble of it names it."""
        version = self.registry.get(max(self.known))
        return {version.name: version.files[MODEL_ARRAYS].sha256}

    @rule(number=names)
    def activate(self, number):
        if number not in self.known:
            with pytest.raises(errors.NotFound):
                self.registry.activate(number, who="ann")
        else:
            assert self.registry.activate(number, who="ann").active
            if self.stack[-1:] != [number]:
                self.stack.append(number)
                self.actions.append("activate")

    @rule(number=names, expected=st.none() | st.integers(1, 9))
    def activate_if_nothing_came_in_between(self, number, expected):
        serving = self.stack[-1] if self.stack else None
        if number in self.known and expected != serving:
            with pytest.raises(errors.Busy, match="at the same moment"):
                self.registry.activate(number, who="ann", expect=expected)

    @rule()
    def rollback(self):
        wanted = self.previous()
        if wanted is None:
            with pytest.raises(errors.NotFound):
                self.registry.rollback(who="ann")
        else:
            assert self.registry.rollback(who="ann").id == self.stack[wanted]
            del self.stack[wanted + 1 :]
            self.actions.append("rollback")

    @rule(number=names)
    def delete(self, number):
        if number in self.stack[-1:] or (number in self.known and self.needed(number, self.known)):
            with pytest.raises(errors.UsageRefused):
                self.registry.delete(number)
        elif number not in self.known:
            with pytest.raises(errors.NotFound):
                self.registry.delete(number)
        else:
            self.registry.delete(number)
            del self.known[number]
            self.actions.append("delete")

    @rule(number=names, text=st.sampled_from(["", "weekly", "[/]"]))
    def label(self, number, text):
        if number in self.known:
            assert self.registry.label(number, text).label == text
            model, _, *rest = self.known[number]
            self.known[number] = (model, text, *rest)
            self.actions.append("label")

    @rule(keep=st.integers(1, 3))
    def gc(self, keep):
        """Kept by the slow reference: what has a reason of its own, then members of the kept until nothing is added."""
        kept = set(self.stack[-1:]) | {number for number, (_, label, _, _) in self.known.items() if label}
        if self.previous() is not None:
            kept.add(self.stack[self.previous()])
        for model in ("mf", "ials"):
            kept |= set(sorted(number for number, facts in self.known.items() if facts[0] == model)[-keep:])
        while more := {int(name[1:]) for number in kept for name in self.known[number][3]} - kept:
            kept |= more
        planned = retention.plan(self.registry, keep)
        assert {fate.version.id for fate in planned if fate.kept} == kept
        gone, leftovers = retention.collect(self.registry, keep, who="cron")
        assert {version.id for version in gone} == set(self.known) - kept
        assert set(leftovers) == self.orphans
        self.orphans.clear()
        self.actions += ["delete"] * len(gone)
        self.known = {number: facts for number, facts in self.known.items() if number in kept}

    @rule(number=names, action=st.sampled_from(["save", "activate", "rollback", "delete"]), late=st.booleans())
    def crash(self, number, action, late):
        """End an action in the middle of its transaction, or between files and row; all is as if it had never begun."""
        broken = Registry(self.database)
        place = ("store.registry.audit.record", dying) if late else ("store.registry.Change", dying)
        with pytest.MonkeyPatch.context() as patch, suppress(errors.StoreError, Killed):
            patch.setattr(*place)
            if action == "save":
                with pytest.raises(Killed):
                    save(broken)
                with self.database.read() as db:
                    self.orphans.add(
                        f"v{db.execute('SELECT value - 1 FROM meta WHERE key = ?', ('next_version',)).fetchone()[0]}"
                    )
            elif action == "activate":
                broken.activate(number, who="ann")
            elif action == "rollback":
                broken.rollback(who="ann")
            else:
                broken.delete(number)
        self.restart()

    @rule()
    def restart(self):
        self.database.close()
        self.database = Database(self.database.path)
        self.registry = Registry(self.database)

    def previous(self):
        """Return the place in the stack that a rollback goes to: the nearest below that lives and is another one."""
        places = range(len(self.stack) - 2, -1, -1)
        return next((p for p in places if self.stack[p] in self.known and self.stack[p] != self.stack[-1]), None)

    def needed(self, number, among):
        return [other for other in among if f"v{number}" in self.known[other][3]]

    @invariant()
    def the_store_agrees(self):
        measured = {number: facts[2] for number, facts in self.known.items() if facts[2] is not None}
        place = self.previous()
        expected = {
            "active": self.stack[-1] if self.stack else None,
            "latest": max(self.known, default=None),
            "best": max(measured, key=lambda number: (measured[number], number), default=None),
            "previous": None if place is None else self.stack[place],
        }
        for name, number in expected.items():
            if number is None:
                with pytest.raises(errors.NotFound):
                    self.registry.resolve(name)
            else:
                assert self.registry.resolve(name).id == number, name
        versions = self.registry.versions()
        assert [version.id for version in versions] == sorted(self.known, reverse=True)
        assert {version.id: version.label for version in versions} == {n: facts[1] for n, facts in self.known.items()}
        assert [version.id for version in versions if version.active] == self.stack[-1:]
        assert self.registry.active() == expected["active"]
        assert [change.action for change in reversed(self.registry.audit())] == self.actions
        files = {path.name for path in self.registry.folder.iterdir()} if self.registry.folder.exists() else set()
        assert files - {"training.lock"} == {version.name for version in versions} | self.orphans

    @invariant()
    def states_follow_from_the_trail(self):
        """Candidate until it is activated, active until another is, retired from then on."""
        states = {}
        for change in reversed(self.registry.audit()):
            if change.action == "register":
                states[change.version] = "candidate"
            elif change.action in ACTIVATIONS:
                if change.previous is not None:
                    states[change.previous] = "retired"
                states[change.version] = "active"
            elif change.action == "delete":
                del states[change.version]
        assert {version.id: version.state for version in self.registry.versions()} == states

    def teardown(self):
        self.database.close()
        self.folder.cleanup()


TestVersions = Versions.TestCase
TestVersions.settings = settings(max_examples=100, stateful_step_count=15)


DIE_WHILE_SAVING = """
import os, signal, sys
import numpy as np
from store import artifacts, registry as module
from store.artifacts import Bundle
from store.audit import ACTIVATIONS
from store.database import Database

def die(*arguments, **options):
    os.kill(os.getpid(), signal.SIGKILL)

point = sys.argv[2]
if point == "between files and row":
    whole = module.write_bundles
    module.write_bundles = lambda *arguments: (whole(*arguments), die())
elif point == "between files":
    artifacts._sync_folder = die
else:
    module.Registry.set_metrics = die  # in the middle of the row's transaction
module.Registry(Database(sys.argv[1])).save(
    module.NewVersion("mf", {}, {}, {}, {}), {"model": Bundle({"a": np.zeros(9)}, {})}
)
"""


@pytest.mark.faults
@pytest.mark.parametrize(
    ("point", "orphan"),
    [("between files", "v4.partial"), ("between files and row", "v4"), ("in the row's transaction", "v4")],
)
def test_killed_while_saving_there_is_no_row_and_the_orphan_is_collected(three, point, orphan):
    processes.finish(processes.start(DIE_WHILE_SAVING, three.database.path, point), expect=-9)
    assert [version.id for version in three.versions()] == [3, 2, 1]
    assert active(three) == [3]
    assert (three.folder / orphan).exists()
    assert three.collect_orphans() == [orphan]
    assert save(three).name == "v5"


WORK = """
import sys
import numpy as np
from store.artifacts import Bundle
from store.audit import ACTIVATIONS
from store.database import Database
from store.registry import NewVersion, Registry

registry = Registry(Database(sys.argv[1], busy_seconds=30))
print("working", flush=True)
while True:
    for number in (1, 2, 3):
        registry.activate(number, who="loop")
    registry.rollback(who="loop")
    saved = registry.save(NewVersion("mf", {}, {}, {}, {}), {"model": Bundle({"a": np.zeros(999)}, {})})
    registry.activate(saved.id, who="loop")
    registry.rollback(who="loop")
    registry.delete(saved.id)
"""


@pytest.mark.faults
def test_killed_at_any_moment_exactly_one_version_is_active(three, rounds):
    """A reader beside the worker never sees none or two; after each kill everything that is listed is whole."""
    patient = Registry(Database(three.database.path, busy_seconds=30))
    dice = random.Random(11)
    for _ in range(rounds(5)):
        worker = processes.start(WORK, three.database.path)
        processes.wait_for(worker, "working")
        until = time.monotonic() + dice.uniform(0.0, 0.3)
        reads = 0
        while time.monotonic() < until or not reads:
            with patient.database.read() as db:
                assert db.execute("SELECT count(*) FROM versions WHERE state = 'active'").fetchone() == (1,)
            assert patient.active() is not None
            reads += 1
        processes.kill(worker)
        assert len(active(patient)) == 1
        assert all(patient.verify(version.id) == [] for version in patient.versions())
        assert len(patient.collect_orphans()) <= 1
        assert {path.name for path in patient.folder.iterdir()} == {version.name for version in patient.versions()}
    with patient.database.read() as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    patient.database.close()


SWITCH = """
import sys
from store.database import Database
from store.registry import Registry

registry = Registry(Database(sys.argv[1], busy_seconds=30))
print("working", flush=True)
while True:
    for number in (1, 2, 3):
        registry.activate(number, who="loop")
    for _ in range(2):
        registry.rollback(who="loop")
"""


@pytest.mark.faults
def test_killed_while_activating_a_reader_sees_the_old_or_the_new_one(three, rounds):
    """Fifty kills beside a reader that asks all the time; what it is told is active can be loaded, each time."""
    dice, stop, seen, wrong = random.Random(5), threading.Event(), set(), []

    def read():
        with closing(Database(three.database.path, busy_seconds=30)) as own:
            registry = Registry(own)
            while not stop.is_set():
                with own.read() as db:
                    states = [state for (state,) in db.execute("SELECT state FROM versions ORDER BY id")]
                version = registry.resolve("active")
                whole = registry.load(version).arrays["factors"].shape == (4, 3)
                if states.count("active") != 1 or not whole:
                    wrong.append((states, version.id))
                seen.add(version.id)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(rounds(50)):
        worker = processes.start(SWITCH, three.database.path)
        processes.wait_for(worker, "working")
        time.sleep(dice.uniform(0.0, 0.03))
        processes.kill(worker)
    stop.set()
    reader.join()
    assert wrong == []
    assert len(seen) > 1
    assert len(active(three)) == 1
    with three.database.read() as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert served(three)[0].version == active(three)[0]
