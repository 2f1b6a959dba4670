"""MongoDB through the command line: the same store as from CSV, and a password that is nowhere to be read."""

import csv
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pymongo import MongoClient

from tests import mongo
from tests.cli import call, environment

SECRET = "s3ntinel"


def contents(db):
    """Everything that was imported, as exported."""
    out = db.with_name(f"{db.name}.csv")
    call(db, "export", "ratings", "--out", out)
    lines = sorted(out.read_text().splitlines())
    call(db, "export", "items", "--out", out)
    return lines, out.read_text()


@pytest.fixture(scope="module")
def folder(movielens, tmp_path_factory, rounds):
    """MovieLens latest-small: its first 12,000 ratings, in a campaign all of them, and all titles."""
    made = tmp_path_factory.mktemp("films")
    shutil.copy(movielens / "movies.csv", made)
    lines = (movielens / "ratings.csv").read_text().splitlines(keepends=True)
    (made / "ratings.csv").write_text("".join(lines[:12_001] if rounds(1) == 1 else lines))
    return made


@pytest.fixture(scope="module", params=mongo.SERVERS)
def films(request, folder):
    """The address of a server that holds the same: ratings by movie id, titles in a second collection."""
    with mongo.server(request.param) as address, MongoClient(address) as client:
        database = client.films
        with (folder / "ratings.csv").open() as file:
            found = [
                {"user": {"id": int(row["userId"])}, "movieId": int(row["movieId"]), "rating": float(row["rating"]),
                 "timestamp": int(row["timestamp"])}
                for row in csv.DictReader(file)
            ]  # fmt: skip
        for start in range(0, len(found), 10_000):
            database.ratings.insert_many(found[start : start + 10_000])
        with (folder / "movies.csv").open() as file:
            titles = [row | {"genres": row["genres"].split("|")} for row in csv.DictReader(file)]
        database.movies.insert_many(titles)
        yield f"{address}/films"


@pytest.mark.slow
@pytest.mark.faults
def test_movielens_out_of_mongodb_is_movielens_out_of_files(films, folder, tmp_path):
    call(tmp_path / "csv.db", "import", folder)
    done = call(
        tmp_path / "mongo.db", "import", films, "--collection", "ratings", "--items-collection", "movies", "--json"
    )
    assert done.json["mapping"] == {"user": "user.id", "item": "movieId", "rating": "rating", "time": "timestamp"}
    assert done.json["read"] == done.json["stored"]
    assert contents(tmp_path / "mongo.db") == contents(tmp_path / "csv.db")
    again = call(tmp_path / "mongo.db", "import", films, "--collection", "ratings", "--since-last", "--json").json
    assert (again["read"], again["stored"]) == (0, 0)


def refuse(_):
    return {"ok": 0.0, "code": 18, "codeName": "AuthenticationFailed", "errmsg": f"no {SECRET}"}


