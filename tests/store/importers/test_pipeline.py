"""An import as a whole: policies for duplicates, the scale, dry runs, strictness, revisions, what is recorded."""

import json
from pathlib import Path

import pytest

from store import errors, ratings
from store.database import Database
from store.importers import run
from store.importers.pipeline import import_source
from store.importers.progress import Progress
from store.scales import StoredScale
from tests.store.rows import quarantine, stored

PAIRS = "user,item,rating,time\nu,i,2,20\nu,j,3,\nu,i,4,10\nu,i,1,20\nu,j,5,\n"


def write(folder: Path, text: str, name: str = "ratings.csv") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("latest", {("u", "i"): (1.0, 20), ("u", "j"): (5.0, None)}),
        ("first", {("u", "i"): (2.0, 20), ("u", "j"): (3.0, None)}),
        ("mean", {("u", "i"): (7 / 3, 20), ("u", "j"): (4.0, None)}),
    ],
)
def test_duplicates_within_a_source(
    database: Database, tmp_path: Path, policy: str, expected: dict[tuple[str, str], tuple[float, int | None]]
) -> None:
    source = write(tmp_path, PAIRS)
    result = import_source(database, source, duplicates=policy)
    assert stored(database) == expected
    assert (result.read, result.stored, result.duplicates) == (5, 2, 3)
    again = import_source(database, source, duplicates=policy)
    assert (again.stored, again.updated, again.unchanged, again.duplicates) == (0, 0, 2, 3)
    assert stored(database) == expected


def test_duplicates_within_a_source_are_an_error_if_asked(database: Database, tmp_path: Path) -> None:
    with pytest.raises(errors.DataRefused, match="user 'u', item 'i' occurs twice") as caught:
        import_source(database, write(tmp_path, PAIRS), duplicates="error")
    assert "--duplicates latest" in caught.value.hint
    assert stored(database) == {}


@pytest.mark.parametrize(
    ("policy", "row", "expected", "counts"),
    [
        ("latest", "u,i,4,60", (4.0, 60), (0, 1, 0)),
        ("latest", "u,i,4,50", (4.0, 50), (0, 1, 0)),
        ("latest", "u,i,4,40", (2.0, 50), (0, 0, 1)),
        ("latest", "u,i,4,", (4.0, None), (0, 1, 0)),
        ("latest", "u,i,2,", (2.0, 50), (0, 0, 1)),
        ("latest", "u,i,2,60", (2.0, 60), (0, 1, 0)),
        ("first", "u,i,4,60", (2.0, 50), (0, 0, 1)),
        ("mean", "u,i,4,40", (3.0, 50), (0, 1, 0)),
        ("mean", "u,i,2,40", (2.0, 50), (0, 0, 1)),
        ("mean", "u,i,4,", (3.0, 50), (0, 1, 0)),
        ("error", "u,i,2,60", (2.0, 50), (0, 0, 1)),
        ("latest", "u,j,4,60", (2.0, 50), (1, 0, 0)),
    ],
)
def test_duplicates_of_stored_ratings(
    database: Database,
    tmp_path: Path,
    policy: str,
    row: str,
    expected: tuple[float, int | None],
    counts: tuple[int, ...],
) -> None:
    import_source(database, write(tmp_path, "user,item,rating,time\nu,i,2,50\n"))
    source = write(tmp_path, f"user,item,rating,time\n{row}\n")
    foreseen = import_source(database, source, duplicates=policy, dry_run=True)
    assert (foreseen.stored, foreseen.updated, foreseen.unchanged) == counts
    assert foreseen.estimated_seconds == pytest.approx(foreseen.seconds, abs=0.06)  # a few rows take no time to store
    result = import_source(database, source, duplicates=policy)
    assert (result.stored, result.updated, result.unchanged) == counts
    assert stored(database)["u", "i"] == expected
    with database.read() as db:
        replaced = [tuple(row) for row in db.execute("SELECT import, rating, at, previous_import FROM replaced")]
    assert replaced == ([(2, 2.0, 50, 1)] if counts[1] else [])


def test_a_stored_rating_that_differs_is_an_error_if_asked(database: Database, tmp_path: Path) -> None:
    import_source(database, write(tmp_path, "user,item,rating\nu,i,2\n"))
    with pytest.raises(errors.DataRefused, match="user 'u', item 'i' is stored with another rating"):
        import_source(database, write(tmp_path, "user,item,rating\nv,i,3\nu,i,3\n"), duplicates="error")
    assert stored(database) == {("u", "i"): (2.0, None)}


