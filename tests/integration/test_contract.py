"""The command line as CLI.md fixes it: help, keys, flags in either place, formats that agree."""

import csv
import io
import json
import re

import click
import pytest
import typer

from recsys_tui.cli import tree
from recsys_tui.commands.root import MODULES, SECTIONS
from recsys_tui.render import guard, safe
from tests.cli import SAMPLE, call, few_ratings, run

TREE = typer.main.get_command(tree())


def commands(group, *before):
    """Yield every command with the words that call it."""
    if isinstance(group, click.Group):
        for name, command in sorted(group.commands.items()):
            yield from commands(command, *before, name)
    else:
        yield before, group


ALL = dict(commands(TREE))


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    """Some of the sample data with two versions, the second of them active."""
    folder = tmp_path_factory.mktemp("contract")
    path = folder / "films.db"
    call(path, "import", few_ratings(folder / "sample"))
    call(path, "train", "popularity", "--activate", "--json")
    call(path, "train", "mf", "--set", "n_factors=8", "--set", "epochs=4", "--activate", "--json")
    return path


@pytest.mark.parametrize("name", TREE.commands)
def test_a_command_that_is_named_alone_is_the_same(name):
    alone = typer.main.get_command(tree(["--db", "x.db", name]))
    assert name in alone.commands
    assert set(alone.commands) < set(TREE.commands)
    assert dict(commands(TREE.commands[name])).keys() == dict(commands(alone.commands[name])).keys()


def test_the_page_of_all_commands_is_the_same_built_of_names_alone():
    pages = []
    for arguments in (None, ["--help"]):
        root = typer.main.get_command(tree(arguments))
        pages.append(root.get_help(click.Context(root, info_name="recsys-tui")))
    assert pages[0] == pages[1]
    assert not typer.main.get_command(tree(["--help"])).commands["train"].params
    assert typer.main.get_command(tree(["train", "--help"])).commands["train"].params


def test_every_module_of_commands_is_where_it_says():
    assert set(TREE.commands) == {name for names in MODULES.values() for name in names}


@pytest.mark.parametrize("line", [[], ["--help"], ["--db", "train", "--help"], ["--help", "train"], ["trian"]])
def test_help_and_mistyped_names_have_the_whole_tree(line):
    assert set(typer.main.get_command(tree(line)).commands) == set(TREE.commands)


# --- help ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_help_has_an_example_and_the_shared_flags(words, tmp_path):
    page = call(tmp_path / "none.db", *words, "--help").out
    assert re.search(rf"recsys-tui .*{words[-1]}", page.split("Options:")[0].split("\n", 1)[1])
    for flag in ("--db", "--json", "--color"):
        assert flag in page
    assert not (tmp_path / "none.db").exists()


def test_no_summary_is_cut_at_80_columns(tmp_path):
    pages = [call(tmp_path / "none.db", *words, "--help").out for words in [(), *{words[:-1] for words in ALL}]]
    assert len(pages) >= 7
    for page in pages:
        assert not re.search(r"\.\.\.$", page.split("\n", 1)[1], re.MULTILINE)
        assert max(map(len, page.splitlines())) <= 80


def test_every_command_has_a_section():
    named = [name for names in SECTIONS.values() for name in names]
    assert sorted(named) == sorted(TREE.commands)


def test_without_arguments_there_is_help_and_exit_2(tmp_path):
    for words in [(), *{words[:-1] for words in ALL if len(words) > 1}]:
        done = run(tmp_path / "none.db", *words, expect=2)
        assert "Commands:" in done.out or "Data:" in done.out


def test_version_prints_program_schema_python_and_database(tmp_path):
    lines = run(tmp_path / "x.db", "--version").out.splitlines()
    assert [line.split()[0] for line in lines] == ["recsys-tui", "schema", "python", "database"]
    assert lines[-1].endswith("x.db")


# --- flags --------------------------------------------------------------------------------------------------------


def test_db_and_json_stand_before_or_after_the_command(db):
    wanted = run(db, "stats", "--json").out
    other = db.parent / "other.db"
    assert run(other, "--db", db, "--json", "stats").out == wanted
    assert run(other, "stats", "--db", db, "--json").out == wanted
    assert run(other, "--json", "stats", "--db", db).out == wanted
    assert not other.exists()


# --- keys ---------------------------------------------------------------------------------------------------------

