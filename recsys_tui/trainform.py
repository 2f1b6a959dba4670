"""What can be asked of a training run, as text in fields: checked while it is typed, and the command line it equals."""

from collections.abc import Mapping
from dataclasses import fields
from shlex import quote
from typing import TYPE_CHECKING, Any, NamedTuple

from recsys_tui.quantities import seconds

if TYPE_CHECKING:
    from engine.services.request import TrainingRequest

NO, YES, IF_BETTER = "no", "yes", "if better"


class Option(NamedTuple):
    """A value that a run can be given: name, what stands there at first, what it does, the words there are to pick."""

    name: str
    default: str
    sentence: str
    choices: tuple[str, ...] = ()


SPLITS = ("random", "per-user", "last", "temporal")
OPTIONS = (
    Option("split", "random", "Which ratings are held out to measure on.", SPLITS),
    Option("test", "0.2", "Share that is held out, 0 to 0.9; 0 fits on everything and measures nothing."),
    Option("full", NO, "After measuring, fit once more on all ratings.", (NO, YES)),
    Option(
        "activate", NO, "Whether the new version is served; `if better` asks the metric below.", (NO, YES, IF_BETTER)
    ),
    Option("metric", "ndcg@10", "By which `if better` is decided, such as ndcg@10, rmse or recall@10."),
    Option("seed", "42", "Seed of split and training, a whole number from 0."),
    Option("time limit", "", "Stop after this long and keep what is trained: 90, 10m or 1h; empty for none."),
    Option("threads", "0", "Threads; 0 for all that this process may use."),
)
"""What every model can be asked for; the settings of the model come from its own table."""


def settings_of(model: str) -> list[Option]:
    """Return the settings of a model from its table; loading it takes a moment, so ask from a thread."""
    from engine.models import model_class
    from engine.models.config import allowed

    found = []
    for setting in fields(model_class(model).Config):
        default, meta = setting.default, setting.metadata
        if isinstance(default, bool):
            found.append(Option(setting.name, YES if default else NO, meta["sentence"], (NO, YES)))
        elif meta["choices"]:
            found.append(Option(setting.name, str(default), meta["sentence"], tuple(map(str, meta["choices"]))))
        else:
            text = f"{default:g}" if isinstance(default, float) else str(default)
            within = "" if isinstance(default, str) else f" ({allowed(meta)})"
            found.append(Option(setting.name, text, meta["sentence"] + within))
    return found


def model_names() -> tuple[str, ...]:
    """Return the names of the table of models."""
    from engine.models import MODELS

    return tuple(MODELS)


def problems(model: str, settings: Mapping[str, str], options: Mapping[str, str]) -> dict[str, str]:
    """Return what is wrong with each value that is refused, by name; quick once the model is loaded."""
    from engine.errors import SettingRefused
    from engine.models import model_class

    wrong: dict[str, str] = {}
    for name, value in settings.items():
        try:
            model_class(model).Config.from_settings({name: value})
        except SettingRefused as error:
            wrong[name] = error.hint.partition(";")[0]
    for name, value in options.items():
        if said := _wrong_option(name, value):
            wrong[name] = said
    return wrong | _wrong_gate(options, decides=options["activate"] == IF_BETTER and "test" not in wrong)


def _wrong_option(name: str, value: str) -> str:
    """Return what is wrong with one of `OPTIONS`, or nothing."""
    from store.errors import StoreError

    try:
        if name == "test" and not 0 <= float(value) <= 0.9:
            return "test must be from 0 to 0.9"
        if name in {"seed", "threads"} and int(value) < 0:
            return f"{name} must be 0 or more"
        if name == "time limit" and value:
            seconds(value, "")
    except ValueError:
        return f"{name} must be a {'number from 0 to 0.9' if name == 'test' else 'whole number, 0 or more'}"
    except StoreError:
        return "time limit must be written as 90, 90s, 10m or 1h"
    return ""


def _wrong_gate(options: Mapping[str, str], *, decides: bool) -> dict[str, str]:
    """Return what is wrong with the metric, or with its having nothing to be measured on where it `decides`."""
    from engine.errors import EngineError
    from engine.metrics import metric

    if decides and not float(options["test"]):
        return {"test": "`if better` needs held-out ratings to measure on"}
    try:
        metric(options["metric"])
    except EngineError as error:
        return {"metric": f"{error}; {error.hint}"}
    return {}


def request_of(
    model: str, settings: Mapping[str, str], options: Mapping[str, str], *, threads: int = 0, memory_limit: int = 0
) -> "TrainingRequest":
    """Return what is asked for; values that `problems` refuses raise ValueError or an error of ours."""
    from engine.services.request import TrainingRequest

    limit = options["time limit"]
    return TrainingRequest(
        model=model,
        settings=dict(changed(model, settings)),
        split=options["split"],
        test=float(options["test"]),
        seed=int(options["seed"]),
        full=options["full"] == YES,
        activate=options["activate"] == YES,
        better_by=options["metric"] if options["activate"] == IF_BETTER else "",
        time_limit=seconds(limit, "") if limit else 0.0,
        threads=int(options["threads"]) or threads,
        memory_limit=memory_limit,
    )


def changed(model: str, settings: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings that are not as by default, as text."""
    defaults = {option.name: option.default for option in settings_of(model)}
    return {name: value for name, value in settings.items() if value != defaults.get(name)}


def command_of(model: str, settings: Mapping[str, str], options: Mapping[str, str]) -> str:
    """Return the command line that asks for the same."""
    parts = ["recsys-tui", "train", model]
    for name, value in changed(model, settings).items():
        parts += ["--set", quote(f"{name}={value}")]
    defaults = {option.name: option.default for option in OPTIONS}
    for name in ("split", "test", "seed", "threads", "time limit"):
        if options[name] != defaults[name]:
            parts += [f"--{name.replace(' ', '-')}", quote(options[name])]
    parts += ["--full"] if options["full"] == YES else []
    parts += ["--activate"] if options["activate"] == YES else []
    parts += ["--activate-if-better", quote(options["metric"])] if options["activate"] == IF_BETTER else []
    return " ".join([*parts, "--detach"])
