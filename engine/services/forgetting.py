"""What trained versions still hold of a person who is to be forgotten, and taking it out of their files.

A version knows the ids of its users, a vector for each, the rows that it held out, and figures by user. Those are rows
that can be emptied. What the person contributed to the vectors of items, to counts and to sums stays until the version
is trained again: no row of it is theirs alone.
"""

import json
import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.data import IdMap
from engine.services.heldout import HELD_OUT, PER_USER
from store import forget
from store.artifacts import Bundle
from store.errors import Busy, Damaged
from store.redaction import replace_files

if TYPE_CHECKING:
    from engine.services import Services
    from store.registry import ModelVersion

_HISTORY = ("history_items", "history_weights")
Arrays = dict[str, NDArray[Any]]


class Trace(NamedTuple):
    """What a version holds of a person.

    Attributes:
        version: its name.
        model_type: its kind.
        active: True for the one being served.
        vector: True where its files have a row of their own for the person.
        held_out: how many of their ratings it keeps for measuring.
        damaged: True where the files cannot be read, so that nothing is known.
    """

    version: str
    model_type: str
    active: bool
    vector: bool
    held_out: int
    damaged: bool = False


def traces(services: "Services", user: str) -> list[Trace]:
    """Return what each version holds of a person, newest first; versions that hold nothing are left out."""
    found = (_trace(services, version, user) for version in services.registry.versions())
    return [trace for trace in found if trace.vector or trace.held_out or trace.damaged]


def forget_user(
    services: "Services", user: str, *, redact: bool = False
) -> tuple[forget.Proof, list[Trace], list[str]]:
    """Erase a person from the store, and where asked from the files of the versions.

    Args:
        services: over the store.
        user: text id.
        redact: empty the person's rows in the files of all versions too.

    Returns:
        The proof, what versions still hold, and the names of those that were redacted.

    Raises:
        NotFound: nothing is known of the person.
        Busy: a training runs, which would register a version that knows them; or others use the database.
    """
    if any(not job.ended for job in services.journal.recent(1000)):
        raise Busy(
            "a training is running or waiting, and it knows this user", hint="`recsys-tui jobs list`; then again"
        )
    database = services.database
    dense = forget.need_person(database, user)
    before = forget.holdings(database, user, dense)
    others = forget.others(database, user)
    redacted = redact_versions(services, user) if redact else []
    forget.erase(database, user, dense)
    _clean_folders(services, user)
    forget.compact(database)
    return forget.prove(database, user, dense, before, others), traces(services, user), redacted


def redact_versions(services: "Services", user: str) -> list[str]:
    """Empty a person's rows in the files of all versions, and return the names of those, newest first.

    Everybody else's vectors stay the same. So do their answers, but for what a model sums over all users while it
    serves (implicit ALS: scores move a little). Ensembles name their members by checksum: they follow.
    """
    moved: dict[str, str] = {}
    redacted = []
    for version in reversed(services.registry.versions()):  # members are older than what is made of them
        trace = _trace(services, version, user)
        holds = trace.vector or trace.held_out > 0
        if holds or moved.keys() & set(version.members.values()):
            moved |= _redact(services, version, user, moved)
            redacted += [version.name] if holds else []
    return redacted[::-1]


def _redact(services: "Services", version: "ModelVersion", user: str, moved: Mapping[str, str]) -> dict[str, str]:
    """Write the files of a version anew, without the person and with the checksums that its members have now.

    Returns:
        Its own checksums that changed, old to new.

    Raises:
        Damaged: the files are not what was written.
    """
    registry = services.registry
    names = dict.fromkeys(name.rpartition(".")[0] for name in version.files)
    bundles = {name: registry.load(version, name) for name in names}
    facts, extra = bundles["model"]
    users = _users(facts)
    position = users.index(user)
    if position is not None:
        facts = _without(facts, position, len(users))
        for name in {HELD_OUT, PER_USER} & bundles.keys():
            arrays, more = bundles[name]
            keep = arrays["users"] != position
            kept = {key: array[keep] if len(array) == len(keep) else array for key, array in arrays.items()}
            bundles[name] = Bundle(kept, more)
    bundles["model"] = Bundle(facts, _following(extra, moved))
    return replace_files(registry, version, bundles)


