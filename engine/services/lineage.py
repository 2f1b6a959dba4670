"""Where a version comes from: the request, the packages, the machine, the operator."""

import platform
from dataclasses import asdict
from importlib.metadata import version as package_version
from typing import Any

from engine import resources
from engine.services.request import TrainingRequest


def lineage_of(request: TrainingRequest, seconds: float) -> dict[str, Any]:
    """Return what is recorded with a version besides its figures; `seconds` is what the run took."""
    packages = {name: package_version(name) for name in ("numpy", "scipy", "numba", "recsys-tui")}
    return {
        "packages": packages,
        "python": platform.python_version(),
        "host": platform.node(),
        "seconds": round(seconds, 3),
        "peak_memory": resources.peak_memory(),
        "request": asdict(request),
    }


def whoami() -> str:
    """Return the name of the operator, for the audit trail."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a uid without a name, as in a container
        return "unknown"
