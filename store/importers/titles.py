"""The title files of MovieLens: movies.csv, movies.dat ("::") and u.item ("|", a column of 0 or 1 for each genre).

And our own export: item, title, year and genres in items.csv, items.ndjson or items.parquet.
"""

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from store.formulas import unguarded
from store.importers import parquet
from store.importers.base import MAX_ID_BYTES, Title
from store.importers.records import Record, records
from store.importers.source import Source
from store.importers.text import text_blocks

_ITEMS = "items.csv"
EXPORTED_ITEMS = (_ITEMS, "items.ndjson", "items.jsonl", "items.parquet")
NO_GENRES = "(no genres listed)"
_YEAR = re.compile(r".*\(([0-9]{4})\)", re.DOTALL)
_ITEM_GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip
_ITEM_WIDTH = 5 + len(_ITEM_GENRES)


def read_titles(source: Source) -> Iterator[Title]:
    """Yield the titles of a file; rows that are none are passed over, since a title is never needed.

    The kind of file is told by its name, the encoding by its bytes: u.item and movies.dat are latin-1.
    """
    name = source.name.removesuffix(".gz")
    if name in EXPORTED_ITEMS and name != _ITEMS:
        yield from _from_records(_records(source))
        return
    shapes = {"movies.dat": (b"::", 3), "u.item": (b"|", _ITEM_WIDTH), _ITEMS: (b",", 4)}
    delimiter, width = shapes.get(name, (b",", 3))
    try:
        text = b"".join(text_blocks(source))  # a catalogue is small
    finally:
        source.close()
    for record in records(text, delimiter, width, 1, final=True):
        if isinstance(record, Record) and not record.fault:
            fields = [field.decode("utf-8", "replace").strip() for field in record.fields]
            header = record.line == 1 and name in {"movies.csv", _ITEMS}
            if not header and 0 < len(unguarded(fields[0]).encode()) <= MAX_ID_BYTES:
                yield _FORMS.get(name, _from_list)(fields)


def year_of(title: str) -> int | None:
    """Return the year that a title ends with, as in "Heat (1995)"; the last one where there are several."""
    match = _YEAR.match(title)
    return int(match[1]) if match else None


def _from_list(fields: list[str]) -> Title:
    item, title, genres = fields
    named = tuple(genre for part in genres.split("|") if (genre := part.strip()) and genre != NO_GENRES)
    return Title(item, title or None, named, year_of(title))


def _from_flags(fields: list[str]) -> Title:
    genres = tuple(
        genre for genre, flag in zip(_ITEM_GENRES, fields[5:], strict=True) if flag == "1" and genre != "unknown"
    )
    return Title(fields[0], fields[1] or None, genres, year_of(fields[1]) or year_of(f"({fields[2][-4:]})"))


def _from_export(fields: list[str]) -> Title:
    item, title, year, genres = map(unguarded, fields)
    named = tuple(genre for genre in genres.split("|") if genre)
    return Title(item, title or None, named, int(year) if year.isdecimal() and len(year) < 6 else None)


def _records(source: Source) -> Iterator[Any]:
    """Yield the objects of items.ndjson or items.parquet."""
    if source.path is not None and source.name.endswith(".parquet"):
        yield from parquet.rows_of(source.path)
        return
    try:
        for block in text_blocks(source):
            for line in block.split(b"\n"):
                with suppress(ValueError, RecursionError):
                    yield json.loads(line)
    finally:
        source.close()


def _from_records(found: Iterable[Any]) -> Iterator[Title]:
    """Yield the titles of objects; those that are none, or whose texts cannot be encoded, are passed over."""
    for record in found:
        with suppress(AttributeError, TypeError, ValueError):
            item, title, genres = (record.get(name) or "" for name in ("item", "title", "genres"))
            item, year = item.strip(), record.get("year")
            if 0 < len(item.encode()) <= MAX_ID_BYTES and "\0" not in item + title + genres:
                (title + genres).encode()
                named = tuple(genre for genre in genres.split("|") if genre)
                known = isinstance(year, int) and 0 < year < 100_000
                yield Title(item, title or None, named, year if known else None)


_FORMS = {"u.item": _from_flags, _ITEMS: _from_export}
