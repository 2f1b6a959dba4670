"""Backup and restore: the copy is whole or absent, holds what was committed, and nothing damaged is put back."""

import random
import shutil
import threading
import time

import numpy as np
import pytest

from store import errors, migrations
from store.artifacts import Bundle
from store.backup import make_backup, restore_backup
from store.database import Database
from store.registry import NewVersion, Registry
from tests import processes


def save(registry, value=0.0):
    return registry.save(
        NewVersion("mf", {}, {}, {}, {}), {"model": Bundle({"a": np.full(200, value)}, {}), "rows": Bundle({}, {})}
    )


def users(database):
    with database.read() as db:
        return [user for (user,) in db.execute("SELECT user FROM users ORDER BY id")]


@pytest.fixture
def registry(database):
    """Two versions, the second active, and two users."""
    made = Registry(database)
    for value in (1.0, 2.0):
        save(made, value)
    made.activate(2, who="ann")
    with database.write() as db:
        db.execute("INSERT INTO users (user) VALUES ('a'), ('b')")
    return made


@pytest.fixture
def backup(registry, tmp_path):
    make_backup(registry, tmp_path / "backup")
    return tmp_path / "backup"


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class TestBackup:
    def test_it_says_what_it_made(self, registry, tmp_path):
        target = tmp_path / "deep" / "backup"
        made = make_backup(registry, target)
        files = content(target)
        assert made == {"backup": str(target), "versions": 2, "bytes": sum(map(len, files.values()))}
        versions = {f"recsys.db.models/v{n}/{part}" for n in (1, 2) for part in registry.get(n).files}
        assert set(files) == {"recsys.db"} | versions  # no -wal, no -journal: every row is in the file
        assert [path.name for path in target.parent.iterdir()] == ["backup"]

    def test_an_existing_target_is_refused_and_left_alone(self, registry, backup):
        before = content(backup)
        with pytest.raises(errors.UsageRefused, match="exists"):
            make_backup(registry, backup)
        assert content(backup) == before

    def test_rests_of_a_killed_one_are_swept_away(self, registry, tmp_path):
        (tmp_path / "backup.partial").mkdir()
        (tmp_path / "backup.partial" / "recsys.db").write_bytes(b"half")
        make_backup(registry, tmp_path / "backup")
        assert not (tmp_path / "backup.partial").exists()

    def test_orphans_and_other_files_are_not_copied(self, registry, tmp_path):
        for name in ("v9", "jobs", "checkpoints"):
            (registry.folder / name).mkdir()
        make_backup(registry, tmp_path / "backup")
        assert sorted(path.name for path in (tmp_path / "backup" / "recsys.db.models").iterdir()) == ["v1", "v2"]

    def test_a_damaged_version_is_named_now_rather_than_at_the_restore(self, registry, tmp_path):
        (registry.folder / "v1" / "model.json").write_text("{}")
        with pytest.raises(errors.Damaged, match=r"v1/model\.json"):
            make_backup(registry, tmp_path / "backup")
        assert [path.name for path in tmp_path.glob("backup*")] == []

    def test_a_full_disk_leaves_nothing_behind(self, registry, small_disk):
        for size in (10, 300_000):
            registry.save(NewVersion("mf", {}, {}, {}, {}), {"model": Bundle({"a": np.zeros(size)}, {})})
        with pytest.raises(errors.NoSpace):
            make_backup(registry, small_disk / "backup")
        assert list(small_disk.iterdir()) == []

    def test_while_others_write_the_copy_is_of_one_moment(self, registry, tmp_path):
        """Each transaction adds a user and an item: a copy never has one without the other."""
        stop = threading.Event()

        def write():
            own = Database(registry.database.path, busy_seconds=30)
            number = 0
            while not stop.is_set():
                with own.write() as db:
                    db.execute("INSERT INTO users (user) VALUES (?)", (f"n{number}",))
                    db.execute("INSERT INTO items (item) VALUES (?)", (f"n{number}",))
                number += 1
                time.sleep(0.001)
            own.close()

        thread = threading.Thread(target=write)
        thread.start()
        patient = Registry(Database(registry.database.path, busy_seconds=30))
        for number in range(5):
            make_backup(patient, tmp_path / f"backup{number}")
        stop.set()
        thread.join()
        for number in range(5):
            with Database(tmp_path / f"backup{number}" / "recsys.db").read() as db:
                assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                counts = db.execute("SELECT (SELECT count(*) FROM users) - (SELECT count(*) FROM items)").fetchone()
            assert counts == (2,)


