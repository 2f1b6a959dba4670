"""Neural models through the command line, with torch and on a host without it."""

import json
import subprocess
import sys

import pytest

from tests.cli import call, environment, few_ratings, run

WITHOUT_TORCH = "import sys; sys.modules['torch'] = None; from recsys_tui.cli import run; sys.exit(run(sys.argv[1:]))"
QUICK = ("--set", "epochs=2,embedding_dim=4,hidden_layers=8,4,negatives=8")


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    folder = tmp_path_factory.mktemp("neural")
    path = folder / "films.db"
    call(path, "import", few_ratings(folder / "sample", 1500))
    return path


def without_torch(db, *arguments):
    command = [sys.executable, "-c", WITHOUT_TORCH, *map(str, arguments)]
    done = subprocess.run(command, env=environment(db), capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_without_torch_training_is_refused_before_any_work(db):
    done = without_torch(db, "train", "ncf", "--json")
    assert done.returncode == 5
    error = json.loads(done.stderr.strip().splitlines()[-1])["error"]
    assert error["code"] == "training_failed"
    assert "pip install" in error["hint"]
    assert not call(db, "jobs", "list", "--json").json


def test_a_version_trained_elsewhere_serves_and_explains_without_torch(db):
    made = run(db, "train", "ncf", *QUICK, "--activate", "--json").json
    assert made["active"]
    assert {"rmse", "ndcg@10"} <= made["metrics"].keys()
    user = call(db, "users", "list", "--json", "--limit", "1").json[0]["user"]
    with_torch = call(db, "recommend", user, "-n", "5", "--json").json
    done = without_torch(db, "recommend", user, "-n", "5", "--explain", "--json")
    assert done.returncode == 0, done.stderr
    alone = json.loads(done.stdout)
    assert [entry["item"] for entry in alone["items"]] == [entry["item"] for entry in with_torch["items"]]
    for here, there in zip(alone["items"], with_torch["items"], strict=True):
        assert here["score"] == pytest.approx(there["score"], abs=1e-5)
        assert here["prediction"] == pytest.approx(there["prediction"], abs=1e-5)
    assert all(entry["reasons"] for entry in alone["items"])


@pytest.mark.parametrize(
    ("wish", "named"),
    [
        ("dropout=1.0", "dropout"),
        ("hidden_layers=8,64", "hidden_layers"),
        ("hidden_layers=none", "hidden_layers"),
        ("embedding_dim=0", "embedding_dim"),
        ("loss=hinge", "loss"),
    ],
)
def test_impossible_settings_are_refused_by_name_before_a_job(db, wish, named):
    before = call(db, "jobs", "list", "--json").json
    done = call(db, "train", "ncf", "--set", wish, "--json", expect=2)
    assert named in done.error["message"]
    assert done.error["hint"]
    assert call(db, "jobs", "list", "--json").json == before


def test_progress_tells_what_a_batch_became_and_how_long_it_will_take(db):
    done = call(db, "train", "ncf", *QUICK, "--set", "batch_size=100000")
    assert "epoch 1/2" in done.err
    assert "ETA" in done.err.split("epoch 1/2")[1].splitlines()[0]
    assert "batch_size 100,000 is more than" in done.err


def test_auto_takes_no_settings_and_needs_held_out_rows(db):
    for extra, said in ((("--set", "epochs=3"), "--set"), (("--test", "0"), "held-out")):
        done = call(db, "train", "auto", *extra, "--json", expect=2)
        assert said in done.error["message"] + done.error["hint"]


@pytest.mark.parametrize(
    ("members", "code", "said"),
    [
        ("v1", 2, "at least two"),
        ("v99,v1", 3, "v99"),
        ("nonsense,mf", 2, "nonsense"),
        ("mf,content", 4, "no version of mf"),
    ],
)
def test_impossible_members_are_refused_before_a_job(db, members, code, said):
    before = call(db, "jobs", "list", "--json").json
    done = call(db, "train", "ensemble", "--set", f"members={members}", "--json", expect=code)
    assert said in done.error["message"] + done.error["hint"]
    assert done.error["hint"]
    assert call(db, "jobs", "list", "--json").json == before
