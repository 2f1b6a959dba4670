"""Making a version again: the same request on the same rows, and whether the artifact is the same, byte for byte."""

from dataclasses import replace
from typing import Any

import numpy as np

from engine.services.heldout import HELD_OUT, bundle_of
from engine.services.request import TrainingRequest
from engine.splits import Split
from store.errors import DataRefused, UsageRefused
from store.registry import ModelVersion, Registry


def request_like(version: ModelVersion, *, threads: int, memory_limit: int) -> TrainingRequest:
    """Return the request that a version was made by, to be run again; its files must not depend on the threads.

    Raises:
        UsageRefused: the version does not say how it was made.
    """
    recorded = version.lineage.get("request")
    if not isinstance(recorded, dict) or not recorded.get("model"):
        raise UsageRefused(
            f"{version.name} does not say how it was trained", hint="only a version that `train` made can be made again"
        )
    return replace(
        TrainingRequest.recorded(recorded),
        activate=False,
        better_by="",
        guards=[],
        like=version.name,
        threads=threads,
        memory_limit=memory_limit,
    )


def check_same_rows(registry: Registry, version: ModelVersion, parts: Split) -> None:
    """Refuse to go on where the rows are not the ones that the version was trained and measured on.

    Raises:
        DataRefused: the ratings have changed since.
        Damaged: the rows that it holds out are not as they were written.
    """
    hint = "restore a backup of that time into another --db, or train anew without --like"
    then, now = version.training_data.get("fingerprint"), parts.train.fingerprint()
    if then != now:
        raise DataRefused(
            f"the ratings are not those of {version.name}: fingerprint {now[:12]}, not {str(then)[:12]}", hint=hint
        )
    if f"{HELD_OUT}.safetensors" in version.files:
        kept, found = registry.load(version, HELD_OUT).arrays, bundle_of(parts.test).arrays
        if any(not np.array_equal(kept[name], found[name]) for name in found):
            raise DataRefused(
                f"the ratings are not those of {version.name}: the rows it was measured on have changed", hint=hint
            )


def likeness(first: ModelVersion, second: ModelVersion) -> dict[str, Any]:
    """Compare the artifacts of two versions by checksum.

    Returns:
        `like`: the first one's name; `equal`: every file has the same bytes; `differs`: the files that have not;
        `changed`: packages and program with other versions, which would explain it.
    """
    differs = sorted(
        name
        for name in first.files.keys() | second.files.keys()
        if name not in first.files or name not in second.files or first.files[name] != second.files[name]
    )
    then, now = (one.lineage.get("packages", {}) for one in (first, second))
    changed = {
        name: [then.get(name), now.get(name)]
        for name in sorted(then.keys() | now.keys())
        if then.get(name) != now.get(name)
    }
    codes = [one.lineage.get("code") for one in (first, second)]
    if codes[0] != codes[1]:
        changed["code"] = codes
    return {"like": first.name, "equal": not differs, "differs": differs, "changed": changed}
