"""Settings: the order of their places, where each value came from, and what a refusal says."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from recsys_tui.settings import Settings, SettingsError, data_folder, declared, load, user_file


@pytest.fixture
def places(tmp_path):
    """A home, a working folder, and a function that loads from them."""

    class Places:
        folder = tmp_path / "work"
        env = {"HOME": str(tmp_path / "home")}  # noqa: RUF012  one test, one object
        user = tmp_path / "home/.config/recsys-tui/config.toml"
        project = folder / "recsys.toml"

        def load(self, flags=None, **env):
            return load(flags, env={**self.env, **env}, folder=self.folder)

    Places.folder.mkdir()
    Places.user.parent.mkdir(parents=True)
    return Places()


def test_defaults(places, tmp_path):
    settings = places.load()
    assert settings == Settings(db=tmp_path / "home/.local/share/recsys-tui/recsys.db")
    assert set(settings.origins().values()) == {"default"}


def test_each_place_wins_over_the_one_before(places):
    assert places.load().threads == 0
    places.user.write_text("threads = 1")
    assert places.load().threads == 1
    places.project.write_text("threads = 2")
    assert places.load().threads == 2
    assert places.load(RECSYS_THREADS="3").threads == 3
    assert places.load({"threads": 4}, RECSYS_THREADS="3").threads == 4


def test_each_value_knows_its_origin(places):
    places.user.write_text("color = 'never'")
    places.project.write_text("threads = 2")
    assert places.load({"db": "x.db", "threads": None}, RECSYS_MEMORY_GB="1.5").origins() == {
        "db": "--db",
        "color": str(places.user),
        "ascii": "default",
        "threads": str(places.project),
        "memory_gb": "RECSYS_MEMORY_GB",
        "keep": "default",
        "mongo_read_preference": "default",
        "mongo_timeout": "default",
        "theme": "default",
        "mouse": "default",
        "keys": "default",
    }


def test_a_path_in_a_file_is_relative_to_the_file(places):
    places.user.write_text("db = 'mine.db'")
    assert places.load().db == places.user.parent / "mine.db"
    places.project.write_text("db = '/abs/films.db'")
    assert places.load().db == Path("/abs/films.db")
    assert places.load(RECSYS_DB="here.db").db == Path("here.db")


def test_a_tilde_is_the_home(places):
    assert places.load({"db": "~/x.db"}).db == Path.home() / "x.db"


def test_xdg_folders():
    env = {"HOME": "/h", "XDG_DATA_HOME": "/data", "XDG_CONFIG_HOME": "relative"}
    assert data_folder(env) == Path("/data/recsys-tui")
    assert user_file(env) == Path("/h/.config/recsys-tui/config.toml")


@pytest.mark.parametrize(("text", "value"), [("1", True), ("TRUE", True), ("off", False), ("no", False)])
def test_yes_and_no(places, text, value):
    assert places.load(RECSYS_ASCII=text).ascii is value


def test_an_empty_variable_is_not_set(places):
    assert places.load(RECSYS_THREADS="", RECSYS_DB=" ").origins()["threads"] == "default"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("threads", "many"),
        ("threads", -1),
        ("threads", 1.5),
        ("threads", True),
        ("threads", 10**400),
        ("memory_gb", "nan"),
        ("memory_gb", -1),
        ("mongo_timeout", 0),
        ("mongo_timeout", "10s"),
        ("mongo_read_preference", "secondry"),
        ("mongo_read_preference", 1),
        ("memory_gb", [1]),
        ("keep", -1),
        ("keep", 2.5),
        ("keep", "few"),
        ("color", "green"),
        ("color", ["auto"]),
        ("ascii", "maybe"),
        ("db", ""),
        ("db", 7),
        ("db", "a\0b"),
    ],
)
def test_a_refusal_names_place_value_and_what_is_allowed(places, name, value):
    with pytest.raises(SettingsError) as refused:
        places.load({name: value})
    flag = "--" + name.replace("_", "-")
    assert str(refused.value) == f"{flag}: {name} = {value!r} is not allowed"
    assert refused.value.hint == f"{name} must be {declared()[name]['allowed']}"
    assert refused.value.code == "usage"


def test_a_bad_value_in_a_file_names_the_file(places):
    places.project.write_text("threads = 'x'")
    with pytest.raises(SettingsError, match=r"recsys\.toml: threads = 'x'"):
        places.load()


def test_an_unknown_name_brings_the_nearest(places):
    places.project.write_text("thread = 2")
    with pytest.raises(SettingsError, match="unknown setting 'thread'") as refused:
        places.load()
    names = "db, color, ascii, threads, memory_gb, keep, mongo_read_preference, mongo_timeout, theme, mouse, keys"
    assert refused.value.hint == f"did you mean threads? settings: {names}"


@pytest.mark.parametrize("content", [b"threads = ", b"\xff\xfe", b"threads = 1\nthreads = 2"])
def test_a_broken_file_is_named(places, content):
    places.user.write_bytes(content)
    with pytest.raises(SettingsError, match=r"config\.toml: not valid TOML"):
        places.load()


def test_settings_are_frozen_and_each_has_a_sentence():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().threads = 3
    assert all(about["sentence"].endswith(".") for about in declared().values())


def test_reading_them_needs_the_standard_library_only():
    program = (
        "import sys, recsys_tui.settings as s; s.load()\n"
        "assert not {'rich', 'numpy', 'typer', 'textual'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_keys_of_the_terminal_ui(places):
    places.user.write_text("[keys]\n'models.activate' = 'A'")
    assert places.load().keys == {"models.activate": "A"}
    assert places.load(RECSYS_KEYS="train.new=N,app.help=h").keys == {"train.new": "N", "app.help": "h"}


@pytest.mark.parametrize("text", ["keys = 3", "[keys]\nelsewhere = 'x'", "[keys]\n'train.new' = 3", "keys = 'x'"])
def test_keys_that_cannot_be(places, text):
    places.user.write_text(text)
    with pytest.raises(SettingsError, match="keys"):
        places.load()


def test_complaints_instead_of_an_error(places, tmp_path):
    """What is wrong counts as not given, and the rest still counts."""
    places.user.write_text("threads = 'many'\ndb = '/abs/films.db'\nnonsense = 1")
    places.project.write_text("this is no TOML")
    complaints = []
    settings = load(env=places.env, folder=places.folder, complaints=complaints)
    assert settings.threads == 0
    assert settings.db == Path("/abs/films.db")
    assert len(complaints) == 3
    assert {"threads", "nonsense", "TOML"} == {
        word for word in ("threads", "nonsense", "TOML") if any(word in str(c) for c in complaints)
    }
