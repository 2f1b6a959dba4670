"""Versions of every released format are read, and answer as they did when they were written."""

import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from engine.services import Services
from engine.services.transfer import import_versions
from store.artifacts import FORMAT_VERSION
from tests.golden.make import answers

HERE = Path(__file__).parent
PARCELS = sorted(HERE.glob("format*/*.tar"))


def test_every_format_has_its_golden_versions():
    assert {path.parent.name for path in PARCELS} == {f"format{number}" for number in range(1, FORMAT_VERSION + 1)}
    for folder in {path.parent for path in PARCELS}:
        assert json.loads((folder / "answers.json").read_text()).keys() == {path.stem for path in folder.glob("*.tar")}


@pytest.mark.parametrize("parcel", PARCELS, ids=lambda path: f"{path.parent.name} {path.stem}")
def test_a_golden_version_answers_as_it_did(parcel, tmp_path):
    services = Services.open(tmp_path / "films.db", create=True)
    with closing(services.database):
        [version] = import_versions(services, parcel, who="ann")
        assert version.model_type == parcel.stem
        assert services.registry.verify(version.id) == []
        assert {"rmse", "ndcg@10"} & set(version.metrics)
        found = answers(services, version.name)
        made = services.registry.activate(version.id, who="ann")
        assert services.recommender.recommend("ü3", 5, version=made.name).version == made.name
    expected = json.loads((parcel.parent / "answers.json").read_text())[parcel.stem]
    assert found.keys() == expected.keys()
    for part, figures in expected.items():
        np.testing.assert_allclose(found[part], figures, rtol=1e-4, atol=2e-5, err_msg=part)