def test_an_unknown_policy_is_refused(database: Database, tmp_path: Path) -> None:
    with pytest.raises(errors.UsageRefused) as caught:
        import_source(database, write(tmp_path, PAIRS), duplicates="newest")
    assert "latest" in caught.value.hint


def test_every_batch_counts_the_revision_up_and_marks_its_users(database: Database, tmp_path: Path) -> None:
    import_source(database, write(tmp_path, "user,item,rating\nu,i,2\nv,i,2\nw,i,2\n"))
    before = ratings.revision(database)
    import_source(database, write(tmp_path, "user,item,rating\nu,i,3\nv,i,2\nx,i,2\n"))
    assert ratings.revision(database) == before + 1
    with database.read() as db:
        revisions = dict(db.execute("SELECT user, revision FROM users").fetchall())
    assert revisions == {"u": before + 1, "v": before, "w": before, "x": before + 1}


def test_an_import_that_changes_nothing_leaves_the_revision(database: Database, tmp_path: Path) -> None:
    source = write(tmp_path, "user,item,rating\nu,i,2\n")
    import_source(database, source)
    before = ratings.revision(database)
    import_source(database, source)
    assert ratings.revision(database) == before


def test_strict_stores_nothing_but_says_what_is_wrong(database: Database, tmp_path: Path) -> None:
    with pytest.raises(errors.DataRefused, match=r"1 of 2 rows .* line 3: missing user"):
        import_source(database, write(tmp_path, "user,item,rating\nu,i,2\n,i,2\n"), strict=True)
    assert stored(database) == {}
    assert quarantine(database) == [(3, "missing user", ",i,2")]
    with database.read() as db:
        assert db.execute("SELECT count(*) FROM users").fetchone()[0] == 0
        assert tuple(db.execute("SELECT state, read, rejected, stored FROM imports").fetchone()) == ("failed", 2, 1, 0)


def test_a_dry_run_creates_nothing(tmp_path: Path) -> None:
    database = Database(tmp_path / "none" / "recsys.db")
    result = import_source(database, write(tmp_path, PAIRS + "x,y,z,1\n"), dry_run=True)
    assert not database.path.parent.exists()
    assert (result.import_id, result.read, result.stored, result.duplicates, result.rejected) == (None, 6, 2, 3, 1)
    assert result.preview[0] == {"line": 2, "user": "u", "item": "i", "rating": 2.0, "time": 20, "reason": ""}
    assert result.preview[-1]["reason"] == "rating is not a number"


def test_the_import_is_recorded_with_its_counts(database: Database, tmp_path: Path) -> None:
    source = write(tmp_path, PAIRS + "x,y,z,1\n")
    result = import_source(database, source)
    with database.read() as db:
        row = db.execute(
            "SELECT id, source, format, state, read, stored, updated, unchanged, rejected, reasons, finished_at "
            "FROM imports"
        ).fetchone()
    assert tuple(row[:9]) == (result.import_id, source, "csv", "done", 6, 2, 0, 0, 1)
    assert json.loads(row[9]) == result.reasons == {"rating is not a number": 1}
    assert row[10] is not None
    assert (result.users, result.items) == (1, 2)


