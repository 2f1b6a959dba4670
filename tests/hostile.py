"""Strings that attack a terminal, a markup parser, a spreadsheet, a shell of SQL or a width calculation.

Each is named for what it tries. Use `HOSTILE` wherever text from outside can reach an output:

    @pytest.mark.parametrize("payload", HOSTILE, ids=names)
"""

from typing import NamedTuple


class Payload(NamedTuple):
    """A hostile string with the name of its trick."""

    name: str
    text: str


HOSTILE = [
    # terminal: operating system commands
    Payload("osc0-title", "\x1b]0;owned\x07Ferry"),
    Payload("osc0-title-st", "\x1b]0;owned\x1b\\Ferry"),
    Payload("osc8-link", "\x1b]8;;file:///etc/passwd\x1b\\click me\x1b]8;;\x1b\\"),
    Payload("osc52-clipboard", "\x1b]52;c;cm0gLXJmIC8K\x07"),
    Payload("osc10-colour-query", "\x1b]10;?\x07"),
    Payload("osc1337-file", "\x1b]1337;File=inline=1:AAAA\x07"),
    # terminal: control sequences
    Payload("csi-clear", "\x1b[2J\x1b[Hblank"),
    Payload("csi-cursor-report", "\x1b[6n"),
    Payload("csi-device-attributes", "\x1b[c"),
    Payload("csi-up-overwrite", "\x1b[1A\x1b[2Kinnocent"),
    Payload("csi-sgr-conceal", "\x1b[8mhidden\x1b[0m"),
    Payload("csi-alternate-screen", "\x1b[?1049h"),
    Payload("csi-mouse-on", "\x1b[?1003h"),
    Payload("csi-title-report", "\x1b[21t"),
    Payload("ris-reset", "\x1bc"),
    Payload("dec-line-drawing", "\x1b(0lqqk"),
    Payload("dcs-decrqss", "\x1bP$q q\x1b\\"),
    Payload("dcs-sixel", "\x1bPq#0;2;0;0;0~\x1b\\"),
    Payload("apc", "\x1b_Gf=24;AAAA\x1b\\"),
    Payload("pm", "\x1b^secret\x1b\\"),
    Payload("sos", "\x1bXstring\x1b\\"),
    Payload("esc-unfinished", "title\x1b"),
    Payload("csi-unfinished", "title\x1b["),
    # terminal: single controls
    Payload("c1-csi", "\x9b2J"),
    Payload("c1-osc", "\x9d0;owned\x9c"),
    Payload("c1-dcs", "\x90q\x9c"),
    Payload("c1-all", "".join(map(chr, range(0x80, 0xA0)))),
    Payload("c0-all", "".join(map(chr, range(0x20)))),
    Payload("nul", "before\0after"),
    Payload("bel", "ding\x07"),
    Payload("backspace-overwrite", "evil\b\b\b\bgood"),
    Payload("cr-overwrite", "rating 1.0\rrating 5.0"),
    Payload("crlf-line", "title\r\nerror: forged"),
    Payload("lf-line", "title\nforged row"),
    Payload("vt-ff", "a\x0bb\x0cc"),
    Payload("tab", "a\tb"),
    Payload("shift-out", "\x0elqqk\x0f"),
    Payload("del", "a\x7fb"),
    # Unicode that reorders, hides or ends lines
    Payload("bidi-override", "report \u202efdp.exe"),
    Payload("bidi-embedding", "\u202aabc\u202bdef\u202c\u202dghi"),
    Payload("bidi-isolates", "\u2066a\u2067b\u2068c\u2069"),
    Payload("bidi-marks", "a\u200eb\u200fc\u061cd"),
    Payload("line-separator", "one\u2028two\u2029three"),
    Payload("next-line", "one\x85two"),
    Payload("lone-high-surrogate", "a\ud800b"),
    Payload("lone-low-surrogate", "a\udc9bb"),
    Payload("zalgo", "Z" + "\u0301\u0316\u0489" * 60 + "algo"),
    Payload("zwj-run", "a" + "\u200d" * 200 + "b"),
    Payload("zwj-chain", "\u200d".join("👩" * 60)),
    Payload("zwj-family", "👩‍👩‍👧‍👦 Family"),
    Payload("right-to-left", "הקיץ של נעמי (2011)"),
    Payload("wide", "静かな川と黄色い傘の長い物語 (2004)"),
    Payload("long", "Very " * 2000 + "Long"),
    # markup of Rich and Textual
    Payload("markup-rec", "[REC] (2007)"),
    Payload("markup-rec2", "[REC]² (2009)"),
    Payload("markup-close", "Foo [/bold]"),
    Payload("markup-unfinished", "[/"),
    Payload("markup-broken", "[b + x"),
    Payload("markup-action", "[@click=app.quit]x[/]"),
    Payload("markup-link", "[link=file:///etc/passwd]x[/link]"),
    Payload("markup-escaped", "\\[bold]x\\[/bold]"),
    Payload("markup-emoji", ":smile: :skull:"),
    Payload("format-percent", "%s %n %(x)s {0} {x!r}"),
    # spreadsheets
    Payload("formula-equals", '=HYPERLINK("http://x")'),
    Payload("formula-plus", "+1+cmd|' /C calc'!A0"),
    Payload("formula-minus", "-2+3+cmd|' /C calc'!A0"),
    Payload("formula-at", "@SUM(1+1)"),
    Payload("formula-tab", "\t=1+1"),
    Payload("formula-cr", "\r=1+1"),
    Payload("formula-quoted", "'=1+1"),
    Payload("csv-quotes", 'a "quoted", title; with\tall'),
    # SQL, search and paths
    Payload("sql-drop", "'; DROP TABLE items;--"),
    Payload("sql-wildcards", "100% _under_ [a-z] *"),
    Payload("sql-identifier", '"items" ] `x`'),
    Payload("fts-query", 'NEAR("a" "b") OR col:x*'),
    Payload("path-traversal", "../../etc/passwd"),
    Payload("option", "--help"),
    Payload("empty", ""),
    Payload("blank", "   "),
]

TEXTS = [payload.text for payload in HOSTILE]


def names(payload: Payload) -> str:
    """Return the name of a payload, for `ids=` of `pytest.mark.parametrize`."""
    return payload.name


def harmful(output: str) -> set[str]:
    """Return the code points of an output that no data may bring to a terminal; line ends are the program's own.

    Written apart from `recsys_tui.render.safe`, as a second opinion.
    """
    ranges = ("\0\x09", "\x0b\x1f", "\x7f\x9f", "\u2028\u202e", "\u2066\u2069", "\u200e\u200f", "\u061c\u061c")
    return {
        char for char in set(output) if any(low <= char <= high for low, high in ranges) or "\ud800" <= char <= "\udfff"
    }
