"""The only printer, for people and for programs, and the only place that makes text safe to show.

    safe       what is in the data cannot touch the terminal
    figures    numbers, counts, durations, times, bars and sparklines
    terminal   what a stream can show: colour, ASCII, width
    values     one value, as programs and as people read it
    formats    rows as table, JSON, NDJSON, CSV or TSV
    table      the table itself; the one module that imports rich
    messages   notices and errors on stderr, exit codes

Data goes to stdout, everything else to stderr. Nothing here imports rich until a table is drawn.
"""

from recsys_tui.render.figures import bar, count, counted, duration, iso, minute, number, plainly, size, sparkline, when
from recsys_tui.render.formats import FORMATS, emit, emit_document
from recsys_tui.render.messages import EXIT_CODES, error, exit_code, panel, say, wrapped
from recsys_tui.render.safe import safe
from recsys_tui.render.terminal import OutputClosedError, Terminal, configure
from recsys_tui.render.values import Column, guard

__all__ = [
    "EXIT_CODES",
    "FORMATS",
    "Column",
    "OutputClosedError",
    "Terminal",
    "bar",
    "configure",
    "count",
    "counted",
    "duration",
    "emit",
    "emit_document",
    "error",
    "exit_code",
    "guard",
    "iso",
    "minute",
    "number",
    "panel",
    "plainly",
    "safe",
    "say",
    "size",
    "sparkline",
    "when",
    "wrapped",
]
