"""Each importer killed at random moments: whole batches that its record counts, and a re-run ends as a clean one."""

import random
import time
from collections.abc import Callable, Iterator
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
from tests.processes import kill, start, wait_for
from tests.store.rows import stored

N_ROWS = 6_000
CODE = """
import sys
from store.loading import ingest
from store.database import Database
from store.importers.pipeline import import_source
from store.importers.source import ReadOptions
ingest.BATCH_ROWS = 256
database = Database(sys.argv[1])
print("ready", flush=True)
import_source(database, sys.argv[2], reading=ReadOptions(collection="ratings"))
print("done", flush=True)
"""
WRITERS = {"csv": as_csv, "movielens": as_movielens, "jsonl": as_jsonl, "parquet": as_parquet, "sqlite": as_sqlite}


@pytest.fixture(scope="module")
def lines() -> list[Line]:
    rng = random.Random(3)
    pairs = [(user, item) for user in range(200) for item in rng.sample(range(1000), N_ROWS // 200)]
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


@pytest.mark.faults
@pytest.mark.parametrize("name", IMPORTERS)
def test_killed_at_any_moment_it_can_be_repeated(
    name: str, sources: dict[str, str], tmp_path: Path, rounds: Callable[[int], int]
) -> None:
    reading = ReadOptions(collection="ratings")
    clean = Database(tmp_path / "clean.db")
    began = time.monotonic()
    import_source(clean, sources[name], reading=reading)
    span = 2 * (time.monotonic() - began) + 0.3
    expected = stored(clean)
    clean.close()
    assert len(expected) == N_ROWS
    for number in range(rounds(4)):
        database = Database(tmp_path / f"killed-{number}.db")
        migrate(database)
        with database.write() as db:  # a rating of a person, so that rows go in batch by batch
            db.execute("INSERT INTO users (user) VALUES ('somebody')")
            db.execute("INSERT INTO items (item) VALUES ('something')")
            db.execute("INSERT INTO ratings (user, item, rating) VALUES (1, 1, 3)")
        database.close()
        process = start(CODE, database.path, sources[name])
        wait_for(process, "ready")
        time.sleep(random.Random(number).uniform(0, span))
        kill(process)
        with database.read() as db:
            assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
            count = db.execute("SELECT count(*) FROM ratings WHERE import > 0").fetchone()[0]
            assert db.execute("SELECT coalesce(sum(stored), 0) FROM imports").fetchone()[0] == count
        again = import_source(database, sources[name], reading=reading)
        assert (again.unchanged, again.stored) == (count, N_ROWS - count)
        assert stored(database) == expected | {("somebody", "something"): (3.0, None)}
        assert not list(tmp_path.glob("*.staging-*"))
        database.close()
