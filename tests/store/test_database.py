"""Connections, transactions, modes, locks and the translation of errors, on real files."""

import errno
import os
import shutil
import sqlite3
import stat
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from store import database as database_module
from store import errors
from store.database import APPLICATION_ID, Database, make_folder, wal_is_safe
from store.errors import translate
from store.migrations import migrate, schema_version
from tests import processes

HOLD_THE_LOCK = """
import sys
from store.database import Database
with Database(sys.argv[1]).write() as db:
    db.execute("INSERT INTO users (user) VALUES ('never committed')")
    print("holding", flush=True)
    sys.stdin.read()
"""


def users(database):
    with database.read() as db:
        return [user for (user,) in db.execute("SELECT user FROM users ORDER BY user")]


def add(database, user):
    with database.write() as db:
        db.execute("INSERT INTO users (user) VALUES (?)", (user,))


def add_and_fail(database, *names, trouble):
    """Add users in one transaction and then fail in it."""
    with database.write():
        for name in names:
            add(database, name)
        raise trouble


def journal_mode(database):
    with database.read() as db:
        return db.execute("PRAGMA journal_mode").fetchone()[0]


def open_files(path):
    """Return how many descriptors of this process are open on a file."""
    links = (link.resolve() for link in Path("/proc/self/fd").iterdir() if link.exists())
    return sum(link == path for link in links)


def integrity(path):
    with closing(sqlite3.connect(path)) as db:
        return db.execute("PRAGMA integrity_check").fetchone()[0]


class TestTransactions:
    def test_nothing_is_seen_by_others_before_the_end(self, database):
        other = Database(database.path)
        with database.write() as db:
            db.execute("INSERT INTO users (user) VALUES ('a')")
            assert users(database) == ["a"]
            assert users(other) == []
        assert users(other) == ["a"]

    def test_an_inner_block_can_fail_alone(self, database):
        with database.write():
            add(database, "outer")
            with pytest.raises(ValueError, match="trouble"):
                add_and_fail(database, "inner", "more", trouble=ValueError("trouble"))
            add(database, "after")
        assert users(database) == ["after", "outer"]

    def test_an_outer_block_takes_the_inner_ones_with_it(self, database):
        with pytest.raises(ValueError, match="trouble"):  # each `add` is a block of its own, inside the one that fails
            add_and_fail(database, "inner", "more", trouble=ValueError("trouble"))
        assert users(database) == []

    @pytest.mark.parametrize(
        "trouble",
        [ValueError("x"), KeyboardInterrupt(), GeneratorExit(), errors.DataRefused("x"), OSError("x")],
        ids=repr,
    )
    @pytest.mark.parametrize("depth", [1, 2, 3])
    def test_no_transaction_stays_open_after_an_error(self, database, trouble, depth):
        def fail(levels):
            with database.write():
                add(database, f"lost {levels}")
                if levels == 1:
                    raise trouble
                fail(levels - 1)

        with pytest.raises(type(trouble)) as caught:
            fail(depth)
        assert caught.value is trouble  # what the caller's block raises is the caller's, word for word
        with database.read() as db:
            assert not db.in_transaction
        add(database, "kept")
        database.close()
        assert users(Database(database.path)) == ["kept"]

    def test_a_statement_that_fails_is_translated_and_undoes_the_block(self, database):
        add(database, "a")
        with pytest.raises(errors.StoreError, match="UNIQUE"):
            add_and_fail(database, "b", "a", trouble=AssertionError("the second name was taken"))
        assert users(database) == ["a"]

    def test_each_thread_has_its_own_transaction(self, database):
        seen = []
        with database.write():
            add(database, "a")
            thread = threading.Thread(target=lambda: seen.append(users(database)))
            thread.start()
            thread.join()
        assert seen == [[]]

    def test_foreign_keys_are_enforced(self, database):
        with pytest.raises(errors.StoreError, match="FOREIGN KEY"), database.write() as db:
            db.execute("INSERT INTO item_genres (item, genre) VALUES (1, 1)")


