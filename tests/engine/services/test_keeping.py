"""What happens to versions between training and serving: falling back, retention, moving, making again."""

import logging
import shutil
from contextlib import closing

import numpy as np
import pytest

from engine.errors import SettingRefused
from engine.models import MODELS
from engine.services import Services, retention
from engine.services.heldout import HELD_OUT
from engine.services.lineage import family
from engine.services.reproduce import likeness, request_like
from engine.services.request import TrainingRequest
from engine.services.transfer import export_version, import_versions
from store import errors
from store.artifacts import Bundle
from store.registry import NewVersion


def damage(services, *versions):
    for version in versions:
        path = services.registry.folder / version / "model.safetensors"
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)


def train(services, model="popularity", settings=None, **options):
    services.training.train_model(model, settings, **options)
    return services.registry.resolve("latest")


class TestFallingBack:
    def test_a_damaged_version_is_answered_for_by_the_one_before_it(self, services, caplog):
        services.registry.activate(2, who="ann")
        damage(services, "v2")
        with caplog.at_level(logging.WARNING):
            made = services.recommender.recommend("u1")
        assert made.version == "v1"
        assert "v2 cannot be used" in made.notes[0]
        assert "model.safetensors" in made.notes[0]
        assert made.notes[1] == "v1 answers in place of v2"
        assert [record.message for record in caplog.records][-2:] == list(made.notes[:2])
        assert services.registry.active() == 2

    def test_an_untried_candidate_answers_for_nobody(self, services):
        damage(services, "v1")  # v2 was never activated
        made = services.recommender.recommend("u1", 5)
        assert made.version == "popularity"
        assert made.notes[1] == "popularity answers in place of v1"
        assert len(made.items) == 5

    def test_popularity_from_the_ratings_says_what_a_popularity_version_says(self, services):
        train(services, test=0.0, activate=True)
        expected = services.recommender.recommend("nobody", 20)
        damage(services, "v1", "v3")
        found = Services.open(services.database.path).recommender.recommend("nobody", 20)
        assert found.version == "popularity"
        assert [entry.item for entry in found.items] == [entry.item for entry in expected.items]
        assert [entry.score for entry in found.items] == pytest.approx([entry.score for entry in expected.items])
        given = [entry.prediction for entry in expected.items]
        assert [entry.prediction for entry in found.items] == pytest.approx(given, abs=1e-5)

    def test_ratings_and_reasons_work_on_the_last_rung_too(self, services, caplog):
        damage(services, "v1")
        fresh = Services.open(services.database.path)
        made = fresh.recommender.recommend("u1", 3)
        assert all(fresh.explainer.reasons_for(made))
        assert fresh.realtime.rate("u1", made.items[0].item, 5.0).stored
        assert fresh.realtime.failures == 0
        again = fresh.recommender.recommend("u1", 3)
        assert made.items[0].item not in [entry.item for entry in again.items]

    def test_a_file_that_comes_back_answers_again(self, services):
        path = services.registry.folder / "v1" / "model.json"
        content = path.read_bytes()
        path.unlink()
        assert services.recommender.recommend("u1").version == "popularity"
        path.write_bytes(content)
        assert services.recommender.recommend("u1").version == "v1"

    def test_a_version_named_by_number_falls_back_to_what_served(self, services):
        damage(services, "v2")
        assert services.recommender.recommend("u1", version="v2").version == "v1"


class TestBest:
    def test_it_is_chosen_by_a_metric_among_comparable_versions(self, services):
        quick = [train(services, "mf", {"n_factors": 2, "epochs": epochs}) for epochs in (1, 3)]
        train(services, "popularity", test=0.0)
        better = min(quick, key=lambda version: version.metrics["rmse"].value)
        found = services.manager.get_best_model("rmse")
        assert found.config.epochs == better.hyperparameters["epochs"]
        with pytest.raises(SettingRefused):
            services.manager.get_best_model("beauty")
        with pytest.raises(errors.NotFound, match="recall@3"):
            services.manager.get_best_model("recall@3")


def put(services, model="popularity", members=None):
    """Register a version whose files do not matter."""
    new = NewVersion(model, {}, {"n_users": 1, "n_movies": 1, "n_ratings": 1}, {}, {}, members=members or {})
    return services.registry.save(new, {"model": Bundle({}, {})})


