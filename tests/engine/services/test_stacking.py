"""Ensembles of registered versions: what may be combined, what is refused, and what `auto` takes."""

import shutil
import sqlite3

import numpy as np
import pytest

from engine.errors import DataTooSmall, SettingRefused
from engine.models import MODELS
from engine.services import Services
from engine.services.request import AUTO, TrainingRequest
from engine.services.transfer import export_version, import_versions
from store.errors import Damaged, DataRefused, NotFound, UsageRefused
from store.importers.pipeline import import_source
from tests.cli import call, few_ratings

QUICK = {"mf": {"n_factors": 4, "epochs": 4}, "ease": {}, "popularity": {}}


@pytest.fixture(scope="module")
def services(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stacking")
    services = Services.open(folder / "films.db", create=True)
    import_source(services.database, str(few_ratings(folder / "sample", 3000)))
    return services


@pytest.fixture(scope="module")
def versions(services):
    return {name: services.training.train_model(name, settings) for name, settings in QUICK.items()}


@pytest.fixture(scope="module")
def combined(services, versions):
    return services.training.train_model("ensemble", {"members": ",".join(versions.values())})


def test_an_ensemble_refers_to_its_members_by_checksum(services, versions, combined):
    version = services.registry.resolve(combined)
    assert set(version.members) <= set(versions.values())
    for name, digest in version.members.items():
        assert services.registry.resolve(name).files["model.safetensors"].sha256 == digest
    told = {row["member"]: row for row in version.lineage["ensemble"]}
    assert set(told) == set(versions.values())
    for name, row in told.items():
        assert (name in version.members) == bool(any(row["rating"]) or row["ranking"])
    assert version.metrics["rmse"].value is not None


def test_another_process_answers_alike(services, combined):
    here, there = (one.manager.snapshot(combined).model for one in (services, Services.open(services.database.path)))
    np.testing.assert_array_equal(here.score_users(np.arange(4)), there.score_users(np.arange(4)))
    pairs = np.arange(4), np.arange(4)
    np.testing.assert_array_equal(here.rate_pairs(*pairs), there.rate_pairs(*pairs))


def test_a_list_ranks_by_the_blend_and_shows_ratings_with_bounds(services, combined):
    model = services.manager.snapshot(combined).model
    user = model.facts.users.text(3)
    made = services.recommender.recommend(user, 5, version=combined)
    assert all(entry.lower <= entry.prediction <= entry.upper for entry in made.items)
    assert [entry.score for entry in made.items] == sorted((entry.score for entry in made.items), reverse=True)
    found = services.explainer.explain_recommendation(user, made.items[0].item, version=combined)
    assert found.method == "removal"
    assert found.reasons


def test_a_member_in_use_cannot_be_deleted(services, combined):
    member = next(iter(services.registry.resolve(combined).members))
    with pytest.raises(UsageRefused) as refused:
        services.registry.delete(services.registry.resolve(member).id, who="test")
    assert combined in str(refused.value) + refused.value.hint


@pytest.mark.parametrize(
    ("wish", "error", "said"),
    [
        ({"members": "v1"}, SettingRefused, "at least two"),
        ({"members": "v1,v1"}, SettingRefused, "each member once"),
        ({"members": "v999,v1"}, NotFound, ""),
        ({"members": "mf,bayesian-mf"}, DataTooSmall, "train bayesian-mf"),
        ({"members": "mf,nonsense"}, SettingRefused, "members="),
    ],
)
def test_impossible_ensembles_are_refused_before_a_rating_is_read(services, combined, wish, error, said):
    before = len(services.registry.versions())
    with pytest.raises(error) as refused:
        next(services.training.run(TrainingRequest("ensemble", wish)))
    assert said in refused.value.hint
    assert len(services.registry.versions()) == before


def test_members_that_know_the_test_rows_are_refused(services, versions):
    other = services.training.train_model("popularity", seed=7)
    whole = services.training.train_model("popularity", full=True)
    for leaking, reason in ((other, "other rows"), (whole, "--full")):
        with pytest.raises(DataRefused) as refused:
            services.training.train_model("ensemble", {"members": f"{versions['mf']},{leaking}"})
        assert leaking in str(refused.value)
        assert reason in str(refused.value)
        assert "--split" in refused.value.hint or "--full" in refused.value.hint


def test_an_ensemble_itself_is_no_member(services, versions, combined):
    with pytest.raises(DataRefused) as refused:
        services.training.train_model("ensemble", {"members": f"{versions['mf']},{combined}"})
    assert "ensemble" in str(refused.value)


def test_a_damaged_member_is_refused_and_an_ensemble_of_it_falls_back(services, versions, combined):
    member = services.registry.resolve(next(iter(services.registry.resolve(combined).members)))
    path = services.registry.folder / member.name / "model.safetensors"
    sound = path.read_bytes()
    try:
        path.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
        anew = Services.open(services.database.path)
        with pytest.raises(Damaged) as refused:
            next(anew.training.run(TrainingRequest("ensemble", {"members": ",".join(versions.values())})))
        assert member.name in str(refused.value)
        answer = anew.recommender.recommend("1", 3, version=combined)
        assert answer.version != combined
        assert member.name in " ".join(answer.notes)
    finally:
        path.write_bytes(sound)


def test_an_ensemble_whose_member_is_gone_falls_back(services, versions, combined, tmp_path):
    path = shutil.copytree(services.database.path.parent, tmp_path / "copy") / services.database.path.name
    member = next(iter(services.registry.resolve(combined).members))
    with sqlite3.connect(path) as db:  # as somebody does who works on the file by hand
        db.execute("DELETE FROM versions WHERE id = ?", (int(member[1:]),))
    answer = Services.open(path).recommender.recommend("1", 3, version=combined)
    assert answer.version != combined
    assert answer.items
    assert f"{member}, of which {combined} is made, is gone" in " ".join(answer.notes)


def test_a_member_of_another_scale_is_refused_for_that(services, versions, combined, tmp_path):
    tens = Services.open(tmp_path / "tens.db", create=True)
    (tmp_path / "tens.csv").write_text(
        "user,item,rating\n" + "".join(f"u{n % 20},i{n % 23},{n % 10 + 1}\n" for n in range(300))
    )
    import_source(tens.database, str(tmp_path / "tens.csv"))
    made = tens.registry.resolve(tens.training.train_model("popularity"))
    export_version(tens.registry, made, tmp_path / "one.parcel")
    foreign = import_versions(services, tmp_path / "one.parcel", who="test")[0].name
    with pytest.raises(DataRefused) as refused:
        services.training.train_model("ensemble", {"members": f"{versions['mf']},{foreign}"})
    assert "rates from" in str(refused.value)


def test_full_members_make_a_full_ensemble(services):
    names = [services.training.train_model(name, QUICK[name], full=True) for name in ("mf", "popularity")]
    made = services.training.train_model("ensemble", {"members": ",".join(names)}, full=True)
    version = services.registry.resolve(made)
    assert version.protocol["full"]
    assert set(version.members) <= set(names)
    model = services.manager.snapshot(made).model
    assert model.facts.user_counts.sum() == len(services.training.load_data())
    assert version.metrics["rmse"].value


def test_a_newcomers_vector_is_what_the_members_make_of_it(services, combined):
    model = services.manager.snapshot(combined).model
    items, ratings = np.array([1, 5, 9]), np.array([4.0, 3.0, 5.0], np.float32)
    vector = model.fold_in(items, ratings)
    assert vector[0] == 3
    assert len(vector) == len(model.cold_vector())
    assert np.isfinite(model.scores(vector)).all()


def test_auto_trains_chooses_and_says_why(services):
    events = list(services.training.run(TrainingRequest(AUTO, time_limit=10, activate=True)))
    tried = {event.data["model"]: event.data for event in events if event.kind == "candidate"}
    assert {"popularity", "mf", "ease", "ials", "ensemble"} <= set(tried)
    choice = next(event.data for event in events if event.kind == "choice")
    assert choice["why"]
    assert choice["version"] in {told["version"] for told in tried.values()}
    last = events[-1]
    assert last.kind == "version"
    assert last.data["version"] == choice["version"]
    assert services.registry.resolve("active").name == choice["version"]


def test_the_weights_are_shown(services, combined):
    shown = call(services.database.path, "models", "show", combined, "--json").json
    assert {row["member"] for row in shown["weights"]} >= set(shown["members"])


def test_retraining_all_leaves_the_others_where_one_fails(tmp_path):
    fresh = Services.open(tmp_path / "all.db", create=True)
    import_source(fresh.database, str(few_ratings(tmp_path / "sample", 1500)))
    outcome = fresh.training.retrain_all_models(split="per-user", time_limit=1.0, memory_limit=300 * 2**20)
    assert set(outcome) == set(MODELS)
    assert outcome["ncf"].startswith("failed: ")  # torch alone takes more memory than that
    made = {name: version for name, version in outcome.items() if not version.startswith("failed")}
    assert {"popularity", "mf", "ease", "ensemble"} <= set(made)
    assert len(set(made.values())) == len(made)
    jobs = {fresh.journal.get(fresh.registry.resolve(version).job).model for version in made.values()}
    assert jobs == set(made)  # each was a job of its own
    for name, version in made.items():
        assert fresh.registry.resolve(version).model_type == name