class TestLocks:
    def test_busy_after_the_time_that_was_asked_for(self, database):
        holder = processes.start(HOLD_THE_LOCK, database.path)
        processes.wait_for(holder, "holding")
        began = time.monotonic()
        with pytest.raises(errors.Busy) as caught:
            add(database, "mine")
        assert 0.4 <= time.monotonic() - began < 5
        assert "--wait" in caught.value.hint
        assert users(database) == []  # readers are not kept out
        processes.finish(holder)
        assert users(database) == ["never committed"]  # this time it was

    def test_a_killed_writer_leaves_neither_lock_nor_rows(self, database):
        holder = processes.start(HOLD_THE_LOCK, database.path)
        processes.wait_for(holder, "holding")
        processes.kill(holder)
        add(database, "mine")
        assert users(database) == ["mine"]
        assert integrity(database.path) == "ok"

    def test_a_writer_waits_for_another_that_ends_in_time(self, database):
        patient = Database(database.path, busy_seconds=20)
        holder = processes.start(HOLD_THE_LOCK, database.path)
        processes.wait_for(holder, "holding")
        release = threading.Timer(0.3, holder.stdin.close)
        release.start()
        add(patient, "mine")
        assert users(patient) == ["mine", "never committed"]
        holder.wait()
        holder.stdout.close()
        holder.stderr.close()

    def test_a_reader_goes_on_within_a_moment_of_the_release(self, database):
        late = []
        assert users(database) == []  # the connection is open
        with closing(sqlite3.connect(database.path, isolation_level=None, check_same_thread=False)) as other:

            def release():
                other.execute("COMMIT")
                late.append(time.monotonic())

            for _ in range(5):  # SQLite's own waiting would look 103, 128 and 178 ms after the first time
                other.execute("BEGIN EXCLUSIVE")
                later = threading.Timer(0.135, release)
                later.start()
                users(database)
                late[-1] = time.monotonic() - late[-1]
                later.join()
        assert min(late) < 0.025

    def test_a_connection_carried_across_fork_is_refused(self, tmp_path):
        code = """
import os, sys
from store.database import Database
from store.errors import StoreError
from store.migrations import migrate
database = Database(sys.argv[1])
migrate(database)
for use in (database.read, database.write, database.peek, database.bulk, Database(sys.argv[1]).read):
    with database.read() as db:
        db.execute("SELECT 1")
    if os.fork() == 0:
        try:
            with use():
                os._exit(1)
        except StoreError as error:
            os._exit(0 if "fork" in str(error) else 2)
        os._exit(3)
    assert os.wait()[1] == 0, use
database.close()
if os.fork() == 0:  # nothing is open: the child may open its own
    with database.write() as db:
        db.execute("INSERT INTO users (user) VALUES ('child')")
    os._exit(0)
assert os.wait()[1] == 0
with database.read() as db:
    print(db.execute("SELECT user FROM users").fetchall())
"""
        assert processes.finish(processes.start(code, tmp_path / "recsys.db")) == "[('child',)]\n"


