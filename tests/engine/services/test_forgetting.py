"""A person taken out of the files of every kind of model: no byte of theirs is left, and the version still answers."""

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from engine.models import MODELS
from engine.services import Services
from engine.services.forgetting import forget_user, traces
from store.importers.pipeline import import_source

WHO = "person-of-interest-77"
QUICK = {
    "bayesian-mf": {"epochs": 10},
    "ncf": {"epochs": 1},
    "mf": {"epochs": 2},
    "ensemble": {"members": "popularity,content"},
}


def holding(folder: Path) -> list[str]:
    """The names of all files below a folder that have the bytes of the id."""
    return [path.name for path in folder.rglob("*") if path.is_file() and WHO.encode() in path.read_bytes()]


@pytest.mark.slow
def test_every_kind_of_model_can_be_redacted_to_the_last_byte(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    users = [*(f"u{number}" for number in range(30)), WHO]
    lines = [
        f"{user},i{item},{5 if (place + item) % 2 == 0 else 1}\n"
        for place, user in enumerate(users)
        for item in sorted(rng.permutation(40)[:20].tolist())
    ]
    (tmp_path / "ratings.csv").write_text("user,item,rating\n" + "".join(lines))
    services = Services.open(tmp_path / "films.db", create=True)
    with closing(services.database):
        import_source(services.database, str(tmp_path / "ratings.csv"))
        (tmp_path / "ratings.csv").unlink()
        versions = [services.training.train_model(kind, QUICK.get(kind)) for kind in MODELS]
        assert holding(tmp_path).count("model.safetensors") == len(MODELS)
        proof, left, redacted = forget_user(services, WHO, redact=True)
        assert set(redacted) == set(versions)
        assert left == traces(services, WHO) == []
        assert set(proof.after.values()) == {0}
        assert holding(tmp_path) == []
        for version in services.registry.versions():
            assert services.registry.verify(version.id) == []
            found = services.recommender.recommend("u1", 10, version=version.name)
            assert (len(found.items), found.version) == (10, version.name)
            assert not any("cannot be used" in note for note in found.notes)
