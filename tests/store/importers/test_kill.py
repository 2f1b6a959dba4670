"""A killed import leaves all, nothing or whole batches, which its record counts, and can simply be repeated."""

import random
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from store.database import Database
from store.importers.pipeline import import_source
from store.migrations import migrate
from tests.store.rows import stored
from tests.zygote import Zygote

N_ROWS = 10_000
CODE = """
from store.loading import ingest, swap
from store.database import Database
from store.importers.pipeline import import_source
import store.importers.delimited, store.importers.run
ingest.BATCH_ROWS = 512
store_batch = ingest.store_batch

def announced(*arguments, **keywords):
    mark()
    return store_batch(*arguments, **keywords)

def swapped(*arguments):
    mark()
    return put_back(*arguments)

ingest.store_batch = announced
put_back, swap.put_back, swap._PAGES_A_STEP = swap.put_back, swapped, 1

def work(values):
    global mark
    mark = lambda: open(values[2], "w").close()
    import_source(Database(values[0]), values[1])
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = random.Random(3)
    pairs = [(user, item) for user in range(200) for item in rng.sample(range(1000), N_ROWS // 200)]
    rng.shuffle(pairs)
    path = tmp_path_factory.mktemp("source") / "ratings.csv"
    path.write_text(
        "user,item,rating\n" + "".join(f"u{user},i{item},{rng.randint(1, 10) / 2}\n" for user, item in pairs)
    )
    return path


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote(CODE) as made:
        yield made


@pytest.mark.faults
def test_a_killed_import_leaves_whole_batches_and_can_be_repeated(
    source: Path, zygote: Zygote, tmp_path: Path, rounds: Callable[[int], int]
) -> None:
    clean = Database(tmp_path / "clean.db")
    import_source(clean, str(source))
    expected = stored(clean)
    assert len(expected) == N_ROWS
    seen = set()
    first = tmp_path / "first.csv"
    first.write_text("user,item,rating\nu0,another,3\n")
    begun = [Database(tmp_path / f"begun-{number}.db") for number in (0, 1)]
    for database in begun:
        migrate(database)
    import_source(begun[1], str(first))  # what is there already keeps the others from going in at once
    for database in begun:
        database.close()
    for number in range(rounds(20)):
        by_batches = number % 4 < 2
        database = Database(shutil.copy(begun[by_batches].path, tmp_path / f"killed-{number}.db"))
        storing = tmp_path / f"storing-{number}"
        child = zygote.start(database.path, source, storing)
        while number % 2 and not storing.exists():
            time.sleep(0.001)
        time.sleep(random.Random(number).uniform(0, 0.05 if number % 2 else 0.3))
        zygote.kill(child)
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
