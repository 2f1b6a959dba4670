"""A first import goes in at once, with the outcome that batches have; whatever intervenes, nothing is lost."""

import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from store import errors
from store.database import Database
from store.importers.pipeline import import_source
from store.loading import fresh, swap
from store.migrations import migrate
from tests.store.rows import stored


def write(path: Path, n_users: int = 300, n_items: int = 90, *, times: bool = True, whole: bool = False) -> str:
    rng = np.random.default_rng(n_users)
    pairs = rng.permutation(n_users * n_items)[: n_users * 20]
    steps = rng.integers(1, 6, len(pairs)) if whole else rng.integers(1, 11, len(pairs)) / 2
    lines = [
        f"u{pair // n_items},i{pair % n_items},{step:g}" + (f",{1_000_000_000 + pair}" if times else "")
        for pair, step in zip(pairs.tolist(), steps.tolist(), strict=True)
    ]
    header = "user,item,rating" + (",time" if times else "")
    path.write_text("\n".join([header, *lines, lines[0], "bad,,3" + (",1" if times else "")]) + "\n")
    return str(path)


def facts(database: Database) -> dict[str, object]:
    """Return everything that an import leaves behind, but times and process numbers."""
    with database.read() as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return {
            "users": db.execute("SELECT * FROM users ORDER BY id").fetchall(),
            "items": db.execute("SELECT * FROM items ORDER BY id").fetchall(),
            "ratings": db.execute("SELECT *, typeof(rating), typeof(at) FROM ratings").fetchall(),
            "meta": db.execute("SELECT * FROM meta ORDER BY key").fetchall(),
            "imports": db.execute("SELECT state, read, stored, updated, unchanged, rejected FROM imports").fetchall(),
            "quarantine": db.execute("SELECT line, reason, raw FROM quarantine").fetchall(),
            "mode": db.execute("PRAGMA journal_mode").fetchone(),
        }


@pytest.mark.parametrize("times", [True, False])
@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("policy", ["latest", "first", "mean"])
def test_at_once_and_by_batches_leave_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: bool, whole: bool, policy: str
) -> None:
    source = write(tmp_path / "ratings.csv", times=times, whole=whole)
    at_once, by_batches = Database(tmp_path / "a.db"), Database(tmp_path / "b.db")
    with closing(at_once), closing(by_batches):
        first = import_source(at_once, source, duplicates=policy)
        monkeypatch.setattr(fresh, "store_first", lambda *_: None)
        second = import_source(by_batches, source, duplicates=policy)
        assert (first.stored, first.duplicates, first.rejected) == (second.stored, second.duplicates, second.rejected)
        assert facts(at_once) == facts(by_batches)


def test_it_is_the_way_that_first_imports_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.loading.ingest.store_batch", None)  # would fail
    with closing(Database(tmp_path / "a.db")) as database:
        assert import_source(database, write(tmp_path / "ratings.csv")).stored == 6_000


def test_the_next_import_goes_on_from_there(tmp_path: Path) -> None:
    with closing(Database(tmp_path / "a.db")) as database:
        source = write(tmp_path / "ratings.csv")
        import_source(database, source)
        assert import_source(database, source).unchanged == 6_000
        more = write(tmp_path / "more.csv", 500)
        result = import_source(database, more)
        assert result.stored + result.updated + result.unchanged == 10_000
        facts(database)
        assert len(stored(database)) == 6_000 + result.stored


def test_a_source_with_some_times_only_goes_by_batches(tmp_path: Path) -> None:
    path = tmp_path / "ratings.csv"
    path.write_text("user,item,rating,time\na,x,3,1000000000\na,y,4,\n")
    with closing(Database(tmp_path / "a.db")) as database:
        import_source(database, str(path))
        assert stored(database) == {("a", "x"): (3.0, 1_000_000_000), ("a", "y"): (4.0, None)}


def test_a_change_by_another_process_meanwhile_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database, other = Database(tmp_path / "a.db"), Database(tmp_path / "a.db")
    put_back = swap.put_back

    def meanwhile(*arguments: object) -> bool:
        thread = threading.Thread(target=insert)
        thread.start()
        thread.join()
        return put_back(*arguments)  # type: ignore[arg-type]

    def insert() -> None:
        with other.write() as db:
            db.execute("INSERT INTO items (item, title) VALUES ('theirs', 'Kept')")

    monkeypatch.setattr(swap, "put_back", meanwhile)
    with closing(database):
        import_source(database, write(tmp_path / "ratings.csv"))
        assert len(stored(database)) == 6_000
        with database.read() as db:
            assert db.execute("SELECT title FROM items WHERE item = 'theirs'").fetchone() == ("Kept",)
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_others_can_write_as_soon_as_it_is_over(tmp_path: Path) -> None:
    with closing(Database(tmp_path / "a.db")) as database:
        import_source(database, write(tmp_path / "ratings.csv"))
        done = []

        def insert() -> None:
            with Database(tmp_path / "a.db", busy_seconds=0.1).write() as db:
                db.execute("INSERT INTO items (item) VALUES ('theirs')")
            done.append(True)

        thread = threading.Thread(target=insert)
        thread.start()
        thread.join()
        assert done


def test_a_reader_that_stays_makes_it_busy_and_nothing_is_stored(tmp_path: Path) -> None:
    database = Database(tmp_path / "a.db", busy_seconds=0.2)
    migrate(database)
    ready, leave = threading.Event(), threading.Event()

    def read() -> None:
        with Database(tmp_path / "a.db").read() as db:
            cursor = db.execute("SELECT * FROM sqlite_master")
            cursor.fetchone()
            ready.set()
            leave.wait()
            cursor.close()

    with swap.private_copy(database) as copy:
        copy.connection.execute("INSERT INTO items (item) VALUES ('ours')")
        thread = threading.Thread(target=read)
        thread.start()
        ready.wait()
        with pytest.raises(errors.Busy):
            swap.put_back(database, copy)
        leave.set()
        thread.join()
        with database.read() as db:
            assert db.execute("SELECT count(*) FROM items").fetchone()[0] == 0
        assert swap.put_back(database, copy)
    with database.read() as db:
        assert db.execute("SELECT item FROM items").fetchall() == [("ours",)]
    database.close()
    assert [path.name for path in tmp_path.iterdir()] == ["a.db"]


def test_a_full_disk_leaves_it_to_the_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("store.loading.tree._put", full)
    with closing(Database(tmp_path / "a.db")) as database:
        assert import_source(database, write(tmp_path / "ratings.csv")).stored == 6_000
        facts(database)
