"""The printer: nothing in the data moves the cursor, columns line up, and every format says the same."""

import csv
import io
import json
import math
import os
import pty
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

import engine.errors
import store.errors
from recsys_tui.render import (
    EXIT_CODES,
    FORMATS,
    Column,
    Terminal,
    bar,
    configure,
    count,
    duration,
    emit,
    emit_document,
    error,
    exit_code,
    guard,
    iso,
    number,
    panel,
    safe,
    say,
    size,
    sparkline,
    when,
)
from recsys_tui.render.figures import DASH
from recsys_tui.render.safe import FORBIDDEN
from tests.hostile import HOSTILE, TEXTS, harmful, names

anything = st.text(st.characters(exclude_categories=()))
with_controls = st.text(st.one_of(st.characters(exclude_categories=()), st.sampled_from(sorted(map(chr, FORBIDDEN)))))
encodable = with_controls.filter(lambda text: not any("\ud800" <= char <= "\udfff" for char in text))


class Stream(io.StringIO):
    """A stream that says whether it is a terminal and in which encoding."""

    def __init__(self, *, tty=False, encoding="utf-8"):
        super().__init__()
        self._tty, self._encoding = tty, encoding

    @property
    def encoding(self):
        return self._encoding

    def isatty(self):
        return self._tty


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    """An 80-column terminal in UTF-8 without colour, whatever runs the tests."""
    for name in ("NO_COLOR", "CLICOLOR_FORCE", "RECSYS_ASCII", "LC_ALL", "LC_CTYPE", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "en_GB.UTF-8")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "80")
    yield
    configure()


def written(rows, columns, kind="auto", **options):
    stream = Stream(tty=options.pop("tty", False), encoding=options.pop("encoding", "utf-8"))
    emit(rows, columns, kind, stream=stream, **options)
    return stream.getvalue()


class TestSafe:
    @given(with_controls)
    def test_no_forbidden_code_point_survives(self, text):
        assert not harmful(safe(text).replace("\n", "\0"))

    @given(with_controls)
    def test_a_second_pass_changes_nothing(self, text):
        assert safe(safe(text)) == safe(text)

    @given(st.text(st.characters(categories=("L", "N", "P", "S", "Zs"))))
    def test_all_else_stays_character_for_character(self, text):
        assert safe(text) == text

    @pytest.mark.parametrize("payload", HOSTILE, ids=names)
    def test_the_corpus_is_harmless_in_one_line(self, payload):
        shown = safe(payload.text)
        assert not harmful(shown)
        assert "\n" not in shown

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("\x1b[2J", "\\x1b[2J"),
            ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
            ("\u202egpj", "\\u202egpj"),
            ("\x9b\x7f\ud800", "\\x9b\\x7f\\ud800"),
            ("[REC]² (2009)", "[REC]² (2009)"),
            ("👩‍👩‍👧‍👦 نیم‌فاصله", "👩‍👩‍👧‍👦 نیم‌فاصله"),
            ("C:\\new", "C:\\new"),
        ],
    )
    def test_examples(self, text, shown):
        assert safe(text) == shown

    def test_runs_of_marks_are_bounded(self):
        assert safe("Z" + "\u0301" * 500 + "a") == "Z" + "\u0301" * 8 + "…a"
        assert len(safe("a" + "\u200d" * 500)) < 80

    def test_chains_of_joined_emoji_are_broken_up(self):
        shown = safe("\u200d".join("👩" * 60))
        assert shown.count("\u200d") == 8
        assert "\\u200d" in shown