VERSION = "version model_type trained_at hyperparameters metrics training_data active state bytes sha256"
JOB = "job model state origin version created_at started_at finished_at seconds exit_code error hint"
PREDICTION = "prediction lower upper confidence rung version"
IMPORTED = "import_id read stored updated unchanged rejected reasons"
FILM = "item title year genres"
KEYS = {
    "init": "db models_dir schema_version",
    f"import {SAMPLE} --dry-run": f"{IMPORTED} quarantine users items seconds preview",
    "imports list": f"[] {IMPORTED} source format state started_at",
    "imports show 1": f"{IMPORTED} source format state quarantine_rows",
    "stats": "users items ratings density scale first_at last_at distribution",
    "jobs list": f"[] {JOB}",
    "jobs show 2": f"{JOB} request epochs",
    "jobs tail 2": "[] seq at kind",
    "jobs attach 2": "job version model state metrics epochs training_data active seconds",
    "train mf --set help": "[] setting default allowed sentence",
    "models list": f"[] {VERSION}",
    "models show active": VERSION,
    "models activate v2": VERSION,
    "models verify": "versions damaged",
    "models label v2 spring": "version label",
    "evaluate active": "version protocol users metrics segments reliability",
    "compare v2 v1": "versions users protocol rows verdict",
    "diff v1 v2": "users changed overlap_mean rbo_mean gains losses examples",
    "metrics history ndcg@10": "[] version model trained_at metric value low high users",
    "metrics list": "[] metric better sentence formula source empty_case",
    "metrics explain ndcg@10": "metric better sentence formula source empty_case",
    "recommend 1 --explain": "user version rung items notes",
    "predict 1 7": f"user item {PREDICTION}",
    "explain 1 7": (
        "movie_id movie_title predicted_rating confidence reasons contributions baseline score lower upper rung method "
        "lower_95 upper_95 percentile counterfactual what_if"
    ),
    "explain 1 7 --what-if 9=5": "what_if counterfactual",
    "onboard": "user version stored questions items",
    "similar 7": "item version items",
    "rate 1 9 4.5": "stored previous version changed",
    "rate --unset 1 9": "stored previous version changed",
    "users list": "[] user ratings mean last_at",
    "users show 1": "user ratings mean last_at genres history eras habits distribution",
    "items list": f"[] {FILM}",
    "items show 7": f"{FILM} ratings mean distribution raters neighbours exposure",
    "items search velvet": f"[] {FILM}",
    "doctor": "checks",
    "config show": "[] setting value origin sentence",
    "config path": "user project db models_dir",
    "config check": "ok files",
}


@pytest.mark.parametrize("line", KEYS, ids=lambda line: line.replace(str(SAMPLE), "FOLDER"))
def test_json_is_one_document_with_the_keys_of_the_contract(db, line):
    document = call(db, *line.split(), "--json").json
    is_list, names = KEYS[line].startswith("[]"), KEYS[line].removeprefix("[]").split()
    assert isinstance(document, list) is is_list
    for row in document if is_list else [document]:
        assert set(names) <= set(row)


def test_json_says_nothing_on_stderr(db):
    for line in ("stats", "recommend 1", "train popularity", "rate 1 9 4", "rate --unset 1 9"):
        assert call(db, *line.split(), "--json").err == ""


def test_keys_inside(db):
    made = call(db, "recommend", "1", "--explain", "--json").json["items"]
    assert {"rank", "item", "title", "genres", "score", "rung", "reasons"} <= set(made[0])
    assert {"prediction", "lower", "upper", "confidence"} <= set(made[0])
    near = call(db, "similar", "7", "-n", "3", "--json").json["items"]
    assert [row["rank"] for row in near] == [1, 2, 3]
    report = call(db, "evaluate", "v2", "--json").json
    assert all({"value", "low", "high"} == set(figures) for figures in report["metrics"].values())
    checks = call(db, "doctor", "--json").json["checks"]
    assert all({"name", "ok", "detail", "hint"} == set(check) for check in checks)
    shown = call(db, "models", "show", "v2", "--json").json
    assert {"n_users", "n_movies", "n_ratings"} <= set(shown["training_data"])
    assert {"rmse", "precision@10", "recall@10", "coverage"} <= set(shown["metrics"])
    scale = call(db, "stats", "--json").json["scale"]
    assert scale == {"min": 0.5, "max": 5.0, "step": 0.5}


def test_json_has_true_ids_times_and_no_nan(db):
    for line in ("users list", "jobs list", "models list", "evaluate active", "recommend nobody"):
        text = call(db, *line.split(), "--json").out
        assert "NaN" not in text
        assert "Infinity" not in text
    row = call(db, "users", "show", "1", "--json").json
    assert row["user"] == "1"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", row["last_at"])


# --- formats ------------------------------------------------------------------------------------------------------