def everything(db: Path, arguments: list[str], **extra: str) -> str:
    """Run a command that fails and return all that it leaves: output, database, whatever lies beside it."""
    command = [sys.executable, "-m", "recsys_tui", *arguments]
    process = subprocess.Popen(
        command, env=environment(db, **extra), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    lines = ""
    if not any(SECRET in argument for argument in arguments):
        time.sleep(0.3)
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                mine = (
                    path.parent.stat().st_uid == os.getuid() and f"{process.pid}" in (path.parent / "stat").read_text()
                )
                lines += path.read_text() if mine else ""
            except OSError:
                continue
    out, err = process.communicate(timeout=60)
    assert process.returncode in {1, 2, 3, 4, 75}, (process.returncode, err)
    assert b"Traceback" not in err
    return lines + (out + err).decode("utf-8", "replace") + files_of(db)


def files_of(db: Path) -> str:
    """Return the bytes of the database and of all that lies beside it, but for the file with the address."""
    files = (path for path in db.parent.rglob("*") if path.is_file() and path.suffix != ".uri")
    return b"".join(path.read_bytes() for path in files).decode("utf-8", "replace")


@pytest.mark.parametrize(
    "address",
    [
        "mongodb://u:s3ntinel@{host}/films", "mongodb://:s3ntinel@{host}/films", "mongodb://s3ntinel@{host}/films",
        "mongodb://u:p@s3ntinel@{host}/films", "mongodb://u:s3/ntinel:s3ntinel@{host}/films",
        "mongodb://u:s3ntinel@{host}", "mongodb://u:s3ntinel@{host}/films?bogus=1&authSource=s3ntinel",
        "mongodb://u:s3ntinel@127.0.0.1:1/films", "mongodb://u:s3ntinel@127.0.0.1:port/films",
        "mongodb+srv://u:s3ntinel@nowhere.invalid/films", "mongodb:/u:s3ntinel@{host}/films",
        "mongodb//u:s3ntinel@{host}/films", "mongo://u:s3ntinel@{host}/films", "u:s3ntinel@{host}/films",
        "mongodb://u:s3ntinel@{host}/fi lms", "mongodb://u:s3ntinel%zz@{host}/films", "mongodb://u:s3ntinel@",
    ],
)  # fmt: skip
@pytest.mark.parametrize("way", ["argument", "variable", "file"])
def test_a_password_is_nowhere_to_be_read(tmp_path, address, way, monkeypatch):
    db = tmp_path / "here" / "recsys.db"
    db.parent.mkdir()
    call(db, "init")
    with mongo.Peer(refuse) as peer:
        address = address.format(host=peer.address.partition("//")[2])
        done = call(db, *ways(way, address, db.parent, monkeypatch), expect=None)
    assert done.code in {2, 3, 4, 75}
    assert SECRET not in done.out + done.err + files_of(db)
    assert "error: " in done.err


def ways(way: str, address: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the arguments of an import that gets its address this way; all but the first tell tracebacks too."""
    options = ["import", "--collection", "ratings", "--timeout", "0.5s"]
    if way == "argument":
        return [*options, address]
    monkeypatch.setenv("RECSYS_DEBUG", "1")
    if way == "variable":
        monkeypatch.setenv("RECSYS_MONGO_URI", address)
        return [*options, "mongodb:"]
    (folder / "secret.uri").write_text(address + "\n")
    return [*options, "--uri-file", str(folder / "secret.uri")]


@pytest.mark.parametrize("way", ["argument", "variable", "file"])
def test_no_process_has_a_password_among_its_words(tmp_path, way, monkeypatch):
    db = tmp_path / "here" / "recsys.db"
    db.parent.mkdir()
    with mongo.Peer(refuse) as peer:
        words = ways(way, peer.address.replace("//", f"//u:{SECRET}@") + "/films", db.parent, monkeypatch)
        told = {name: value for name, value in os.environ.items() if name in {"RECSYS_MONGO_URI", "RECSYS_DEBUG"}}
        left = everything(db, words, **told)
    assert SECRET not in left
    assert "refuses the login" in left


def test_a_password_on_the_command_line_warns(tmp_path):
    with mongo.Peer(refuse) as peer:
        address = peer.address.replace("//", f"//u:{SECRET}@")
        left = everything(tmp_path / "recsys.db", ["import", f"{address}/films", "--collection", "r", "--timeout", "1"])
    assert "RECSYS_MONGO_URI" in left
    assert "refuses the login" in left


def test_a_password_in_a_mistyped_command_is_not_echoed(tmp_path):
    left = everything(tmp_path / "recsys.db", [f"mongodb://u:{SECRET}@h/films"])
    assert SECRET not in left


class Router(mongo.Peer):
    """A peer that says it is a router of shards: only those are told which member to read."""

    HELLO = mongo.Peer.HELLO | {"msg": "isdbgrid"}


def test_read_preference_and_time_out_are_settings_too(tmp_path, monkeypatch):
    asked, began = [], time.monotonic()

    def answer(command):
        if "find" in command:
            asked.append(command["$readPreference"]["mode"])
        found = [{"name": "r", "type": "collection"}] if "listCollections" in command else []
        cursor = {"id": 0, "ns": "films.r", "firstBatch": found}
        return {"ok": 1.0, "databases": [{"name": "films"}], "cursor": cursor}

    monkeypatch.setenv("RECSYS_MONGO_READ_PREFERENCE", "secondary")
    monkeypatch.setenv("RECSYS_MONGO_TIMEOUT", "0.3")
    with Router(answer) as peer:
        take = ("import", f"{peer.address}/films", "--collection", "r")
        assert "no documents" in call(tmp_path / "x.db", *take, expect=4).err
        call(tmp_path / "x.db", *take, "--read-preference", "nearest", expect=4)
    assert asked == ["secondary", "nearest"]
    call(tmp_path / "x.db", "import", f"mongodb://127.0.0.1:{mongo.free_port()}/x", "--collection", "r", expect=3)
    assert time.monotonic() - began < 8


def test_no_source_at_all(tmp_path):
    assert call(tmp_path / "recsys.db", "import", "--json", expect=2).error["hint"]
    assert call(tmp_path / "recsys.db", "import", "--uri-file", tmp_path / "no.uri", "--json", expect=3).error["hint"]
