"""What the tests of the UI share: a small database with versions, and terminals that are closed in any case."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli import call, few_ratings
from tests.recsys_tui.tui.pty import Terminal


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with ratings and three versions, the first of which is active; copy it before changing it."""
    folder = tmp_path_factory.mktemp("trained")
    db = folder / "films.db"
    call(db, "import", few_ratings(folder / "ml", 6000))
    call(db, "train", "popularity", "--activate")
    call(db, "train", "mf", "--set", "epochs=4")
    call(db, "train", "mf", "--set", "epochs=6", "--set", "n_factors=8")
    return db


@pytest.fixture
def films(trained: Path, tmp_path: Path) -> Path:
    """A copy of `trained` of one's own."""
    db = tmp_path / "films.db"
    for path in trained.parent.glob("films.db*"):
        copy = shutil.copytree if path.is_dir() else shutil.copy
        copy(path, tmp_path / path.name)
    return db


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Opens terminals; each is closed at the end."""
    opened: list[Terminal] = []

    def open_one(db: Path, *arguments: str, size: tuple[int, int] = (80, 24), **more: str) -> Terminal:
        opened.append(Terminal(db, *arguments, size=size, **more))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()
