"""evaluate, compare, diff and metrics through the command line: figures that agree with each other, leaks refused."""

import csv
import json
import re
import sys
from contextlib import closing

import numpy as np
import pytest

from engine.services import Services
from engine.services.heldout import held_out_of
from store.artifacts import Bundle
from store.registry import NewVersion
from tests.cli import call, few_ratings

MF = {"n_factors": 8, "epochs": 4}
HOSTILE = '<img src=x onerror=alert(1)> | "[REC]" ``` \x1b[31m $\\frac{1}{2}$'


def train(db, model, settings=None, **options):
    """Train in this process, which is quicker than a run of its own."""
    services = Services.open(db)
    with closing(services.database):
        return services.training.train_model(model, settings or {}, **options)


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    """Versions v1 to v6: popularity, mf, ials of another seed, mf by time, popularity fitted on all, or on all only."""
    folder = tmp_path_factory.mktemp("measuring")
    path = folder / "films.db"
    call(path, "import", few_ratings(folder / "sample"))
    train(path, "popularity", activate=True)
    train(path, "mf", MF)
    train(path, "ials", seed=7)
    train(path, "mf", MF, split="temporal")
    train(path, "popularity", full=True)
    train(path, "popularity", test=0.0)
    return path


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A version of data whose genres and label are an attack on whatever shows them."""
    folder = tmp_path_factory.mktemp("hostile")
    source = few_ratings(folder / "sample")
    with (source / "movies.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    genre = HOSTILE.replace("|", "")
    with (source / "movies.csv").open("w", newline="") as file:
        csv.writer(file).writerows([rows[0], *([*row[:2], genre] for row in rows[1:])])
    path = folder / "films.db"
    call(path, "import", source)
    train(path, "mf", MF)
    call(path, "models", "label", "v1", HOSTILE)
    return path


@pytest.fixture
def services(db):
    found = Services.open(db)
    with closing(found.database):
        yield found


def held_out(services, name):
    """The rows that a version holds out, as (user, item, rating, time)."""
    version = services.registry.resolve(name)
    facts = services.manager.snapshot(name).model.facts
    rows = held_out_of(services.registry, version, facts)
    columns = zip(rows.user_index, rows.item_index, rows.ratings, rows.times, strict=True)
    return [(facts.users.text(u), facts.items.text(i), float(r), int(t)) for u, i, r, t in columns]


def write(path, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("user", "item", "rating", "timestamp"), *rows])
    return path


def unrated(services, n=30):
    """Pairs of known users and items that nobody has rated, one a user."""
    facts = services.manager.snapshot("v1").model.facts
    data = services.training.load_data()
    found = []
    for user in range(n):
        seen = set(data.history(user)[0].tolist())
        item = next(item for item in range(data.n_items) if item not in seen and facts.item_counts[item])
        found.append((data.users.text(user), data.items.text(item)))
    return found


class TestEvaluate:
    @pytest.mark.parametrize("name", ["v1", "v2", "v3", "v4"])
    def test_figures_are_those_of_training(self, db, name):
        found = call(db, "evaluate", name, "--json").json
        stored = call(db, "models", "show", name, "--json").json["metrics"]
        assert set(found["metrics"]) == set(stored)
        for metric, figures in found["metrics"].items():
            assert figures["value"] == pytest.approx(stored[metric], rel=1e-12), metric
            if figures["low"] is not None:
                assert figures["low"] <= figures["value"] <= figures["high"]

    def test_protocol_users_and_those_left_out(self, db):
        found = call(db, "evaluate", "v4", "--json").json
        assert found["protocol"]["split"] == "temporal"
        assert found["protocol"]["candidates"] == "all unseen items"
        everybody = call(db, "stats", "--json").json["users"]
        assert 0 < found["users"] < everybody == found["users"] + found["excluded"]

    def test_how_ratings_entered_a_model_that_ranks_by_who_rated_what(self, db):
        assert call(db, "evaluate", "v3", "--json").json["protocol"]["interactions"] == "equal"
        assert "every rating counts as an interaction" in call(db, "evaluate", "v3").err
        assert "interactions" not in call(db, "evaluate", "v2", "--json").json["protocol"]

    def test_one_metric_at_any_cut(self, db):
        refused = call(db, "evaluate", "v2", "--metric", "recall@100000", "--json", expect=2).error["message"]
        whole = f"recall@{refused.rsplit(' ', 1)[-1]}"  # as many places as the catalogue has items
        found = call(db, "evaluate", "v2", "--metric", "ndcg@3", "--metric", whole, "--json").json["metrics"]
        assert list(found) == ["ndcg@3", whole]
        assert found[whole]["value"] == 1

    def test_groups(self, db):
        found = call(db, "evaluate", "v2", "--json").json
        rows = found["protocol"]["test_rows"]
        for by in ("activity", "popularity"):
            assert sum(part["rows"] for part in found["segments"] if part["by"] == by) == rows
        genres = {part["segment"] for part in found["segments"] if part["by"] == "genre"}
        assert len(genres) > 3
        shown = call(db, "evaluate", "v2", "--segments", "--format", "csv").out
        assert len(list(csv.DictReader(shown.splitlines()))) == len(found["segments"])
        assert "head (" in call(db, "evaluate", "v2", "--segments", "--format", "table").out

    def test_reliability_holds_every_row(self, db):
        found = call(db, "evaluate", "v2", "--json").json
        assert sum(part["rows"] for part in found["reliability"]) == found["protocol"]["test_rows"]
        assert call(db, "evaluate", "v3", "--json").json["reliability"] == []  # it only ranks
        assert 0.6 < found["metrics"]["interval_coverage"]["value"] < 0.95

    def test_a_sampled_protocol_is_named(self, db):
        done = call(db, "evaluate", "v2", "--sampled", "20")
        assert "do not compare" in done.err
        found = call(db, "evaluate", "v2", "--sampled", "20", "--json").json
        assert found["protocol"]["candidates"].startswith("sampled: 20 drawn")
        whole = call(db, "evaluate", "v2", "--json").json["metrics"]
        assert found["metrics"]["ndcg@10"]["value"] > whole["ndcg@10"]["value"]
        assert "--on" in call(db, "evaluate", "v2", "--sampled", "20", "--split", "random", expect=2).err

    def test_fitted_on_all_it_keeps_the_figures_of_the_first_fit(self, db):
        found = call(db, "evaluate", "v5", "--json").json
        assert "first fit" in found["protocol"]["measured"]
        assert found["metrics"]["ndcg@10"] == call(db, "evaluate", "v1", "--json").json["metrics"]["ndcg@10"]

    def test_without_test_rows_it_says_what_to_do(self, db):
        refused = call(db, "evaluate", "v6", "--json", expect=4).error
        assert "holds no rows out" in refused["message"]
        assert "--on FILE" in refused["hint"]

    def test_an_unknown_metric_is_named(self, db):
        assert "ndcg" in call(db, "evaluate", "v2", "--metric", "ngcd", "--json", expect=2).error["hint"]


class TestLeaks:
    def test_its_own_held_out_rows_in_a_file_give_its_own_figures(self, db, services, tmp_path):
        path = write(tmp_path / "own.csv", held_out(services, "v2"))
        found = call(db, "evaluate", "v2", "--on", path, "--json").json
        own = call(db, "evaluate", "v2", "--json").json
        for name in ("ndcg@10", "rmse", "auc", "coverage"):
            assert found["metrics"][name]["value"] == pytest.approx(own["metrics"][name]["value"])

    def test_columns_of_the_file_can_be_named(self, db, services, tmp_path):
        path = tmp_path / "odd.csv"
        lines = [f"{user};{item};{rating}" for user, item, rating, _ in held_out(services, "v2")]
        path.write_text("\n".join(["wer;was;wie", *lines]))
        assert "--map" in call(db, "evaluate", "v2", "--on", path, expect=4).err
        found = call(db, "evaluate", "v2", "--on", path, "--map", "user=wer,item=was,rating=wie", "--json").json
        assert found["protocol"]["test_rows"] == len(lines)

    def test_rows_of_unknown_users_and_rows_that_are_none_are_counted(self, db, services, tmp_path):
        own = held_out(services, "v2")
        path = write(tmp_path / "some.csv", [*own, ("nobody", own[0][1], 4, 0), ("", own[0][1], 4, 0), (own[0][0],)])
        done = call(db, "evaluate", "v2", "--on", path)
        assert "2 rows of" in done.err
        protocol = call(db, "evaluate", "v2", "--on", path, "--json").json["protocol"]
        assert (protocol["unknown_rows"], protocol["rejected_rows"], protocol["test_rows"]) == (1, 2, len(own))
        nobody = write(tmp_path / "nobody.csv", [(f"n{n}", own[0][1], 4, 0) for n in range(5)])
        assert "no test rating has a user and an item" in call(db, "evaluate", "v2", "--on", nobody, expect=4).err

    def test_training_rows_in_a_file_are_refused(self, db, services, tmp_path):
        own = held_out(services, "v2")
        known = {row[:2] for row in own}
        data = services.training.load_data()
        pairs = zip(data.user_index[:300], data.item_index[:300], strict=True)
        trained = [(data.users.text(u), data.items.text(i)) for u, i in pairs]
        leak = next(pair for pair in trained if pair not in known)
        path = write(tmp_path / "leak.csv", [*own[:50], (*leak, 4, 0)])
        refused = call(db, "evaluate", "v2", "--on", path, "--json", expect=4).error
        assert refused["message"].startswith("1 of 51 test ratings are in the database")
        assert refused["code"] == "data_refused"

    def test_every_row_of_the_database_is_a_leak_for_a_version_fitted_on_all(self, db, services, tmp_path):
        path = write(tmp_path / "held.csv", held_out(services, "v1")[:40])
        assert "40 of 40" in call(db, "evaluate", "v5", "--on", path, expect=4).err

    def test_rows_from_before_the_end_of_a_temporal_split_are_refused(self, db, services, tmp_path):
        instant = services.registry.resolve("v4").protocol["from"]
        pairs = unrated(services)
        late = write(tmp_path / "late.csv", [(*pair, 4, instant + 9) for pair in pairs])
        assert call(db, "evaluate", "v4", "--on", late, "--json").json["users"] > 0
        early = write(tmp_path / "early.csv", [(*pair, 4, instant - 9 * (n == 3)) for n, pair in enumerate(pairs)])
        refused = call(db, "evaluate", "v4", "--on", early, "--json", expect=4).error
        assert "test ratings are from before" in refused["message"]
        assert "future" in refused["message"]
        assert call(db, "evaluate", "v2", "--on", early, "--json").json["users"] > 0  # a random split has no instant

    def test_ratings_removed_since_training_cannot_be_tested_on(self, tmp_path):
        db = tmp_path / "films.db"
        call(db, "import", few_ratings(tmp_path / "sample"))
        train(db, "popularity", test=0.0)
        row = call(db, "users", "show", "20", "--json").json["history"][0]
        call(db, "rate", "--unset", "20", row["item"])
        path = write(tmp_path / "gone.csv", [("20", row["item"], 4, 0)])
        assert "trained on more ratings than" in call(db, "evaluate", "v1", "--on", path, expect=4).err
        train(db, "popularity")
        assert "removed_training_rows" not in call(db, "evaluate", "v2", "--json").json["protocol"]
        call(db, "imports", "undo", "1", "--yes", expect=None)
        done = call(db, "evaluate", "v2", "--json").json
        assert done["protocol"]["removed_training_rows"] > 100
        assert "removed since" in call(db, "evaluate", "v2").err

    def test_a_version_that_knows_what_it_claims_to_hold_out_is_found(self, db, services):
        version = services.registry.resolve("v6")  # trained on all
        claimed = services.registry.load(services.registry.resolve("v1"), "heldout")
        protocol = services.registry.resolve("v1").protocol
        bundles = {"model": services.registry.load(version), "heldout": Bundle(claimed.arrays, {})}
        new = NewVersion("popularity", {}, version.training_data, protocol, version.lineage)
        liar = services.registry.save(new, bundles)
        try:
            refused = call(db, "evaluate", liar.name, "--json", expect=4).error
            assert "trained on more ratings" in refused["message"]
        finally:
            services.registry.delete(liar.id)

    def test_figures_of_a_damaged_version_are_never_those_of_another(self, db, services):
        version = services.registry.resolve("v2")
        path = services.registry.folder / "v2" / "model.safetensors"
        sound = path.read_bytes()
        path.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
        try:
            for line in (["evaluate", "v2"], ["compare", "v2", "v3"], ["diff", "v1", "v2"]):
                refused = call(db, *line, "--json", expect=4).error
                assert "v2" in refused["message"]
        finally:
            path.write_bytes(sound)
        assert not services.registry.verify(version.id)

    def test_another_split_is_measured_only_where_it_was_held_out(self, db):
        same = call(db, "evaluate", "v2", "--split", "random", "--seed", "42", "--json").json
        assert same["metrics"]["rmse"] == call(db, "evaluate", "v2", "--json").json["metrics"]["rmse"]
        assert "was trained on" in call(db, "evaluate", "v2", "--split", "random", "--seed", "43", expect=4).err


class TestReports:
    @pytest.mark.parametrize("suffix", [".md", ".html", ".json"])
    def test_holds_every_figure_and_appears_whole(self, db, tmp_path, suffix):
        out = tmp_path / f"report{suffix}"
        figures = call(db, "evaluate", "v2", "--report", out, "--json").json["metrics"]
        text = out.read_text()
        assert out.stat().st_mode & 0o077 == 0
        assert [path.name for path in tmp_path.iterdir()] == [out.name]
        if suffix == ".json":
            found = json.loads(text)
            assert {row["metric"]: row["value"] for row in found["metrics"]} == {
                name: figure["value"] for name, figure in figures.items()
            }
            assert found["training_data"]["fingerprint"]
            return
        for name, figure in figures.items():
            assert name in text.replace("\\_", "_")
            assert f"{figure['value']:.4f}".removeprefix("-") in text
        assert "By genre" in text
        assert "Formula:" in text

    def test_a_page_needs_nothing_else(self, db, tmp_path):
        out = tmp_path / "report.html"
        call(db, "evaluate", "v2", "--report", out)
        text = out.read_text()
        assert text.count("data:image/png;base64,") >= 4
        bare = re.sub(r"base64,[A-Za-z0-9+/=]+", "", text)
        assert not re.search(r"<script|<link|src=\"(?!data:)|href=|url\(|https?://", bare)

    def test_without_matplotlib_plots_are_text(self, db, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        out = tmp_path / "report.html"
        call(db, "evaluate", "v2", "--report", out)
        assert "<img" not in out.read_text()
        assert out.read_text().count("<pre>") >= 4
        assert "●" in out.read_text()

    @pytest.mark.parametrize("suffix", [".md", ".html", ".json"])
    def test_what_is_in_the_data_stays_text(self, hostile, tmp_path, suffix):
        out = tmp_path / f"report{suffix}"
        call(hostile, "evaluate", "v1", "--report", out)
        text = out.read_text()
        assert "\x1b" not in text
        if suffix == ".html":
            assert "<img src=x" not in text
            assert "&lt;img src=x" in text
        if suffix == ".md":
            shown = re.sub(r"^```text\n.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)  # blocks of text are text
            assert "```" not in shown.replace("\\`", "")
            assert "\\<img src=x onerror" in shown
            assert not re.search(r"(?<!\\)[<|]img", shown)

    def test_twice_the_same(self, db, tmp_path):
        first, second = tmp_path / "1.html", tmp_path / "2.html"
        for out in (first, second):
            call(db, "evaluate", "v2", "--report", out)
        assert first.read_bytes() == second.read_bytes()

    def test_of_a_version_fitted_on_all(self, db, tmp_path):
        out = tmp_path / "report.md"
        call(db, "evaluate", "v5", "--report", out)
        assert "then fitted on all" in out.read_text()

    def test_bad_targets_are_refused_before_the_work(self, db, tmp_path):
        assert ".html" in call(db, "evaluate", "v2", "--report", tmp_path / "x.pdf", expect=2).err
        assert "no folder" in call(db, "evaluate", "v2", "--report", tmp_path / "none" / "x.md", expect=3).err
        (tmp_path / "folder.md").mkdir()
        assert "is a folder" in call(db, "evaluate", "v2", "--report", tmp_path / "folder.md", expect=2).err


class TestCompare:
    def test_rows_as_the_contract_fixes_them(self, db):
        found = call(db, "compare", "v2", "v1", "--json").json
        assert found["versions"] == ["v2", "v1"]
        for row in found["rows"]:
            assert {"metric", "values", "difference", "low", "high", "p", "p_adjusted", "winner"} <= set(row)
            assert set(row["values"]) == {"v1", "v2"}
            if row["p"] is not None:
                assert row["low"] <= row["difference"] <= row["high"]
                assert row["difference"] == pytest.approx(row["values"]["v2"] - row["values"]["v1"])
                assert row["p"] <= row["p_adjusted"] <= 1
                assert (row["p"] < 0.05) == (not row["low"] <= 0 <= row["high"])
        assert {"rmse", "ndcg@10", "coverage"} <= {row["metric"] for row in found["rows"]}
        assert re.fullmatch(r"v[12] .*\.", found["verdict"])

    def test_figures_are_those_of_each_version(self, db):
        for row in call(db, "compare", "v2", "v1", "--json").json["rows"]:
            for name, value in row["values"].items():
                stored = call(db, "models", "show", name, "--json").json["metrics"]
                assert value == pytest.approx(stored[row["metric"]])

    def test_the_other_way_round_the_sign_changes(self, db):
        here = call(db, "compare", "v2", "v1", "--metric", "rmse", "--json").json["rows"][0]
        there = call(db, "compare", "v1", "v2", "--metric", "rmse", "--json").json["rows"][0]
        assert here["difference"] == pytest.approx(-there["difference"])
        assert here["winner"] == there["winner"] == "v2"

    def test_three_versions_the_first_against_each(self, db):
        found = call(db, "compare", "v2", "v1", "v5", "--metric", "rmse", "--metric", "ndcg", "--json").json
        assert [(row["metric"], row["first"], row["second"]) for row in found["rows"]] == [
            (metric, "v2", other) for metric in ("rmse", "ndcg@10") for other in ("v1", "v5")
        ]

    def test_fitted_on_all_it_is_compared_by_the_first_fit(self, db):
        rows = call(db, "compare", "v5", "v1", "--json").json["rows"]
        assert all(row["difference"] == 0 for row in rows)
        assert {row["winner"] for row in rows} == {None}

    def test_other_splits_are_compared_on_what_neither_has_seen(self, db, services):
        found = call(db, "compare", "v2", "v3", "--json").json
        both = {row[:2] for row in held_out(services, "v2")} & {row[:2] for row in held_out(services, "v3")}
        assert found["protocol"]["rows"] == "unseen by all"
        assert found["protocol"]["test_rows"] == len(both)
        assert found["users"] == len({user for user, _ in both})

    def test_after_an_import_old_and_new_are_compared_on_what_neither_has_seen(self, tmp_path):
        db = tmp_path / "films.db"
        call(db, "import", few_ratings(tmp_path / "some", 3000))
        train(db, "popularity")
        call(db, "import", few_ratings(tmp_path / "more", 6000))
        train(db, "mf", MF)
        services = Services.open(db)
        with closing(services.database):
            both = {row[:2] for row in held_out(services, "v1")} & {row[:2] for row in held_out(services, "v2")}
        found = call(db, "compare", "v2", "v1", "--json").json
        assert found["protocol"]["test_rows"] == len(both) > 20

    def test_a_temporal_split_counts_later_rows_as_unseen(self, tmp_path):
        db = tmp_path / "films.db"
        rows = [
            (f"u{u}", f"i{(7 * u + 3 * t) % 40}", 1 + (u + t) % 5, 1000 + 10 * t) for u in range(40) for t in range(12)
        ]
        call(db, "import", write(tmp_path / "old.csv", rows))
        train(db, "popularity", split="temporal")
        later = [
            (f"u{u}", f"i{(7 * u + 3 * t) % 40}", 1 + (u + t) % 5, 1000 + 10 * t) for u in range(40) for t in (12, 13)
        ]
        call(db, "import", write(tmp_path / "new.csv", later))
        train(db, "content", split="temporal")
        found = call(db, "compare", "v2", "v1", "--json").json
        assert found["protocol"]["rows"] == "unseen by all"
        services = Services.open(db)
        with closing(services.database):
            assert found["protocol"]["test_rows"] == len(held_out(services, "v2")) > 40

    def test_a_random_split_against_a_temporal_one_is_told_apart(self, db):
        done = call(db, "compare", "v2", "v4", "--format", "table")
        assert "v2 has trained on ratings later than these" in done.err
        assert done.err.strip().endswith(".")

    @pytest.mark.parametrize(
        ("line", "code", "says"),
        [
            ("v2 v2", 2, "cannot be compared with itself"),
            ("v1 active", 2, "cannot be compared with itself"),
            ("v2 v99", 3, "no version v99"),
            ("v2", 2, "Missing argument"),
            ("v2 v1 --metric ndgc", 2, "did you mean ndcg"),
            ("v2 v6", 4, "v6 holds no rows out"),
            ("v3 v5", 4, "v5 was fitted on all rows"),
            ("v5 v1 --metric ndcg@3", 4, "v5 was fitted on all rows"),
        ],
    )
    def test_what_makes_no_sense_is_refused_with_the_reason(self, db, line, code, says):
        assert says in call(db, "compare", *line.split(), expect=code).err


class TestDiff:
    def lists(self, db, tmp_path, name, n):
        out = tmp_path / f"{name}.csv"
        call(db, "recommend", "--all", "--version", name, "-n", n, "--out", out)
        found = {}
        with out.open(newline="") as file:
            for row in csv.DictReader(file):
                found.setdefault(row["user"], []).append(row["item"])
        return found

    @pytest.mark.parametrize("n", ["1", "10", "1000"])  # the last is more than there are items
    def test_agrees_with_the_lists_as_served(self, db, tmp_path, n):
        before, after = self.lists(db, tmp_path, "v1", n), self.lists(db, tmp_path, "v3", n)
        out = tmp_path / "diff.csv"
        found = call(db, "diff", "v1", "v3", "-n", n, "--out", out, "--json").json
        assert found["users"] == len(before) == len(after)
        assert found["changed"] == sum(before[user] != after[user] for user in before)
        shares = [
            len(set(before[user]) & set(after[user])) / max(len(before[user]), len(after[user])) for user in before
        ]
        assert found["overlap_mean"] == pytest.approx(np.mean(shares))
        sides = {}
        with out.open(newline="") as file:
            for row in csv.DictReader(file):
                for side in ("first_rank", "second_rank"):
                    if row[side]:
                        sides.setdefault((side, row["user"]), {})[int(row[side])] = row["item"]
        for side, lists in (("first_rank", before), ("second_rank", after)):
            for user, items in lists.items():
                assert [sides[side, user][rank] for rank in range(1, len(items) + 1)] == items

    def test_exposure_and_examples(self, db, tmp_path):
        before, after = self.lists(db, tmp_path, "v1", "10"), self.lists(db, tmp_path, "v3", "10")
        found = call(db, "diff", "v1", "v3", "--examples", "3", "--json").json
        for row in found["gains"] + found["losses"]:
            assert row["first"] == sum(row["item"] in items for items in before.values())
            assert row["second"] == sum(row["item"] in items for items in after.values())
        assert all(row["second"] > row["first"] for row in found["gains"])
        assert all(row["second"] < row["first"] for row in found["losses"])
        assert len(found["examples"]) == 3
        for one in found["examples"]:
            entered = [item["item"] for item in one["entered"]]
            assert entered == [item for item in after[one["user"]] if item not in before[one["user"]]]
            assert one["overlap"] == len(set(before[one["user"]]) & set(after[one["user"]])) / 10
        likeness = [one["rbo"] for one in found["examples"]]
        assert likeness == sorted(likeness)
        assert likeness[-1] <= found["rbo_mean"]

    def test_versions_of_one_model_do_not_differ(self, db, tmp_path):
        found = call(db, "diff", "v5", "v6", "--json").json  # both popularity, fitted on all rows
        assert (found["changed"], found["overlap_mean"], found["rbo_mean"]) == (0, 1, 1)
        assert found["examples"] == found["gains"] == found["losses"] == []

    def test_parquet_holds_the_same(self, db, tmp_path):
        from pyarrow import parquet

        call(db, "diff", "v1", "v2", "--out", tmp_path / "d.csv")
        call(db, "diff", "v1", "v2", "--out", tmp_path / "d.parquet")
        with (tmp_path / "d.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        found = parquet.read_table(tmp_path / "d.parquet").to_pylist()
        assert [(row["user"], row["item"], row["first_rank"] or "") for row in rows] == [
            (row["user"], row["item"], str(row["first_rank"] or "")) for row in found
        ]

    @pytest.mark.parametrize(
        ("line", "code", "says"),
        [
            ("v2 v2", 2, "does not differ from itself"),
            ("v2 v99", 3, "no version v99"),
            ("v1 v2 --out lists.pdf", 2, ".parquet"),
            ("v1 v2 -n 0", 2, "-n"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, db, line, code, says):
        assert says in call(db, "diff", *line.split(), expect=code).err

    def test_on_a_terminal_it_names_films(self, db):
        done = call(db, "diff", "v1", "v3")
        assert done.out.splitlines()[0] == "first\tv1"


class TestMetrics:
    def test_history_holds_every_version_oldest_first(self, db):
        rows = call(db, "metrics", "history", "ndcg@10", "--json").json
        assert [row["version"] for row in rows] == ["v1", "v2", "v3", "v4", "v5"]
        for row in rows:
            shown = call(db, "models", "show", row["version"], "--json").json
            assert row["value"] == shown["metrics"]["ndcg@10"]
            assert row["low"] < row["value"] < row["high"]
        everything = call(db, "metrics", "history", "--json").json
        assert {"rmse", "coverage", "ndcg@10"} <= {row["metric"] for row in everything}

    def test_history_of_an_unknown_metric(self, db):
        assert "did you mean" in call(db, "metrics", "history", "ndgc", expect=2).err

    def test_explain_says_all_of_every_metric(self, db):
        for row in call(db, "metrics", "list", "--json").json:
            found = call(db, "metrics", "explain", row["metric"], "--json").json
            assert found == row
            assert all(found[key] for key in ("sentence", "formula", "source", "empty_case", "better"))

    def test_export_gives_the_same_figures(self, db, tmp_path):
        out = tmp_path / "figures.ndjson"
        call(db, "export", "metrics", "--out", out)
        exported = {
            (row["version"], row["metric"]): row["value"] for row in map(json.loads, out.read_text().splitlines())
        }
        told = {(row["version"], row["metric"]): row["value"] for row in call(db, "metrics", "history", "--json").json}
        assert exported == told


def test_one_user_is_measured_without_an_interval_that_means_anything(tmp_path):
    db = tmp_path / "one.db"
    rows = [("only", f"i{n}", 1 + n % 5, n) for n in range(150)]
    call(db, "import", write(tmp_path / "one.csv", rows))
    train(db, "popularity")
    train(db, "content")
    found = call(db, "evaluate", "v1", "--json").json
    assert found["users"] == 1
    compared = call(db, "compare", "v2", "v1", "--json").json
    assert {row["winner"] for row in compared["rows"]} == {None}
    assert all(row["p"] is None for row in compared["rows"])