class TestRetention:
    def test_the_newest_five_of_each_model_stay_and_what_something_rests_on(self, services):
        registry = services.registry
        registry.activate(2, who="ann")  # mf: v2 serves, a rollback goes to v1
        for _ in range(8):
            put(services)  # v3 to v10
        ensemble = put(services, "ensemble", {"v3": "0" * 64})  # v11
        registry.label(4, "before the sale")
        for _ in range(5):
            put(services, "mf")  # v12 to v16
        reasons = {fate.version.name: fate.reason for fate in retention.plan(registry)}
        assert [name for name, reason in reasons.items() if not reason] == ["v5"]
        assert reasons["v1"] == "what a rollback goes to"
        assert reasons["v2"] == "active"
        assert reasons["v3"] == f"member of {ensemble.name}"
        assert reasons["v4"] == "labelled"
        gone, _ = retention.collect(registry, who="cron")
        assert [version.name for version in gone] == ["v5"]
        assert not (registry.folder / "v5").exists()
        assert registry.audit(5)[0].action == "delete"

    def test_an_ensemble_that_goes_lets_its_members_go(self, services):
        put(services, "popularity")
        put(services, "ensemble", {"v3": "0" * 64})
        for model in ("popularity", "ensemble"):
            put(services, model)
        gone, _ = retention.collect(services.registry, keep=1, who="cron")
        assert [version.name for version in gone] == ["v4", "v3"]

    def test_the_versions_of_a_canary_stay(self, services):
        services.canary.begin(services.registry.get(2), 0.5, (), who="ann")
        for _ in range(6):
            put(services, "mf")
        reasons = {fate.version.name: fate.reason for fate in retention.plan(services.registry)}
        assert reasons["v2"] == "canary"
        assert reasons["v1"] == "active"


class TestMoving:
    @pytest.fixture
    def elsewhere(self, tmp_path):
        opened = Services.open(tmp_path / "elsewhere" / "films.db", create=True)
        with closing(opened.database):
            yield opened

    @pytest.mark.parametrize("model", ["popularity", "content", "mf", "ials", "ease"])
    def test_a_version_answers_on_another_machine_as_it_did_here(self, services, elsewhere, tmp_path, model):
        version = train(services, model)
        services.registry.label(version.id, "[REC] (2007)")
        facts = export_version(services.registry, services.registry.get(version.id), tmp_path / "one.tar")
        assert facts["versions"] == [version.name]
        [made] = import_versions(elsewhere, tmp_path / "one.tar", who="bob")
        assert (made.state, made.label, made.model_type) == ("candidate", "[REC] (2007)", model)
        assert (made.metrics, made.protocol) == (version.metrics, version.protocol)
        assert made.lineage["imported"]["version"] == version.name
        assert elsewhere.registry.audit()[-1].action == "import"
        elsewhere.registry.activate(made.id, who="bob")
        here = services.manager.snapshot(version.name).model
        there = elsewhere.manager.snapshot().model
        users = np.arange(10)
        assert np.array_equal(here.score_users(users), there.score_users(users))

    def test_users_of_the_other_machine_are_folded_in_anew(self, services, elsewhere, tmp_path):
        """The numbering of changes there has nothing to do with the one here: no stored vector counts as current."""
        export_version(services.registry, services.registry.get(1), tmp_path / "one.tar")
        [made] = import_versions(elsewhere, tmp_path / "one.tar", who="bob")
        assert made.training_data["revision"] == -1

    def test_an_ensemble_takes_its_members_along(self, services, elsewhere, tmp_path):
        registry = services.registry
        digests = {f"v{number}": registry.get(number).files["model.safetensors"].sha256 for number in (1, 2)}
        put(elsewhere)  # so that the numbers differ
        copy = registry.load(registry.get(2))
        data = registry.get(2).training_data
        ensemble = registry.save(NewVersion("mf", {}, data, {}, {}, members=digests), {"model": copy})
        assert export_version(registry, ensemble, tmp_path / "all.tar")["versions"] == ["v1", "v2", "v3"]
        made = import_versions(elsewhere, tmp_path / "all.tar", who="bob")
        assert [version.name for version in made] == ["v2", "v3", "v4"]
        assert made[-1].members == {"v2": digests["v1"], "v3": digests["v2"]}
        again = import_versions(elsewhere, tmp_path / "all.tar", who="bob")
        assert [version.name for version in again] == ["v5"]
        assert again[-1].members == made[-1].members

    def test_what_makes_no_model_is_not_registered(self, services, elsewhere, tmp_path):
        registry = services.registry
        good = registry.load(registry.get(1))
        data = registry.get(1).training_data
        n_items = len(good.arrays["facts.item_counts"])
        broken = {
            "nothing": Bundle({"a": np.zeros(3)}, {}),
            "no config": Bundle(good.arrays, {key: good.extra[key] for key in good.extra if key != "config"}),
            "another setting": Bundle(good.arrays, good.extra | {"config": {"n_factors": -3, "evil": 1}}),
            "too few counts": Bundle(good.arrays | {"facts.item_counts": np.zeros(1, np.int32)}, good.extra),
            "ids past the end": Bundle(
                good.arrays | {"facts.item_offsets": np.full(n_items + 1, 10**9, np.int64)}, good.extra
            ),
            "ids that are no text": Bundle(
                good.arrays | {"facts.item_blob": np.full_like(good.arrays["facts.item_blob"], 255)}, good.extra
            ),
            "factors of others": Bundle(
                {
                    name: array[:3] if array.ndim == 2 and not name.startswith("facts.") else array
                    for name, array in good.arrays.items()
                },
                good.extra,
            ),
        }
        for number, (what, bundle) in enumerate(broken.items(), 3):
            version = registry.save(NewVersion("mf", {}, data, {}, {}), {"model": bundle})
            export_version(registry, version, tmp_path / f"{number}.tar")
            with pytest.raises(errors.Damaged, match="v") as caught:
                pytest.fail(f"{what}: {import_versions(elsewhere, tmp_path / f'{number}.tar', who='bob')}")
            assert caught.value.hint
        rows = {"users": np.array([10**6]), "items": np.array([0]), "ratings": np.ones(1), "times": np.zeros(1)}
        version = registry.save(NewVersion("mf", {}, data, {}, {}), {"model": good, HELD_OUT: Bundle(rows, {})})
        export_version(registry, version, tmp_path / "rows.tar")
        with pytest.raises(errors.Damaged, match="heldout"):
            import_versions(elsewhere, tmp_path / "rows.tar", who="bob")
        version = registry.save(NewVersion("telepathy", {}, data, {}, {}), {"model": good})
        export_version(registry, version, tmp_path / "model.tar")
        with pytest.raises(errors.Damaged, match="telepathy"):
            import_versions(elsewhere, tmp_path / "model.tar", who="bob")
        assert elsewhere.registry.versions() == []
        assert [path.name for path in elsewhere.registry.folder.iterdir()] == ["training.lock"]

    def test_members_that_came_before_a_refusal_go_again(self, services, elsewhere, tmp_path):
        registry = services.registry
        data = registry.get(1).training_data
        empty = registry.save(
            NewVersion("mf", {}, data, {}, {}, members={"v1": "0" * 64}), {"model": Bundle({"a": np.zeros(3)}, {})}
        )
        export_version(registry, empty, tmp_path / "all.tar")
        with pytest.raises(errors.Damaged):
            import_versions(elsewhere, tmp_path / "all.tar", who="bob")
        assert elsewhere.registry.versions() == []