def test_an_interrupted_import_is_recorded_as_failed(database: Database, tmp_path: Path) -> None:
    def interrupt(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_source(database, write(tmp_path, PAIRS), progress=interrupt)
    with database.read() as db:
        assert [row[0] for row in db.execute("SELECT state FROM imports")] == ["failed"]
    assert not list(tmp_path.glob("*.staging-*"))


def test_an_import_whose_process_is_gone_is_closed_by_the_next(database: Database, tmp_path: Path) -> None:
    with database.write() as db:
        db.execute(
            "INSERT INTO imports (source, format, options, state, started_at) VALUES ('x', 'csv', ?, 'running', 0)",
            (json.dumps({"pid": 2**22 + 1}),),
        )
    stale = tmp_path / f"{database.path.name}.staging-{2**22 + 1}-2"
    stale.touch()
    import_source(database, write(tmp_path, PAIRS))
    with database.read() as db:
        assert [row[0] for row in db.execute("SELECT state FROM imports ORDER BY id")] == ["failed", "done"]
    assert not stale.exists()


def test_progress_tells_rows_and_bytes(database: Database, tmp_path: Path) -> None:
    seen: list[Progress] = []
    source = write(tmp_path, PAIRS)
    import_source(database, source, progress=seen.append)
    assert seen[0].stage == "reading"
    assert seen[0].bytes_done == seen[0].bytes_total == Path(source).stat().st_size
    assert (seen[-1].stage, seen[-1].rows) == ("storing", 2)


def test_the_quarantine_has_a_limit_but_the_count_has_none(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.importers.record.QUARANTINE_ROWS", 3)
    result = import_source(database, write(tmp_path, "user,item,rating\nu,i,2\n" + 10 * ",i,2\n"))
    assert (result.rejected, result.quarantine, len(quarantine(database))) == (10, 3, 3)


def test_ids_that_another_process_took_meanwhile_are_not_mixed_up(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_source(database, write(tmp_path, "user,item,rating\nold,i,2\n"))
    reading = run.ImportRun._read

    def read_and_meanwhile(self: run.ImportRun, *arguments: object) -> None:
        reading(self, *arguments)
        with database.write() as db:
            db.executemany("INSERT INTO users (user) VALUES (?)", [("other",), ("c",)])

    monkeypatch.setattr(run.ImportRun, "_read", read_and_meanwhile)
    import_source(database, write(tmp_path, "user,item,rating\na,i,2\nb,j,3\nc,i,4\nold,j,5\n"))
    assert stored(database) == {
        ("old", "i"): (2.0, None), ("old", "j"): (5.0, None), ("a", "i"): (2.0, None), ("b", "j"): (3.0, None),
        ("c", "i"): (4.0, None),
    }  # fmt: skip


SCALES = [
    ([1, 2, 3, 4, 5], (1, 5, 1), []),
    ([1, 2.5, 3, 4, 5], (1, 5, 0.5), []),
    ([0.5, 2, 3, 4, 5], (0.5, 5, 0.5), []),
    ([1, 2.25, 3, 4, 5], (1, 5, None), []),
    ([1, 2, 3, 4, 5, 6], (1, 5, 1), [6]),
    ([0, 0, 3, 4, 5], (0, 5, 1), []),
    ([6, 7, 3, 4, 5], (1, 7, 1), []),
    ([0, 10, 9, 8, 7, 6], (0, 10, 1), []),
    ([50, 60, 70, 100, 99.5], (0, 100, 0.5), []),
    ([-10, -5, 3, 9, 10], (-10, 10, 1), []),
    ([-100, 200, 300], (-100, 300, 1), []),
]


@pytest.mark.parametrize(("values", "scale", "refused"), SCALES)
def test_the_scale_is_recognised(
    database: Database,
    tmp_path: Path,
    values: list[float],
    scale: tuple[float, float, float | None],
    refused: list[float],
) -> None:
    text = "user,item,rating\n" + "".join(f"u,{item},{value}\n" for item, value in enumerate(values))
    result = import_source(database, write(tmp_path, text))
    assert result.scale == ratings.scale(database) == StoredScale(*scale)
    assert result.rejected == len(refused)


def test_half_stars_are_taken_where_only_whole_ones_were_seen(database: Database, tmp_path: Path) -> None:
    import_source(database, write(tmp_path, "user,item,rating\nu,i,2\n"))
    assert ratings.scale(database) == (1, 5, 1)
    import_source(database, write(tmp_path, "user,item,rating\nv,i,0.5\nv,j,6\n"))
    assert ratings.scale(database) == (0.5, 5, 0.5)
    assert quarantine(database) == [(3, "rating outside the scale", "v,j,6")]


def test_a_stated_scale_stands(database: Database, tmp_path: Path) -> None:
    source = write(tmp_path, "user,item,rating\nu,i,0\nu,j,7\nu,k,7.5\nu,l,11\n")
    result = import_source(database, source, scale=(0, 10, 1))
    assert ratings.scale(database) == (0, 10, 1)
    assert (result.stored, result.reasons) == (2, {"rating outside the scale": 2})
    with pytest.raises(errors.UsageRefused, match="contradicts"):
        import_source(database, source, scale=(0, 5, 1))


@pytest.mark.parametrize("scale", [(5, 1, None), (1, 5, 0), (1, 5, 0.3), (float("nan"), 5, None), (1, 5, -1)])
def test_what_is_no_scale_is_refused(
    database: Database, tmp_path: Path, scale: tuple[float, float, float | None]
) -> None:
    with pytest.raises(errors.UsageRefused, match="--scale"):
        import_source(database, write(tmp_path, PAIRS), scale=scale)


def test_an_unknown_format_is_refused_with_the_nearest(database: Database, tmp_path: Path) -> None:
    with pytest.raises(errors.UsageRefused) as caught:
        import_source(database, write(tmp_path, PAIRS), format="cvs")
    assert "did you mean csv" in caught.value.hint
