"""Ensembles of registered versions: which may be combined, and what is kept of them."""

import re
from typing import TYPE_CHECKING, Any

from engine.data import Interactions
from engine.errors import DataTooSmall, SettingRefused
from engine.models import MODELS
from engine.models.base import Model, TrainingFacts
from engine.models.ensemble import Ensemble, Recipe, check_members
from engine.models.ensemble_serving import ServedEnsemble
from engine.services.combining import ARRAYS
from engine.services.request import TrainingRequest
from engine.splits import Split
from store.errors import DataRefused
from store.registry import ModelVersion, Registry

if TYPE_CHECKING:
    from engine.services import Services

_VERSION = re.compile(r"v[0-9]+|active|latest|best|previous")


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
    wanted = [name.strip() for name in model.config.members.split(",") if name.strip()]
    versions = [_chosen(services.registry, name, request, parts) for name in wanted]
    if not wanted:
        versions = _newest_of_each(services.registry, request, parts)
    check_members([version.name for version in versions])
    model.recipes = tuple(_recipe(services, version, parts.train) for version in versions)
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


def _chosen(registry: Registry, name: str, request: TrainingRequest, parts: Split) -> ModelVersion:
    """Return the version that a name stands for."""
    if not _VERSION.fullmatch(name):
        if name not in MODELS:
            raise SettingRefused(f"{name} is no version and no model", hint="members=v3,v5 or members=mf,ease")
        known = [version for version in registry.versions() if version.model_type == name]
        suited = [version for version in known if _unsuitable(version, request, parts) is None]
        if not suited:
            raise DataTooSmall(f"no version of {name} was trained on this split", hint=f"recsys-tui train {name}")
        return suited[0]
    version = registry.resolve(name)
    if refusal := _unsuitable(version, request, parts):
        raise DataRefused(refusal[0], hint=refusal[1])
    return version


def _unsuitable(version: ModelVersion, request: TrainingRequest, parts: Split) -> tuple[str, str] | None:
    """Return why a version cannot be a member, and what to do; None where it can."""
    if version.model_type == Ensemble.name:
        return f"{version.name} is an ensemble itself", "name its members instead"
    knows = "it may know rows that the ensemble is measured on"
    if version.protocol.get("full") and not request.full and len(parts.test):
        reason = f"{version.name} was fitted on its test rows too (--full): {knows}"
        return reason, "train the ensemble with --full as well, or a member without it"
    if version.training_data.get("fingerprint") != parts.train.fingerprint():
        reason = f"{version.name} was trained on other rows than this split leaves: {knows}"
        own = " ".join(f"--{name} {version.protocol.get(name)}" for name in ("split", "test", "seed"))
        return reason, f"train all with the same ratings and split; its own: {own}"
    return None


def _recipe(services: "Services", version: ModelVersion, train: Interactions) -> Recipe:
    """Return how a version is trained anew, with its model as it is."""
    model = services.manager.check(version)
    scale = model.facts.scale
    if scale != train.scale:
        raise DataRefused(
            f"{version.name} rates from {scale.low:g} to {scale.high:g}, the data from {train.scale.low:g} to "
            f"{train.scale.high:g}",
            hint=f"train {version.model_type} again",
        )
    settings = dict(version.hyperparameters)
    if (
        0 < model.epochs_done < settings.get("epochs", 0)
    ):  # it stopped early, and so does what the weights are found with
        settings["epochs"] = model.epochs_done
    return Recipe(version.name, version.model_type, settings, model, version.files[ARRAYS].sha256)