class TestFigures:
    @pytest.mark.parametrize(
        ("value", "digits", "shown"),
        [
            (0.31214, 4, "0.3121"),
            (-0.00001, 4, "0.0000"),
            (-1.5, 1, "-1.5"),
            (1234567.891, 2, "1,234,567.89"),
            (None, 4, DASH),
            (math.nan, 4, DASH),
            (math.inf, 4, DASH),
        ],
    )
    def test_number(self, value, digits, shown):
        assert number(value, digits) == shown

    def test_count(self):
        assert count(1234567) == "1,234,567"

    @pytest.mark.parametrize(
        ("seconds", "shown"),
        [
            (0, "0 ms"),
            (0.0451, "45 ms"),
            (0.9996, "1.0 s"),
            (12.93, "12.9 s"),
            (59.96, "1m 00s"),
            (206, "3m 26s"),
            (3599.7, "1h 00m"),
            (7500, "2h 05m"),
            (86_400 * 3 + 14_400, "3d 04h"),
            (-3.2, "-3.2 s"),
            (None, DASH),
        ],
    )
    def test_duration(self, seconds, shown):
        assert duration(seconds) == shown

    @pytest.mark.parametrize(
        ("n_bytes", "shown"), [(0, "0 B"), (999, "999 B"), (1200, "1.2 kB"), (999_960, "1.0 MB"), (5e15, "5000.0 TB")]
    )
    def test_size(self, n_bytes, shown):
        assert size(n_bytes) == shown

    def test_times_are_utc(self):
        assert iso(1_700_000_000) == "2023-11-14T22:13:20Z"
        assert iso(1.5) == "1970-01-01T00:00:01.500Z"
        assert when(1_700_000_000) == "2023-11-14 22:13"

    @pytest.mark.parametrize("seconds", [None, math.nan, math.inf, -(2**63), 1e300])
    def test_no_time_and_times_beyond_the_calendar(self, seconds):
        assert iso(seconds) is None
        assert when(seconds) == DASH

    @given(st.one_of(st.none(), st.floats()), st.floats(0, 1e9), st.integers(1, 40), st.booleans())
    def test_a_bar_has_its_width(self, value, maximum, width, plain):
        drawn = bar(value, maximum, width, ascii=plain)
        assert len(drawn) == width
        assert not plain or drawn.isascii()

    def test_bar_examples(self):
        assert bar(5, 5, 4) == "████"
        assert bar(1, 16, 2) == "▏ "
        assert bar(4.2, 5, 10, ascii=True) == "########.."

    @given(st.lists(st.one_of(st.none(), st.floats()), max_size=200), st.integers(1, 40), st.booleans())
    def test_a_sparkline_fits(self, values, width, plain):
        drawn = sparkline(values, width, ascii=plain)
        assert len(drawn) == min(len(values), width)
        assert not plain or drawn.isascii()

    def test_sparkline_examples(self):
        assert sparkline([0, 1, 2, 3, 4, 5, 6, 7]) == "▁▂▃▄▅▆▇█"
        assert sparkline([0, None, 7]) == "▁ █"
        assert sparkline([2, 2]) == "▄▄"
        assert sparkline([0, 0, 7, 7], 2, ascii=True) == ".@"


@dataclass(frozen=True)
class Row:
    rank: int
    title: str
    score: float | None


ROWS = [Row(1, "[REC] (2007)", 4.5), Row(12, "静かな川 (2004)", -1.25), Row(3, "Foo [/bold]", None)]
COLUMNS = [Column("rank", "#"), Column("title", grows=True), Column("score", digits=2)]


