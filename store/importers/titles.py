"""The title files of MovieLens: movies.csv, movies.dat ("::") and u.item ("|", a column of 0 or 1 for each genre).

And items.csv, our own export: item, title, year and genres.
"""

import re
from collections.abc import Iterator

from store.formulas import unguarded
from store.importers.base import MAX_ID_BYTES, Title
from store.importers.records import Record, records
from store.importers.source import Source
from store.importers.text import text_blocks

ITEMS = "items.csv"
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
    shapes = {"movies.dat": (b"::", 3), "u.item": (b"|", _ITEM_WIDTH), ITEMS: (b",", 4)}
    delimiter, width = shapes.get(name, (b",", 3))
    try:
        text = b"".join(text_blocks(source))  # a catalogue is small
    finally:
        source.close()
    for record in records(text, delimiter, width, 1, final=True):
        if isinstance(record, Record) and not record.fault:
            fields = [field.decode("utf-8", "replace").strip() for field in record.fields]
            header = record.line == 1 and name in {"movies.csv", ITEMS}
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


_FORMS = {"u.item": _from_flags, ITEMS: _from_export}
