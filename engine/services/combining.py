"""Putting an ensemble together again from the versions that it refers to."""

from collections.abc import Callable

from engine.models.abilities import Combines
from engine.models.base import Model
from store.artifacts import MODEL_ARRAYS
from store.errors import Damaged, NotFound
from store.registry import ModelVersion, Registry


def put_together(
    registry: Registry, version: ModelVersion, model: Combines, load: Callable[[ModelVersion], Model]
) -> None:
    """Put the registered members into an ensemble; those that count for nothing are not loaded.

    Args:
        registry: where they are.
        version: the ensemble's.
        model: as it was restored.
        load: makes the model of a version.

    Raises:
        Damaged: a member is gone, or is not the one that the weights were found for.
    """
    names = {digest: name for name, digest in version.members.items()}
    for digest in model.needed():
        if digest not in names:
            raise Damaged(f"{version.name} does not say which version a member is", hint="train the ensemble again")
        try:
            member = registry.resolve(names[digest])
        except NotFound as error:
            raise Damaged(
                f"{names[digest]}, of which {version.name} is made, is gone", hint="train the ensemble again"
            ) from error
        if member.files[MODEL_ARRAYS].sha256 != digest:
            raise Damaged(
                f"{member.name} is not the version that {version.name} was made of", hint="train the ensemble again"
            )
        model.attach(digest, load(member))
