"""Ensembles of registered versions: which may be combined, and what is kept of them."""

import re
from typing import TYPE_CHECKING, Any

from engine.data import Interactions
from engine.errors import DataTooSmall, SettingRefused
from engine.models import MODELS
from engine.models.base import Model, TrainingFacts
from engine.models.ensemble import Ensemble, Recipe, check_members
from engine.models.ensemble_serving import ServedEnsemble
from engine.services.request import TrainingRequest
from engine.splits import Split
from store.artifacts import MODEL_ARRAYS
from store.errors import Damaged, DataRefused
from store.registry import ModelVersion, Registry

if TYPE_CHECKING:
    from engine.services import Services

_VERSION = re.compile(r"v[0-9]+|active|latest|best|previous")
_KNOWS = "it may know rows that the ensemble is measured on"


def check_named(services: "Services", model: Ensemble, request: TrainingRequest) -> None:
    """Refuse members by what the registry says of them, before any rating is read.

    Raises:
        SettingRefused, NotFound, DataRefused, DataTooSmall, Damaged: as `prepare`, which looks at the rows as well.
    """
    registry = services.registry
    for name in _wanted(model):
        if not _VERSION.fullmatch(name):
            _of_model(registry, name)
            continue
        version = registry.resolve(name)
        if refusal := _unfit(version, request, measured=request.test > 0):
            raise DataRefused(refusal[0], hint=refusal[1])
        if problems := registry.verify(version.id, MODEL_ARRAYS):
            raise Damaged(
                f"{version.name} is damaged: {problems[0]}", hint=f"train {version.model_type} again, or leave it out"
            )


def prepare(services: "Services", model: Ensemble, request: TrainingRequest, parts: Split) -> None:
    """Give an ensemble its members: registered versions, refused where they know rows that it is measured on.

    With `--full` the members that serve know all rows, so that they are put in only after the measuring.

    Raises:
        DataTooSmall: fewer than two versions suit.
        SettingRefused: a name is neither a version nor a model, or there are fewer than two.
        NotFound: no such version.
        DataRefused: a version was trained on other rows than those that the split leaves.
        Damaged: the files of a version are not what was written.
    """
    versions = [_chosen(services, name, request, parts) for name in _wanted(model)]
    if not versions:
        versions = _newest_of_each(services.registry, request, parts)
    check_members([version.name for version in versions])
    model.recipes = tuple(_recipe(version, _on_this_scale(services, version, parts.train)) for version in versions)
    model.serves_later = request.full and bool(len(parts.test))
    if model.config.validation == "auto" and request.split != "random":
        model.inner_split = request.split


def serve_all(model: Ensemble, data: Interactions) -> None:
    """Put the members in that know all rows, after the ensemble was measured."""
    model.facts = TrainingFacts.of(data)
    model.serves_later = False
    model.settle(data)


def references(model: Model) -> dict[str, str]:
    """Return the versions that an ensemble cannot do without, by name their checksum; of other models none."""
    if not isinstance(model, ServedEnsemble):
        return {}
    return {member.label: member.sha256 for member in model.members if member.sha256 and member.counts}


def described(model: Model) -> dict[str, Any]:
    """Return what is recorded of an ensemble's weights with its version, nothing for other models."""
    return {"ensemble": model.weights()} if isinstance(model, ServedEnsemble) else {}


def _wanted(model: Ensemble) -> list[str]:
    """Return the members that the settings name."""
    return [name.strip() for name in model.config.members.split(",") if name.strip()]


def _newest_of_each(registry: Registry, request: TrainingRequest, parts: Split) -> list[ModelVersion]:
    """Return the newest version of each model that suits, in the order of the table."""
    found: dict[str, ModelVersion] = {}
    for version in registry.versions():
        if version.model_type not in found and _unsuitable(version, request, parts) is None:
            found[version.model_type] = version
    if len(found) < 2:
        raise DataTooSmall(
            f"an ensemble combines at least two versions trained on this split; there {_are(len(found))}",
            hint="`recsys-tui train auto` trains and combines what suits the data; or train two models first",
        )
    return [found[name] for name in MODELS if name in found]


def _are(count: int) -> str:
    return "is none" if not count else "is one"


def _of_model(registry: Registry, name: str) -> list[ModelVersion]:
    """Return the versions of a model, newest first.

    Raises:
        SettingRefused: there is no such model.
        DataTooSmall: it has no version.
    """
    if name not in MODELS:
        raise SettingRefused(f"{name} is no version and no model", hint="members=v3,v5 or members=mf,ease")
    found = [version for version in registry.versions() if version.model_type == name]
    if not found:
        raise DataTooSmall(f"there is no version of {name}", hint=f"recsys-tui train {name}")
    return found


def _chosen(services: "Services", name: str, request: TrainingRequest, parts: Split) -> ModelVersion:
    """Return the version that a name stands for."""
    if not _VERSION.fullmatch(name):
        known = _of_model(services.registry, name)
        suited = [version for version in known if _unsuitable(version, request, parts) is None]
        if not suited:
            raise DataTooSmall(f"no version of {name} was trained on this split", hint=f"recsys-tui train {name}")
        return suited[0]
    version = services.registry.resolve(name)
    _on_this_scale(services, version, parts.train)  # said first: ratings on another scale are other rows as well
    if refusal := _unsuitable(version, request, parts):
        raise DataRefused(refusal[0], hint=refusal[1])
    return version


def _unfit(version: ModelVersion, request: TrainingRequest, *, measured: bool) -> tuple[str, str] | None:
    """Return why a version cannot be a member whatever rows it has, and what to do; None where it can.

    `measured` says whether the ensemble is measured on held-out rows.
    """
    if version.model_type == Ensemble.name:
        return f"{version.name} is an ensemble itself", "name its members instead"
    if version.protocol.get("full") and not request.full and measured:
        reason = f"{version.name} was fitted on its test rows too (--full): {_KNOWS}"
        return reason, "train the ensemble with --full as well, or a member without it"
    return None


def _unsuitable(version: ModelVersion, request: TrainingRequest, parts: Split) -> tuple[str, str] | None:
    """Return why a version cannot be a member of an ensemble of these rows, and what to do; None where it can."""
    if refusal := _unfit(version, request, measured=len(parts.test) > 0):
        return refusal
    if version.training_data.get("fingerprint") != parts.train.fingerprint():
        reason = f"{version.name} was trained on other rows than this split leaves: {_KNOWS}"
        own = " ".join(f"--{name} {version.protocol.get(name)}" for name in ("split", "test", "seed"))
        return reason, f"train all with the same ratings and split; its own: {own}"
    return None


def _on_this_scale(services: "Services", version: ModelVersion, train: Interactions) -> Model:
    """Return the model of a version, just as it is.

    Raises:
        Damaged: its files are not what was written.
        DataRefused: it was trained on another scale than the ratings have.
    """
    model = services.manager.check(version)
    scale = model.facts.scale
    if scale != train.scale:
        raise DataRefused(
            f"{version.name} rates from {scale.low:g} to {scale.high:g}, the data from {train.scale.low:g} to "
            f"{train.scale.high:g}",
            hint=f"train {version.model_type} again",
        )
    return model


def _recipe(version: ModelVersion, model: Model) -> Recipe:
    """Return how a version is trained anew, with its model as it is."""
    settings = dict(version.hyperparameters)
    if (
        0 < model.epochs_done < settings.get("epochs", 0)
    ):  # it stopped early, and so does what the weights are found with
        settings["epochs"] = model.epochs_done
    return Recipe(version.name, version.model_type, settings, model, version.files[MODEL_ARRAYS].sha256)
