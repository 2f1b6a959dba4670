"""A dirty copy of real data: totals that add up, the quarantine mended, and the way back to the state before."""

import csv
import hashlib
import shutil

import pytest

from tests.cli import call

DIRT = {
    0: lambda cells: [*cells[:2], "NaN", cells[3]],
    1: lambda cells: cells[:3],
    2: lambda cells: [*cells[:2], "99", cells[3]],
    3: lambda cells: ["", *cells[1:]],
    4: lambda cells: [*cells[:3], "never"],
    5: lambda cells: [cells[0], "x" * 600, *cells[2:]],
}


def exported(db, name):
    """A checksum of everything that an import may change."""
    digest = hashlib.sha256()
    for what in ("ratings", "items"):
        out = db.parent / f"{name}-{what}.csv"
        call(db, "export", what, "--out", out)
        digest.update(b"\n".join(sorted(out.read_bytes().splitlines())))
    return digest.hexdigest()


@pytest.mark.slow
@pytest.mark.faults
def test_dirt_is_kept_aside_mended_and_the_import_undone(movielens, tmp_path, rounds):
    """On the first 12,000 ratings, in a campaign on all of them."""
    db, clean = tmp_path / "recsys.db", tmp_path / "clean"
    clean.mkdir()
    shutil.copy(movielens / "movies.csv", clean)
    with (movielens / "ratings.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    rows = rows[:12_000] if rounds(1) == 1 else rows
    with (clean / "ratings.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    call(db, "import", clean)
    before = exported(db, "before")
    dirty, spoiled = [], 0
    for number, cells in enumerate(rows):
        fresh = [f"new{number % 300}", *cells[1:]] if number % 3 else cells
        if number % 20 == 0:
            fresh, spoiled = DIRT[spoiled % len(DIRT)](fresh), spoiled + 1
        dirty.append(fresh)
    with (tmp_path / "dirty.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *dirty, *dirty[-100:]])

    found = call(db, "import", tmp_path / "dirty.csv", "--json").json
    assert found["read"] == len(rows) + 100
    assert found["read"] == sum(found[k] for k in ("stored", "updated", "unchanged", "rejected", "duplicates"))
    assert found["rejected"] == sum(found["reasons"].values()) == found["quarantine"] == spoiled + 5
    assert len(found["reasons"]) == len(DIRT)

    number = str(found["import_id"])
    call(db, "imports", "show", number, "--rejected", "--out", tmp_path / "rejected.csv")
    with (tmp_path / "rejected.csv").open(newline="") as file:
        mended = list(csv.DictReader(file))
    assert len(mended) == spoiled + 5
    with (tmp_path / "rejected.csv").open("w", newline="") as file:
        out = csv.DictWriter(file, list(mended[0]))
        out.writeheader()
        out.writerows(row | {"rating": "3"} if row["reason"] == "rating is not a number" else row for row in mended)
    again = call(db, "imports", "mend", number, tmp_path / "rejected.csv", "--json").json
    assert again["mended"] == found["reasons"]["rating is not a number"] > 50
    assert exported(db, "after") != before

    for undone in (number, str(again["import_id"])):
        preview = call(db, "imports", "undo", undone, "--dry-run", "--json").json
        done = call(db, "imports", "undo", undone, "--json").json
        assert done == preview | {"dry_run": False}
    assert exported(db, "undone") == before
    call(db, "imports", "undo", number, expect=4)
