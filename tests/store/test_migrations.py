"""The schema: made whole, moved on whole, with a backup first; a kill at any point leaves the old or the new one."""

import sqlite3
import stat
from contextlib import closing

import pytest

from store import canaries, errors, migrations
from store.database import Database
from store.migrations import SCHEMA_VERSION, backup, migrate, schema_version
from store.registry import Registry
from tests import processes

# A program whose schema is one ahead: its migration rewrites a table in four steps and dies before the step argv[2].
NEXT_PROGRAM = """
import os, signal, sys
from store import migrations
from store.database import Database

def second(db):
    steps = (
        "CREATE TABLE people (id INTEGER PRIMARY KEY, user TEXT NOT NULL, revision INTEGER NOT NULL, born INTEGER)",
        "INSERT INTO people (id, user, revision) SELECT id, user, revision FROM users",
        "DROP TABLE users",
        "ALTER TABLE people RENAME TO users",
    )
    for number, step in enumerate(steps):
        if number == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        db.execute(step)
    if len(steps) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

migrations.MIGRATIONS += (second,)
migrations.SCHEMA_VERSION += 1
migrations.migrate(Database(sys.argv[1]))
with Database(sys.argv[1]).read() as db:
    version, = db.execute("PRAGMA user_version").fetchone()
    print(version, db.execute("SELECT count(born), count(*) FROM users").fetchone())
"""
NEVER = -1
N_USERS = 20_000  # enough that the migration spills to the file before it commits


@pytest.fixture
def filled(database):
    with database.write() as db:
        db.executemany("INSERT INTO users (user) VALUES (?)", ((f"user {n:06}",) for n in range(N_USERS)))
    database.close()
    return database


def content(path):
    """Return every row of every ordinary table."""
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        return {name: db.execute(f"SELECT * FROM {name} ORDER BY 1").fetchall() for name in tables}


class TestFirstSchema:
    def test_a_new_file_gets_it_whole(self, tmp_path):
        database = Database(tmp_path / "new" / "recsys.db")
        migrate(database)
        assert schema_version(database) == SCHEMA_VERSION == len(migrations.MIGRATIONS)
        wanted = "users items genres item_genres ratings imports quarantine replaced jobs events versions metrics"
        wanted += " audit canaries live_vectors meta item_titles"
        with database.read() as db:
            tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            meta = dict(db.execute("SELECT key, value FROM meta"))
        assert set(wanted.split()) <= tables
        assert meta == {"revision": 0, "next_version": 1}

    def test_once_made_it_is_left_alone(self, filled, tmp_path):
        before = content(filled.path)
        migrate(filled)
        assert content(filled.path) == before
        assert [path.name for path in tmp_path.iterdir()] == ["recsys.db"]  # no backup where nothing is to be done

    def test_only_one_version_can_be_active(self, database):
        columns = "model_type, state, trained_at, hyperparameters, training_data, protocol, lineage, files"
        values = "'mf', 'active', 1, '{}', '{}', '{}', '{}', '{}'"
        with pytest.raises(errors.StoreError, match="UNIQUE"), database.write() as db:
            db.execute(f"INSERT INTO versions ({columns}) VALUES ({values}), ({values})")

    def test_the_title_index_follows_the_catalogue(self, database):
        def found(text):
            with database.read() as db:
                db.execute("INSERT INTO item_titles (item_titles) VALUES ('integrity-check')")
                rows = db.execute("SELECT rowid FROM item_titles WHERE item_titles MATCH ? ORDER BY 1", (text,))
                return [row for (row,) in rows]

        with database.write() as db:
            db.execute(
                "INSERT INTO items (id, item, title) VALUES (1, 'a', 'The Ferry'), (2, 'b', NULL), (3, 'c', 'Ferry')"
            )
        assert found("ferry") == [1, 3]
        with database.write() as db:
            db.execute("UPDATE items SET title = 'The Ferry' WHERE id = 2")
            db.execute("UPDATE items SET title = NULL WHERE id = 1")
        assert found("ferry") == [2, 3]
        with database.write() as db:
            db.execute("DELETE FROM items WHERE id = 3")
        assert found("ferry") == [2]


class TestSecondSchema:
    def test_a_database_of_the_first_schema_keeps_its_versions_and_their_history(self, tmp_path, monkeypatch):
        database = Database(tmp_path / "old.db")
        with monkeypatch.context() as patch:
            patch.setattr(migrations, "MIGRATIONS", migrations.MIGRATIONS[:1])
            patch.setattr(migrations, "SCHEMA_VERSION", 1)
            migrate(database)
        columns = "id, model_type, state, trained_at, hyperparameters, training_data, protocol, lineage, files"
        with database.write() as db:
            for row in ((1, "retired"), (2, "active")):
                db.execute(
                    f"INSERT INTO versions ({columns}) VALUES (?, 'mf', ?, 1, '{{}}', '{{}}', '{{}}', '{{}}', '{{}}')",
                    row,
                )
            db.executemany(
                "INSERT INTO activations (version, previous, at, who, action, why) VALUES (?, ?, 9, ?, 'activate', ?)",
                [(1, None, "ann", "first"), (2, 1, "ann", "better")],
            )
            db.execute("INSERT INTO quarantine (import, line, reason, raw) SELECT id, 1, 'x', 'y' FROM imports")
        database.close()
        migrate(database)
        registry = Registry(database)
        assert schema_version(database) == SCHEMA_VERSION
        assert [(v.id, v.state, v.members) for v in registry.versions()] == [(2, "active", {}), (1, "retired", {})]
        trail = [(c.version, c.previous, c.who, c.action, c.why, c.figures) for c in registry.audit()]
        assert trail == [(2, 1, "ann", "activate", "better", {}), (1, None, "ann", "activate", "first", {})]
        assert registry.resolve("previous").id == 1
        assert canaries.running(database) is None
        assert schema_version(Database(tmp_path / "old.db.schema1.backup")) == 1