LISTS = [" ".join(words) for words, command in ALL.items() if any(p.name == "format" for p in command.params)]
ARGUMENTS = {"recommend": "1", "similar": "7", "items search": "the", "jobs tail": "2", "evaluate": "v2"}
ARGUMENTS |= {"compare": "v2 v1"}
DOCUMENTS = {"recommend": "items", "similar": "items", "doctor": "checks", "compare": "rows"}


def test_all_lists_take_a_format():
    assert {"users list", "items list", "items search", "models list", "jobs list", "imports list"} <= set(LISTS)
    assert {"metrics list", "config show", "recommend", "similar", "doctor", "evaluate"} <= set(LISTS)


@pytest.mark.parametrize("name", [name for name in LISTS if name != "import"])
def test_formats_agree(db, name):
    words = [*name.split(), *ARGUMENTS.get(name, "").split()]
    tables = {
        kind: list(csv.DictReader(io.StringIO(call(db, *words, "--format", kind).out), delimiter=mark))
        for kind, mark in (("csv", ","), ("tsv", "\t"))
    }
    assert tables["csv"] == tables["tsv"]
    document = call(db, *words, "--format", "json").json
    rows = document if isinstance(document, list) else document.get(DOCUMENTS.get(name, ""), [])
    lines = [json.loads(line) for line in call(db, *words, "--format", "ndjson").out.splitlines()]
    assert len(tables["csv"]) == len(lines) > 0
    for row, line, cells in zip(rows, lines, tables["csv"], strict=bool(rows)):
        same = [key for key in cells if isinstance(row.get(key), str | int | float) and not isinstance(row[key], bool)]
        assert same
        for key in same:
            assert row[key] == line[key]
            assert cells[key] == safe(guard(str(row[key])))
    if name not in {"jobs tail", "doctor"}:  # lines to read for a pipe too; memory that is free from moment to moment
        assert call(db, *words).out == call(db, *words, "--format", "tsv").out
    drawn = call(db, *words, "--format", "table").out
    assert len(drawn.splitlines()) >= len(lines) + 2


def test_a_page_goes_on_after_the_last_id(db):
    for group, key in (("users", "user"), ("items", "item")):
        whole = call(db, group, "list", "--limit", "10", "--json").json
        first = call(db, group, "list", "--limit", "6", "--json").json
        rest = call(db, group, "list", "--limit", "4", "--after", first[-1][key], "--json").json
        assert first + rest == whole


# --- files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".csv", ".ndjson", ".parquet"])
@pytest.mark.parametrize("what", ["ratings", "recommendations", "metrics"])
def test_exports_write_what_they_count(db, tmp_path, what, suffix):
    out = tmp_path / f"out{suffix}"
    done = call(db, "export", what, "--out", out, "-n", "2", "--json").json
    rows = read(out)
    assert done["rows"] == len(rows) > 0
    assert out.stat().st_mode & 0o077 == 0
    assert [path.name for path in tmp_path.iterdir()] == [out.name]
    if what == "recommendations":
        assert list(rows[0]) == ["user", "rank", "item", "score"]


@pytest.mark.parametrize("suffix", [".csv", ".ndjson", ".parquet"])
def test_recommend_all_equals_recommend_for_each(db, tmp_path, suffix):
    out = tmp_path / f"lists{suffix}"
    done = call(db, "recommend", "--all", "--out", out, "-n", "3", "--json").json
    rows = read(out)
    assert done["users"] == call(db, "stats", "--json").json["users"] == len(rows) / 3
    for user in ("1", "20", "80"):
        items = [row["item"] for row in rows if row["user"] == user]
        alone = call(db, "recommend", user, "-n", "3", "--json").json["items"]
        assert items == [item["item"] for item in alone]


@pytest.mark.parametrize("suffix", [".csv", ".ndjson", ".parquet"])
def test_pairs_come_back_row_by_row(db, tmp_path, suffix):
    pairs, out = tmp_path / "pairs.csv", tmp_path / f"out{suffix}"
    asked = [("20", "7"), ("nobody", "7"), ("1", "no such item"), ("20", "7"), ("1", "2")]
    with pairs.open("w", newline="") as file:
        csv.writer(file).writerows([("rating", "item", "user"), *((3, item, user) for user, item in asked)])
    assert call(db, "predict", "--pairs", pairs, "--out", out, "--json").json["rows"] == len(asked)
    rows = read(out)
    assert list(rows[0]) == ["user", "item", "prediction", "lower", "upper", "rung"]
    assert [(row["user"], row["item"]) for row in rows] == asked
    alone = call(db, "predict", "20", "7", "--json").json
    assert float(rows[0]["prediction"]) == pytest.approx(alone["prediction"], abs=1e-6)
    assert rows[0] == rows[3]


