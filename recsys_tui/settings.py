"""Settings of the program: defaults < user file < `./recsys.toml` < `RECSYS_*` < flags; each value knows its origin."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Literal

PROJECT_FILE = "recsys.toml"
_YES_NO = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


class SettingsError(Exception):
    """A settings file or value that cannot be used: `str(error)` is what happened, `error.hint` what to do next."""

    code: ClassVar[str] = "usage"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def _about(sentence: str, allowed: str, parse: Callable[[Any], Any]) -> dict[str, Any]:
    """Describe a setting; `parse` raises ValueError for what is not allowed."""
    return {"sentence": sentence, "allowed": allowed, "parse": parse}


def _path(value: Any) -> Path:
    if not isinstance(value, str | Path) or not str(value).strip() or "\0" in str(value):
        raise ValueError
    return Path(value).expanduser()


def _color(value: Any) -> str:
    if value not in {"auto", "always", "never"}:
        raise ValueError
    return str(value)


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    try:
        return _YES_NO[str(value).strip().lower()]
    except KeyError:
        raise ValueError from None


def _threads(value: Any) -> int:
    if isinstance(value, bool | float) or not 0 <= int(value) <= 1024:
        raise ValueError
    return int(value)


def _kept(value: Any) -> int:
    if isinstance(value, bool | float) or not 0 <= int(value) <= 1000:
        raise ValueError
    return int(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _keys(value: Any) -> dict[str, str]:
    from recsys_tui.actions import check_keys

    if isinstance(value, str):  # from the environment: models.activate=A,train.new=N
        value = dict(part.split("=", 1) for part in value.split(","))
    check_keys(value)
    return dict(value)


def _preference(value: Any) -> str:
    from store.importers.mongo_choice import PREFERENCES

    if value not in ("", *PREFERENCES):
        raise ValueError
    return str(value)


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not 0 < float(value) <= 86_400:
        raise ValueError
    return float(value)


def _gigabytes(value: Any) -> float:
    if isinstance(value, bool) or not 0 <= float(value) < 1e6:
        raise ValueError
    return float(value)


@dataclass(frozen=True)
class Settings:
    """How the program runs here. What a model learns with is set per training, not here."""

    db: Path = field(
        default=Path("recsys.db"),
        metadata=_about("The database; models lie beside it in a folder with the suffix .models/.", "a path", _path),
    )
    color: Literal["auto", "always", "never"] = field(
        default="auto",
        metadata=_about(
            "Whether output is coloured; auto is on a terminal, unless NO_COLOR is set or TERM is dumb.",
            "auto, always or never",
            _color,
        ),
    )
    ascii: bool = field(
        default=False,
        metadata=_about(
            "Draw with ASCII only, for terminals and fonts without line and block characters.", "true or false", _flag
        ),
    )
    threads: int = field(
        default=0,
        metadata=_about(
            "Threads for training and scoring; 0 is all that the machine and cgroup give.", "0 to 1024", _threads
        ),
    )
    memory_gb: float = field(
        default=0.0,
        metadata=_about(
            "Memory to stay within, in GB; 0 is what the machine and cgroup have.", "0 or more", _gigabytes
        ),
    )
    keep: int = field(
        default=5,
        metadata=_about(
            "Versions of each model that `models gc` and a scheduled training leave; 0 lets the schedule keep all.",
            "0 to 1000",
            _kept,
        ),
    )
    mongo_read_preference: str = field(
        default="",
        metadata=_about(
            "Which member of a MongoDB replica set `import` reads; empty is what the address says, or the primary.",
            "primary, primaryPreferred, secondary, secondaryPreferred or nearest",
            _preference,
        ),
    )
    mongo_timeout: float = field(
        default=10.0,
        metadata=_about("Seconds that `import` waits for a MongoDB server.", "above 0, to 86400", _seconds),
    )
    theme: str = field(
        default="",
        metadata=_about("Colours of the terminal UI; empty is what was chosen last.", "the name of a theme", _text),
    )
    mouse: bool = field(
        default=True,
        metadata=_about(
            "Whether the terminal UI takes the mouse; without it the terminal selects text.", "true or false", _flag
        ),
    )
    keys: Mapping[str, str] = field(
        default_factory=dict,
        metadata=_about(
            "Other keys for actions of the terminal UI, as in `[keys]` with lines `models.activate = 'A'`.",
            "a table of actions and keys; `recsys-tui keys` lists both",
            _keys,
        ),
    )
    _origins: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    def origins(self) -> dict[str, str]:
        """Return where each value comes from: `default`, a file, a variable or a flag."""
        return {name: self._origins.get(name, "default") for name in declared()}


def declared() -> dict[str, Mapping[str, Any]]:
    """Return each setting's name with its `sentence`, what is `allowed` and how to `parse` it."""
    return {f.name: f.metadata for f in fields(Settings) if f.metadata}


