"""Where a version comes from: the request, the packages, the machine, the operator."""

import platform
import sys
from dataclasses import asdict
from functools import cache
from hashlib import sha256
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

import engine
from engine import resources
from engine.services.request import TrainingRequest
from store.registry import ModelVersion, Registry


def lineage_of(request: TrainingRequest, seconds: float) -> dict[str, Any]:
    """Return what is recorded with a version besides its figures; `seconds` is what the run took."""
    packages = {name: package_version(name) for name in ("numpy", "scipy", "numba", "recsys-tui")}
    if "torch" in sys.modules:
        packages["torch"] = package_version("torch")
    return {
        "code": code_digest(),
        "packages": packages,
        "python": platform.python_version(),
        "host": platform.node(),
        "seconds": round(seconds, 3),
        "peak_memory": resources.peak_memory(),
        "request": asdict(request),
    }


@cache
def code_digest() -> str:
    """Return a checksum of the engine's source: a version number alone does not tell two working copies apart."""
    root = Path(engine.__file__).parent
    digest = sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def family(registry: Registry, version: ModelVersion) -> dict[str, Any]:
    """Return where a version comes from and what became of it, as plain values.

    `ancestors` are the versions it follows, nearest first; `changes` is its part of the audit trail, oldest first.
    """
    known = {one.id: one for one in registry.versions()}
    ancestors: list[str] = []
    parent = version.parent
    while parent is not None and f"v{parent}" not in ancestors:
        ancestors.append(f"v{parent}")
        parent = known[parent].parent if parent in known else None
    lineage = dict(version.lineage)
    request = lineage.pop("request", None)
    return {
        "version": version.name,
        "model_type": version.model_type,
        "state": version.state,
        "label": version.label,
        "job": version.job,
        "parent": f"v{version.parent}" if version.parent else None,
        "ancestors": ancestors,
        "children": [one.name for one in known.values() if one.parent == version.id],
        "members": version.members,
        "member_of": [one.name for one in known.values() if version.name in one.members],
        "training_data": version.training_data,
        "protocol": version.protocol,
        "lineage": lineage,
        "request": request,
        "files": {name: facts._asdict() for name, facts in version.files.items()},
        "changes": [change._asdict() for change in reversed(registry.audit(version.id))],
    }


def whoami() -> str:
    """Return the name of the operator, for the audit trail."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a uid without a name, as in a container
        return "unknown"
