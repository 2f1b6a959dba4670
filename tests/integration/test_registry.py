"""The registry as an operator and cron meet it: gates, the way back, canaries, damage, moving, making again."""

import json
import random
import shutil
import tarfile
import time

import pytest

from tests.cli import call, few_ratings, run


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Some of the sample data with popularity (v1, active), mf (v2) and content (v3)."""
    folder = tmp_path_factory.mktemp("registry")
    call(folder / "films.db", "import", few_ratings(folder / "sample"))
    call(folder / "films.db", "train", "popularity", "--activate", "--json")
    call(folder / "films.db", "train", "mf", "--set", "n_factors=8", "--set", "epochs=8", "--json")
    call(folder / "films.db", "train", "content", "--json")
    return folder


@pytest.fixture
def db(made, tmp_path):
    """A copy of it to change."""
    shutil.copytree(made, tmp_path / "copy")
    return tmp_path / "copy" / "films.db"


def versions(db):
    return {version["version"]: version for version in call(db, "models", "list", "--json").json}


def active(db):
    [name] = [name for name, version in versions(db).items() if version["active"]]
    return name


def damage(db, version, name="model.safetensors"):
    path = db.with_name(f"{db.name}.models") / version / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return str(path)


class TestGate:
    def test_a_worse_one_is_refused_with_exit_6_and_the_decision_is_kept(self, db):
        before = versions(db)
        refused = call(db, "models", "activate", "v3", "--if-better", "ndcg@10", "--json", expect=6)
        assert refused.out == ""
        assert refused.error["code"] == "gate_refused"
        assert refused.error["message"].startswith("v3 is not shown to be better than v1: ndcg@10 ")
        assert "v1 stays active" in refused.error["hint"]
        assert versions(db) == before
        change = call(db, "models", "audit", "v3", "--json").json[0]
        assert (change["action"], change["why"]) == ("refuse", refused.error["message"])
        assert change["figures"]["checks"][0]["metric"] == "ndcg@10"

    def test_a_better_one_passes_and_says_by_how_much(self, db):
        done = call(db, "models", "activate", "v2", "--if-better", "rmse", "--guard", "coverage:-5%", "--json").json
        assert (done["version"], done["active"], done["previous"]) == ("v2", True, "v1")
        better, guard = done["decision"]["checks"]
        assert better["high"] < 0
        assert guard["condition"] == "guard coverage:-5%"
        assert active(db) == "v2"
        assert call(db, "models", "lineage", "v2", "--json").json["changes"][-1]["why"] == done["decision"]["reason"]

    def test_a_breached_guard_refuses_what_is_better(self, db):
        refused = call(db, "models", "activate", "v2", "--if-better", "rmse", "--guard", "recall:-1%", expect=6)
        assert "guard recall:-1%: recall@10 of v2 may fall by 1% at most" in refused.err
        assert active(db) == "v1"

    def test_training_goes_through_the_same_gate(self, db):
        done = call(db, "train", "content", "--activate-if-better", "ndcg@10", "--json", expect=6)
        assert "v4 is not shown to be better than v1" in done.error["message"]
        assert versions(db)["v4"]["state"] == "candidate"
        settings = ("--set", "n_factors=8", "--set", "epochs=8")
        gate = ("--activate-if-better", "rmse", "--guard", "coverage:-50%")
        assert call(db, "train", "mf", *settings, *gate, "--json").json["active"]
        assert active(db) == "v5"
        guarded = call(db, "train", "popularity", "--activate", "--guard", "rmse:+0%", "--json", expect=6)
        assert "guard rmse:+0%" in guarded.error["message"]

    def test_itself(self, db):
        refused = call(db, "models", "activate", "v1", "--if-better", "rmse", expect=6)
        assert "v1 is active already" in refused.err
        assert call(db, "models", "activate", "v1", "--json").json["previous"] is None


class TestWayBack:
    def test_as_often_as_there_are_earlier_versions_each_within_a_second(self, db):
        for name in ("v2", "v3", "v2"):
            call(db, "models", "activate", name)
        took = []
        for expected in ("v3", "v2", "v1"):
            began = time.process_time()  # whatever else the machine has to do
            assert call(db, "models", "rollback", "--json").json["version"] == expected
            took.append(time.process_time() - began)
        assert max(took) < 1.0
        assert "no previous version" in call(db, "models", "rollback", expect=3).err
        assert active(db) == "v1"

    def test_a_damaged_active_version_is_answered_for_and_named(self, db):
        call(db, "models", "activate", "v2")
        expected = call(db, "recommend", "1", "--version", "v1", "--json").json["items"]
        path = damage(db, "v2")
        done = run(db, "recommend", "1")
        assert "v2 cannot be used" in done.err
        assert "v1 answers in place of v2" in done.err
        answered = call(db, "recommend", "1", "--json").json
        assert (answered["version"], answered["items"]) == ("v1", expected)
        found = call(db, "models", "verify", expect=4)
        assert path in found.err
        assert "v2" in found.err
        other = damage(db, "v3", "heldout.json")
        told = call(db, "models", "verify", "--json", expect=4).error["message"]
        assert path in told
        assert other in told
        assert call(db, "models", "verify", "v1", "--json").json["damaged"] == []
        assert call(db, "models", "rollback", "--json").json["version"] == "v1"
        assert "checksum" in call(db, "models", "activate", "v2", expect=4).err

    def test_where_every_version_is_damaged_popularity_answers(self, db):
        for name in versions(db):
            damage(db, name)
        answered = call(db, "recommend", "1", "-n", "4", "--json").json
        assert answered["version"] == "popularity"
        assert len(answered["items"]) == 4
        assert "popularity answers in place of v1" in run(db, "recommend", "1", "--explain").err
        assert call(db, "predict", "1", "16", "--json").json["version"] == "popularity"
        assert call(db, "monitor", "--json").json["notes"]


class TestCanary:
    def test_a_share_of_the_users_is_served_and_monitor_takes_it_back(self, db):
        begun = call(db, "models", "activate", "v3", "--canary", "40%", "--guard", "rmse:+1%", "--json").json
        assert (begun["version"], begun["active"]) == ("v3", "v1")
        assert (begun["canary"]["share"], begun["canary"]["outcome"]) == (0.4, "running")
        assert [one["canary"] for one in call(db, "models", "list", "--json").json] == [0.4, None, None]
        users = [str(number) for number in range(1, 31)]
        served = {user: call(db, "recommend", user, "-n", "1", "--json").json["version"] for user in users}
        assert set(served.values()) == {"v1", "v3"}
        assert {user: call(db, "recommend", user, "-n", "1", "--json").json["version"] for user in users} == served
        seen = call(db, "monitor", "--json").json
        assert (seen["active"], seen["users"], seen["rows"]) == ("v1", 0, [])
        for user in users[:3]:
            call(db, "rate", user, "16", "4")
        seen = call(db, "monitor", "--json").json
        assert sum(arm["ratings"] for arm in seen["arms"]) == 3
        assert call(db, "models", "rollback", "--json").json["canary_ended"] == "v3"
        assert call(db, "monitor", "--json").json["canary"] is None
        actions = [change["action"] for change in call(db, "models", "audit", "v3", "--json").json]
        assert actions == ["canary-end", "canary", "register"]

    def test_activating_it_promotes_it(self, db):
        call(db, "models", "activate", "v2", "--canary", "10%")
        call(db, "models", "activate", "v2")
        assert call(db, "monitor", "--json").json["canary"] is None
        assert active(db) == "v2"


class TestKeeping:
    def test_gc_says_what_it_would_do_and_then_does_it(self, db):
        call(db, "models", "label", "v3", "for the report")
        for _ in range(3):
            call(db, "train", "popularity", "--json")
        call(db, "train", "content", "--json")
        before = versions(db)
        told = call(db, "models", "gc", "--keep", "1", "--dry-run", "--json").json
        assert told["deleted"] == ["v5", "v4"]
        assert told["bytes"] == before["v4"]["bytes"] + before["v5"]["bytes"]
        assert told["kept"]["v3"] == "labelled"
        assert told["kept"]["v1"] == "active"
        assert versions(db) == before
        assert call(db, "models", "gc", "--json").json["deleted"] == []
        assert call(db, "models", "gc", "--keep", "1", "--json").json["deleted"] == told["deleted"]
        assert set(versions(db)) == set(told["kept"])

    def test_lineage_answers_for_a_version(self, db):
        call(db, "train", "popularity", "--json")
        found = call(db, "models", "lineage", "v4", "--json").json
        assert (found["parent"], found["ancestors"], found["request"]["model"]) == ("v1", ["v1"], "popularity")
        assert found["lineage"]["packages"]["numpy"]
        assert found["training_data"]["fingerprint"] == versions(db)["v1"]["training_data"]["fingerprint"]
        assert call(db, "models", "lineage", "v1", "--json").json["children"] == ["v4"]

    def test_a_version_moves_to_another_machine_and_answers_the_same(self, db, tmp_path):
        told = call(db, "models", "export", "v2", tmp_path / "v2.tar", "--json").json
        assert (told["version"], told["bytes"]) == ("v2", (tmp_path / "v2.tar").stat().st_size)
        there = tmp_path / "there" / "films.db"
        call(there, "import", few_ratings(tmp_path / "sample"))
        moved = call(there, "models", "import", tmp_path / "v2.tar", "--json").json
        assert (moved["version"], moved["state"], moved["model_type"]) == ("v1", "candidate", "mf")
        call(there, "models", "activate", "v1")
        here = call(db, "recommend", "7", "--version", "v2", "--json").json["items"]
        answered = call(there, "recommend", "7", "--json").json["items"]
        assert [item["item"] for item in answered] == [item["item"] for item in here]
        assert [item["score"] for item in answered] == pytest.approx([item["score"] for item in here], abs=1e-4)
        assert call(there, "models", "verify", "--json").json["versions"] == 1

    def test_a_file_that_leads_elsewhere_is_refused(self, db, tmp_path):
        call(db, "models", "export", "v1", tmp_path / "v1.tar")
        with tarfile.open(tmp_path / "v1.tar") as old, tarfile.open(tmp_path / "evil.tar", "w") as new:
            for member in old:
                content = old.extractfile(member)
                member.name = member.name.replace("v1/model.json", "../../evil.json")
                new.addfile(member, content)
        before = versions(db)
        assert "no parcel of versions" in call(db, "models", "import", tmp_path / "evil.tar", expect=4).err
        assert versions(db) == before
        assert not list(tmp_path.rglob("evil.json"))

    def test_made_again_it_is_the_same_and_changed_ratings_are_refused(self, db):
        done = call(db, "train", "--like", "v2", "--threads", "1", "--json").json
        assert (done["like"], done["equal"], done["differs"]) == ("v2", True, [])
        assert done["version"] == "v4"
        call(db, "rate", "1", "16", "4.5")
        refused = call(db, "train", "--like", "v2", "--json", expect=4)
        assert "the ratings are not those of v2" in refused.error["message"]
        assert "v5" not in versions(db)


REFUSED = {
    "models activate v2 --if-better beauty": (2, "unknown metric 'beauty'"),
    "models activate v2 --if-better rmse --guard coverage:5%": (2, "says not how much worse"),
    "models activate v2 --guard coverage": (2, "says not how much worse"),
    "models activate v2 --guard rmse:-1%": (2, "rmse is worse when it is higher"),
    "models activate v2 --canary 10": (2, "no share of the users"),
    "models activate v2 --canary 0%": (2, "no share of the users"),
    "models activate v2 --canary 100%": (2, "no share of the users"),
    "models activate v2 --canary nan%": (2, "no share of the users"),
    "models activate v2 --canary 10% --if-better rmse": (2, "exclude each other"),
    "models activate v1 --canary 10%": (2, "serves everybody already"),
    "models activate v9 --if-better rmse": (3, "no version v9"),
    "models activate ../v1": (2, "names no version"),
    "models lineage v9": (3, "no version v9"),
    "models audit v9": (3, "no version v9"),
    "models gc --keep 0": (2, "0"),
    "models export v9 x.tar": (3, "no version v9"),
    "models export v1 nowhere/x.tar": (3, "no folder nowhere"),
    "models export v1 .": (2, "is a folder"),
    "models import missing.tar": (3, "no file missing.tar"),
    "models import .": (2, "no ordinary file"),
    "models import films.db": (4, "no parcel"),
    "train --like v9": (3, "no version v9"),
    "train mf --like v1": (2, "--like v1 takes model"),
    "train --like v2 --set epochs=3": (2, "--like v2 takes model"),
    "train --like v2 --seed 7": (2, "--like v2 takes model"),
    "train --like v2 --activate": (2, "--like v2 takes model"),
    "train mf --guard rmse:+1%": (2, "--guard stands beside an activation"),
    "train mf --activate --guard rmse:+1% --test 0": (2, "--guard needs held-out ratings"),
    "train mf --activate-if-better rmse --guard rmse:1%": (2, "says not how much worse"),
}


@pytest.mark.parametrize("line", REFUSED)
def test_what_is_refused_changes_nothing(made, line, monkeypatch):
    monkeypatch.chdir(made)
    code, said = REFUSED[line]
    before = call(made / "films.db", "models", "audit", "--json").out
    done = call(made / "films.db", *line.split(), expect=code)
    first, second = (line for line in done.err.splitlines() if line.startswith(("error:", "hint:")))
    assert said in first
    assert len(second) > len("hint: ")
    assert done.out == ""
    assert call(made / "films.db", *line.split(), "--json", expect=code).error["hint"]
    assert call(made / "films.db", "models", "audit", "--json").out == before


def test_an_artifact_depends_on_the_ratings_alone(tmp_path):
    """Not on the order of rows in the file, the time zone, the locale or the number of threads."""
    few_ratings(tmp_path / "sample", 2000)
    header, *rows = (tmp_path / "sample" / "ratings.csv").read_text().splitlines()
    random.Random(2).shuffle(rows)
    shutil.copytree(tmp_path / "sample", tmp_path / "shuffled")
    (tmp_path / "shuffled" / "ratings.csv").write_text("\n".join([header, *rows]) + "\n")
    found = []
    surroundings = {"TZ": "Pacific/Kiritimati", "LC_ALL": "C", "LANG": "C"}
    for source, threads, extra in (("sample", "1", {}), ("shuffled", "2", surroundings)):
        db = tmp_path / f"{source}.db"
        with pytest.MonkeyPatch.context() as patch:
            for name, value in extra.items():
                patch.setenv(name, value)
            run(db, "import", tmp_path / source)
            for model in ("mf", "ials"):
                split = ("--split", "temporal", "--threads", threads, "--set", "epochs=3")
                done = json.loads(run(db, "train", model, *split, "--json").out)
                facts = call(db, "models", "show", done["version"], "--json").json
                found.append((model, facts["sha256"], facts["training_data"]["fingerprint"], done["metrics"]))
    assert found[:2] == found[2:]