class TestNextSchema:
    def test_rows_are_kept_and_a_backup_of_the_old_file_is_beside_it(self, filled):
        before = content(filled.path)
        shown = processes.finish(processes.start(NEXT_PROGRAM, filled.path, NEVER))
        assert shown == f"{SCHEMA_VERSION + 1} (0, {N_USERS})\n"
        saved = filled.path.with_name(f"recsys.db.schema{SCHEMA_VERSION}.backup")
        assert content(saved) == before
        assert schema_version(Database(saved)) == SCHEMA_VERSION
        assert stat.S_IMODE(saved.stat().st_mode) == 0o600
        with pytest.raises(errors.TooNew, match=f"schema {SCHEMA_VERSION + 1}"):
            migrate(filled)  # the older program

    def test_the_backup_is_the_way_back(self, filled):
        before = content(filled.path)
        processes.finish(processes.start(NEXT_PROGRAM, filled.path, NEVER))
        backup(Database(filled.path.with_name(f"recsys.db.schema{SCHEMA_VERSION}.backup")), filled.path)
        assert schema_version(filled) == SCHEMA_VERSION
        assert content(filled.path) == before

    @pytest.mark.faults
    @pytest.mark.parametrize("step", range(5))
    def test_killed_before_a_step_it_is_as_before(self, filled, step):
        before = content(filled.path)
        processes.finish(processes.start(NEXT_PROGRAM, filled.path, step), expect=-9)
        assert filled.path.with_name(f"recsys.db.schema{SCHEMA_VERSION}.backup").exists()
        assert schema_version(filled) == SCHEMA_VERSION
        assert content(filled.path) == before
        shown = processes.finish(processes.start(NEXT_PROGRAM, filled.path, NEVER))
        assert shown == f"{SCHEMA_VERSION + 1} (0, {N_USERS})\n"

    def test_an_error_leaves_the_old_schema(self, filled, monkeypatch):
        def broken(db):
            db.execute("DROP TABLE ratings")
            db.execute("DROP TABLE nowhere")

        before = content(filled.path)
        monkeypatch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, broken))
        monkeypatch.setattr(migrations, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
        with pytest.raises(errors.StoreError, match="nowhere"):
            migrate(filled)
        filled.close()
        assert content(filled.path) == before

    def test_several_programs_at_once_migrate_once(self, filled):
        crowd = [processes.start(NEXT_PROGRAM, filled.path, NEVER) for _ in range(3)]
        assert {processes.finish(one) for one in crowd} == {f"{SCHEMA_VERSION + 1} (0, {N_USERS})\n"}


@pytest.mark.faults
def test_killed_in_the_first_migration_the_next_start_makes_it(tmp_path):
    code = """
import os, signal, sys
from store import migrations
from store.database import Database
first, *_ = migrations.MIGRATIONS
def killed(db):
    db.execute("PRAGMA cache_size = 1")
    first(db)
    os.kill(os.getpid(), signal.SIGKILL)
migrations.MIGRATIONS = (killed,)
migrations.migrate(Database(sys.argv[1]))
"""
    path = tmp_path / "recsys.db"
    processes.finish(processes.start(code, path), expect=-9)
    assert schema_version(Database(path)) == 0
    migrate(Database(path))
    assert content(path)["meta"] == [("next_version", 1), ("revision", 0)]


class TestBackup:
    def test_a_copy_of_a_database_in_use_holds_what_is_committed(self, filled, tmp_path):
        writer = Database(filled.path)
        with writer.write() as db:
            db.execute("DELETE FROM users")
            backup(filled, tmp_path / "copy.db")
        assert len(content(tmp_path / "copy.db")["users"]) == N_USERS
        assert content(filled.path)["users"] == []

    def test_what_stood_there_before_does_not_reach_into_it(self, filled, tmp_path):
        """A journal of the old file would be played into the new one by SQLite."""
        code = """
import os, signal, sys
from store.database import Database
with Database(sys.argv[1]).write() as db:
    db.execute("PRAGMA cache_size = 1")
    db.execute("UPDATE users SET user = 'old ' || user")
    os.kill(os.getpid(), signal.SIGKILL)
"""
        target = tmp_path / "target.db"
        backup(filled, target)
        processes.finish(processes.start(code, target), expect=-9)
        assert [path for path in tmp_path.glob("target.db-*") if path.stat().st_size]
        with filled.write() as db:
            db.execute("DELETE FROM users WHERE id > 5")
        backup(filled, target)
        assert len(content(target)["users"]) == 5

    def test_a_full_disk_leaves_nothing_behind(self, filled, small_disk):
        with filled.write() as db:
            db.execute("CREATE TABLE bulk AS SELECT randomblob(3000) FROM users")
        with pytest.raises(errors.NoSpace):
            backup(filled, small_disk / "copy.db")
        assert list(small_disk.iterdir()) == []
