"""Damaged databases: whatever bytes are changed, the answer is data or one of our errors, soon, and never a crash."""

import shutil
from contextlib import closing

import numpy as np
import pytest

from store import errors
from store.artifacts import Bundle
from store.database import Database
from store.journal import Journal
from store.migrations import schema_version
from store.registry import MetricRow, NewVersion, Registry
from tests import processes

LOOK = """
import random, shutil, sys
from pathlib import Path
from store import catalog, evidence, imports
from store.database import Database
from store.errors import StoreError
from store.journal import Journal
from store.migrations import schema_version
from store.registry import Registry

whole, path, seed, rounds = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
content, dice = whole.read_bytes(), random.Random(seed)

def questions(database):
    registry, journal = Registry(database), Journal(database)
    yield lambda: schema_version(database)
    yield lambda: catalog.list_users(database, limit=500)
    yield lambda: catalog.find_user(database, "u7")
    yield lambda: list(catalog.user_ids(database))
    yield lambda: catalog.list_items(database, limit=500)
    yield lambda: catalog.search_items(database, "ferry")
    yield lambda: catalog.nearest_items(database, "i99999")
    yield lambda: catalog.genre_names(database)
    yield lambda: evidence.everybody(database, 1)
    yield lambda: evidence.genre_tastes(database, 1)
    yield registry.versions
    yield lambda: registry.resolve("active")
    yield lambda: registry.resolve("best")
    yield lambda: registry.resolve("previous")
    yield lambda: registry.verify(1)
    yield registry.audit
    yield journal.recent
    yield lambda: journal.events(1)
    yield lambda: imports.list_imports(database)
    yield lambda: imports.quarantined(database, 1)

refused = 0
for number in range(rounds):
    damaged = bytearray(content)
    if number % 4 == 3:
        damaged = damaged[: dice.randrange(len(content))]
    else:
        place = dice.randrange(4096) if number % 4 == 2 else dice.randrange(len(content))
        damaged[place] ^= 1 << dice.randrange(8)
    path.write_bytes(damaged)
    database = Database(path)
    for question in questions(database):
        try:
            question()
        except StoreError as error:
            assert error.hint, error
            refused += 1
    database.close()
print(refused)
"""


@pytest.fixture
def filled(database):
    """A database with something in every table, closed."""
    with database.write() as db:
        db.executemany("INSERT INTO users (user) VALUES (?)", ((f"u{n}",) for n in range(300)))
        db.executemany(
            "INSERT INTO items (item, title, year) VALUES (?, ?, ?)",
            ((f"i{n}", f"Ferry {n} ({1900 + n % 100})", 1900 + n % 100) for n in range(300)),
        )
        db.execute("INSERT INTO genres (name) VALUES ('Drama'), ('Comedy')")
        db.execute("INSERT INTO item_genres SELECT id, 1 + id % 2 FROM items")
        db.executemany(
            "INSERT INTO ratings VALUES (?, ?, ?, ?, 1)",
            ((1 + n % 300, 1 + (n * 7) % 299, n % 10 / 2, n) for n in range(2000)),
        )
        db.execute(
            "INSERT INTO imports (source, format, options, state, started_at, reasons) "
            "VALUES ('a.csv', 'csv', '{\"scale\": \"0.5:5\"}', 'done', 1.0, '{\"no_item\": 3}')"
        )
        db.execute("INSERT INTO quarantine (import, line, reason, raw, source) VALUES (1, 2, 'no_item', 'a,,3', '')")
    registry, journal = Registry(database), Journal(database)
    for n in range(3):
        new = NewVersion(
            "mf", {"n_factors": 3}, {"n_ratings": 5}, {"split": "random"}, {"host": "h"}, {"ndcg@10": MetricRow(n / 9)}
        )
        registry.save(new, {"model": Bundle({"a": np.ones(3)}, {})})
        registry.activate(n + 1, who="ann")
    job = journal.create("train", "mf", {"model": "mf", "settings": {"n_factors": 3}})
    for n in range(5):
        journal.add_event(job, "epoch", {"number": n})
    journal.finish(job, "done", exit_code=0, version=3)
    database.close()
    return database


@pytest.mark.faults
def test_flipped_and_cut_files_never_crash_or_hang_it(filled, tmp_path, rounds):
    n = rounds(120)
    watcher = processes.start(LOOK, filled.path, tmp_path / "damaged.db", n, n)  # the number of rounds is the seed
    refused = int(processes.finish(watcher, timeout=5.0 + n))
    assert refused > n / 10  # the damage reached something


def test_a_header_of_zeros_is_refused_and_left_as_it_is(filled):
    content = b"\0" * 100 + filled.path.read_bytes()[100:]
    filled.path.write_bytes(content)
    with pytest.raises(errors.NotOurDatabase):
        schema_version(Database(filled.path))
    assert filled.path.read_bytes() == content


@pytest.mark.parametrize(
    ("statement", "question"),
    [
        ("UPDATE versions SET files = '{' WHERE id = 2", lambda database: Registry(database).versions()),
        ("UPDATE versions SET files = '[1]' WHERE id = 2", lambda database: Registry(database).get(2)),
        ("UPDATE versions SET lineage = x'ff' WHERE id = 2", lambda database: Registry(database).resolve("v2")),
        ("UPDATE jobs SET request = 'null,'", lambda database: Journal(database).get(1)),
        ("UPDATE jobs SET request = ''", lambda database: Journal(database).recent()),
        ("UPDATE events SET data = '{\"a\": '", lambda database: Journal(database).events(1)),
    ],
)
def test_a_row_that_nobody_wrote_is_reported_as_damage(filled, statement, question):
    with filled.write() as db:
        db.execute(statement)
    with pytest.raises(errors.Damaged, match="not as it was written") as caught:
        question(filled)
    assert "restore" in caught.value.hint


def test_a_lost_journal_of_a_closed_database_costs_nothing(filled, tmp_path):
    copy = tmp_path / "copy.db"
    shutil.copy(filled.path, copy)
    for suffix in ("-wal", "-shm", "-journal"):
        (tmp_path / f"copy.db{suffix}").unlink(missing_ok=True)
    with closing(Database(copy)) as database, database.read() as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("SELECT count(*) FROM ratings").fetchone()[0] > 1000
