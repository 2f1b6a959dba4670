"""Onboarding through the command line: files of answers, a person at a terminal, and what comes of it."""

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pexpect
import pytest

from engine.intervals import bootstrap, interval
from engine.services import Services
from tests.benchmarks.bench_onboarding import asked_five, gains, held_out_people
from tests.cli import call, environment, few_ratings, run


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    folder = tmp_path_factory.mktemp("onboarding")
    path = folder / "films.db"
    call(path, "import", few_ratings(folder / "sample", 8000))
    call(path, "train", "ials", "--set", "n_factors=8", "--activate", "--json")
    call(path, "train", "mf", "--set", "n_factors=8", "--set", "epochs=4", "--json")
    return path


def ratings_of(db, user):
    with closing(sqlite3.connect(db)) as connection:
        return dict(
            connection.execute(
                "SELECT i.item, r.rating FROM ratings r JOIN users u ON u.id = r.user JOIN items i ON i.id = r.item "
                "WHERE u.user = ?",
                (user,),
            ).fetchall()
        )


def onboard(db, tmp_path, user, text, *more, expect=0):
    answers = tmp_path / "answers.csv"
    answers.write_text(text)
    return call(db, "onboard", *([user] if user else []), "--answers", answers, "--json", *more, expect=expect)


def test_without_answers_there_are_five_questions_and_a_list(db):
    found = call(db, "onboard", "--json").json
    assert len(found["questions"]) == 5
    assert len({question["item"] for question in found["questions"]}) == 5
    assert all(question["answer"] is None and question["known_by"] > 0.05 for question in found["questions"])
    assert [item["rank"] for item in found["items"]] == list(range(1, 11))
    assert found["stored"] == 0


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_named_answers_are_kept_and_change_the_list(db, tmp_path, version):
    asked = call(db, "onboard", "--json", "--version", version).json
    user = f"new {version}"
    values = [5, 1, 4.5, None, 0.5]
    lines = [f"{q['item']},{'none' if v is None else v}" for q, v in zip(asked["questions"], values, strict=True)]
    found = onboard(db, tmp_path, user, "item,rating\n" + "\n".join(lines) + "\n", "--version", version).json
    assert [(q["item"], q["answer"]) for q in found["questions"]] == [
        (q["item"], v) for q, v in zip(asked["questions"], values, strict=True)
    ]
    given = {q["item"]: q["answer"] for q in found["questions"] if q["answer"] is not None}
    assert found["stored"] == 4
    assert ratings_of(db, user) == given
    listed = [item["item"] for item in found["items"]]
    assert len(set(listed)) == 10
    assert not set(listed) & set(given)
    assert listed != [item["item"] for item in asked["items"] if item["item"] not in given][:10]
    assert call(db, "recommend", user, "--json").json["rung"] == "fold-in"


@pytest.mark.parametrize(
    "text", ["4\nnone\n5\n\n2\n", "4\n-\n5\nnot seen\n2", "[4, null, 5, null, 2]", "rating\n4\nn\n5\nn\n2\n"]
)
def test_answers_in_the_order_of_the_questions(db, tmp_path, text):
    found = onboard(db, tmp_path, "", text).json
    assert [question["answer"] for question in found["questions"]] == [4, None, 5, None, 2]
    assert found["stored"] == 0
    assert [question["number"] for question in found["questions"]] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("text", ['{"7": 4, "9": null}', '[{"item": "7", "rating": 4}, {"item": "9"}]', "7\t4\n9\t\n"])
def test_answers_that_name_their_items(db, tmp_path, text):
    found = onboard(db, tmp_path, "", text).json
    assert [(question["item"], question["answer"]) for question in found["questions"]] == [("7", 4.0), ("9", None)]


def test_fewer_answers_leave_the_rest_unseen(db, tmp_path):
    found = onboard(db, tmp_path, "", "5\n").json
    assert [question["answer"] for question in found["questions"]] == [5, None, None, None, None]


