"""Forgetting a person: no byte of theirs is left, everybody else is as before, and a proof says so."""

import json

import pytest

from recsys_tui.ui_state import UiState
from tests.cli import call, few_ratings

WHO = "person-of-interest-77"


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    """A store with two versions that know the person, who is also in the quarantine, in undo data and in a job."""
    folder = tmp_path_factory.mktemp("forget")
    path = folder / "recsys.db"
    call(path, "import", few_ratings(folder / "few"))
    items = [row["item"] for row in call(path, "items", "list", "--limit", "30", "--json").json]
    lines = "".join(f"{WHO},{item},{3 + k % 3},{1000 + k}\n" for k, item in enumerate(items))
    source = folder / "more.csv"
    source.write_text(f'user,item,rating,time\n{lines}{WHO},{items[0]},bad,1\n"{WHO},1\nother,{items[0]},bad,1\n')
    call(path, "import", source)
    source.write_text(f"user,item,rating,time\n{WHO},{items[0]},1,2000\nother,{items[0]},1,2000\n")
    call(path, "import", source)
    for model in ("mf", "ease", "popularity"):
        call(path, "train", model, "--json", "--activate")
    call(path, "rate", WHO, items[1], "2")
    call(path, "recommend", WHO)
    return path


def raw_bytes(db):
    """Everything on disk, the database, its journals, its artifacts and its logs."""
    files = [path for path in db.parent.rglob("*") if path.is_file() and path.name.startswith("recsys.db")]
    files += [path for path in db.with_name(db.name + ".models").rglob("*") if path.is_file()]
    return b"".join(path.read_bytes() for path in files)


def test_everything_is_handed_out_and_then_gone(db):
    assert WHO.encode() in raw_bytes(db)
    given = call(db, "users", "export", WHO).json
    assert len(given["tables"]["ratings"]) == 30
    assert {row["rating"] for row in given["tables"]["ratings"]} <= {1.0, 2.0, 3.0, 4.0, 5.0}
    assert all(row["title"] for row in given["tables"]["ratings"])
    assert len(given["tables"]["replaced"]) == 1
    assert len(given["tables"]["quarantine"]) == 2
    assert {trace["version"] for trace in given["versions"]} == {"v1", "v2", "v3"}

    preview = call(db, "users", "forget", WHO, "--dry-run", "--json").json
    assert (preview["before"]["ratings"], preview["before"]["quarantine"]) == (30, 2)
    assert WHO.encode() in raw_bytes(db)

    others = [call(db, "recommend", user, "--json", "--version", "v1").json["items"] for user in ("1", "2")]
    proof = call(db, "users", "forget", WHO, "--json", "--yes").json
    assert set(proof["after"].values()) == {0}
    assert proof["others_sha256_before"] == proof["others_sha256_after"]
    assert proof["found_in_file"] == 0
    assert {trace["version"] for trace in proof["versions"]} == {"v1", "v2", "v3"}  # a row is left until told otherwise
    assert WHO.encode() not in db.read_bytes()
    assert not list(db.parent.glob("recsys.db-*"))

    call(db, "users", "forget", WHO, expect=3)
    kept = call(db, "imports", "show", "2", "--rejected", "--json").json["rows"]
    assert [row["user"] for row in kept] == ["other"]
    again = [call(db, "recommend", user, "--json", "--version", "v1").json["items"] for user in ("1", "2")]
    assert again == others


def test_rows_in_the_files_of_versions_can_be_emptied(tmp_path):
    db = tmp_path / "recsys.db"
    call(db, "import", few_ratings(tmp_path / "few"))
    for model in ("mf", "ials", "ease", "content"):
        call(db, "train", model, "--activate")
    users = [row["user"] for row in call(db, "users", "list", "--json", "--limit", "4").json]
    before = {v: call(db, "recommend", users[3], "--json", "--version", v).json["items"] for v in ("v1", "v2", "v3")}
    for user in users[:3]:  # neighbours in the order of ids: their places are made of one another
        proof = call(db, "users", "forget", user, "--redact", "--yes", "--json").json
        assert (proof["redacted"], proof["versions"]) == (["v4", "v3", "v2", "v1"], [])
    assert call(db, "models", "verify", "--json").json["damaged"] == []
    after = {v: call(db, "recommend", users[3], "--json", "--version", v).json["items"] for v in ("v1", "v2", "v3")}
    for version in ("v1", "v3"):
        assert json.dumps(after[version]) == json.dumps(before[version])
    # implicit ALS weighs by a sum over all users, so its scores move a little with everyone who goes
    assert [row["item"] for row in after["v2"]] == [row["item"] for row in before["v2"]]
    call(db, "recommend", users[0])


def test_the_terminal_ui_remembers_the_forgotten_no_more(db, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    call(db, "rate", "somebody-seen", "16", "3")
    kept = UiState()
    kept.set("app.person", [str(db), "somebody-seen"])
    kept.set("app.place", "users")
    kept.save()
    call(db, "users", "forget", "somebody-seen", "--yes")
    assert (UiState().get("app.person", ["", ""]), UiState().get("app.place", "")) == (["", ""], "users")


def test_an_unknown_person_is_not_found(db):
    for command in ("forget", "export"):
        assert call(db, "users", command, "nobody", "--json", expect=3).error["code"] == "not_found"


def test_nobody_is_forgotten_while_a_training_runs(db):
    from store.database import Database
    from store.journal import Journal

    database = Database(db)
    job = Journal(database).create("train", "mf", {})
    assert call(db, "users", "forget", "1", "--yes", "--json", expect=75).error["code"] == "busy"
    Journal(database).request_cancel(job)
    database.close()
