"""The README cannot be wrong: its commands run as written, and it names every command and the two that set all up."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from recsys_tui.cli import tree
from tests.cli import run

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with ratings of one's own, as the README assumes."""
    place = tmp_path_factory.mktemp("readme")
    shutil.copy(ROOT / "sample_data" / "ratings.csv", place / "ratings.csv")
    return place


def commands() -> list[str]:
    """Return what stands after a prompt."""
    return re.findall(r"^\$ recsys-tui (.+)$", README, flags=re.MULTILINE)


def test_commands_run_as_written(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert len(commands()) >= 5
    for line in commands():
        run(folder / "films.db", *shlex.split(line))


def test_first_screen_names_both_set_up_commands_and_shows_a_picture():
    first = "\n".join(README.splitlines()[:25])
    assert "make demo" in first
    assert "make test" in first
    picture = re.search(r"!\[.+\]\((.+\.svg)\)", first)
    assert picture is not None
    assert (ROOT / picture[1]).is_file()


def test_every_command_is_named():
    app = tree()
    names = {command.name for command in app.registered_commands} | {group.name for group in app.registered_groups}
    missing = {name for name in names if f"`{name}`" not in README}
    assert not missing


def test_links_lead_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
