"""Whatever bytes come in: rows and refused rows add up, errors are ours with advice, nothing else is raised."""

import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store import errors
from store.database import Database
from store.importers import importer_class, recognise
from store.importers.base import Fault
from store.importers.pipeline import import_source
from store.importers.source import Source
from store.migrations import migrate

CASES = int(os.environ.get("RECSYS_FUZZ", "10000"))
PIECES = st.one_of(
    st.sampled_from(
        [
            b"userId,movieId,rating,timestamp\n", b"user;item;rating\r\n", b"1,2,3,4\n", b'"a","b","3"\n', b"\n", b"\r",
            b"\0", b'"', b",", b";", b"\t", b"::", b"|", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"NaN", b"inf",
            b"1e400", b"007", b"1e5", b"12345678901234567890", b"-1", b"253402300800", b"1112486027000", b"9" * 40,
            b'{"user":1,"item":2,"rating":3}\n', b'{"user":{"id":[1,2]},"item":[', b"}\n", b"null", b"PAR1",
            b"\x1f\x8b", b"1.5,2020-01-01",
            b"\xc3\xa9", b"\xc3", b"=cmd|'/c'!A1", b"'", b" ", "\u2028".encode(), b"\x1b[2J", b"\x85",
        ]
    ),
    st.binary(max_size=8),
    st.text(max_size=6).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.tuples(st.integers(0, 99), st.integers(0, 99), st.floats(0, 6)).map(
        lambda row: f"{row[0]},{row[1]},{row[2]}\n".encode()
    ),
)  # fmt: skip
FILES = st.lists(PIECES, max_size=14).map(b"".join)


def assert_ours(error: errors.StoreError) -> None:
    assert str(error)
    assert error.hint


@pytest.mark.slow
@given(FILES)
@settings(max_examples=CASES, database=None)
def test_any_bytes_are_read_or_refused_in_our_own_words(data: bytes) -> None:
    with closing(Source("-", io.BytesIO(data))) as source:
        try:
            importer = importer_class(recognise(source))(source, {})
            for batch in importer.batches():
                assert len(batch.faults) == len(batch.times) == len(batch.lines) == len(batch)
                for row in range(len(batch)):
                    assert isinstance(batch.raw(row), str)
                    assert Fault(int(batch.faults[row])).reason or batch.ratings[row] == batch.ratings[row]
                    batch.users.text(row)
                    batch.items.text(row)
        except errors.StoreError as error:
            assert_ours(error)


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    with tempfile.TemporaryDirectory() as folder, closing(Database(Path(folder) / "fuzz.db")) as made:
        migrate(made)
        yield made


@given(FILES)
@settings(max_examples=200)
def test_the_totals_add_up(database: Database, data: bytes) -> None:
    try:
        result = import_source(database, "-", stdin=io.BytesIO(data))
    except errors.StoreError as error:
        assert_ours(error)
        return
    assert result.read == result.stored + result.updated + result.unchanged + result.rejected + result.duplicates
    assert sum(result.reasons.values()) == result.rejected == result.quarantine
