"""Tables of other programs' SQLite files, and titles in a second table of the same file. The file is only read."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from store import errors
from store.database import APPLICATION_ID, Connection, Database
from store.importers.base import Batch, Title
from store.importers.columns import check_mapping, find_columns
from store.importers.document_titles import DocumentTitles, find_title_paths
from store.importers.documents import Kinds, document_batches
from store.importers.source import Source
from store.near import near_names

_BATCH_ROWS = 50_000


class SqliteImporter:
    """Rows of a table or view; a row's line is its number, counted from 1."""

    def __init__(self, source: Source, mapping: Mapping[str, str]) -> None:
        if source.path is None or source.is_dir:
            raise errors.DataRefused(f"{source.text}: SQLite is read from a file", hint="save it to a file first")
        if not self.recognises(source):
            raise errors.DataRefused(f"{source.name} is not an SQLite database", hint="leave --format out")
        source.bytes_total = None  # SQLite reads the file itself, so only rows can be counted
        stated = check_mapping(mapping)
        self._file = Database(source.path)
        with _readable(source.name), self._file.peek() as db:
            _read_only(db)
            if db.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID:
                raise errors.DataRefused(
                    f"{source.name} is a database of this program",
                    hint="use it as it is with --db, or `export` from it",
                )
            tables = _tables(db)
            self._table = source.options.table or _fitting(tables, stated, source.name)
            columns = _need(tables, self._table, source.name, "--table")
            self._titles, self._titles_table = None, source.options.items_collection
            if self._titles_table:
                names = _need(tables, self._titles_table, source.name, "--items-table")
                found = find_title_paths(names, source.options.items_mapping, source=self._titles_table)
                self._titles = DocumentTitles(found, _KINDS)
        self.file = f"{source.name}:{self._table}"
        positions = find_columns(columns, stated, source=self.file)
        self.mapping = {role: columns[position] for role, position in positions.items()}

    @staticmethod
    def recognises(source: Source) -> bool:
        """Tell whether a file begins with SQLite's magic."""
        return source.head.startswith(b"SQLite format 3\0")

    def batches(self) -> Iterator[Batch]:
        """Yield all rows.

        Raises:
            Damaged: the file is.
            DataRefused: there is no row.
        """
        line = 1
        keys = {role: (role,) for role in self.mapping}
        for rows in self._rows(self._table, list(self.mapping.values())):
            documents = [dict(zip(self.mapping, row, strict=True)) for row in rows]
            yield from document_batches(documents, keys, line, _KINDS, self._raw)
            line += len(rows)
        if line == 1:
            raise errors.DataRefused(f"{self.file} has no rows", hint="is it the right table?")

    def titles(self) -> Iterator[Title]:
        """Yield what the table of titles knows of items; nothing where none was named."""
        if self._titles is not None:
            columns = list(self._titles.mapping.values())
            for rows in self._rows(self._titles_table, columns):
                yield from self._titles.of([dict(zip(columns, row, strict=True)) for row in rows])

    def _raw(self, document: Any) -> str:
        return json.dumps({self.mapping[role]: value for role, value in document.items()}, default=_KINDS.text)

    def _rows(self, table: str, columns: Sequence[str]) -> Iterator[list[tuple[Any, ...]]]:
        chosen = ", ".join(_quoted(column) for column in columns)
        with _readable(self.file), self._file.peek() as db:
            _read_only(db)
            db.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
            cursor = db.execute(f"SELECT {chosen} FROM {_quoted(table)}")
            while rows := cursor.fetchmany(_BATCH_ROWS):
                yield rows


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """Say which file it is that SQLite cannot read: the advice for our own database would mislead."""
    try:
        yield
    except (errors.NotOurDatabase, errors.Damaged) as error:
        raise errors.DataRefused(
            f"{name} is a damaged SQLite database", hint="repair it with the sqlite3 shell: `.recover`"
        ) from error


def _read_only(db: Connection) -> None:
    db.execute("PRAGMA query_only = ON")
    db.execute("PRAGMA trusted_schema = OFF")


def _tables(db: Connection) -> dict[str, list[str]]:
    """Return the columns of each table and view."""
    query = (
        "SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c "
        "WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite#_%' ESCAPE '#' ORDER BY m.name, c.cid"
    )
    tables: dict[str, list[str]] = {}
    for table, column in db.execute(query):
        tables.setdefault(table, []).append(column)
    return tables


def _fitting(tables: dict[str, list[str]], stated: dict[str, str], source: str) -> str:
    """Return the only table whose columns fit.

    Raises:
        UsageRefused: none does, or several do.
    """
    fitting = []
    for table, columns in tables.items():
        try:
            find_columns(columns, stated, source=table)
        except errors.DataRefused:
            continue
        fitting.append(table)
    if len(fitting) != 1:
        which = f"{len(fitting)} tables that fit" if fitting else "no table with user, item and rating"
        names = ", ".join((fitting or list(tables))[:10]) or "none"
        raise errors.UsageRefused(f"{source} has {which}", hint=f"--table NAME, and --map where needed; of {names}")
    return fitting[0]


def _need(tables: dict[str, list[str]], name: str, source: str, flag: str) -> list[str]:
    if name not in tables:
        raise errors.NotFound(f"{source} has no table {name!r}", hint=f"{flag} NAME; {near_names(name, tables)}")
    return tables[name]


def _quoted(name: str) -> str:
    """Return an identifier as SQL writes it; the names come from the schema of the file itself."""
    return '"' + name.replace('"', '""') + '"'


def _blob(value: Any) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else ""


_KINDS = Kinds(_blob, _blob)
