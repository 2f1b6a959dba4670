"""The two paths of the CSV importer agree on any bytes, however they are cut into blocks."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import example, given, settings
from hypothesis import strategies as st

from store import errors
from store.database import Database
from store.importers.delimited import BlockReader
from store.importers.dialect import Dialect
from store.importers.pipeline import import_source

COLUMNS = {"user": 0, "item": 1, "rating": 2, "time": 3}
FIELDS = st.one_of(
    st.sampled_from(
        [
            "x",
            "1",
            "007",
            "-1",
            "+2",
            "1e5",
            "3",
            "3.5",
            "4.0",
            "",
            " ",
            " 5 ",
            "NaN",
            "inf",
            "1e400",
            "0x1F",
            "null",
            "u",
            "Ü",
            "12345678901234567890",
            '"',
            '""',
            '"a"',
            '"a,b"',
            '"a\nb"',
            '5"',
            "2005-04-02",
            "1112486027",
            "1112486027123",
            "99999999999999999999999",
            "\x1f",
            "\ufeff",
            "-9223372036854775808",
            "-0",
            "8388608",
            "9223372036854775807",
        ]
    ),
    st.integers(-5, 10**13).map(str),
    st.text(max_size=4),
)
LINES = st.lists(st.lists(FIELDS, min_size=3, max_size=5), min_size=1, max_size=12)


def rows(block: bytes, delimiter: bytes, *, fast: bool, piece: int, cut: int) -> list[tuple[object, ...]]:
    """All rows of a text that is read in two blocks, cut at the first line break after `cut`."""
    reader = BlockReader(Dialect(delimiter, 4, COLUMNS, tuple("abcd"), has_header=False), piece_bytes=piece, fast=fast)
    middle = block.find(b"\n", cut) + 1
    found: list[tuple[object, ...]] = []
    for part, final in ((block[:middle], middle == len(block)), (block[middle:], True)):
        for batch in reader.batches(part, final=final) if part else ():
            for row in range(len(batch)):
                fault = int(batch.faults[row])
                sound = () if fault else (batch.users.text(row), batch.items.text(row), float(batch.ratings[row]))
                found.append(
                    (batch.lines[row], fault, sound, int(batch.times[row]) if not fault else 0, batch.raw(row))
                )
    return found


@settings(max_examples=400)
@given(LINES, st.sampled_from([",", "\t", "::"]), st.integers(1, 40), st.integers(0, 60))
@example([["1", "2", "3", "0"], ["01", "2", "3", "4"]], ",", 1, 0)
@example([["1", "", "3", "0"]], ",", 1, 0)
@example([["\ufeff", "x", "1", "1"]], ",", 1, 0)
@example([["1", "2", "3", "4"], ["", "", "", ""]], "\t", 1, 0)
def test_both_paths_agree(lines: list[list[str]], delimiter: str, piece: int, cut: int) -> None:
    text = "".join(delimiter.join(line) + "\n" for line in lines).replace("\r", "\n")
    block = text.encode("utf-8", "surrogatepass")
    mark = delimiter.encode()
    exact = rows(block, mark, fast=False, piece=len(block) + 1, cut=len(block) - 1)
    assert rows(block, mark, fast=True, piece=len(block) + 1, cut=len(block) - 1) == exact
    assert rows(block, mark, fast=True, piece=piece, cut=min(cut, len(block) - 1)) == exact


@settings(max_examples=300)
@given(
    st.one_of(
        st.binary(max_size=300),
        st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.text(st.sampled_from('1a,;\t\n\r"\0 .|:é'), max_size=200).map(str.encode),
        LINES.map(
            lambda lines: b"user,item,rating,time\n" + "\n".join(map(",".join, lines)).encode("utf-8", "replace")
        ),
    ),
    st.sampled_from(["csv", "jsonl", "auto"]),
)
def test_any_bytes_are_imported_or_refused(data: bytes, format_name: str) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "ratings.csv"
        path.write_bytes(data)
        database = Database(Path(folder) / "recsys.db")
        try:
            result = import_source(database, str(path), format=format_name, dry_run=True)
        except errors.StoreError as error:
            assert error.hint  # noqa: PT017  either end is right
        else:
            assert result.read == result.stored + result.duplicates + result.rejected
        database.close()
