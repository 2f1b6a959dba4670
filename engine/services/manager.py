"""`MLModelManager`: save, load, choose and fall back. A loaded version is a `Snapshot`, which never changes."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from engine.confidence import Calibration
from engine.errors import EngineError, TrainingFailed
from engine.metrics import metric as find_metric
from engine.models import model_class
from engine.models.abilities import Combines
from engine.models.base import Model, State
from engine.models.content import ContentModel
from engine.models.popularity import Popularity
from engine.resources import keep
from engine.services.combining import put_together
from engine.services.fallback import in_turn, popularity_now
from engine.services.memory import Memory
from engine.services.swap import Swap, is_small, warm
from store import errors as store_errors
from store import names, ratings
from store.artifacts import Bundle
from store.registry import ModelVersion, NewVersion, Registry

log = logging.getLogger(__name__)
logging.getLogger("engine").addHandler(logging.NullHandler())  # front ends show the notes themselves

UNUSABLE = (store_errors.Damaged, EngineError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError)
"""What files raise that make no model: by their checksum, or because another program wrote nonsense into them."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A version as loaded for serving.

    Attributes:
        version: its row in the registry.
        model: ready to score.
        calibration: intervals of its predicted ratings, or None where they were never measured.
        notes: what the operator must know, such as a fall-back from a damaged version.
    """

    version: ModelVersion
    model: Model
    calibration: Calibration | None
    notes: tuple[str, ...] = ()
    positions: dict[int, int] = field(default_factory=dict)
    """Dense index in the model by dense id in the database, filled as items are met; -1 where the model lacks it."""
    names: dict[int, str] = field(default_factory=dict)
    """Text ids of items by dense index in the model, filled as items are listed."""

    @cached_property
    def popular(self) -> Popularity:
        """The lowest rung of the ladder, from the facts that every model keeps."""
        return Popularity.from_facts(self.model.facts)

    @cached_property
    def content(self) -> ContentModel:
        """The rung of genres, from the facts that every model keeps."""
        return ContentModel.from_facts(self.model.facts)

    def position(self, item_id: int, item: str) -> int:
        """Return the model's index of an item of the database, or -1."""
        found = self.positions.get(item_id)
        if found is None:
            index = self.model.facts.items.index(item)
            found = self.positions[item_id] = -1 if index is None else index
        return found

    def name(self, index: int) -> str:
        """Return the text id of an item of the model."""
        found = self.names.get(index)
        if found is None:
            found = self.names[index] = self.model.facts.items.text(index)
        return found


