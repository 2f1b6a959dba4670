"""SQLite by ADBC, whose rows arrive as Arrow batches, through the driver manager's own classes.

Its DB-API module would import `pyarrow.dataset`, and that pandas: 0.4 s and 60 MB in every process that reads ratings.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import adbc_driver_sqlite
import pyarrow as pa
from adbc_driver_manager import AdbcConnection, AdbcStatement, Error

_ROWS = adbc_driver_sqlite.StatementOptions.BATCH_ROWS.value

ERRORS = (Error, pa.ArrowException, OSError)
"""What SQLite says of a query: the first when it begins, the others while its rows are read."""


class Cursor:
    """One statement at a time of a connection that commits by itself; BEGIN IMMEDIATE and COMMIT are the caller's."""

    def __init__(self, statement: AdbcStatement) -> None:
        self._statement = statement
        self._found: pa.RecordBatchReader | None = None

    def execute(self, query: str, batch_rows: int = 1024) -> pa.RecordBatchReader:
        """Run a query and return its rows in batches; the rows of the query before are given up.

        Raises:
            adbc_driver_manager.Error: what SQLite says.
        """
        self.close()
        self._statement.set_options(**{_ROWS: str(batch_rows)})
        self._statement.set_sql_query(query)
        handle, _ = self._statement.execute_query()
        self._found = pa.RecordBatchReader.from_stream(handle)
        return self._found

    def close(self) -> None:
        """Give up the rows that were not read, and with them the lock that they hold."""
        if self._found is not None:
            self._found.close()
            self._found = None


@contextmanager
def connected(path: Path) -> Iterator[Cursor]:
    """Yield a cursor on a connection of its own to a file."""
    with (
        adbc_driver_sqlite.connect(str(path)) as database,
        AdbcConnection(database) as connection,
        AdbcStatement(connection) as statement,
    ):
        cursor = Cursor(statement)
        try:
            yield cursor
        finally:
            cursor.close()
