"""What every importer speaks: batches of rows with a fault code each, and titles of the catalogue.

A row that cannot be used is not dropped: it travels with its fault, so that the totals add up by construction.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from store.importers.source import Source

NO_TIME: int = int(np.iinfo(np.int64).min)  # an unknown time

MAX_FIELD_BYTES = 1_000_000
MAX_ID_BYTES = 512
MAX_NUMBER = (1 << 23) - 1  # ids up to here are looked up in an array
RAW_CHARACTERS = 2_000


class Fault(IntEnum):
    """Why a row was refused; `reason` is the wording of results and of the quarantine."""

    NONE = 0
    FIELDS = 1
    QUOTE = 2
    FIELD_SIZE = 3
    UNDECODABLE = 4
    NUL = 5
    NOT_JSON = 6
    MISSING_USER = 7
    MISSING_ITEM = 8
    LONG_USER = 9
    LONG_ITEM = 10
    MISSING_RATING = 11
    NOT_A_NUMBER = 12
    OUTSIDE_SCALE = 13
    BAD_TIME = 14

    @property
    def reason(self) -> str:
        """The fault in words, from a fixed vocabulary."""
        return _REASONS[self]


_REASONS = {
    Fault.NONE: "",
    Fault.FIELDS: "wrong number of fields",
    Fault.QUOTE: "unbalanced quote",
    Fault.FIELD_SIZE: "field over 1 MB",
    Fault.UNDECODABLE: "undecodable text",
    Fault.NUL: "NUL byte",
    Fault.NOT_JSON: "not a JSON object",
    Fault.MISSING_USER: "missing user",
    Fault.MISSING_ITEM: "missing item",
    Fault.LONG_USER: "user id over 512 bytes",
    Fault.LONG_ITEM: "item id over 512 bytes",
    Fault.MISSING_RATING: "missing rating",
    Fault.NOT_A_NUMBER: "rating is not a number",
    Fault.OUTSIDE_SCALE: "rating outside the scale",
    Fault.BAD_TIME: "bad time",
}


class Texts(NamedTuple):
    """A column of text: codes int32 (n,) into the distinct texts, which stand in order of first appearance."""

    codes: NDArray[np.int32]
    texts: list[str]

    def text(self, row: int) -> str:
        """Return the text of a row."""
        return self.texts[int(self.codes[row])]

    @classmethod
    def of(cls, rows: Iterable[str]) -> "Texts":
        """Encode the texts of rows (n,)."""
        known: dict[str, int] = {}
        codes = [known.setdefault(text, len(known)) for text in rows]
        return cls(np.array(codes, np.int32), list(known))


class Numbers(NamedTuple):
    """A column of ids that are plain whole numbers: int64 (n,), from 0 to `MAX_NUMBER`; `str` of each is its text."""

    values: NDArray[np.int64]

    def text(self, row: int) -> str:
        """Return the text of a row."""
        return str(self.values[row])


@dataclass
class Batch:
    """Rows as read, in the order of the source; n is at most a few hundred thousand.

    Attributes:
        users, items: text ids (n,), as written.
        ratings: float64 (n,); NaN where the fault says so.
        times: int64 (n,), seconds since 1970 UTC, `NO_TIME` where unknown.
        faults: uint8 (n,), `Fault` codes; a row with a fault is not stored.
        lines: where each row begins in its file, counted from 1.
        raw: the text of row i, for the quarantine.
    """

    users: Texts | Numbers
    items: Texts | Numbers
    ratings: NDArray[np.float64]
    times: NDArray[np.int64]
    faults: NDArray[np.uint8]
    lines: Sequence[int]
    raw: Callable[[int], str]

    def __len__(self) -> int:
        return len(self.ratings)


class Title(NamedTuple):
    """What a catalogue says of an item."""

    item: str
    title: str | None
    genres: tuple[str, ...] = ()
    year: int | None = None


class Importer(Protocol):
    """Reads one format.

    Attributes:
        mapping: which column became user, item, rating and time.
        file: the name of the file with the ratings.
    """

    mapping: dict[str, str]
    file: str

    def __init__(self, source: Source, mapping: Mapping[str, str]) -> None:
        """Open the source and settle its columns.

        Args:
            source: what to read.
            mapping: roles (user, item, rating, time) to columns, as the operator stated them; others are found by name.

        Raises:
            DataRefused: the source is not of this format, or a column cannot be found.
        """
        ...

    @staticmethod
    def recognises(source: Source) -> bool:
        """Tell whether a source is of this format, without reading more than its beginning."""
        ...

    def batches(self) -> Iterator[Batch]:
        """Yield all rows.

        Raises:
            DataRefused: the source turns out to be damaged or empty.
        """
        ...

    def titles(self) -> Iterator[Title]:
        """Yield what the source knows of items; may be called after `batches` only."""
        ...


@runtime_checkable
class Resumes(Protocol):
    """An importer of a source that grows at its end: a later import can go on where this one stopped.

    Attributes:
        guessed: roles whose column was guessed from samples.
        notes: what the operator should know before anything is read.
        last: the last row read, as `ReadOptions.after` takes it.
        broken: why reading ended early, or "".
    """

    guessed: tuple[str, ...]
    notes: tuple[str, ...]
    last: str
    broken: str

    def close(self) -> None:
        """Let the source go."""
        ...
