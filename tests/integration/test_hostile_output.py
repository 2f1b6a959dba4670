"""What is in the data cannot touch the terminal, and titles are shown as they are: piped and on a pty."""

import csv
import json
import re
import sys

import pexpect
import pytest

from tests.cli import call, environment
from tests.hostile import HOSTILE, TEXTS, harmful

OURS = re.compile(r"\x1b\[(0|1|2|1;31|33)m")  # reset, bold, dim, red, yellow
FAMOUS = "[REC] (2007)"


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    """A catalogue whose titles, ids and genres are the corpus, with a version trained on it."""
    folder = tmp_path_factory.mktemp("hostile")
    source = folder / "films"
    source.mkdir()
    texts = [text for text in TEXTS if text.strip()]
    items = [FAMOUS, *(text for text in texts if text != FAMOUS)]
    users = ["1", *texts]
    with (source / "ratings.csv").open("w", newline="", encoding="utf-8", errors="surrogatepass") as file:
        rows = csv.writer(file, quoting=csv.QUOTE_ALL)
        rows.writerow(["userId", "movieId", "rating", "timestamp"])
        for number, user in enumerate(users):
            rows.writerows(
                [user, item, 1 + (number + place) % 5, 1] for place, item in enumerate(items[number % 3 :: 3])
            )
    with (source / "movies.csv").open("w", newline="", encoding="utf-8", errors="surrogatepass") as file:
        rows = csv.writer(file, quoting=csv.QUOTE_ALL)
        rows.writerow(["movieId", "title", "genres"])
        rows.writerows([item, item, f"Horror|{texts[place % len(texts)]}"] for place, item in enumerate(items))
    path = folder / "films.db"
    call(path, "import", source)
    call(path, "train", "popularity", "--activate", "--json")
    call(path, "models", "label", "v1", TEXTS[0])
    call(path, "train", "content", "--json")
    return path


COMMANDS = {
    "imports list": ["imports", "list"],
    "imports show": ["imports", "show", "1", "--limit", "500"],
    "stats": ["stats"],
    "models list": ["models", "list"],
    "models show": ["models", "show"],
    "jobs list": ["jobs", "list"],
    "jobs show": ["jobs", "show", "1"],
    "jobs tail": ["jobs", "tail", "1"],
    "evaluate": ["evaluate", "v1", "--segments"],
    "compare": ["compare", "v1", "v2"],
    "diff": ["diff", "v1", "v2", "-n", "50", "--examples", "100"],
    "recommend": ["recommend", "1", "-n", "200", "--explain"],
    "recommend seen": ["recommend", TEXTS[1], "-n", "200", "--include-seen"],
    "predict": ["predict", "1", FAMOUS],
    "explain": ["explain", "1", TEXTS[2]],
    "what if": ["explain", "1", FAMOUS, "--what-if", f'"{FAMOUS}=5"'],
    "similar": ["similar", FAMOUS, "-n", "200"],
    "users list": ["users", "list", "--limit", "500"],
    "users show": ["users", "show", TEXTS[1], "--limit", "500"],
    "items list": ["items", "list", "--limit", "500"],
    "items show": ["items", "show", TEXTS[0]],
    "items search": ["items", "search", "e", "--limit", "500"],
    "rate": ["rate", TEXTS[0], FAMOUS, "5"],
    "onboard": ["onboard", "--json"],
    "doctor": ["doctor"],
    "config show": ["config", "show"],
}
ERRORS = {
    "item": (["explain", "1", "\x1b]0;owned\x07"], 3),
    "user": (["users", "show", "\x1b[2Jnobody"], 3),
    "version": (["models", "show", "\x9b2J"], 2),
    "file": (["import", "\x1b[2J.csv"], 3),
    "metric": (["metrics", "explain", "\u202egnirts"], 2),
    "model": (["train", "\x1b[1A"], 2),
    "setting": (["train", "mf", "--set", "\x1b[1A=1"], 2),
    "genre": (["recommend", "1", "--only-genre", "\x1b[1A"], 2),
    "option": (["stats", "--\x1b[1A"], 2),
    "command": (["\x1b[1A"], 2),
    "rating": (["rate", "1", FAMOUS, "\x1b[1A"], 2),
}


def test_the_corpus_arrived(db):
    stored = {row["title"] for row in call(db, "items", "list", "--limit", "500", "--json").json}
    assert len(stored) >= 0.8 * len(HOSTILE)
    assert {FAMOUS, "Foo [/bold]", "\x1b]0;owned\x07Ferry", "report \u202efdp.exe"} <= stored


@pytest.mark.parametrize("kind", ["auto", "table", "csv", "ndjson", "json"])
@pytest.mark.parametrize("name", COMMANDS)
def test_piped_output_is_harmless(db, name, kind):
    words = COMMANDS[name] if kind == "auto" else [*COMMANDS[name], "--format", kind]
    done = call(db, *words, expect=None)
    if done.code == 2 and "No such option" in done.err:
        done = call(db, *COMMANDS[name], "--json")
    assert done.code == 0, done.err
    assert harmful((done.out + done.err).replace("\t", "")) == set()  # tabs part the columns
    if kind == "json" and done.out:
        json.loads(done.out)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_terminal_gets_no_code_but_ours(db, name):
    assert harmful(on_terminal(db, *COMMANDS[name])) == set()


def test_markup_is_shown_character_for_character(db):
    shown = on_terminal(db, "items", "list", "--limit", "500") + on_terminal(db, "items", "show", FAMOUS)
    for title in (
        FAMOUS,
        "[REC]² (2009)",
        "Foo [/bold]",
        "[@click=app.quit]x[/]",
        ":smile: :skull:",
        r"\[bold]x\[/bold]",
    ):
        assert title in shown
    assert "\\x1b]0;owned\\x07Ferry" in shown


@pytest.mark.parametrize("name", ERRORS)
def test_errors_quote_without_harm(db, name):
    words, code = ERRORS[name]
    for done in (call(db, *words, expect=code), call(db, *words, "--json", expect=code)):
        assert harmful(done.err + done.out) == set()
    assert harmful(on_terminal(db, *words)) == set()


def test_files_keep_the_true_data(db, tmp_path):
    call(db, "export", "ratings", "--out", tmp_path / "ratings.ndjson")
    items = {json.loads(line)["item"] for line in (tmp_path / "ratings.ndjson").read_text().splitlines()}
    assert "\x1b]0;owned\x07Ferry" in items
    assert FAMOUS in items


def test_the_log_of_a_run_is_harmless(db):
    logs = list((db.parent / "films.db.models" / "jobs").glob("*.log"))
    assert logs
    assert harmful("".join(path.read_text() for path in logs)) == set()


def on_terminal(db, *words):
    """Return what a command writes to a terminal, without our colours and without the CR of line ends and progress."""
    env = environment(db, TERM="xterm-256color", LANG="C.UTF-8", COLUMNS="120")
    child = pexpect.spawn(sys.executable, ["-m", "recsys_tui", *words], env=env, encoding="utf-8", timeout=30)
    output = child.read()
    child.close()
    assert child.exitstatus in {0, 2, 3}, output
    return OURS.sub("", output).replace("\r", "")
