"""A killed import leaves all, nothing or whole batches, which its record counts, and can simply be repeated."""

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from store.database import Database
from store.importers.pipeline import import_source
from store.migrations import migrate
from tests.processes import kill, start, wait_for
from tests.store.rows import stored

N_ROWS = 40_000
CODE = """
import sys
from store.loading import ingest, swap
from store.database import Database
from store.importers.pipeline import import_source
import store.importers.delimited, store.importers.run
ingest.BATCH_ROWS = 1024
store_batch = ingest.store_batch

def announced(*arguments, **keywords):
    print("storing", flush=True)
    return store_batch(*arguments, **keywords)

def swapped(*arguments):
    print("storing", flush=True)
    return put_back(*arguments)

ingest.store_batch = announced
put_back, swap.put_back, swap._PAGES_A_STEP = swap.put_back, swapped, 1
print("ready", flush=True)
import_source(Database(sys.argv[1]), sys.argv[2])
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = random.Random(3)
    pairs = [(user, item) for user in range(400) for item in rng.sample(range(1000), N_ROWS // 400)]
    rng.shuffle(pairs)
    path = tmp_path_factory.mktemp("source") / "ratings.csv"
    path.write_text(
        "user,item,rating\n" + "".join(f"u{user},i{item},{rng.randint(1, 10) / 2}\n" for user, item in pairs)
    )
    return path


@pytest.mark.faults
def test_a_killed_import_leaves_whole_batches_and_can_be_repeated(
    source: Path, tmp_path: Path, rounds: Callable[[int], int]
) -> None:
    clean = Database(tmp_path / "clean.db")
    import_source(clean, str(source))
    expected = stored(clean)
    assert len(expected) == N_ROWS
    seen = set()
    first = tmp_path / "first.csv"
    first.write_text("user,item,rating\nu0,another,3\n")
    for number in range(rounds(10)):
        by_batches = number % 4 < 2
        database = Database(tmp_path / f"killed-{number}.db")
        migrate(database)
        if by_batches:  # what is there already keeps the others from going in at once
            import_source(database, str(first))
        database.close()
        process = start(CODE, database.path, source)
        wait_for(process, "storing" if number % 2 else "ready")
        time.sleep(random.Random(number).uniform(0, 0.05 if number % 2 else 0.5))
        kill(process)
        with database.read() as db:
            assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
            total = db.execute("SELECT count(*) FROM ratings").fetchone()[0]
            assert db.execute("SELECT coalesce(sum(stored), 0) FROM imports").fetchone()[0] == total
            assert (
                db.execute("SELECT count(*) FROM users WHERE revision > 0").fetchone()[0]
                == (db.execute("SELECT count(DISTINCT user) FROM ratings").fetchone()[0])
            )
        count = total - by_batches
        assert by_batches or count in {0, N_ROWS}
        seen.add(0 < count < N_ROWS)
        again = import_source(database, str(source))
        assert (again.unchanged, again.stored) == (count, N_ROWS - count)
        others = {("u0", "another"): (3.0, None)} if by_batches else {}
        assert stored(database) == expected | others
        assert not list(tmp_path.glob("*.staging-*"))
        with database.read() as db:
            states = [row[0] for row in db.execute("SELECT state FROM imports ORDER BY id")]
        assert states[-1] == "done"
        assert "running" not in states
        database.close()
    clean.close()
    assert True in seen, "no round met the import while it was storing"