class TestMakingAgain:
    @pytest.mark.parametrize("model", sorted(set(MODELS) - {"bayesian-mf", "neumf", "ncf", "ensemble", "auto"}))
    def test_the_artifact_is_the_same_byte_for_byte(self, services, model):
        first = train(services, model)
        request = request_like(first, threads=1, memory_limit=0)
        assert (request.like, request.activate) == (first.name, False)
        list(services.training.run(request))
        second = services.registry.resolve("latest")
        found = likeness(first, second)
        assert found == {"like": first.name, "equal": True, "differs": [], "changed": {}}
        assert second.parent == first.id
        assert family(services.registry, second)["ancestors"][0] == first.name
        assert second.name in family(services.registry, services.registry.get(first.id))["children"]

    def test_another_seed_is_told_apart(self, services):
        first, second = (train(services, "mf", {"n_factors": 2, "epochs": 1}, seed=seed) for seed in (1, 2))
        found = likeness(first, second)
        assert not found["equal"]
        assert "model.safetensors" in found["differs"]

    def test_changed_ratings_are_refused_before_the_training(self, services):
        first = train(services, "popularity")
        services.realtime.rate("u1", "i1", 3.0)
        count = len(services.registry.versions())
        with pytest.raises(errors.DataRefused, match="ratings are not those of v3"):
            list(services.training.run(request_like(first, threads=1, memory_limit=0)))
        assert len(services.registry.versions()) == count

    def test_a_version_without_a_request_cannot_be_made_again(self, services):
        with pytest.raises(errors.UsageRefused, match="does not say how"):
            request_like(put(services), threads=1, memory_limit=0)

    def test_it_says_where_a_version_comes_from(self, services):
        found = family(services.registry, services.registry.get(2))
        assert found["lineage"].keys() >= {"code", "packages", "python", "host", "seconds", "peak_memory"}
        assert found["training_data"]["fingerprint"]
        assert (found["protocol"]["split"], found["protocol"]["seed"]) == ("random", 1)
        assert (found["parent"], found["ancestors"]) == ("v1", ["v1"])
        assert [change["action"] for change in found["changes"]] == ["register"]
        assert isinstance(TrainingRequest(**found["request"]), TrainingRequest)


def test_a_copy_of_the_folder_alone_is_no_version(services, tmp_path):
    shutil.copytree(services.registry.folder / "v1", services.registry.folder / "v9")
    with pytest.raises(errors.NotFound):
        services.registry.resolve("v9")
    assert retention.collect(services.registry, who="ann")[1] == ["v9"]