def load(
    flags: Mapping[str, Any] | None = None,
    *,
    env: Mapping[str, str] | None = None,
    folder: Path | None = None,
    complaints: list[SettingsError] | None = None,
) -> Settings:
    """Read the settings from all their places, the later ones winning.

    Args:
        flags: values given on the command line; None is "not given".
        env: the environment, `os.environ` by default.
        folder: where `recsys.toml` is looked for, the working folder by default.
        complaints: takes what would be raised; what is wrong then counts as not given.

    Raises:
        SettingsError: a file that cannot be read, an unknown name, or a value that is not allowed.
    """
    env = os.environ if env is None else env
    values: dict[str, Any] = {"db": data_folder(env) / "recsys.db"}
    origins: dict[str, str] = {}
    for origin, name, value in _given(flags or {}, env, folder or Path.cwd(), complaints):
        try:
            values[name] = _parsed(name, value, origin)
        except SettingsError as error:
            if complaints is None:
                raise
            complaints.append(error)
        else:
            origins[name] = origin
    return Settings(**values, _origins=origins)


def data_folder(env: Mapping[str, str]) -> Path:
    """Return the folder of the default database: `$XDG_DATA_HOME/recsys-tui`."""
    return _xdg(env, "XDG_DATA_HOME", ".local/share")


def user_file(env: Mapping[str, str]) -> Path:
    """Return the user's settings file: `$XDG_CONFIG_HOME/recsys-tui/config.toml`."""
    return _xdg(env, "XDG_CONFIG_HOME", ".config") / "config.toml"


def files(env: Mapping[str, str], folder: Path) -> tuple[Path, Path]:
    """Return the files that settings are read from, the weaker first, whether they exist or not."""
    return user_file(env), folder / PROJECT_FILE


def template() -> str:
    """Return a settings file that changes nothing: every setting with its sentence, in comments."""
    told = (f"# {about['sentence']}\n#   {name} = ({about['allowed']})\n" for name, about in declared().items())
    return "# Settings of recsys-tui; take the # away from a line and give it a value.\n\n" + "\n".join(told)


def _xdg(env: Mapping[str, str], variable: str, otherwise: str) -> Path:
    base = Path(env.get(variable, ""))
    if not base.is_absolute():  # the specification: a relative path is invalid and ignored
        base = Path(env.get("HOME") or Path.home()) / otherwise
    return base / "recsys-tui"


def _given(
    flags: Mapping[str, Any], env: Mapping[str, str], folder: Path, complaints: list[SettingsError] | None
) -> Iterator[tuple[str, str, Any]]:
    """Yield origin, name and value of everything that was set, the weakest place first."""
    for path in files(env, folder):
        try:
            found = _read(path)
        except SettingsError as error:
            if complaints is None:
                raise
            complaints.append(error)
            continue
        for name, value in found.items():
            yield str(path), name, _beside(path, value) if name == "db" else value
    for name in declared():
        variable = f"RECSYS_{name.upper()}"
        if env.get(variable, "").strip():
            yield variable, name, env[variable].strip()
    for name, value in flags.items():
        if value is not None:
            yield f"--{name.replace('_', '-')}", name, value


def _read(path: Path) -> dict[str, Any]:
    """Return the settings in a TOML file, none where there is no file."""
    if not path.is_file():
        return {}
    import tomllib

    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not valid TOML: {error}", "mend the line, or move the file away") from error
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}", "check its owner and mode") from error


def _beside(path: Path, value: Any) -> Any:
    """Return a path in a settings file as relative to that file; other kinds are left for the check."""
    return path.parent / Path(value).expanduser() if isinstance(value, str) and value.strip() else value


def _parsed(name: str, value: Any, origin: str) -> Any:
    """Return a value in its kind, or refuse it with the place, the name and what is allowed."""
    known = declared()
    if name not in known:
        from difflib import get_close_matches

        near = get_close_matches(name, known, n=1)
        guess = f"did you mean {near[0]}? " if near else ""
        raise SettingsError(f"{origin}: unknown setting {name!r}", f"{guess}settings: {', '.join(known)}")
    try:
        return known[name]["parse"](value)
    except (ValueError, TypeError, OverflowError):
        raise SettingsError(
            f"{origin}: {name} = {value!r} is not allowed", f"{name} must be {known[name]['allowed']}"
        ) from None
