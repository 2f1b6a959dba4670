"""`MLModelManager`: save, load, choose and fall back. A loaded version is a `Snapshot`, which never changes."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from engine.confidence import Calibration
from engine.errors import EngineError, TrainingFailed
from engine.models import model_class
from engine.models.base import Model, State
from engine.models.content import ContentModel
from engine.models.popularity import Popularity
from engine.services.memory import Memory
from store import errors as store_errors
from store.artifacts import Bundle
from store.registry import ModelVersion, NewVersion, Registry

log = logging.getLogger(__name__)


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


class MLModelManager:
    """Versions as models: what is saved, what is loaded, which one is best, and what happens where one is damaged."""

    def __init__(self, registry: Registry, memory: Memory) -> None:
        self._registry = registry
        self._memory = memory
        self._loaded: dict[int, Snapshot] = {}

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
            arrays["calibration.quantiles"] = calibration.quantiles
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

    def get_best_model(self) -> Model:
        """Return the model of the version with the highest NDCG@10 among comparable ones."""
        return self.snapshot("best").model

    def snapshot(self, name: str = "active") -> Snapshot:
        """Load a version for serving; a damaged one is replaced by the newest sound one, else by popularity.

        While the database stays as it is, asking again costs one cheap query.

        Raises:
            NotFound: no version of that name.
        """
        moment = self._memory.now()
        known = moment.snapshots.get(name)
        if known is None:
            known = self._find(name)
            if not known.notes:  # a damaged version is looked at again each time: its files may come back
                moment.snapshots[name] = known
        return known

    def put_in_place(self, snapshot: Snapshot) -> None:
        """Serve this snapshot of its version from now on, in this process; others keep what they have loaded."""
        self._loaded[snapshot.version.id] = snapshot
        self._memory.forget()

    def _find(self, name: str) -> Snapshot:
        wanted = self._registry.resolve(name)
        notes: list[str] = []
        for version in self._candidates(wanted):
            try:
                found = self._load(version)
            except (store_errors.Damaged, EngineError, KeyError, ValueError) as error:
                notes.append(f"{version.name} cannot be used ({error})")
                log.warning(notes[-1])
                continue
            if not notes:
                return found
            notes.append(f"{version.name} answers in place of {wanted.name}")
            return Snapshot(found.version, found.model, found.calibration, tuple(notes), found.positions)
        raise store_errors.Damaged("; ".join(notes), hint="train again: `recsys-tui train popularity --activate`")

    def _candidates(self, wanted: ModelVersion) -> Iterator[ModelVersion]:
        """Yield the versions to try in order: the one asked for, the one active before it, then newest first."""
        yield wanted
        before: ModelVersion | None = None
        with suppress(store_errors.NotFound):
            before = self._registry.resolve("previous")
        if before is not None:
            yield before
        tried = {wanted.id, before.id if before else wanted.id}
        yield from (version for version in self._registry.versions() if version.id not in tried)

    def _load(self, version: ModelVersion) -> Snapshot:
        if version.id not in self._loaded:
            arrays, extra = self._registry.load(version)
            quantiles = arrays.pop("calibration.quantiles", None)
            model = model_class(version.model_type)()
            model.restore(State(arrays, extra))
            calibration = None if quantiles is None else Calibration(quantiles.astype(np.float64))
            self._loaded[version.id] = Snapshot(version, model, calibration)
        return self._loaded[version.id]
