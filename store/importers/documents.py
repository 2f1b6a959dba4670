"""Documents, as MongoDB and other nested sources hold them, to batches and titles."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from store.importers.base import MAX_NUMBER, NO_TIME, Batch, Fault, Numbers, Texts
from store.importers.nested import rows_at, value_at
from store.importers.values import epochs_of, ratings_of, times_of

_MOST_ROWS = 100_000  # of a batch out of arrays
Document = Mapping[str, Any]


class Kinds(NamedTuple):
    """How values that JSON does not know become text.

    Attributes:
        text: for ids, ratings and titles; "" for what can be none.
        time: for times: seconds, or a text that `parse_time` reads.
    """

    text: Callable[[Any], str]
    time: Callable[[Any], str]


def document_batches(
    documents: Sequence[Document],
    keys: Mapping[str, Sequence[str]],
    line: int,
    kinds: Kinds,
    raw: Callable[[Any], str],
) -> Iterator[Batch]:
    """Yield the rows of documents: one batch, or several where the arrays of a few documents hold very many.

    Args:
        documents: in the order of the source.
        keys: role to path; time may be missing.
        line: the number of the first row.
        kinds: for values of other kinds than JSON's.
        raw: a document as text, for the quarantine. Of one with several rows, each keeps its own values by their paths.
    """
    columns = {role: [value_at(found, path) for found in documents] for role, path in keys.items()}
    if not any(list in set(map(type, column)) for column in columns.values()):
        yield _batch(columns, line, kinds, lambda row: raw(documents[row]))
        return
    del columns
    for rows in _unwound(documents, keys):
        columns = dict(zip(keys, map(list, zip(*rows.values, strict=True)), strict=True))
        yield _batch(columns, line, kinds, partial(_own_text, raw, rows.owners, columns, keys), rows.uneven)
        line += len(rows.owners)


def _batch(
    columns: Mapping[str, list[Any]],
    line: int,
    kinds: Kinds,
    text: Callable[[int], str],
    uneven: Sequence[bool] | None = None,
) -> Batch:
    """Return rows; those of documents whose arrays do not fit each other have that for their fault."""
    n_rows = len(columns["user"])
    users, user_faults = _ids(columns["user"], kinds)
    items, item_faults = _ids(columns["item"], kinds)
    ratings, rating_faults = _ratings(columns["rating"], kinds)
    times, time_faults = _times(columns.get("time", [None] * n_rows), kinds)
    faults = user_faults if uneven is None else np.where(uneven, np.uint8(Fault.FIELDS), np.uint8(0))
    for later in (user_faults, item_faults, rating_faults, time_faults):
        faults = np.where(faults > 0, faults, later)
    return Batch(users, items, ratings, times, faults, range(line, line + n_rows), text)


class _Unwound(NamedTuple):
    """Rows of arrays: their values, what each is called by (see `_own_text`), and which stand for a whole document."""

    values: list[tuple[Any, ...]]
    owners: list[Any]
    uneven: list[bool]


def _unwound(documents: Sequence[Document], keys: Mapping[str, Sequence[str]]) -> Iterator[_Unwound]:
    """Yield a row for each element of the arrays, and one for a document whose arrays do not fit each other."""
    rows = _Unwound([], [], [])
    nothing = (None,) * len(keys)
    for document in documents:
        found = rows_at(document, list(keys.values()))
        owner, values = (document, [nothing]) if found is None else (document.get("_id"), found)
        for start in range(0, len(values), _MOST_ROWS):
            part = values[start : start + _MOST_ROWS]
            rows.values.extend(part)
            rows.owners.extend([owner] * len(part))
            rows.uneven.extend([found is None] * len(part))
            if len(rows.owners) >= _MOST_ROWS:
                yield rows
                rows = _Unwound([], [], [])
    if rows.owners:
        yield rows


def _own_text(
    raw: Callable[[Any], str],
    owners: list[Any],
    columns: Mapping[str, list[Any]],
    keys: Mapping[str, Sequence[str]],
    row: int,
) -> str:
    """Return the values of one row of a document as text, by their paths; or a document that has no rows."""
    if isinstance(owners[row], dict):
        return raw(owners[row])
    named = {} if owners[row] is None else {"_id": owners[row]}
    found = {".".join(path): columns[role][row] for role, path in keys.items()}
    return raw(named | {path: value for path, value in found.items() if value is not None})


def _ids(values: list[Any], kinds: Kinds) -> tuple[Texts | Numbers, NDArray[np.uint8]]:
    """Return ids; whole numbers as such, everything else as text."""
    sound = np.zeros(len(values), np.uint8)
    kinds_there = set(map(type, values))
    if kinds_there and _whole(kinds_there):
        numbers = np.array(values, np.int64)
        if numbers.min() >= 0 and numbers.max() <= MAX_NUMBER:
            return Numbers(numbers), sound
    texts = Texts.of(values if kinds_there == {str} else [id_text(value, kinds) for value in values])
    try:
        "".join(texts.texts).encode()
    except UnicodeEncodeError:
        bad = np.array([not encodes(text) for text in texts.texts], np.bool_)
        texts = Texts(texts.codes, [text if encodes(text) else "?" for text in texts.texts])
        sound[bad[texts.codes]] = Fault.UNDECODABLE
    return texts, sound


def id_text(value: Any, kinds: Kinds) -> str:
    """Return a value as the text of an id: 7 and 7.0 are "7"; "" for what is none."""
    if type(value) is str:  # BSON's code is a kind of text too, and no id
        return value
    if value is None or isinstance(value, bool | dict | list):
        return ""
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    return kinds.text(value)


def _ratings(values: list[Any], kinds: Kinds) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    kinds_there = set(map(type, values))
    if kinds_there and _whole(kinds_there - {float}):
        numbers = np.array(values, np.float64) + 0.0
        finite = np.isfinite(numbers)
        return np.where(finite, numbers, np.nan), np.where(finite, np.uint8(0), np.uint8(Fault.NOT_A_NUMBER))
    return ratings_of(Texts.of(_number_text(value, kinds.text) for value in values))


def _times(values: list[Any], kinds: Kinds) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    kinds_there = set(map(type, values))
    if kinds_there == {type(None)}:
        return np.full(len(values), NO_TIME), np.zeros(len(values), np.uint8)
    if kinds_there and _whole(kinds_there):
        return epochs_of(np.array(values, np.int64))
    return times_of(Texts.of(_number_text(value, kinds.time) for value in values))


def _whole(kinds_there: set[type]) -> bool:
    """Tell whether all values are whole numbers of 64 bits, under whatever name; a bool is none."""
    return all(issubclass(kind, int) and kind is not bool for kind in kinds_there)


def _number_text(value: Any, other: Callable[[Any], str]) -> str:
    if type(value) is str:
        return value if encodes(value) else "?"
    if value is None:
        return ""
    if isinstance(value, bool | dict | list):
        return "?"
    return repr(value) if type(value) in {int, float} else other(value)


def encodes(text: str) -> bool:
    """Tell whether a text has no lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
