"""Training every model anew, side by side where processors and memory allow it; a failure of one leaves the others."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import resources
from engine.errors import EngineError
from engine.models import MODELS, model_class
from store import catalog, ratings
from store.errors import StoreError

if TYPE_CHECKING:
    from engine.services import Services

_LAST = "ensemble"  # it combines what the others have become
_ROOM = 0.9  # of the free memory


def retrain_all(services: "Services", options: dict[str, Any]) -> dict[str, str]:
    """Return by model the version that was made, or why there is none.

    Args:
        services: over the database.
        options: of every request, such as split, test and seed.
    """
    from joblib import Parallel, delayed

    names = [name for name in MODELS if name != _LAST]
    together = _together(services, names)
    threads = options.get("threads") or max(1, resources.processors() // together)
    path, alike = services.database.path, options | {"threads": threads}
    made = Parallel(n_jobs=together)(delayed(_one)(path, name, alike) for name in names)
    outcome: dict[str, str] = dict(zip(names, made, strict=True))
    outcome[_LAST] = _one(path, _LAST, options)
    return outcome


def _together(services: "Services", names: list[str]) -> int:
    """Return how many can be trained at once: one a processor, as far as the largest of them fit in memory together."""
    counts = (*catalog.counts(services.database), ratings.count(services.database))
    needs = sorted((model_class(name)().memory_bytes(*counts) for name in names), reverse=True)
    room, together = resources.available_memory() * _ROOM, 1
    while together < min(len(names), resources.processors()) and sum(needs[: together + 1]) <= room:
        together += 1
    return together


def _one(path: Path, name: str, options: dict[str, Any]) -> str:
    """Train one model, perhaps in a process of its own, with services of its own."""
    from engine.services import Services

    try:
        return Services.open(path).training.train_model(name, **options)
    except (EngineError, StoreError, MemoryError) as error:
        return f"failed: {error}"
