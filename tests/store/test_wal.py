"""The write-ahead log on versions of SQLite that may not be left alone with it."""

import sqlite3
import threading
import time
from contextlib import closing

import pytest

from store import database as database_module
from store.database import Database
from store.migrations import migrate
from store.mounts import is_local
from store.wal import checkpoint, hasten, settle
from tests import processes


@pytest.fixture
def database(tmp_path, monkeypatch):
    """A database as a library with the WAL-reset bug keeps it, whatever the library here."""
    monkeypatch.setattr(database_module, "wal_is_safe", lambda: False)
    opened = Database(tmp_path / "films.db")
    migrate(opened)
    with closing(opened):
        yield opened


def mode(database):
    with database.read() as db:
        db.execute("SELECT count(*) FROM users").fetchone()  # a connection learns of the journal by reading
        return db.execute("PRAGMA journal_mode").fetchone()[0]


def add(database, *users):
    with database.write() as db:
        db.executemany("INSERT INTO users (user) VALUES (?)", [(user,) for user in users])


def users(database):
    with database.read() as db:
        return {user for (user,) in db.execute("SELECT user FROM users")}


def log_of(database):
    return database.path.with_name("films.db-wal")


def test_a_stream_has_the_log_and_afterwards_it_is_gone(database):
    assert hasten(database)
    add(database, "in the log")
    assert (mode(database), log_of(database).exists()) == ("wal", True)
    settle(database)
    assert (mode(database), log_of(database).exists()) == ("delete", False)
    assert users(database) == {"in the log"}


def test_commits_in_the_log_are_flushed(database):
    hasten(database)
    with database.read() as db:
        assert db.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL: the log is flushed at each commit
        assert db.execute("PRAGMA wal_autocheckpoint").fetchone()[0] == 0


def test_the_log_stays_as_long_as_another_process_has_it_open(database):
    hasten(database)
    code = (
        "import sys\nfrom store.database import Database\nfrom store import database as module\n"
        "module.wal_is_safe = lambda: False\n"
        "database = Database(sys.argv[1])\nwith database.write() as db:\n"
        "    db.execute(\"INSERT INTO users (user) VALUES ('other')\")\n"
        "print('ready', flush=True)\nsys.stdin.readline()"
    )
    other = processes.start(code, database.path)
    processes.wait_for(other, "ready")
    settle(database)
    assert mode(database) == "wal"
    add(database, "while it has it open")
    processes.finish(other)
    settle(database)
    assert mode(database) == "delete"
    assert users(database) == {"other", "while it has it open"}


def test_a_killed_process_leaves_its_commits_in_the_log(database):
    code = (
        "import sys\nfrom store.database import Database\nfrom store import database as module\n"
        "from store.wal import hasten\nmodule.wal_is_safe = lambda: False\ndatabase = Database(sys.argv[1])\n"
        "assert hasten(database)\n"
        "for number in range(1_000_000):\n"
        "    with database.write() as db:\n        db.execute('INSERT INTO users (user) VALUES (?)', (str(number),))\n"
        "    print(number, flush=True)"
    )
    killed = processes.start(code, database.path)
    processes.wait_for(killed, "40")
    killed.kill()
    told = {line for line in killed.communicate()[0].splitlines(keepends=True) if line.endswith("\n")}
    assert log_of(database).exists()
    assert {str(number) for number in range(41)} | {line.strip() for line in told} <= users(database)
    settle(database)
    assert mode(database) == "delete"
    with database.read() as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_the_log_is_brought_in_again_and_again(database, monkeypatch):
    monkeypatch.setattr(database_module, "LOG_ROWS", 500)
    hasten(database)
    sizes = []
    for batch in range(40):
        add(database, *(f"{batch}-{number}" for number in range(100)))
        sizes.append(log_of(database).stat().st_size)
    assert len(set(sizes[20:])) == 1  # it is written over from its beginning
    with closing(sqlite3.connect(f"file:{database.path}?immutable=1", uri=True)) as without_log:
        assert without_log.execute("SELECT count(*) FROM users").fetchone()[0] >= 3_000
    assert len(users(database)) == 4_000


def test_nobody_can_commit_while_a_checkpoint_is_made(database, monkeypatch):
    hasten(database)
    add(database, "somebody")
    peek, refused = database.peek, []

    def look():
        with closing(sqlite3.connect(database.path, timeout=0)) as stranger:
            try:
                stranger.execute("INSERT INTO users (user) VALUES ('stranger')")
            except sqlite3.OperationalError as error:
                refused.append(str(error))
        return peek()

    monkeypatch.setattr(database, "peek", look)
    checkpoint(database)
    assert refused == ["database is locked"]
    assert users(database) == {"somebody"}


def test_threads_go_on_while_the_journal_changes(database):
    stop, failed = threading.Event(), []

    def client(number):
        count = 0
        while not stop.is_set():
            try:
                add(database, f"{number}-{count}")
                assert f"{number}-{count}" in users(database)
            except BaseException as error:  # noqa: BLE001  it is shown below
                failed.append(error)
            count += 1
            time.sleep(0.01)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        hasten(database)
        settle(database)
    stop.set()
    for thread in threads:
        thread.join()
    assert failed == []


@pytest.mark.parametrize(
    ("kind", "local"), [("ext4", True), ("xfs", True), ("nfs4", False), ("fuse.sshfs", False), ("9p", False)]
)
def test_disks_of_the_network_are_told_apart(tmp_path, kind, local):
    (tmp_path / "on it").mkdir()
    mounts = tmp_path / "mountinfo"
    point = str(tmp_path / "on it").replace(" ", r"\040")
    mounts.write_text(f"1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 0:9 / {point} rw,noatime shared:1 - {kind} there:/x rw\n")
    assert is_local(tmp_path / "on it" / "films.db", mounts) is local
    assert is_local(tmp_path / "films.db", mounts)
    assert not is_local(tmp_path / "films.db", tmp_path / "missing")


def test_a_database_on_such_a_disk_keeps_its_journal(database, monkeypatch):
    monkeypatch.setattr("store.wal.is_local", lambda _path: False)
    assert not hasten(database)
    assert mode(database) == "delete"