def test_somebody_with_ratings_is_asked_about_others(db):
    seen = ratings_of(db, "1")
    found = call(db, "onboard", "1", "--json").json
    assert not {question["item"] for question in found["questions"]} & set(seen)
    assert not {item["item"] for item in found["items"]} & set(seen)
    assert ratings_of(db, "1") == seen


REFUSED = {
    "7,9\n": (4, "the answer to item '7': rating 9 is not on the scale"),
    "7,good\n": (4, "line 1"),
    "7,4\nno such film,3\n": (3, "unknown item"),
    "7,4\n7,5\n": (4, "twice"),
    "7,4\n5\n": (4, "some answers name"),
    "1\n1\n1\n1\n1\n1\n": (4, "6 answers to 5 questions"),
    "": (4, "no answers"),
    "[1,": (4, "no JSON"),
    "[[1, 2, 3]]": (4, "no rating"),
}


@pytest.mark.parametrize("text", REFUSED)
def test_answers_that_cannot_be_taken_leave_nothing_behind(db, tmp_path, text):
    code, said = REFUSED[text]
    done = onboard(db, tmp_path, "nobody yet", text, expect=code)
    assert said in done.error["message"]
    assert done.error["hint"]
    assert ratings_of(db, "nobody yet") == {}
    with closing(sqlite3.connect(db)) as connection:
        assert not connection.execute("SELECT 1 FROM users WHERE user = 'nobody yet'").fetchall()


def test_a_missing_file_and_bytes_that_are_no_text(db, tmp_path):
    assert "no file" in call(db, "onboard", "--answers", tmp_path / "none", "--json", expect=3).error["message"]
    (tmp_path / "bytes").write_bytes(bytes(range(256)))
    assert "no UTF-8 text" in call(db, "onboard", "--answers", tmp_path / "bytes", "--json", expect=4).error["message"]


def test_answers_from_a_pipe(db):
    found = run(db, "onboard", "--answers", "-", "--json", stdin=b"7,5\n").json
    assert found["questions"][0]["answer"] == 5


def talk(db, *arguments):
    return pexpect.spawn(
        sys.executable,
        ["-m", "recsys_tui", "onboard", *arguments],
        env=environment(db, TERM="xterm", COLUMNS="100") | {"PYTHONPATH": str(Path.cwd())},
        encoding="utf-8",
        timeout=30,
        dimensions=(40, 100),
    )


def test_a_person_at_a_terminal_answers_by_number(db):
    child = talk(db, "by hand")
    for answer in ("4", "", "9", "5", "q"):
        child.expect("your rating: ")
        child.sendline(answer)
        if answer in {"4", "5"}:
            child.expect("your list now: ")
        if answer == "9":
            child.expect("not on the scale")  # and it is asked again
    child.expect("kept for by hand: 2 ratings")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert sorted(ratings_of(db, "by hand").values()) == [4.0, 5.0]


def test_ctrl_c_keeps_nothing(db):
    child = talk(db, "in a hurry")
    child.expect("your rating: ")
    child.sendline("4")
    child.expect("your rating: ")
    child.sendintr()
    child.expect("nothing is stored")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    assert ratings_of(db, "in a hurry") == {}


# --- what it is worth -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_five_questions_beat_popularity_on_people_held_out(movielens, tmp_path):
    """The whole interval of the difference in NDCG@10 lies above zero; `make bench` has it for more models."""
    people = held_out_people(movielens, tmp_path / "data", seed=1)
    run(tmp_path / "films.db", "import", tmp_path / "data")
    run(tmp_path / "films.db", "train", "ials", "--activate", "--test", "0", "--json")
    services = Services.open(tmp_path / "films.db")
    with closing(services.database):
        rows = gains(services, people, asked_five)
    differences = rows[:, 0] - rows[:, 1]
    drawn, counts = bootstrap(differences[:, None], np.ones((len(rows), 1)), seed=0)
    assert len(rows) > 120
    assert interval((drawn / counts)[:, 0])[0] > 0.02