class TestBulk:
    def test_every_connection_of_the_process_is_closed_first(self, database):
        other = Database(database.path)
        with database.read() as mine, other.read() as another:
            pass
        with database.bulk() as cursor:
            for connection in (mine, another):
                with pytest.raises(sqlite3.ProgrammingError, match="closed"):
                    connection.execute("SELECT 1")
            cursor.execute("INSERT INTO users (user) VALUES ('bulk')")
        assert users(database) == users(other) == ["bulk"]

    def test_other_threads_wait_and_this_one_is_told(self, database):
        order = []

        def reader():
            users(Database(database.path))
            order.append("read")

        with database.bulk():
            thread = threading.Thread(target=reader)
            thread.start()
            with pytest.raises(RuntimeError, match="inside bulk"), database.read():
                pass
            with pytest.raises(RuntimeError, match="inside bulk"):
                database.close()
            thread.join(0.2)
            order.append("bulk")
        thread.join(10)
        assert order == ["bulk", "read"]

    def test_it_waits_for_sections_of_other_threads(self, database):
        inside, leave, order = threading.Event(), threading.Event(), []

        def writer():
            with database.write() as db:
                inside.set()
                leave.wait(10)
                db.execute("INSERT INTO users (user) VALUES ('a')")
            order.append("written")

        thread = threading.Thread(target=writer)
        thread.start()
        inside.wait(10)
        threading.Timer(0.2, leave.set).start()
        with database.bulk() as cursor:
            order.append("bulk")
            assert cursor.execute("SELECT user FROM users").read_all().to_pylist() == [{"user": "a"}]
        thread.join()
        assert sorted(order) == ["bulk", "written"]

    @pytest.mark.parametrize("section", ["read", "write"])
    def test_inside_a_section_of_the_same_thread_it_is_refused(self, database, section):
        with getattr(database, section)(), pytest.raises(RuntimeError, match="same thread"), database.bulk():
            pass
        with database.bulk():
            pass

    def test_an_open_transaction_is_undone_by_an_error(self, database):
        def fail():
            with database.bulk() as cursor:
                cursor.execute("BEGIN IMMEDIATE")
                cursor.execute("INSERT INTO users (user) VALUES ('a')")
                raise ValueError("midway")

        with pytest.raises(ValueError, match="midway"):
            fail()
        add(database, "b")
        assert users(database) == ["b"]

    def test_its_errors_are_translated(self, database):
        with pytest.raises(errors.StoreError, match="no such table"), database.bulk() as cursor:
            cursor.execute("SELECT * FROM nowhere")

    def test_damage_met_while_rows_are_read_is_damage(self, database):
        with database.write() as db:
            db.executemany("INSERT INTO users (user) VALUES (?)", [(f"{number:0200}",) for number in range(5_000)])
        database.close()
        with database.path.open("r+b") as file:
            file.seek(database.path.stat().st_size // 2)
            file.write(b"\xff" * 32_768)
        with pytest.raises(errors.Damaged, match="malformed"), database.bulk() as cursor:
            cursor.execute("SELECT user FROM users NOT INDEXED").read_all()

    def test_a_missing_file_is_not_made(self, tmp_path):
        with pytest.raises(errors.NotFound), Database(tmp_path / "none.db").bulk():
            pass
        assert list(tmp_path.iterdir()) == []

    def test_connections_end_with_their_threads(self, database):
        for _ in range(20):
            thread = threading.Thread(target=users, args=(database,))
            thread.start()
            thread.join()
        assert open_files(database.path) <= 2


class TestJournalMode:
    @pytest.mark.parametrize(
        ("version", "safe"),
        [
            ((3, 40, 1), False),
            ((3, 44, 5), False),
            ((3, 44, 6), True),
            ((3, 45, 0), False),
            ((3, 50, 6), False),
            ((3, 50, 7), True),
            ((3, 51, 0), False),
            ((3, 51, 2), False),
            ((3, 51, 3), True),
            ((3, 52, 0), True),
            ((4, 0, 0), True),
        ],
    )
    def test_versions_with_the_wal_reset_bug_are_known(self, version, safe):
        assert wal_is_safe(version) is safe

    def test_the_library_at_hand_decides(self, database):
        assert journal_mode(database) == ("wal" if wal_is_safe() else "delete")

    def test_a_file_is_moved_from_one_mode_to_the_other(self, database, monkeypatch):
        for safe, mode in ((True, "wal"), (False, "delete")):
            database.close()
            monkeypatch.setattr(database_module, "wal_is_safe", lambda safe=safe: safe)
            assert journal_mode(database) == mode
            add(database, mode)
        assert users(database) == ["delete", "wal"]


PRIVATE = """
import os, stat, sys
from pathlib import Path
os.umask(int(sys.argv[2], 8))
root = Path(sys.argv[1])
from store import database as module
if sys.argv[3] == "wal":
    module.wal_is_safe = lambda: True
import numpy as np
from store.artifacts import Bundle
from store.backup import make_backup, restore_backup
from store.database import Database
from store.journal import training_lock
from store.migrations import backup, migrate
from store.registry import NewVersion, Registry

def show():
    for path in sorted(root.rglob("*")):
        print(f"{stat.S_IMODE(path.stat().st_mode):o}", "folder" if path.is_dir() else "file", path.relative_to(root))

database = Database(root / "deep" / "er" / "recsys.db")
migrate(database)
registry = Registry(database)
registry.save(NewVersion("mf", {}, {}, {}, {}), {"model": Bundle({"a": np.zeros(3)}, {})})
with training_lock(root / "deep" / "new" / "folder"), database.write() as db:
    db.execute("INSERT INTO users (user) VALUES ('a')")
    show()
backup(database, root / "single.db")
make_backup(registry, root / "backups" / "today")
restore_backup(root / "backups" / "today", root / "elsewhere" / "recsys.db")
show()
"""


@pytest.mark.parametrize("mode", ["delete", "wal"])
@pytest.mark.parametrize("umask", ["000", "022", "077"])
def test_all_files_are_private_under_every_umask(tmp_path, umask, mode):
    lines = processes.finish(processes.start(PRIVATE, tmp_path, umask, mode)).splitlines()
    names = {line.split(" ", 2)[2] for line in lines}
    sidecars = {"-journal"} if mode == "delete" else {"-wal", "-shm"}
    assert {f"deep/er/recsys.db{suffix}" for suffix in sidecars} <= names
    assert "backups/today/recsys.db.models/v1/model.safetensors" in names
    assert "elsewhere/recsys.db.models/v1/model.json" in names
    assert "deep/new/folder/training.lock" in names
    looser = [line for line in lines if line.split()[0] != ("700" if line.split()[1] == "folder" else "600")]
    assert looser == []


def unchanged(folder):
    """Return the bytes of every file in a folder by name."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


class TestFilesThatAreNotOurs:
    @pytest.mark.parametrize("mode", ["wal", "delete"])
    def test_another_programs_database_is_refused_and_left_alone(self, tmp_path, mode):
        path = tmp_path / "places.sqlite"
        with closing(sqlite3.connect(path)) as db:
            db.execute(f"PRAGMA journal_mode = {mode}")
            db.execute("CREATE TABLE moz_places (id INTEGER)")
        before = unchanged(tmp_path)
        for use in (schema_version, migrate):
            with pytest.raises(errors.NotOurDatabase, match="another program"):
                use(Database(path))
        assert unchanged(tmp_path) == before

    @pytest.mark.parametrize("mode", ["wal", "delete"])
    def test_a_newer_database_is_refused_and_left_alone(self, database, tmp_path, mode):
        add(database, "a")
        database.close()
        with closing(sqlite3.connect(database.path)) as db:
            db.execute(f"PRAGMA journal_mode = {mode}")
            db.execute("PRAGMA user_version = 999")
        before = unchanged(tmp_path)
        for use in (schema_version, migrate):
            with pytest.raises(errors.TooNew, match="schema 999") as caught:
                use(Database(database.path))
        assert "upgrade" in caught.value.hint
        assert unchanged(tmp_path) == before

    @pytest.mark.parametrize("content", [b"user,item,rating\n1,2,3\n" * 99, b"xy", b"\0" * 4096, b"SQLite format 3\0"])
    def test_a_file_that_is_no_database_is_refused_and_left_alone(self, tmp_path, content):
        path = tmp_path / "ratings.csv"
        path.write_bytes(content)
        for use in (schema_version, migrate):
            with pytest.raises(errors.StoreError):
                use(Database(path))
        assert unchanged(tmp_path) == {"ratings.csv": content}

    def test_an_empty_file_becomes_a_database(self, tmp_path):
        path = tmp_path / "recsys.db"
        path.touch()
        assert not Database(path).exists
        migrate(Database(path))
        assert users(Database(path)) == []

    def test_a_missing_file_names_the_commands_that_make_it(self, tmp_path):
        for use in (Database.read, Database.write, Database.peek):
            with pytest.raises(errors.NotFound) as caught, use(Database(tmp_path / "none.db")):
                pass
            assert "recsys-tui import" in caught.value.hint
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_is_refused(self, tmp_path):
        with pytest.raises(errors.NoPermission):
            schema_version(Database(tmp_path))

    def test_the_header_says_whose_it_is(self, database):
        assert database.path.read_bytes()[68:72] == APPLICATION_ID.to_bytes(4) == b"RCSU"


NO_RIGHTS = """
import os, sys
from store import errors
from store.database import Database
from store.migrations import SCHEMA_VERSION, migrate, schema_version
if os.geteuid() == 0:
    os.setgid(65534); os.setuid(65534)
folder = sys.argv[1]
database = Database(folder + "/recsys.db")
assert schema_version(database) == SCHEMA_VERSION
with database.read() as db:
    assert db.execute("SELECT count(*) FROM users").fetchone() == (0,)
for attempt in (lambda: database.write(), lambda: Database(folder + "/secret.db").read()):
    try:
        with attempt() as db:
            db.execute("INSERT INTO users (user) VALUES ('a')")
    except errors.NoPermission as error:
        print(error.code, bool(error.hint))
for path in (folder + "/new.db", folder + "/new/recsys.db", folder + "/closed/recsys.db"):
    try:
        migrate(Database(path))
    except errors.NoPermission as error:
        print(error.code, bool(error.hint))
"""


class TestPlacesThatRefuse:
    def test_without_rights_it_reads_what_it_may_and_says_why_not(self, database):
        database.close()
        folder = Path(tempfile.mkdtemp(dir="/tmp"))  # a folder that others may enter
        try:
            for name, mode in (("recsys.db", 0o444), ("secret.db", 0)):
                shutil.copy(database.path, folder / name)
                (folder / name).chmod(mode)
            (folder / "closed").mkdir(0)
            folder.chmod(0o555)
            assert processes.finish(processes.start(NO_RIGHTS, folder)) == "permission True\n" * 5
        finally:
            folder.chmod(0o700)
            (folder / "closed").chmod(0o700)
            shutil.rmtree(folder)

    def test_a_file_where_a_folder_should_be(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(errors.StoreError):
            Database(tmp_path / "file" / "recsys.db").create()

    def test_folders_are_made_private_and_existing_ones_left(self, tmp_path):
        tmp_path.chmod(0o755)
        make_folder(tmp_path / "a" / "b")
        make_folder(tmp_path / "a" / "b")
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path, tmp_path / "a", tmp_path / "a" / "b")]
        assert modes == [0o755, 0o700, 0o700]


class TestFullDisk:
    def test_at_the_largest_size_nothing_is_half_stored(self, database):
        with database.read() as db:
            pages = db.execute("PRAGMA page_count").fetchone()[0]
            db.execute(f"PRAGMA max_page_count = {pages + 4}")
        add(database, "first")
        with pytest.raises(errors.NoSpace) as caught, database.write() as db:
            db.executemany("INSERT INTO users (user) VALUES (?)", ((f"u{n:09}",) for n in range(9999)))
        assert "free some space" in caught.value.hint
        assert users(database) == ["first"]
        add(database, "second")
        database.close()
        assert users(database) == ["first", "second"]
        assert integrity(database.path) == "ok"

    def test_on_a_real_full_disk(self, small_disk):
        database = Database(small_disk / "recsys.db")
        migrate(database)
        add(database, "first")
        with pytest.raises(errors.NoSpace), database.write() as db:
            db.executemany("INSERT INTO users (user) VALUES (?)", ((f"{n:0200}",) for n in range(100_000)))
        assert users(database) == ["first"]
        fill(small_disk)
        with pytest.raises(errors.NoSpace):
            add(database, "second")
        assert users(database) == ["first"]
        (small_disk / "filler").unlink()
        add(database, "second")
        database.close()
        assert integrity(database.path) == "ok"

    def test_a_new_database_on_a_full_disk_is_refused(self, small_disk):
        fill(small_disk)
        with pytest.raises(errors.NoSpace):
            migrate(Database(small_disk / "recsys.db"))
        (small_disk / "filler").unlink()
        migrate(Database(small_disk / "recsys.db"))  # what was left behind is no obstacle


def fill(folder):
    """Use every byte that is left."""
    descriptor = os.open(folder / "filler", os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        for size in (65536, 4096, 1):
            while True:
                os.write(descriptor, b"x" * size)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
    finally:
        os.close(descriptor)


class TestTranslation:
    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            (sqlite3.OperationalError("database is locked"), errors.Busy),
            (sqlite3.OperationalError("database or disk is full"), errors.NoSpace),
            (sqlite3.OperationalError("attempt to write a readonly database"), errors.NoPermission),
            (sqlite3.OperationalError("unable to open database file"), errors.NoPermission),
            (sqlite3.DatabaseError("file is not a database"), errors.NotOurDatabase),
            (sqlite3.DatabaseError("database disk image is malformed"), errors.Damaged),
            (OSError(errno.ENOSPC, "No space left on device"), errors.NoSpace),
            (OSError(errno.EDQUOT, "Disk quota exceeded"), errors.NoSpace),
            (PermissionError(errno.EACCES, "Permission denied"), errors.NoPermission),
            (OSError(errno.EROFS, "Read-only file system"), errors.NoPermission),
            (OverflowError("Python int too large to convert to SQLite INTEGER"), errors.UsageRefused),
            (UnicodeDecodeError("utf-8", b"\xcc", 0, 1, "invalid continuation byte"), errors.Damaged),
            (sqlite3.OperationalError("something new\nwith details"), errors.StoreError),
        ],
        ids=str,
    )
    def test_every_error_names_the_file_and_what_to_do(self, error, kind):
        found = translate(error, Path("/data/recsys.db"))
        assert type(found) is kind
        assert "\n" not in str(found)
        assert found.hint
        if kind is not errors.UsageRefused:
            assert "/data/recsys.db" in str(found)

    @pytest.mark.parametrize("value", ["a\ud800b", 2**63, -(2**63) - 1])
    def test_values_that_sqlite_cannot_hold_are_refused(self, database, value):
        with pytest.raises(errors.UsageRefused), database.read() as db:
            db.execute("SELECT ?", (value,))
        with pytest.raises(errors.UsageRefused):
            add(database, value)
        assert users(database) == []


def test_who_asks_for_it_waits_longer_for_others(tmp_path):
    path = tmp_path / "films.db"
    database = Database(path, busy_seconds=0.05)
    database.create()
    migrate(database)
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(errors.Busy), database.write():
            pass
        database.wait_for_others(20)
        later = threading.Timer(0.3, other.execute, ["COMMIT"])
        later.start()
        with database.write() as db:
            db.execute("INSERT INTO users (user) VALUES ('u')")
        later.join()
