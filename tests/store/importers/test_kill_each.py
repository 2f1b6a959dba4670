"""Each importer killed at random moments: whole batches that its record counts, and a re-run ends as a clean one."""

import random
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pymongo import MongoClient

from store.database import Database
from store.importers import IMPORTERS
from store.importers.pipeline import import_source
from store.importers.source import ReadOptions
from store.migrations import migrate
from tests import mongo
from tests.contracts.test_importers import Line, as_csv, as_jsonl, as_movielens, as_parquet, as_sqlite
from tests.store.rows import stored
from tests.zygote import Zygote

N_ROWS = 2_000
CODE = """
import pyarrow.parquet
from store.loading import ingest
from store.database import Database
from store.importers import IMPORTERS, importer_class
from store.importers.pipeline import import_source
from store.importers.source import ReadOptions
ingest.BATCH_ROWS = 64
for name in IMPORTERS:
    importer_class(name)

def work(values):
    import_source(Database(values[0]), values[1], reading=ReadOptions(collection="ratings"))
"""
WRITERS = {"csv": as_csv, "movielens": as_movielens, "jsonl": as_jsonl, "parquet": as_parquet, "sqlite": as_sqlite}


@pytest.fixture(scope="module")
def lines() -> list[Line]:
    rng = random.Random(3)
    pairs = [(user, item) for user in range(100) for item in rng.sample(range(500), N_ROWS // 100)]
    rng.shuffle(pairs)
    return [(f"u{user}", f"i{item}", str(rng.randint(1, 10) / 2), str(10**9 + user)) for user, item in pairs]


@pytest.fixture(scope="module")
def sources(lines: list[Line], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("sources")
    with mongo.server("nx-27017") as address, MongoClient(address) as client:
        names = ("user", "item", "rating", "time")
        client.films.ratings.insert_many([dict(zip(names, line, strict=True)) for line in lines])
        found = {name: str(write(folder, lines)) for name, write in WRITERS.items()}
        yield found | {"mongodb": f"{address}/films"}


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote(CODE) as made:
        yield made


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a rating of a person, so that rows go in batch by batch."""
    path = tmp_path_factory.mktemp("begun") / "begun.db"
    with closing(Database(path)) as database:
        migrate(database)
        with database.write() as db:
            db.execute("INSERT INTO users (user) VALUES ('somebody')")
            db.execute("INSERT INTO items (item) VALUES ('something')")
            db.execute("INSERT INTO ratings (user, item, rating) VALUES (1, 1, 3)")
    return path


@pytest.mark.faults
@pytest.mark.parametrize("name", IMPORTERS)
def test_killed_at_any_moment_it_can_be_repeated(
    name: str,
    sources: dict[str, str],
    zygote: Zygote,
    begun: Path,
    tmp_path: Path,
    rounds: Callable[[int], int],
) -> None:
    reading = ReadOptions(collection="ratings")
    clean = Database(tmp_path / "clean.db")
    import_source(clean, sources[name], reading=reading)
    expected = stored(clean)
    clean.close()
    assert len(expected) == N_ROWS
    whole = Database(shutil.copy(begun, tmp_path / "whole.db"))
    began = time.monotonic()
    child = zygote.start(whole.path, sources[name])
    while not done(whole):
        time.sleep(0.005)
    span = 1.2 * (time.monotonic() - began)
    zygote.kill(child)
    states = set()
    for number in range(rounds(20)):
        database = Database(shutil.copy(begun, tmp_path / f"killed-{number}.db"))
        child = zygote.start(database.path, sources[name])
        time.sleep(random.Random(number).uniform(0, span))
        zygote.kill(child)
        with database.read() as db:
            assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
            count = db.execute("SELECT count(*) FROM ratings WHERE import > 0").fetchone()[0]
            assert db.execute("SELECT coalesce(sum(stored), 0) FROM imports").fetchone()[0] == count
        state = "none" if not count else "all" if count == N_ROWS else "some"
        states.add(state)
        span *= {"none": 1.2, "some": 1.0, "all": 0.9}[state]  # the machine may be busier now than it was
        again = import_source(database, sources[name], reading=reading)
        assert (again.unchanged, again.stored) == (count, N_ROWS - count)
        assert stored(database) == expected | {("somebody", "something"): (3.0, None)}
        assert not list(tmp_path.glob("*.staging-*"))
        database.close()
    assert len(states) > 1, "every round met the import at the same place"


def done(database: Database) -> bool:
    """Tell whether the import has ended."""
    with database.read() as db:
        found = db.execute("SELECT state FROM imports").fetchall()
    return found == [("done",)]
