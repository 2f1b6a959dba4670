"""The table of importers. A new format is one file and one line; the contract suite then tests it by itself.

A source is offered to them in this order; the first one that recognises it reads it.
"""

from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING

from store import errors

if TYPE_CHECKING:
    from store.importers.base import Importer
    from store.importers.source import Source

IMPORTERS = {
    "movielens": "store.importers.movielens:MovieLensImporter",
    "parquet": "store.importers.parquet:ParquetImporter",
    "sqlite": "store.importers.sqlite:SqliteImporter",
    "jsonl": "store.importers.jsonl:JsonLinesImporter",
    "csv": "store.importers.delimited:CsvImporter",
    "mongodb": "store.importers.mongodb:MongoImporter",
}


def importer_class(name: str) -> "type[Importer]":
    """Return the importer of a format by its name in the table.

    Raises:
        UsageRefused: no such format, or its library is not installed; the hint says what to do.
    """
    if name not in IMPORTERS:
        near = get_close_matches(name, IMPORTERS, n=1)
        guess = f"did you mean {near[0]}? " if near else ""
        raise errors.UsageRefused(f"unknown format {name!r}", hint=f"{guess}formats: auto, {', '.join(IMPORTERS)}")
    module, _, attribute = IMPORTERS[name].partition(":")
    try:
        found: type[Importer] = getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        raise errors.UsageRefused(
            f"importing {name} needs the package {error.name}, which is not installed",
            hint="pip install 'recsys-tui[mongo]'",
        ) from error
    return found


def recognise(source: "Source") -> str:
    """Return the name of the format that a source is in.

    Raises:
        DataRefused: none of them.
    """
    for name in IMPORTERS:
        if importer_class(name).recognises(source):
            return name
    hint = "addresses begin with mongodb:// or mongodb+srv://" if source.is_address else "state it: --format "
    hint += "" if source.is_address else "|".join(IMPORTERS)
    raise errors.DataRefused(f"{source.text} is in no known format", hint=hint)