def read(path):
    """Return the rows of a file of any suffix."""
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            return list(csv.DictReader(file))
    if path.suffix == ".ndjson":
        return [json.loads(line) for line in path.read_text().splitlines()]
    from pyarrow import parquet

    return parquet.read_table(path).to_pylist()


# --- the life of a version ----------------------------------------------------------------------------------------


def test_versions_live_through_all_their_commands(tmp_path):
    db, copy = tmp_path / "films.db", tmp_path / "copy.db"
    call(db, "import", few_ratings(tmp_path / "sample"), "--json")
    first = call(db, "train", "popularity", "--activate", "--json").json
    second = call(db, "train", "content", "--json").json
    assert (first["version"], first["active"], second["version"], second["active"]) == ("v1", True, "v2", False)
    assert call(db, "models", "activate", "v2", "--json").json["previous"] == "v1"
    assert call(db, "models", "show", "previous", "--json").json["version"] == "v1"
    assert call(db, "models", "rollback", "--json").json["version"] == "v1"
    assert call(db, "models", "label", "v2", "spring", "--json").json == {"version": "v2", "label": "spring"}
    assert call(db, "recommend", "1", "--version", "latest", "--json").json["version"] == "v2"
    assert call(db, "models", "verify", "--json").json == {"versions": 2, "damaged": []}
    call(db, "backup", tmp_path / "backup", "--json")
    call(copy, "restore", tmp_path / "backup", "--json")
    lists = [call(path, "recommend", "1", "--json").json for path in (db, copy)]
    assert lists[0] == lists[1]
    assert call(db, "models", "delete", "v2", "--yes", "--json").json["deleted"] == "v2"
    assert [row["version"] for row in call(db, "models", "list", "--json").json] == ["v1"]
    assert len(call(copy, "models", "list", "--json").json) == 2


def test_nothing_is_trained_again_where_nothing_changed(db):
    made = call(db, "train", "popularity", "--seed", "7", "--if-changed", "--json").json
    assert made["state"] == "done"
    before = len(call(db, "jobs", "list", "--json").json)
    again = call(db, "train", "popularity", "--seed", "7", "--if-changed", "--json").json
    assert (again["state"], again["version"]) == ("skipped", made["version"])
    assert len(call(db, "jobs", "list", "--json").json) == before


def test_a_time_limit_keeps_what_is_trained(db):
    done = call(db, "train", "mf", "--set", "epochs=9999", "--time-limit", "1s", "--json").json
    assert done["state"] == "done"
    assert 1 <= len(done["epochs"]) < 9999


def test_a_gate_refuses_what_is_not_better(db):
    active = call(db, "models", "show", "--json").json["version"]
    refused = call(db, "train", "popularity", "--activate-if-better", "rmse", "--json", expect=6)
    assert refused.error["code"] == "gate_refused"
    assert refused.out == ""
    assert call(db, "models", "show", "--json").json["version"] == active
    assert call(db, "models", "show", "latest", "--json").json["state"] == "candidate"


def test_figures_of_a_version_are_those_of_its_own_held_out_rows(db):
    call(db, "train", "content", "--json")
    shown = call(db, "models", "show", "latest", "--json").json["metrics"]
    report = call(db, "evaluate", "latest", "--json").json["metrics"]
    for name, figures in report.items():
        assert figures["value"] == pytest.approx(shown[name], abs=1e-9)


def test_rows_that_were_never_imported_are_a_test_set(db, tmp_path):
    known = {row["item"] for row in call(db, "users", "show", "1", "--limit", "500", "--json").json["history"]}
    free = [
        row["item"] for row in call(db, "items", "list", "--limit", "60", "--json").json if row["item"] not in known
    ]
    test = tmp_path / "test.csv"
    test.write_text("user,item,rating\n" + "".join(f"1,{item},4\n" for item in free[:20]) + "1,unknown,4\n")
    report = call(db, "evaluate", "--on", test, "--json").json
    assert report["protocol"]["test_rows"] == 20
    assert report["protocol"]["unknown_rows"] == 1
    assert report["metrics"]["rmse"]["value"] > 0
    leaked = tmp_path / "leaked.csv"
    leaked.write_text(f"user,item,rating\n1,{min(known)},4\n")
    assert "in the database" in call(db, "evaluate", "--on", leaked, expect=4).err


def test_train_all_trains_what_suits_and_activates_the_best(db):
    done = call(db, "train", "--all", "--activate", "--json").json
    assert {run["model"] for run in done["runs"]} >= {"popularity", "content", "mf"}
    best = max((run for run in done["runs"]), key=lambda run: run["metrics"]["ndcg@10"])
    assert [run["version"] for run in done["runs"] if run["active"]] == [best["version"]]
    assert call(db, "models", "show", "--json").json["version"] == best["version"]