class TestFormats:
    def test_table_on_a_terminal_and_tsv_otherwise(self):
        assert "─" in written(ROWS, COLUMNS, tty=True)
        assert written(ROWS, COLUMNS) == (
            "rank\ttitle\tscore\n1\t[REC] (2007)\t4.5\n12\t静かな川 (2004)\t-1.25\n3\tFoo [/bold]\t\n"
        )

    @pytest.mark.parametrize("kind", FORMATS)
    def test_every_format_takes_dataclasses_and_mappings_and_counts_them(self, kind):
        as_mappings = [vars(row) for row in ROWS]
        assert written(ROWS, COLUMNS, kind) == written(as_mappings, COLUMNS, kind)
        assert emit(iter(ROWS), COLUMNS, kind, stream=Stream()) == 3

    @pytest.mark.parametrize("kind", ["json", "ndjson", "csv", "tsv"])
    def test_rows_are_written_as_they_come(self, kind):
        stream = Stream()

        def rows():
            yield ROWS[0]
            assert "REC" in stream.getvalue()
            yield ROWS[1]

        emit(rows(), COLUMNS, kind, stream=stream)

    def test_json_is_one_document_with_whole_rows(self):
        rows = [{"item": "007", "reasons": [{"type": "genre_match"}]}]
        assert json.loads(written(rows, ["item"], "json")) == rows
        assert json.loads(written([], ["item"], "json")) == []

    def test_a_document_of_every_kind(self):
        stream = Stream()
        document = {
            "nan": math.nan,
            "inf": [-math.inf],
            "row": ROWS[0],
            "scalar": np.float32(0.5),
            "array": np.arange(2),
            "at": datetime(2026, 11, 22, tzinfo=UTC),
            "path": Path("a/b"),
            1: "ä",
        }
        emit_document(document, stream=stream)
        assert json.loads(stream.getvalue()) == {
            "nan": None,
            "inf": [None],
            "row": {"rank": 1, "title": "[REC] (2007)", "score": 4.5},
            "scalar": 0.5,
            "array": [0, 1],
            "at": "2026-11-22T00:00:00Z",
            "path": "a/b",
            "1": "ä",
        }
        assert "ä" in stream.getvalue()

    @given(with_controls)
    def test_json_is_harmless_and_true(self, text):
        shown = written([{"title": text}], ["title"], "ndjson")
        assert not harmful(shown)
        assert json.loads(shown) == {"title": text}

    @given(st.lists(st.tuples(encodable, encodable), max_size=5))
    def test_csv_to_a_file_keeps_the_data(self, pairs):
        rows = [{"a": a, "b": b} for a, b in pairs]
        shown = written(rows, ["a", "b"], "csv", true_data=True)
        read = list(csv.reader(io.StringIO(shown, newline="")))[1:]
        assert [tuple(map(unguarded, row)) for row in read] == pairs

    @given(with_controls)
    def test_csv_and_tsv_to_stdout_are_harmless(self, text):
        assert not harmful(written([{"a": text}], ["a"], "csv"))
        assert not harmful(written([{"a": text}], ["a"], "tsv"))

    @pytest.mark.parametrize("text", ["=1+1", "+x", "-x", "@SUM(1)", "\t=1", "\r=1", "-2+3"])
    def test_formulas_get_a_quote(self, text):
        assert guard(text) == "'" + text
        assert written([{text: text}], [text], "csv", true_data=True, raw=True).count("'") == 0
        header = written([], [text], "csv")
        assert header.lstrip('"').startswith("'")

    @pytest.mark.parametrize("text", ["-1.5", "+3", "-1e-05", "-.5", "1", "a=b", ""])
    def test_plain_numbers_and_text_stay(self, text):
        assert guard(text) == text

    def test_values_in_a_cell(self):
        row = {"a": None, "b": True, "c": ["Drama", "War"], "d": {"k": 1}, "e": math.nan, "f": 0.1, "g": [{"x": 1}]}
        assert list(csv.reader(io.StringIO(written([row], list("abcdefgh"), "csv"))))[1] == [
            "",
            "true",
            "Drama|War",
            '{"k": 1}',
            "",
            "0.1",
            '[{"x": 1}]',
            "",
        ]


def unguarded(text):
    return text[1:] if text.startswith("'") and guard(text[1:]) == text else text


class TestTable:
    def test_looks_as_designed(self):
        assert written(ROWS, COLUMNS, "table") == (
            " #  title            score\n"
            "──────────────────────────\n"
            " 1  [REC] (2007)      4.50\n"
            "12  静かな川 (2004)  -1.25\n"
            f" 3  Foo [/bold]          {DASH}\n"
        )

    def test_ascii(self, monkeypatch):
        monkeypatch.setenv("RECSYS_ASCII", "1")
        drawn = written([{"title": "x" * 100, "score": None}], [Column("title", grows=True), "score"], "table")
        assert drawn.isascii()
        assert "..." in drawn

    @pytest.mark.parametrize("payload", HOSTILE, ids=names)
    def test_hostile_titles_stay_in_their_cell(self, payload):
        rows = [{"rank": 1, "title": payload.text, "genres": ["Horror", "Thriller"], "score": 3.25}]
        columns = ["rank", Column("title", grows=True), Column("genres"), Column("score", digits=2)]
        lines = written(rows, columns, "table").splitlines()
        assert len(lines) == 3
        assert not harmful("".join(lines))
        assert all(cell_len(line) <= 80 for line in lines)
        assert lines[2].endswith("Horror, Thriller   3.25")

    @given(st.lists(st.tuples(anything, anything, st.floats()), min_size=1, max_size=5), st.integers(50, 140))
    def test_nothing_wraps_and_figures_are_whole(self, cells, width):
        os.environ["COLUMNS"] = str(width)
        rows = [{"title": title, "note": note, "score": score % 100} for title, note, score in cells]
        lines = written(rows, [Column("title", grows=True), "note", "score"], "table").splitlines()
        assert len(lines) == 2 + len(rows)
        assert all(cell_len(line) <= width for line in lines)
        assert all(line.endswith(number(row["score"])) for line, row in zip(lines[2:], rows, strict=True))

    def test_titles_give_way_before_figures(self):
        row = {"item": "1", "title": "t" * 300, "genres": ["Documentary"] * 6, "score": 1.0}
        line = written([row], ["item", Column("title", grows=True), "genres", "score"], "table").splitlines()[2]
        assert line.startswith("1     " + "t" * 29 + "…")
        assert line.endswith("1.0000")

    def test_what_cannot_be_encoded_is_measured_as_shown(self):
        drawn = written(ROWS, COLUMNS, "table", encoding="latin-1")
        assert "\\u9759" in drawn
        assert len({len(line) for line in drawn.splitlines()[2:4]}) == 1
        drawn.encode("latin-1")

    def test_no_rows_say_why(self, capsys):
        assert written([], COLUMNS, "table", empty="no versions yet") == ""
        assert capsys.readouterr().err == "no versions yet\n"

    def test_a_column_shows_its_own_way(self):
        rows = [{"at": 0, "took": 206.0, "active": True, "n": np.int64(1200)}]
        drawn = written(rows, [Column("at", show=when), Column("took", show=duration), "active", "n"], "table")
        assert drawn.splitlines()[2] == "1970-01-01 00:00  3m 26s  yes     1,200"