class MLModelManager:
    """Versions as models: what is saved, what is loaded, which one is best, and what happens where one is damaged."""

    def __init__(self, registry: Registry, memory: Memory) -> None:
        self._registry = registry
        self._memory = memory
        self._loaded: dict[int, Snapshot] = {}
        self._answering: dict[str, Snapshot] = {}  # by name, as last asked for
        self._swap = Swap()

    def save_model(
        self,
        model: Model,
        version: str,
        metadata: NewVersion,
        *,
        calibration: Calibration | None = None,
        parts: Mapping[str, Bundle] | None = None,
    ) -> str:
        """Register a trained model and return the version's name.

        Args:
            model: trained; every array must be finite.
            version: a label of the operator's own, or ""; the name v<n> counts up by itself.
            metadata: what the version's row answers.
            calibration: intervals measured on held-out rows.
            parts: further bundles by name, such as the held-out rows.

        Raises:
            TrainingFailed: an array is not finite; nothing is registered.
        """
        arrays, extra = model.state()
        arrays = {name: array for name, array in arrays.items() if not name.startswith("resume.")}
        for name, array in arrays.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise TrainingFailed(
                    f"{name} of {metadata.model_type} holds numbers that are not finite",
                    hint="lower the learning rate or raise the regularization; the active version stays",
                )
        if calibration is not None:
            arrays |= calibration.arrays()
        saved = self._registry.save(metadata, {"model": Bundle(arrays, extra), **(parts or {})})
        if version:
            self._registry.label(saved.id, version)
        return saved.name

    def load_model(self, version: str = "latest") -> Model:
        """Return the model of a version by name, falling back where it is damaged."""
        return self.snapshot(version).model

    def list_versions(self) -> list[ModelVersion]:
        """Return all versions, newest first."""
        return self._registry.versions()

    def get_best_model(self, metric: str = "ndcg@10") -> Model:
        """Return the model of the version that is best by a metric, among those measured like the newest one.

        Raises:
            NotFound: no version was measured by it.
            SettingRefused: no such metric.
        """
        found = find_metric(metric)
        best = names.best(self._registry.database, found.key, lower_is_better=found.better == "lower")
        if best is None:
            raise store_errors.NotFound(
                f"no version was measured by {found.key}", hint="only versions with held-out rows have metrics"
            )
        return self.snapshot(f"v{best}").model

    def check(self, version: ModelVersion) -> Model:
        """Return the model of just this version, or refuse it.

        Raises:
            Damaged: its files are not what was written, or make no model.
        """
        try:
            found = self._load(version)
        except store_errors.Damaged:
            raise
        except UNUSABLE as error:
            raise store_errors.Damaged(
                f"{version.name} makes no model: {_said(error)}", hint="train again; the active version stays"
            ) from error
        if self._answering:  # it may be served next: whoever asks first shall not wait for it
            warm(found)
        return found.model

    def snapshot(self, name: str = "active", user: str | None = None) -> Snapshot:
        """Load a version for serving; in place of a damaged one a version that served before it, else popularity.

        While the database stays as it is, asking again costs one cheap query.

        Args:
            name: `v7`, active, latest, best or previous; `popularity` is what answers where no version can be read.
            user: who is served; a canary takes its share of the users of the active version.

        Raises:
            NotFound: no version of that name.
        """
        moment = self._memory.now()
        if name == Popularity.name:  # what answered where no version could be read
            return self._last_resort()
        if user is not None and name == "active":
            canary = self._memory.canary()
            if canary is not None and canary.takes(user):
                name = f"v{canary.version}"
        known = moment.snapshots.get(name)
        if known is None:
            known, lasting = self._next(name)
            if lasting and not known.notes:  # a damaged version is looked at again each time: its files may come back
                moment.snapshots[name] = known
        return known

    def put_in_place(self, snapshot: Snapshot) -> None:
        """Serve this snapshot of its version from now on, in this process; others keep what they have loaded."""
        self._loaded[snapshot.version.id] = snapshot
        self._memory.forget()

    def _next(self, name: str) -> tuple[Snapshot, bool]:
        """Return what answers for a name now, and whether it will go on so: not while a large version is loaded."""
        before = self._answering.get(name)
        if before is not None and self._swap.goes_on(name):
            return before, False
        wanted = self._registry.resolve(name)
        if wanted.id in self._loaded:
            found: Snapshot | None = self._find(wanted)
        elif before is None:
            found = self._swap.load(name, lambda: self._find(wanted), here=True, wait=True)
        elif is_small(wanted):
            found = self._swap.load(name, lambda: self._find(wanted), here=True, wait=False)
        else:
            found = self._swap.load(name, lambda: self._find_warm(wanted), here=False, wait=False)
        if found is None and before is not None:
            return before, False
        assert found is not None  # noqa: S101  only where something answers meanwhile
        self._answering[name] = found
        return found, True

    def _find_warm(self, wanted: ModelVersion) -> Snapshot:
        found = self._find(wanted)
        warm(found)
        return found

    def _find(self, wanted: ModelVersion) -> Snapshot:
        notes: list[str] = []
        for version in in_turn(self._registry, wanted):
            try:
                found = self._load(version)
            except UNUSABLE as error:
                notes.append(f"{version.name} cannot be used ({_said(error)})")
                log.warning(notes[-1])
                continue
            if not notes:
                return found
            break
        else:
            found = self._last_resort()
        notes.append(f"{found.version.name} answers in place of {wanted.name}")
        log.warning(notes[-1])
        return Snapshot(found.version, found.model, found.calibration, tuple(notes), found.positions)

    def _last_resort(self) -> Snapshot:
        """Return popularity from today's ratings, made anew where they have changed."""
        known = self._loaded.get(0)
        revision = ratings.revision(self._registry.database)
        if known is None or known.version.training_data["revision"] != revision:
            version, model = popularity_now(self._registry.database)
            known = self._loaded[0] = Snapshot(version, model, None)
        return known

    def _load(self, version: ModelVersion) -> Snapshot:
        if version.id not in self._loaded:
            model, calibration = restored(version.model_type, self._registry.load(version))
            if isinstance(model, Combines):
                put_together(self._registry, version, model, lambda member: self._load(member).model)
            made = Snapshot(version, model, calibration)
            alike = (one for one in list(self._loaded.values()) if one.model.facts.items == model.facts.items)
            if (other := next(alike, None)) is not None:  # the items that it has met need not be met again
                made = replace(made, positions=other.positions, names=other.names)
            self._loaded[version.id] = made
            keep("versions")
        return self._loaded[version.id]


def _said(error: Exception) -> str:
    """Return what happened: our errors say it, of others the kind says more than the words."""
    return str(error) if hasattr(error, "hint") else f"its content makes no sense, {type(error).__name__} {error}"


def restored(model_type: str, bundle: Bundle) -> tuple[Model, Calibration | None]:
    """Make a model, and the intervals of its ratings, from what was saved of it.

    Raises:
        SettingRefused: this program has no such model.
    """
    arrays, extra = bundle
    calibration = Calibration.restored(arrays)
    model = model_class(model_type)()
    model.restore(State(arrays, extra))
    return model, calibration
