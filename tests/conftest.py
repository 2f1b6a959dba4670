"""What all tests share: Hypothesis profiles, the number of rounds of fault tests, an empty database, real data."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from store.database import Database
from store.migrations import migrate

ROOT = Path(__file__).parent.parent

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # hundreds of processes would compile every module anew

settings.register_profile("ordinary", max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("ordinary"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "ordinary")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults-rounds", type=int, default=0, help="rounds of each fault test; 0: a few")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "bench" in config.getoption("-m"):
        return
    for item in items:
        if "bench" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="a measurement: `make bench` runs it"))


@pytest.fixture(scope="session")
def rounds(request: pytest.FixtureRequest) -> Callable[[int], int]:
    """How many rounds a fault test runs: the number given, unless --faults-rounds asks for a campaign."""
    asked: int = request.config.getoption("--faults-rounds")
    return lambda ordinary: max(ordinary, asked)


@pytest.fixture(scope="session")
def cases(request: pytest.FixtureRequest) -> Callable[[int], int]:
    """How many cases a fuzz test draws: the number given, or fifty a round of a campaign; 10,000 in `make faults`."""
    asked: int = request.config.getoption("--faults-rounds")
    return lambda ordinary: max(ordinary, 50 * asked)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A migrated database without rows; it waits half a second for a lock."""
    with closing(Database(tmp_path / "recsys.db", busy_seconds=0.5)) as made:
        migrate(made)
        yield made


@pytest.fixture(scope="session")
def movielens() -> Path:
    """The folder of MovieLens latest-small, under RECSYS_DATA or ../shared/data."""
    folder = Path(os.environ.get("RECSYS_DATA", ROOT.parent / "shared" / "data")) / "ml-latest-small"
    if not (folder / "ratings.csv").is_file():
        pytest.skip(f"no MovieLens data at {folder}: set RECSYS_DATA to the folder that holds ml-latest-small")
    return folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB, where the machine allows one to be mounted."""
    folder = tmp_path / "small-disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "none", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted here: run as root on Linux")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
