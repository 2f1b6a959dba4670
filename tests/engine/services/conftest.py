"""A small database with two versions, and a copy of it for each test to change."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from engine.services import Services
from engine.services.request import TrainingRequest
from store.importers.pipeline import import_source

USERS, ITEMS = 30, 40


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with two versions, v1 active: even users like even items, odd ones odd items."""
    folder = tmp_path_factory.mktemp("serving")
    rng = np.random.default_rng(0)
    lines = [
        f"u{user},i{item},{5 if (user + item) % 2 == 0 else 1}"
        for user in range(USERS)
        for item in sorted(rng.permutation(ITEMS)[: ITEMS // 2].tolist())
    ]
    (folder / "ratings.csv").write_text("user,item,rating\n" + "\n".join(lines) + "\n")
    services = Services.open(folder / "films.db", create=True)
    with closing(services.database):
        import_source(services.database, str(folder / "ratings.csv"))
        for seed in (0, 1):
            request = TrainingRequest("mf", {"n_factors": 4, "epochs": 3}, full=True, activate=not seed, seed=seed)
            list(services.training.run(request))
    return folder


@pytest.fixture
def services(made: Path, tmp_path: Path) -> Iterator[Services]:
    """Services over a copy of that database, their own to change."""
    shutil.copytree(made, tmp_path / "copy")
    opened = Services.open(tmp_path / "copy" / "films.db")
    with closing(opened.database):
        yield opened
