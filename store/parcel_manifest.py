"""The manifest of a parcel: what each version in it is, read without trust."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from store import errors
from store.artifacts import FileFacts
from store.names import NAME
from store.versions import MetricRow, ModelVersion

MANIFEST = "manifest.json"
MOST_BYTES = 4 << 20
_FORMAT = 1
_FILE = re.compile(r"[a-z][a-z0-9_]{0,31}\.(safetensors|json)")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MODEL = re.compile(r"[a-z][a-z0-9-]{0,31}")
_OBJECTS = ("hyperparameters", "training_data", "protocol", "lineage", "members")
_KEPT = ("name", "model_type", "label", "trained_at", *_OBJECTS)
_MOST_VERSIONS, _MOST_FILES = 64, 64


@dataclass(frozen=True)
class Packed:
    """A version as a parcel describes it; names are those of the machine that it comes from."""

    name: str
    model_type: str
    label: str
    trained_at: float
    hyperparameters: dict[str, Any]
    training_data: dict[str, Any]
    protocol: dict[str, Any]
    lineage: dict[str, Any]
    members: dict[str, str]
    metrics: dict[str, MetricRow]
    files: dict[str, FileFacts]


def manifest_of(versions: Sequence[ModelVersion]) -> dict[str, Any]:
    """Describe versions."""
    return {"format": _FORMAT, "versions": [_described(version) for version in versions]}


def _described(version: ModelVersion) -> dict[str, Any]:
    return {name: getattr(version, name) for name in _KEPT} | {
        "metrics": {name: list(row) for name, row in version.metrics.items()},
        "files": {name: facts._asdict() for name, facts in version.files.items()},
    }


def packed_versions(path: Path, text: bytes) -> list[Packed]:
    """Read the versions from a manifest.

    Raises:
        Damaged: it is none; `path` is the parcel.
    """
    hint = "export it again; a newer program may have written it"
    try:
        return _versions(json.loads(text))
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        raise errors.Damaged(
            f"{path}: no parcel of versions: its manifest makes no sense ({error})", hint=hint
        ) from error


def _versions(found: dict[str, Any]) -> list[Packed]:
    if found["format"] != _FORMAT:
        raise ValueError(f"format {found['format']!r}, known is {_FORMAT}")
    versions = [_packed(one) for one in found["versions"]]
    if not 1 <= len(versions) <= _MOST_VERSIONS or len({one.name for one in versions}) != len(versions):
        raise ValueError("versions")
    return versions


def _packed(one: dict[str, Any]) -> Packed:
    """Check a description part by part; whatever is not of the right kind raises."""
    values: dict[str, Any] = {name: one[name] for name in _KEPT}
    if any(not isinstance(values[name], dict) for name in _OBJECTS) or not isinstance(values["label"], str):
        raise ValueError("kinds")
    if not NAME.fullmatch(values["name"]) or not _MODEL.fullmatch(values["model_type"]):
        raise ValueError("names")
    if not all(NAME.fullmatch(name) and _SHA256.fullmatch(digest) for name, digest in values["members"].items()):
        raise ValueError("members")
    counts = [values["training_data"][name] for name in ("n_users", "n_movies", "n_ratings")]
    if not all(isinstance(count, int) and count >= 0 for count in counts):
        raise ValueError("training_data")
    files = {name: FileFacts(facts["sha256"], facts["bytes"]) for name, facts in one["files"].items()}
    for name, facts in files.items():
        if not _FILE.fullmatch(name) or not _SHA256.fullmatch(facts.sha256):
            raise ValueError(f"file {name!r}")
        if type(facts.bytes) is not int or not 0 <= facts.bytes < 1 << 33:
            raise ValueError(f"size of {name}")
    if not {"model.safetensors", "model.json"} <= files.keys() or len(files) > _MOST_FILES:
        raise ValueError("files")
    values["trained_at"] = float(values["trained_at"])
    metrics = {str(name): MetricRow(*map(_figure, row)) for name, row in one["metrics"].items()}
    return Packed(**values, metrics=metrics, files=files)


def _figure(value: Any) -> Any:
    """Return a number or None; anything else raises."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise TypeError("figure")
    return value