class TestRestore:
    def test_elsewhere_it_is_the_same_again(self, registry, backup, tmp_path):
        path = tmp_path / "other" / "my.db"
        assert restore_backup(backup, path) == {"db": str(path), "versions": 2}
        restored = Registry(Database(path))
        assert restored.versions() == registry.versions()
        assert restored.active() == 2
        assert restored.load(restored.resolve("active")).arrays["a"].tolist() == [2.0] * 200
        assert users(restored.database) == ["a", "b"]
        assert save(restored).name == "v3"

    def test_in_place_it_takes_back_what_came_after(self, registry, backup):
        before = registry.versions()
        save(registry)
        registry.delete(1)
        with registry.database.write() as db:
            db.execute("DELETE FROM users")
        with pytest.raises(errors.UsageRefused, match="exists"):
            restore_backup(backup, registry.database.path)
        assert users(registry.database) == []
        restore_backup(backup, registry.database.path, replace=True)
        assert users(registry.database) == ["a", "b"]
        assert registry.versions() == before
        assert all(registry.verify(version.id) == [] for version in before)
        assert sorted(path.name for path in registry.folder.iterdir()) == ["v1", "v2"]

    def test_the_journal_of_a_killed_writer_does_not_reach_into_it(self, registry, backup):
        code = """
import os, signal, sys
from store.database import Database
with Database(sys.argv[1]).write() as db:
    db.execute("PRAGMA cache_size = 1")
    db.executemany("INSERT INTO items (item) VALUES (?)", ((f"{n:0200}",) for n in range(2000)))
    db.execute("DELETE FROM users")
    os.kill(os.getpid(), signal.SIGKILL)
"""
        processes.finish(processes.start(code, registry.database.path), expect=-9)
        restore_backup(backup, registry.database.path, replace=True)
        assert users(registry.database) == ["a", "b"]
        with registry.database.read() as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert db.execute("SELECT count(*) FROM items").fetchone() == (0,)

    def test_a_damaged_target_can_be_replaced(self, registry, backup):
        registry.database.close()
        registry.database.path.write_bytes(b"garbage" * 1000)
        restore_backup(backup, registry.database.path, replace=True)
        assert users(registry.database) == ["a", "b"]

    @pytest.mark.parametrize("name", ["recsys.db", "recsys.db.models", ".", "nowhere"])
    def test_what_is_no_backup_is_refused(self, backup, tmp_path, name):
        with pytest.raises(errors.NotFound, match="no backup"):
            restore_backup(tmp_path / "empty" / name, tmp_path / "x.db")
        assert not (tmp_path / "x.db").exists()

    def test_a_newer_programs_backup_is_refused(self, backup, tmp_path):
        with Database(backup / "recsys.db").write() as db:
            db.execute(f"PRAGMA user_version = {migrations.SCHEMA_VERSION + 1}")
        with pytest.raises(errors.TooNew):
            restore_backup(backup, tmp_path / "x.db")
        assert not (tmp_path / "x.db").exists()

    @pytest.mark.faults
    def test_a_damaged_backup_is_refused_and_the_target_stays(self, registry, backup, rounds):
        """Any byte of any file of a version; of the database, whatever its own check can see."""
        registry.database.close()
        before, files, dice = registry.database.path.read_bytes(), sorted(content(backup)), random.Random(3)
        files.remove("recsys.db")
        for _ in range(rounds(20)):
            path = backup / dice.choice(files)
            whole = path.read_bytes()
            damaged = bytearray(whole)
            damaged[dice.randrange(len(whole))] ^= 1 << dice.randrange(8)
            path.write_bytes(damaged)
            with pytest.raises(errors.Damaged):
                restore_backup(backup, registry.database.path, replace=True)
            path.write_bytes(whole)
        cut = (backup / "recsys.db").read_bytes()
        (backup / "recsys.db").write_bytes(cut[: len(cut) // 2])
        with pytest.raises(errors.DataRefused):
            restore_backup(backup, registry.database.path, replace=True)
        assert registry.database.path.read_bytes() == before
        assert registry.verify(1) == registry.verify(2) == []
        assert list(registry.folder.parent.glob("*.restored")) == []

    def test_links_in_a_backup_are_not_followed(self, backup, tmp_path):
        secret = backup / "recsys.db.models" / "v1" / "model.json"
        shutil.move(secret, tmp_path / "kept")
        secret.symlink_to(tmp_path / "kept")
        with pytest.raises(errors.Damaged):
            restore_backup(backup, tmp_path / "x.db")
