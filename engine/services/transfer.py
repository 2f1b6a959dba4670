"""Moving versions between machines: an ensemble takes its members along; what comes in is tried before it is kept."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.data import IdMap
from engine.errors import SettingRefused
from engine.models import model_class
from engine.models.abilities import Combines
from engine.models.base import Model
from engine.services.heldout import HELD_OUT, rows_of
from engine.services.manager import UNUSABLE, restored
from store.artifacts import read_bundle
from store.errors import Damaged, StoreError
from store.journal import training_lock
from store.parcel import Parcel, open_parcel, write_parcel
from store.parcel_manifest import Packed
from store.registry import ModelVersion, NewVersion, Registry

if TYPE_CHECKING:
    from engine.services import Services


def export_version(registry: Registry, version: ModelVersion, target: Path) -> dict[str, Any]:
    """Write a version and the members that it needs into one file; return its `versions`, `bytes` and `sha256`.

    Raises:
        Damaged: a file of a version is not what was written.
        NotFound: a member is not there any more.
        NoSpace, NoPermission: nothing remains of the attempt.
    """
    versions = _with_members(registry, version)
    return {"versions": [one.name for one in versions]} | write_parcel(registry, versions, target)


def _with_members(registry: Registry, version: ModelVersion) -> list[ModelVersion]:
    """Return a version after all that it needs, each once."""
    needed: dict[int, ModelVersion] = {}
    for name in version.members:
        needed |= {one.id: one for one in _with_members(registry, registry.resolve(name))}
    return list((needed | {version.id: version}).values())


def import_versions(services: "Services", path: Path, *, who: str, wait: float = 0.0) -> list[ModelVersion]:
    """Register the versions of a file as candidates and return them; members that are here already are not taken twice.

    Raises:
        NotFound, UsageRefused: there is no such file.
        Damaged: it is no parcel, or what is in it makes no model; nothing is registered.
        Busy: a training runs for longer than `wait` seconds; it would take the new folder for a leftover.
    """
    registry = services.registry
    made: list[ModelVersion] = []
    with open_parcel(path) as parcel, training_lock(registry.folder, wait_seconds=wait):
        here = {
            (one.model_type, one.files["model.safetensors"].sha256): one.name
            for one in registry.versions()
            if "model.safetensors" in one.files
        }
        names: dict[str, str] = {}
        try:
            for packed in parcel.versions:
                same = here.get((packed.model_type, packed.files["model.safetensors"].sha256))
                if same is not None and packed is not parcel.versions[-1]:
                    names[packed.name] = same
                    parcel.skip(packed)
                    continue
                made.append(_register(registry, parcel, packed, names, who))
                names[packed.name] = made[-1].name
        except BaseException:
            for one in reversed(made):
                registry.delete(one.id, who=who, why="the rest of its file could not be imported")
            raise
    return made


def _register(registry: Registry, parcel: Parcel, packed: Packed, names: dict[str, str], who: str) -> ModelVersion:
    """Register one version; members go by the names that they have here."""
    try:
        members = {names[name]: digest for name, digest in packed.members.items()}
    except KeyError as error:
        raise Damaged(
            f"the file lacks {error.args[0]}, a member of {packed.name}", hint="export the ensemble again"
        ) from None
    origin = {
        "version": packed.name,
        "trained_at": packed.trained_at,
        "revision": packed.training_data.get("revision"),
    }
    new = NewVersion(
        packed.model_type,
        packed.hyperparameters,
        packed.training_data | {"revision": -1},  # of another database: no user's vector counts as up to date here
        packed.protocol,
        packed.lineage | {"imported": origin},
        packed.metrics,
        members=members,
        who=who,
        why=f"{packed.name} of another machine",
        action="import",
    )
    version = registry.add(new, lambda folder: parcel.unpack(packed, folder, lambda partial: _try(partial, packed)))
    return registry.label(version.id, packed.label, who=who) if packed.label else version


def _try(folder: Path, packed: Packed) -> None:
    """Make the model and let it score; look at the rows that later figures rest on.

    Raises:
        Damaged: it is no model that this program can serve.
    """
    hint = "nothing was registered; export it again, with this version of the program"
    try:
        model_class(packed.model_type)
    except SettingRefused as error:
        raise Damaged(f"{packed.name}: {error}", hint="upgrade recsys-tui") from error
    try:
        model, _ = restored(packed.model_type, read_bundle(folder, "model", packed.files))
        _try_scores(model)
        for part in {name.partition(".")[0] for name in packed.files} - {"model"}:
            bundle = read_bundle(folder, part, packed.files)
            if part == HELD_OUT:
                rows = rows_of(bundle, model.facts)
                _need(_inside(rows.user_index, rows.n_users) and _inside(rows.item_index, rows.n_items), part)
    except StoreError:
        raise
    except UNUSABLE as error:
        raise Damaged(f"{packed.name} makes no {packed.model_type}: {error}", hint=hint) from error


def _try_scores(model: Model) -> None:
    facts = model.facts
    n_users, n_items = len(facts.users), len(facts.items)
    for ids in (facts.users, facts.items):
        _need(_sound(ids), "ids")
    _need(len(facts.user_counts) == n_users, "counts of users")
    _need(len(facts.item_counts) == len(facts.item_sums) == n_items, "counts of items")
    _need(len(facts.features.genres) == len(facts.features.years) == n_items, "features of items")
    if isinstance(model, Combines) and model.needed():
        return  # its members are tried on their own
    trained = np.flatnonzero(facts.user_counts)[[0, -1]] if facts.user_counts.any() else ()
    for vector in (model.cold_vector(), *(model.user_vector(int(user)) for user in trained)):
        scores = model.scores(vector)
        _need(scores.shape == (n_items,) and bool(np.isfinite(scores).all()), "scores")


def _sound(ids: IdMap) -> bool:
    """Tell whether an id map holds valid text, id after id."""
    offsets = ids.offsets
    ascending = (
        len(offsets) > 0 and offsets[0] == 0 and offsets[-1] == len(ids.blob) and bool((np.diff(offsets) >= 0).all())
    )
    return ascending and len(ids.texts()) == len(ids)


def _inside(index: "np.ndarray[Any, Any]", size: int) -> bool:
    return not len(index) or bool(index.min() >= 0 and index.max() < size)


def _need(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f"its {what} make no sense")
