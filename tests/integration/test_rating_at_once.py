"""The command line from many shells at once, some of them killed: what was acknowledged is there, nothing by halves."""

import csv
import os
import random
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest

from tests.processes import ROOT

SHELLS, EACH, KILLED = 8, 25, 2


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "recsys_tui", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.mark.faults
def test_what_was_acknowledged_is_there_after_sigkill(tmp_path):
    database, items = tmp_path / "films.db", [f"i{number}" for number in range(100)]
    (tmp_path / "first.csv").write_text("user,item,rating\n" + "".join(f"first,{item},3\n" for item in items))
    first = start("--db", database, "import", tmp_path / "first.csv")
    assert first.wait(60) == 0
    draw, given = random.Random(1), {}
    for shell in range(SHELLS):
        given[shell] = {(f"u{shell}", item): draw.randint(1, 5) for item in draw.sample(items, EACH)}
        with (tmp_path / f"{shell}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("user", "item", "rating"), *((*pair, v) for pair, v in given[shell].items())])
    running = [start("--db", database, "rate", "import", tmp_path / f"{n}.csv") for n in range(SHELLS)]
    for process in draw.sample(running, KILLED):
        time.sleep(draw.uniform(0.1, 0.5))
        process.kill()
    codes = [process.wait(120) for process in running]
    with closing(sqlite3.connect(database)) as db:
        stored = {
            (user, item): rating
            for user, item, rating in db.execute(
                "SELECT u.user, i.item, r.rating FROM ratings r JOIN users u ON u.id = r.user "
                "JOIN items i ON i.id = r.item WHERE u.user <> 'first'"
            )
        }
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert codes.count(0) >= SHELLS - KILLED
    for shell, code in enumerate(codes):
        theirs = {pair: rating for pair, rating in stored.items() if pair[0] == f"u{shell}"}
        assert theirs == given[shell] or (code != 0 and not theirs)
