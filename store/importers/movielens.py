"""A folder of MovieLens files: ratings.csv, ratings.dat or u.data, with the titles that lie beside it.

Or of our own exports: `ratings` and `items`, each as .csv, .ndjson or .parquet.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from store import errors
from store.importers.base import Batch, Importer, Title
from store.importers.delimited import CsvImporter
from store.importers.jsonl import JsonLinesImporter
from store.importers.parquet import ParquetImporter
from store.importers.source import Source
from store.importers.titles import EXPORTED_ITEMS, read_titles

_RATINGS: Mapping[str, type[CsvImporter | JsonLinesImporter | ParquetImporter]] = {
    "ratings.csv": CsvImporter, "ratings.dat": CsvImporter, "u.data": CsvImporter, "ratings.ndjson": JsonLinesImporter,
    "ratings.jsonl": JsonLinesImporter, "ratings.parquet": ParquetImporter,
}  # fmt: skip
_TITLES = {"ratings.csv": "movies.csv", "ratings.dat": "movies.dat", "u.data": "u.item"}


class MovieLensImporter:
    """The ratings of a folder, then every title of its catalogue, rated or not."""

    def __init__(self, source: Source, mapping: Mapping[str, str]) -> None:
        if source.path is None or not source.is_dir:
            raise errors.DataRefused(
                f"{source.text} is not a folder", hint="--format movielens takes the unpacked folder"
            )
        ratings = _first(source.path, _RATINGS)
        if ratings is None:
            raise errors.DataRefused(
                f"{source.text} has no ratings; looked for {', '.join(_RATINGS)}, each also with .gz",
                hint="pass the unpacked folder of a MovieLens data set, or one file",
            )
        name = ratings.name.removesuffix(".gz")
        self._titles = _first(source.path, (_TITLES.get(name, ""), *_TITLES.values(), *EXPORTED_ITEMS))
        ratings_file = Source(ratings)
        source.follow(ratings_file)
        self._rows: Importer = _RATINGS[name](ratings_file, mapping)
        if ratings_file.bytes_total is None:  # Arrow reads the file itself, so only rows can be counted
            source.bytes_total = None
        self.mapping, self.file = self._rows.mapping, ratings.name
        self.dialect = getattr(self._rows, "dialect", None)

    @staticmethod
    def recognises(source: Source) -> bool:
        """Any folder is taken for one of MovieLens."""
        return source.is_dir

    def batches(self) -> Iterator[Batch]:
        """Yield all rows of the ratings file."""
        yield from self._rows.batches()

    def titles(self) -> Iterator[Title]:
        """Yield the titles, genres and years of the catalogue."""
        if self._titles is not None:
            yield from read_titles(Source(self._titles))


def _first(folder: Path, names: Any) -> Path | None:
    candidates = (folder / f"{name}{suffix}" for name in names if name for suffix in ("", ".gz"))
    return next((path for path in candidates if path.is_file()), None)
