"""Bad input: one line of what happened, one of what to do, the right exit code, and nothing half written."""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest

from store.database import APPLICATION_ID
from tests.cli import SAMPLE, call, few_ratings, run, start


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of sources that cannot be imported, each for a reason of its own."""
    place = tmp_path_factory.mktemp("bad")
    (place / "empty-folder").mkdir()
    (place / "empty.csv").touch()
    (place / "binary.csv").write_bytes(bytes(range(256)) * 20)
    (place / "header.csv").write_text("user,item,rating\n")
    (place / "no-rating.csv").write_text("user,item,liking\n1,7,3\n")
    (place / "no-names.csv").write_text("a,b,c\n1,7,3\n")
    (place / "prose.txt").write_text("Dear diary\nnothing happened\n")
    (place / "outside.csv").write_text("user,item,rating\n1,7,99\n")
    (place / "few.csv").write_text("user,item,rating\n" + "".join(f"{row},7,3\n" for row in range(99)))
    (place / "ragged.csv").write_text("user,item\n1,7\n1\n")
    (place / "letters.csv").write_text("user,item,rating\n1,7,good\n")
    (place / "unknown.csv").write_text("user,item,rating\n1,7,3\n1,no such item,3\n")
    (place / "text.db").write_text("not a database at all\n" * 100)
    for name, application, version in (("other.db", 0, 0), ("newer.db", APPLICATION_ID, 9999)):
        with closing(sqlite3.connect(place / name)) as connection:
            connection.execute("CREATE TABLE t (a)")
            connection.execute(f"PRAGMA application_id = {application}")
            connection.execute(f"PRAGMA user_version = {version}")
            connection.commit()
    return place


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Some of the sample data and an active version."""
    folder = tmp_path_factory.mktemp("trained")
    db = folder / "films.db"
    call(db, "import", few_ratings(folder / "sample"))
    call(db, "train", "popularity", "--activate", "--json")
    return db


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A database without rows."""
    db = tmp_path_factory.mktemp("fresh") / "fresh.db"
    call(db, "init")
    return db


def content(db: Path) -> list[str]:
    """Return everything in a database that a refused command must leave as it is."""
    tables = ("ratings", "users", "items", "versions", "audit", "canaries", "jobs", "meta")
    with closing(sqlite3.connect(db)) as connection:
        return [str(connection.execute(f"SELECT * FROM {table}").fetchall()) for table in tables]


def check(db, words, code, said, hint):
    """Run a command for people and for programs, and look at what it says."""
    shown = call(db, *words, expect=code)
    lines = [line for line in shown.err.splitlines() if not line.startswith(" ")]  # those are progress
    assert [line.split(":")[0] for line in lines] == ["error", "hint"], shown.err
    assert said.lower() in lines[0].lower()
    assert hint in lines[1]
    assert shown.out == ""
    told = call(db, *words, "--json", expect=code)
    assert told.out == ""
    assert set(told.error) == {"code", "message", "hint"}
    assert said.lower() in told.error["message"].lower()
    assert told.err.count("\n") == 1


SOURCES = {
    "missing.csv": (3, "no file", "path"),
    "empty-folder": (4, "no ratings", "MovieLens"),
    "empty.csv": (4, "empty", "user,item,rating"),
    "binary.csv": (4, "binary", "CSV"),
    "header.csv": (4, "no rows", "complete"),
    "no-rating.csv": (4, "its columns: user, item, liking", "--map rating="),
    "no-names.csv": (4, "a, b, c", "--map user=1"),
    "prose.txt": (4, "no user", "--map"),
    "outside.csv --strict": (4, "outside the scale", "--strict"),
    "few.csv --scale 1:5": (2, "contradicts", "--scale"),
    "few.csv --scale 5:1": (2, "no scale", "0.5:5:0.5"),
    "few.csv --map user": (2, "no value", "KEY=VALUE"),
    "few.csv --map person=user": (2, "no such role", "user=COLUMN"),
    "few.csv --map user=nobody": (4, "nobody", "columns: user, item, rating"),
    "few.csv --format xml": (2, "xml", "--help"),
    "few.csv --duplicates perhaps": (2, "perhaps", "--help"),
}


@pytest.mark.parametrize("line", SOURCES)
def test_sources_that_cannot_be_imported(folder, trained, line, monkeypatch):
    monkeypatch.chdir(folder)
    before = content(trained)
    check(trained, ["import", *line.split()], *SOURCES[line])
    assert content(trained) == before


@pytest.mark.parametrize("line", ["missing.csv", "empty.csv", "binary.csv", "no-rating.csv"])
def test_a_source_that_cannot_be_read_makes_no_database(folder, tmp_path, line):
    call(tmp_path / "new.db", "import", folder / line, expect=None)
    assert list(tmp_path.iterdir()) == []


def test_rows_outside_the_scale_are_kept_aside(folder, tmp_path):
    db = tmp_path / "new.db"
    done = call(db, "import", folder / "few.csv", "--scale", "1:5", "--json").json
    assert (done["stored"], done["rejected"]) == (99, 0)
    done = call(db, "import", folder / "outside.csv", "--json").json
    assert (done["stored"], done["rejected"], done["reasons"]) == (0, 1, {"rating outside the scale": 1})
    kept = call(db, "imports", "show", str(done["import_id"]), "--json").json["quarantine_rows"]
    assert kept == [{"source": "outside.csv", "line": 2, "reason": "rating outside the scale", "raw": "1,7,99"}]


ASKED = {
    "train nothing": (2, "unknown model 'nothing'", "popularity"),
    "train": (2, "which model", "mf"),
    "train mf --set n_factos=8": (2, "n_factos", "did you mean n_factors"),
    "train mf --set n_factors=0": (2, "n_factors = 0", "from 1 to 1024"),
    "train mf --set n_factors=many": (2, "n_factors = many", "whole number"),
    "train mf --set n_factors": (2, "no value", "KEY=VALUE"),
    "train mf --set solver=magic": (2, "solver = magic", "als, sgd"),
    "train mf --split fair": (2, "fair", "--help"),
    "train mf --test 2": (2, "2", "--help"),
    "train mf --seed -1": (2, "-1", "--help"),
    "train mf --time-limit soon": (2, "soon", "10m"),
    "train mf --activate-if-better beauty": (2, "beauty", "ndcg"),
    "train mf --activate-if-better rmse --test 0": (2, "held-out", "--test 0"),
    "train --all --set a=1": (2, "--all", "train MODEL"),
    "train --resume 1": (2, "done", "jobs list"),
    "train --resume 99": (3, "no job 99", "jobs list"),
    "jobs show 99": (3, "no job 99", "jobs list"),
    "jobs tail 99": (3, "no job 99", "jobs list"),
    "jobs attach 99": (3, "no job 99", "jobs list"),
    "jobs cancel 1": (2, "already done", "jobs list"),
    "jobs show one": (2, "one", "--help"),
    "imports show 99": (3, "no import 99", "imports list"),
    "models show v99": (3, "no version v99", "models list"),
    "models show ../v1": (2, "names no version", "latest"),
    "models activate previous": (3, "no previous version", "activated"),
    "models rollback": (3, "no previous version", "activated"),
    "models delete v1 --yes": (2, "active", "activate another"),
    "models delete v1": (2, "v1", "activate another"),
    "metrics explain beauty": (2, "beauty", "ndcg"),
    "evaluate v99": (3, "no version", "models list"),
    "evaluate --on missing.csv": (3, "no file", "path"),
    "evaluate --on no-rating.csv": (4, "liking", "--map"),
    "recommend": (2, "which user", "--all"),
    "recommend 1 -n 0": (2, "0", "--help"),
    "recommend 1 -n -3": (2, "-3", "--help"),
    "recommend 1 --version v99": (3, "no version", "models list"),
    "recommend 1 --version newest": (2, "newest", "latest"),
    "recommend 1 --only-genre Dramma": (2, "Dramma", "Drama"),
    "recommend nobody --prefer-genre Dramma": (2, "Dramma", "Drama"),
    "recommend 1 --diversity 2": (2, "2", "--help"),
    "recommend --all": (2, "target", "--out"),
    "recommend 1 --all --out x.csv": (2, "--all", "USER"),
    "recommend --all --out nowhere/x.csv": (3, "no folder nowhere", "make it"),
    "recommend --all --out lists.xlsx": (2, ".xlsx", ".parquet"),
    "predict 1": (2, "which user and item", "--pairs"),
    "predict 1 nothing": (3, "unknown item 'nothing'", "items search"),
    "predict --pairs missing.csv --out x.csv": (3, "no file missing.csv", "user, item"),
    "predict --pairs ragged.csv --out x.csv": (4, "line 3", "user,item"),
    "predict --pairs binary.csv --out x.csv": (4, "no CSV", "user,item"),
    "predict --pairs few.csv": (2, "target", "--out"),
    "explain 1 nothing": (3, "unknown item", "items search"),
    "similar nothing": (3, "unknown item", "items search"),
    "rate 1 7": (2, "no rating", "VALUE"),
    "rate 1 7 9": (4, "not on the scale", "0.5 to 5"),
    "rate 1 7 nan": (4, "not on the scale", "0.5 to 5"),
    "rate 1 7 good": (2, "good", "--help"),
    "rate 1 7 -1": (2, "-1", "--"),
    "rate 1 nothing 3": (3, "unknown item", "items search"),
    "rate --unset nobody 7": (3, "no rating", "users show"),
    "rate import missing.csv": (3, "no file", "user, item, rating"),
    "rate import empty.csv": (4, "no ratings", "user,item,rating"),
    "rate import letters.csv": (4, "line 2", "user,item,rating"),
    "rate import unknown.csv": (3, "no such item", "nearest"),
    "rate import outside.csv": (4, "not on the scale", "0.5 to 5"),
    "users show nobody": (3, "unknown user", "users list"),
    "users list --limit 0": (2, "0", "--help"),
    "users list --limit -1": (2, "-1", "--help"),
    "items show nothing": (3, "unknown item", "items search"),
    "export everything --out x.csv": (2, "everything", "--help"),
    "export ratings --out nowhere/x.csv": (3, "no folder", "make it"),
    "export ratings --out empty-folder": (2, "suffix", ".csv"),
    "backup empty-folder": (2, "exists", "does not exist"),
    "restore missing": (3, "no backup", "backup"),
    "recomend 1": (2, "recomend", "did you mean recommend"),
    "models lits": (2, "lits", "did you mean list"),
    "stats --colour": (2, "--colour", "--help"),
    "users list --format xml": (2, "xml", "--help"),
}


@pytest.mark.parametrize("line", ASKED)
def test_what_cannot_be_asked_is_refused_and_changes_nothing(folder, trained, line, monkeypatch):
    monkeypatch.chdir(folder)
    files = sorted(folder.rglob("*"))
    before = content(trained)
    check(trained, line.split(), *ASKED[line])
    assert content(trained) == before
    assert sorted(folder.rglob("*")) == files


def test_an_unknown_item_names_the_nearest_titles(trained):
    title = call(trained, "items", "show", "7", "--json").json["title"]
    for mistyped in (title, title.replace("Silence", "Silense").lower()):
        hint = call(trained, "explain", "1", mistyped, "--json", expect=3).error["hint"]
        assert f"7 ({title})" in hint


def test_an_unknown_user_is_no_error(trained):
    made = call(trained, "recommend", "nobody", "-n", "3", "--json").json
    assert len(made["items"]) == 3
    assert {item["rung"] for item in made["items"]} == {"popularity"}
    assert call(trained, "predict", "nobody", "7", "--json").json["rung"] == "popularity"


# --- databases ----------------------------------------------------------------------------------------------------

READERS = ["stats", "train mf", "recommend 1", "models list", "users list", "jobs list", "evaluate", "rate 1 7 3"]


@pytest.mark.parametrize("line", READERS)
def test_without_a_database_the_hint_says_how_to_make_one(tmp_path, line):
    check(tmp_path / "none.db", line.split(), 3, "no database", "import FILE")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "said", "hint"),
    [
        ("text.db", "not a database", "--db"),
        ("other.db", "another program", "--db"),
        ("newer.db", "newer", ""),
    ],
)
@pytest.mark.parametrize("line", ["stats", "init", "import few.csv", "recommend 1", "train mf"])
def test_files_that_are_not_our_database_are_left_as_they_are(folder, name, said, hint, line, monkeypatch):
    monkeypatch.chdir(folder)
    before = (folder / name).read_bytes()
    check(folder / name, line.split(), 4, said, hint)
    assert (folder / name).read_bytes() == before
    assert not (folder / f"{name}.models").exists()


def test_a_folder_is_no_database(folder):
    check(folder, ["stats"], 2, "folder", "recsys.db")


@pytest.mark.parametrize("line", ["init", "import few.csv"])
def test_a_place_that_cannot_be_written_to(folder, line, monkeypatch):
    monkeypatch.chdir(folder)
    check(Path("/proc/films.db"), line.split(), 1, "/proc/films.db", "check")


NEEDS_VERSION = [
    "recommend 1",
    "predict 1 7",
    "explain 1 7",
    "similar 7",
    "evaluate",
    "models show",
    "models activate best",
]


@pytest.mark.parametrize("line", NEEDS_VERSION)
def test_without_a_version_the_hint_says_train(fresh, line):
    check(fresh, line.split(), 3, "version", "train")


@pytest.mark.parametrize(
    "line", ["users list", "items list", "items search x", "models list", "jobs list", "imports list"]
)
def test_lists_of_an_empty_database_are_empty(fresh, line):
    assert call(fresh, *line.split(), "--json").json == []
    assert len(call(fresh, *line.split()).out.splitlines()) == 1  # the names of the columns
    assert call(fresh, *line.split(), "--format", "table").err.count("\n") == 1


def test_an_empty_database_has_counts_of_nothing(fresh):
    assert call(fresh, "stats", "--json").json["ratings"] == 0


# --- training -----------------------------------------------------------------------------------------------------


def test_fewer_than_100_ratings_are_too_few(folder, tmp_path):
    db = tmp_path / "few.db"
    call(db, "import", folder / "few.csv")
    check(db, ["train", "popularity"], 4, "99 ratings", "import")
    check(db, ["train", "--all"], 4, "99 ratings", "import")
    assert call(db, "models", "list", "--json").json == []


@pytest.mark.parametrize("how", ["last", "temporal"])
def test_a_split_by_time_of_ratings_without_times(tmp_path, how):
    db, file = tmp_path / "timeless.db", tmp_path / "timeless.csv"
    file.write_text("user,item,rating\n" + "".join(f"{row % 10},{row // 10},3\n" for row in range(100)))
    call(db, "import", file)
    check(db, ["train", "popularity", "--split", how], 4, "no times", "--split random")


def test_a_run_that_diverges_registers_nothing(trained):
    before = call(trained, "models", "list", "--json").json
    settings = ["--set", "solver=sgd", "--set", "learning_rate=1", "--set", "epochs=30"]
    done = call(trained, "train", "mf", *settings, "--activate", "--json", expect=5)
    assert done.error["code"] == "training_failed"
    assert "learning_rate" in done.error["hint"]
    assert done.out == ""
    assert call(trained, "models", "list", "--json").json == before


# --- the machine --------------------------------------------------------------------------------------------------


def test_a_full_disk_damages_nothing(small_disk, trained, folder):
    db = small_disk / "films.db"
    call(db, "import", folder / "few.csv")
    with (small_disk / "filler").open("wb", buffering=0) as filler, suppress(OSError):
        while filler.write(bytes(4096)):
            pass
    before = content(db)
    for line in (["import", SAMPLE], ["export", "ratings", "--out", small_disk / "out.csv"], ["rate", "1", "7", "4"]):
        done = run(db, *line, "--json", expect=1)
        assert done.error["code"] == "disk_full"
        assert "space" in done.error["hint"]
        assert content(db) == before
    assert run(db, "stats", "--json").json["ratings"] == 99
    assert {path.name for path in small_disk.iterdir()} <= {"films.db", "films.db.models", "filler"}
    done = run(trained, "recommend", "--all", "--out", small_disk / "lists.parquet", "--json", expect=1)
    assert done.error["code"] == "disk_full"
    (small_disk / "filler").unlink()
    assert run(db, "rate", "1", "7", "4", "--json").json["previous"] == 3.0


def test_a_reader_that_goes_away_is_no_error(trained):
    with start(trained, "users", "list", "--limit", "100000") as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(10) in {0, 141}  # 600 users may have been written already