class TestTerminal:
    @pytest.mark.parametrize(
        ("mode", "env", "tty", "color"),
        [
            ("auto", {"TERM": "xterm"}, True, True),
            ("auto", {"TERM": "xterm"}, False, False),
            ("auto", {"TERM": "dumb"}, True, False),
            ("auto", {}, True, False),
            ("auto", {"TERM": "xterm", "NO_COLOR": "1"}, True, False),
            ("auto", {"TERM": "xterm", "NO_COLOR": ""}, True, True),
            ("auto", {"CLICOLOR_FORCE": "1"}, False, True),
            ("auto", {"CLICOLOR_FORCE": "0"}, False, False),
            ("auto", {"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}, False, False),
            ("always", {"NO_COLOR": "1"}, False, True),
            ("never", {"TERM": "xterm", "CLICOLOR_FORCE": "1"}, True, False),
        ],
    )
    def test_color(self, mode, env, tty, color):
        configure(color=mode)
        assert Terminal.of(Stream(tty=tty), env).color is color

    @pytest.mark.parametrize(
        ("env", "encoding", "plain"),
        [
            ({}, "utf-8", False),
            ({"LANG": "de_DE.UTF-8"}, "utf-8", False),
            ({"LANG": "en_US.utf8"}, "UTF-8", False),
            ({"LC_ALL": "C", "LANG": "de_DE.UTF-8"}, "utf-8", True),
            ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, "utf-8", True),
            ({"LC_CTYPE": "C.UTF-8"}, "utf-8", False),
            ({"LANG": "de_DE.ISO-8859-1"}, "utf-8", True),
            ({"LANG": "de_DE.UTF-8"}, "ascii", True),
            ({"LANG": "de_DE.UTF-8", "TERM": "linux"}, "utf-8", True),
            ({"LANG": "de_DE.UTF-8", "RECSYS_ASCII": "1"}, "utf-8", True),
            ({"LANG": "de_DE.UTF-8", "RECSYS_ASCII": "0"}, "utf-8", False),
        ],
    )
    def test_ascii(self, env, encoding, plain):
        assert Terminal.of(Stream(encoding=encoding), env).ascii is plain

    def test_ascii_as_configured(self):
        configure(ascii=True)
        assert Terminal.of(Stream()).ascii

    def test_colours_are_ours_and_titles_bring_none(self, monkeypatch):
        monkeypatch.setenv("TERM", "xterm-256color")
        configure(color="always")
        drawn = written([{"title": "\x1b[31mred"}], [Column("title", style="cyan")], "table")
        assert "\x1b[1m" in drawn
        assert "\\x1b[31mred" in drawn
        assert "\x1b[31m" not in drawn

    def test_a_stream_that_cannot_encode_does_not_raise(self):
        binary = io.BytesIO()
        stream = io.TextIOWrapper(binary, encoding="ascii")
        emit(ROWS, COLUMNS, "csv", stream=stream)
        stream.flush()
        assert b"\\u9759" in binary.getvalue()

    def test_a_real_terminal_receives_nothing_of_the_data_s_own(self):
        master, slave = pty.openpty()
        with os.fdopen(slave, "w", encoding="utf-8") as stream:
            emit([{"title": text[:70]} for text in TEXTS], ["title"], stream=stream)
        received = b""
        while chunk := read_or_nothing(master):
            received += chunk
        os.close(master)
        assert received.count(b"\r\n") == len(TEXTS) + 2
        assert not harmful(received.decode().replace("\r\n", "\n"))


def read_or_nothing(descriptor):
    try:
        return os.read(descriptor, 65_536)
    except OSError:  # EIO: the other side is closed and all is read
        return b""


class TestMessages:
    def test_an_error_is_two_lines(self):
        stream = Stream()
        error("v9: no such\nversion", "see `recsys-tui models list`", stream=stream)
        assert stream.getvalue() == "error: v9: no such\\nversion\nhint: see `recsys-tui models list`\n"

    def test_a_sentence_is_broken_between_words_on_a_terminal_alone(self, monkeypatch):
        monkeypatch.setenv("COLUMNS", "40")
        text = "give them titles and genres, so that --items-collection can recommend them"
        on_terminal, in_pipe = Stream(tty=True), Stream()
        for stream in (on_terminal, in_pipe):
            say(text, stream=stream)
        assert in_pipe.getvalue() == text + "\n"
        lines = on_terminal.getvalue().splitlines()
        assert " ".join(line.strip() for line in lines) == text
        assert max(map(len, lines)) <= 40

    def test_an_error_without_a_hint_is_one(self, capsys):
        error("no")
        assert capsys.readouterr() == ("", "error: no\n")

    def test_an_error_as_json(self):
        stream = Stream()
        error("\x1b[2J", "h\u202e", as_json=True, code="not_found", stream=stream)
        assert not harmful(stream.getvalue())
        assert json.loads(stream.getvalue()) == {
            "error": {"code": "not_found", "message": "\x1b[2J", "hint": "h\u202e"}
        }

    @pytest.mark.parametrize("payload", HOSTILE, ids=names)
    def test_messages_are_harmless(self, payload):
        stream = Stream(tty=True)
        say(payload.text, stream=stream)
        error(payload.text, payload.text, stream=stream)
        panel(payload.text, {payload.text: payload.text}, stream=stream)
        assert not harmful(stream.getvalue())

    def test_panel(self):
        on_terminal, in_pipe = Stream(tty=True), Stream()
        for stream in (on_terminal, in_pipe):
            panel("v7", {"model": "mf", "rmse": 0.87, "genres": ["Drama", "War"], "n": 1200, "b": None}, stream=stream)
        assert (
            on_terminal.getvalue()
            == f"v7\n  model   mf\n  rmse    0.8700\n  genres  Drama, War\n  n       1,200\n  b       {DASH}\n"
        )
        assert in_pipe.getvalue() == "model\tmf\nrmse\t0.87\ngenres\tDrama|War\nn\t1200\nb\t\n"

    @pytest.mark.parametrize(
        ("code", "status"),
        [
            ("usage", 2),
            ("not_found", 3),
            ("data_refused", 4),
            ("training_failed", 5),
            ("gate_refused", 6),
            ("busy", 75),
            ("disk_full", 1),
            (None, 1),
        ],
    )
    def test_exit_codes(self, code, status):
        problem = RuntimeError("x")
        problem.code = code
        assert exit_code(problem) == status

    def test_an_error_without_a_code(self):
        assert exit_code(ValueError("x")) == 1


def test_programs_formats_do_without_rich_and_numpy():
    program = (
        "import sys; from recsys_tui.render import emit, error\n"
        "emit([{'a': 1}], ['a'], 'json'); emit([{'a': 1}], ['a'], 'csv'); error('x', 'y')\n"
        "assert not {'rich', 'numpy', 'textual'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_code_of_an_error_has_an_exit_code_or_is_unexpected():
    classes = [*vars(store.errors).values(), *vars(engine.errors).values()]
    codes = {kind.code for kind in classes if isinstance(kind, type) and issubclass(kind, Exception)}
    assert codes - set(EXIT_CODES) == {"error", "disk_full", "permission"}