def _following(extra: Mapping[str, Any], moved: Mapping[str, str]) -> dict[str, Any]:
    """Return a model's own notes with new checksums in the place of old ones."""
    text = json.dumps(extra)
    for before, after in moved.items():
        text = text.replace(before, after)
    return dict(json.loads(text))


def _trace(services: "Services", version: "ModelVersion", user: str) -> Trace:
    described = version.name, version.model_type, version.active
    try:
        arrays = services.registry.load(version, "model").arrays
        position = _users(arrays).index(user)
        held_out = 0
        if position is not None and f"{HELD_OUT}.safetensors" in version.files:
            held_out = int((services.registry.load(version, HELD_OUT).arrays["users"] == position).sum())
    except (Damaged, KeyError):
        return Trace(*described, vector=False, held_out=0, damaged=True)
    return Trace(*described, vector=position is not None, held_out=held_out)


def _users(arrays: Mapping[str, NDArray[Any]]) -> IdMap:
    return IdMap(arrays["facts.user_blob"], arrays["facts.user_offsets"])


def _without(arrays: Mapping[str, NDArray[Any]], position: int, n_users: int) -> Arrays:
    """Return the arrays of a model with the row of one user emptied, and another name in their place."""
    out: Arrays = dict(arrays)
    out["facts.user_blob"], out["facts.user_offsets"] = _renamed(
        arrays["facts.user_blob"], arrays["facts.user_offsets"], position
    )
    for name, array in arrays.items():
        if "user" in name and not name.startswith("facts.user_o") and array.ndim and len(array) == n_users:
            out[name] = array.copy()
            out[name][position] = 0
    starts = arrays.get("history_starts")
    if starts is not None and len(starts) == n_users + 1:
        first, end = int(starts[position]), int(starts[position + 1])
        out["history_starts"] = np.where(np.arange(n_users + 1) > position, starts - (end - first), starts)
        for name in _HISTORY:
            if name in arrays:
                out[name] = np.concatenate([arrays[name][:first], arrays[name][end:]])
    return out


def _renamed(
    blob: NDArray[np.uint8], offsets: NDArray[np.int64], position: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return ids with one of them replaced by the id before it and a NUL.

    Ids stand in byte order and have no NUL, so this one keeps the order and can be nobody's. Ids made in the same way
    of the one that goes now are made anew of the one before it.
    """
    names = IdMap(blob, offsets)
    texts = [names.text(at).encode() for at in range(max(0, position - 1), position + 1)]
    before, old = (texts[0] if position else b""), texts[-1]
    end = position + 1
    while end < len(names) and names.text(end).encode().rstrip(b"\0") == old:
        end += 1
    fresh = [before + b"\0" * (1 + number) for number in range(end - position)]
    lengths = np.diff(offsets)
    lengths[position:end] = [len(name) for name in fresh]
    parts = [blob[: offsets[position]], np.frombuffer(b"".join(fresh), np.uint8), blob[offsets[end] :]]
    return np.concatenate(parts), np.concatenate([offsets[:1], offsets[0] + np.cumsum(lengths)])


def _clean_folders(services: "Services", user: str) -> None:
    """Take the person out of the logs of jobs, and drop states of trainings that were never finished."""
    folder = services.registry.folder
    for log in (folder / "jobs").glob("*.log"):
        text = log.read_text(encoding="utf-8", errors="surrogateescape")
        clean = forget.scrubbed(text, user)
        if clean != text:
            log.write_text(clean, encoding="utf-8", errors="surrogateescape")
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
