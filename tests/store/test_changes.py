"""Whether the database has changed: by whomever, in either journal, and never missed for a crash in the middle."""

import sqlite3
import threading
from contextlib import closing, suppress
from pathlib import Path

import pytest

from store import database as database_module
from store import header as header_module
from store.changes import Watch
from store.database import Database
from store.header import Header
from store.loading.swap import private_copy, put_back
from store.migrations import migrate
from store.wal import hasten, settle
from tests import processes


@pytest.fixture
def database(tmp_path, monkeypatch):
    """A database with a rollback journal, whatever the library here."""
    monkeypatch.setattr(database_module, "wal_is_safe", lambda: False)
    monkeypatch.setattr(header_module, "_MOST_FILES", 100_000)  # earlier tests of this process left some open
    opened = Database(tmp_path / "films.db")
    migrate(opened)
    with closing(opened):
        yield opened


@pytest.fixture
def watch(database):
    found = Watch(database)
    assert found.changed()
    assert not found.changed()
    return found


def add(database, user):
    with database.write() as db:
        db.execute("INSERT INTO users (user) VALUES (?)", (user,))


def asked(database, watch):
    """Return what a look at a quiet database asks SQLite."""
    found = []
    with database.read() as db:
        db.set_trace_callback(found.append)
        assert not watch.changed()
        db.set_trace_callback(None)
    return found


def test_a_quiet_database_is_not_asked_at_all(database, watch):
    assert asked(database, watch) == []


def test_every_commit_of_another_process_is_told_once(database, watch):
    for number in range(5):
        code = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute(sys.argv[2]); db.commit()"
        processes.finish(processes.start(code, database.path, f"INSERT INTO users (user) VALUES ('{number}')"))
        assert watch.changed()
        assert not watch.changed()
    assert asked(database, watch) == []


def test_our_own_commits_and_those_of_our_threads_are_told(database, watch):
    add(database, "ours")
    assert watch.changed()
    assert not watch.changed()
    thread = threading.Thread(target=add, args=(database, "of a thread"))
    thread.start()
    thread.join()
    assert watch.changed()
    assert not watch.changed()


def test_inside_our_own_transaction_everything_may_have_changed(database, watch):
    with suppress(InterruptedError), database.write() as db:
        db.execute("INSERT INTO users (user) VALUES ('for a moment')")
        assert watch.changed()
        assert watch.changed()
        raise InterruptedError
    assert watch.changed()  # what was seen inside is not there any more
    assert not watch.changed()


def test_in_the_log_sqlite_is_asked_and_the_way_back_is_told(database, watch):
    assert hasten(database)
    assert watch.changed()
    add(database, "in the log")
    assert watch.changed()
    assert asked(database, watch) == ["PRAGMA data_version"]
    settle(database)
    assert watch.changed()
    assert not watch.changed()
    assert asked(database, watch) == []


def test_a_commit_after_a_crash_that_had_written_the_counter_is_told(database, watch):
    """The crashed transaction leaves the counter that the next commit will write, and a journal that takes it back."""
    code = """if True:
        import os, sqlite3, sys
        db = sqlite3.connect(sys.argv[1], isolation_level=None)
        header = lambda: open(sys.argv[1], "rb").read(28)[24:]
        before = header()
        db.executescript("PRAGMA cache_size = 2; PRAGMA cache_spill = 1; BEGIN")
        db.execute("UPDATE meta SET value = value + 1 WHERE key = 'revision'")
        db.executemany("INSERT INTO users (user) VALUES (?)", [(f"{n:0500}",) for n in range(400)])
        with open(sys.argv[1], "r+b") as file:  # what a commit writes first; the crash comes before its journal is gone
            file.seek(24)
            file.write((int.from_bytes(before, "big") + 1).to_bytes(4, "big"))
            file.flush()
            os.kill(os.getpid(), 9)
        """
    crashed = processes.start(code, database.path)
    processes.finish(crashed, expect=-9)
    assert database.path.with_name("films.db-journal").exists()
    watch.changed()
    with database.read() as db:
        assert db.execute("SELECT count(*) FROM users").fetchone()[0] == 0  # taken back
    assert not watch.changed()
    with closing(sqlite3.connect(database.path)) as other:
        other.execute("INSERT INTO users (user) VALUES ('afterwards')")
        other.commit()
    assert watch.changed()


def test_a_whole_new_content_is_told(database, watch):
    with private_copy(database) as copy:
        copy.connection.execute("INSERT INTO users (user) VALUES ('elsewhere')")
        assert put_back(database, copy)
    assert watch.changed()
    assert not watch.changed()
    with database.read() as db:
        assert db.execute("SELECT user FROM users").fetchall() == [("elsewhere",)]


def test_the_descriptor_ends_with_the_connections_and_a_file_anew_is_another(database, watch):
    def descriptors():
        return sum(link.exists() and link.resolve() == database.path for link in Path("/proc/self/fd").iterdir())

    assert descriptors() >= 2  # SQLite's and ours
    database.close()
    assert descriptors() == 0
    assert not watch.changed()  # nobody has committed
    assert descriptors() >= 2


def test_what_is_no_database_of_this_machine_says_nothing(tmp_path, monkeypatch):
    assert Header(tmp_path / "missing").read() is None
    (tmp_path / "short").write_bytes(b"SQLite format 3\0")
    short = Header(tmp_path / "short")
    assert short.read() is None
    short.close()
    monkeypatch.setattr("store.header.is_local", lambda _: False)
    assert Header(tmp_path / "short").read() is None
