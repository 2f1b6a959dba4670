"""Values inside nested documents by dotted paths, and documents that hold several rows in an array.

`movie.id` is a field of a field, `tags.0` the first element of an array. A path that crosses an array without naming an
element stands for all of them: `{"user": 7, "seen": [{"id": 1, "stars": 4}, {"id": 2, "stars": 3}]}` with
`user=user,item=seen.id,rating=seen.stars` is two rows. Paths of one document that cross arrays go in parallel.
"""

from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Any

from store import errors
from store.importers.columns import ROLES, find_columns, plain, role_of
from store.near import near_names

_DEEPEST = 8
_MOST_PATHS = 500


def keys_of(path: str) -> tuple[str, ...]:
    """Return the parts of a dotted path.

    Raises:
        UsageRefused: an empty part, an operator ("$…") or a NUL.
    """
    keys = tuple(path.split("."))
    if not all(keys) or any(key.startswith("$") or "\0" in key for key in keys):
        raise errors.UsageRefused(
            f"{path!r} is no path of a field", hint="name fields with dots between, such as movie.id or tags.0"
        )
    return keys


def value_at(found: Any, keys: Sequence[str]) -> Any:
    """Return the value at a path; a list where the path crosses or ends at an array; None where there is none."""
    for position, key in enumerate(keys):
        if isinstance(found, dict):
            found = found.get(key)
        elif isinstance(found, list):
            if not key.isdecimal():
                return [value_at(part, keys[position:]) for part in found]
            found = found[int(key)] if int(key) < len(found) else None
        else:
            return None
    return found


def rows_at(found: Any, paths: Sequence[Sequence[str]]) -> list[tuple[Any, ...]] | None:
    """Return the rows of a document, each with a value for every path; None where its arrays differ in length."""
    values = [value_at(found, keys) for keys in paths]
    lengths = {len(value) for value in values if isinstance(value, list)}
    if not lengths:
        return [tuple(values)]
    if len(lengths) > 1:
        return None
    n_rows = lengths.pop()
    return list(zip(*(value if isinstance(value, list) else [value] * n_rows for value in values), strict=True))


def paths_in(documents: Iterable[Any]) -> list[str]:
    """Return the paths of all fields with plain values in some documents, in order of appearance."""
    found: dict[str, None] = {}
    for document in documents:
        _collect(document, "", found, 0)
    return list(found)


def _is_wrapped(value: dict[str, Any]) -> bool:
    """Tell whether a value is one of another kind in extended JSON, such as {"$oid": "…"}."""
    return len(value) == 1 and next(iter(value)).startswith("$")


def unwrapped(value: Any) -> Any:
    """Return what is inside a value of extended JSON, such as {"$date": {"$numberLong": "…"}}; others as they are."""
    while isinstance(value, dict) and _is_wrapped(value):
        value = next(iter(value.values()))
    return value


def _collect(value: Any, path: str, found: dict[str, None], depth: int) -> None:
    if depth > _DEEPEST or len(found) >= _MOST_PATHS:
        return
    if isinstance(value, dict) and not _is_wrapped(value):
        for key, part in value.items():
            if "." not in key and key and not key.startswith("$"):
                _collect(part, f"{path}.{key}" if path else key, found, depth + 1)
    elif isinstance(value, list) and any(isinstance(part, dict) for part in value):
        for part in value[:20]:
            _collect(part, path, found, depth + 1)
    elif path:
        found[path] = None


def find_paths(names: Sequence[str], mapping: dict[str, str], *, source: str) -> dict[str, str]:
    """Return the path of each role: as stated, else guessed from names found in samples; time may be missing.

    A nested field is recognised by its whole path (`user.id` as "userid") or by its last part (`meta.rating`).

    Raises:
        DataRefused: a column is missing or ambiguous; the hint names the `--map` to use.
        UsageRefused: a stated path is none.
    """
    named = {plain(name): name for name in names}
    mapping = {role: path if path in names else named.get(plain(path) or path, path) for role, path in mapping.items()}
    for role, path in mapping.items():
        if path not in names and not path.isdecimal():  # a column's own name may be anything
            whole = ".".join(key for key in keys_of(path) if not key.isdecimal())
            if role != "time" and whole not in names:  # times may be rare
                raise errors.DataRefused(
                    f"--map {role}={path}: {source} has no such field in its first rows", hint=near_names(path, names)
                )
    known = list(dict.fromkeys([*names, *(path for path in mapping.values() if not path.isdecimal())]))
    taken = set(mapping.values())
    guessed = dict(mapping)
    for role in ROLES:
        if role not in mapping and not any(role_of(name) == role for name in known if name not in taken):
            near = [name for name in known if name not in taken and role_of(name.rpartition(".")[2]) == role]
            if len(near) == 1:
                guessed[role] = near[0]
                taken.add(near[0])
    found = find_columns(known, guessed, source=source)
    return {role: known[position] for role, position in found.items()}


def projection(paths: Iterable[str]) -> dict[str, int]:
    """Return which fields a server is to send: no path below another one, and none beyond the number of an element."""
    whole = {".".join(takewhile(lambda key: not key.isdecimal(), path.split("."))) for path in paths}
    return {"_id": 1} | {
        path: 1 for path in sorted(whole) if path and not any(path.startswith(f"{other}.") for other in whole)
    }
