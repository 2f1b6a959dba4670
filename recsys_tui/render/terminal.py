"""What a stream can show: whether it is a terminal, in colour, in more than ASCII, and how wide."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TextIO

ColorMode = Literal["auto", "always", "never"]

_UTF8 = ("utf-8", "utf8")
_COERCED = "C.UTF-8"  # what Python itself puts into LC_CTYPE under LANG=C (PEP 538)
_ANSI = {"bold": "1", "dim": "2", "red": "1;31", "yellow": "33"}


class OutputClosedError(Exception):
    """Whoever reads our output wants no more of it, as `head` does. Click would take a broken pipe for a failure."""


@dataclass
class _Look:
    color: ColorMode = "auto"
    ascii: bool = False


_look = _Look()


def configure(*, color: ColorMode = "auto", ascii: bool = False) -> None:  # noqa: A002  the setting's name
    """Set how this process prints: `--color`, and ASCII only whatever the terminal says it can do."""
    _look.color, _look.ascii = color, ascii


@dataclass(frozen=True)
class Terminal:
    """A text stream with what it can show; every byte of output passes `write`."""

    stream: TextIO
    tty: bool
    color: bool
    ascii: bool
    width: int

    @classmethod
    def of(cls, stream: TextIO, env: Mapping[str, str] | None = None) -> "Terminal":
        """Find out from the stream, the environment and what `configure` was told."""
        env = os.environ if env is None else env
        tty = stream.isatty()
        return cls(
            stream=stream,
            tty=tty,
            color=_wants_color(_look.color, tty=tty, env=env),
            ascii=_look.ascii or _wants_ascii(getattr(stream, "encoding", None) or "utf-8", env),
            width=_width(env),
        )

    def write(self, text: str) -> None:
        r"""Write; a character that the stream cannot encode appears as `\xNN` or `\uNNNN`, never as an error."""
        try:
            self.stream.write(self.fitted(text))
        except BrokenPipeError as error:
            raise OutputClosedError from error

    def flush(self) -> None:
        """Send what was written on its way."""
        try:
            self.stream.flush()
        except BrokenPipeError as error:
            raise OutputClosedError from error

    def fitted(self, text: str) -> str:
        """Return the text as this stream will show it, so that columns are measured on what appears."""
        if text.isascii():
            return text
        encoding = getattr(self.stream, "encoding", None) or "utf-8"
        return text.encode(encoding, "backslashreplace").decode(encoding)

    def styled(self, text: str, style: str) -> str:
        """Wrap the text in one of our few styles where the stream is in colour."""
        return f"\x1b[{_ANSI[style]}m{text}\x1b[0m" if self.color else text


def _wants_color(mode: ColorMode, *, tty: bool, env: Mapping[str, str]) -> bool:
    if mode != "auto":
        return mode == "always"
    if env.get("NO_COLOR"):
        return False
    if env.get("CLICOLOR_FORCE", "0") not in {"", "0"}:
        return True
    return tty and env.get("TERM", "dumb") != "dumb"


def _wants_ascii(encoding: str, env: Mapping[str, str]) -> bool:
    """Tell whether more than ASCII would come out wrong: an old encoding, the Linux console, a locale without UTF-8."""
    if env.get("RECSYS_ASCII", "0").lower() not in {"", "0", "false", "no"}:
        return True
    if encoding.lower() not in _UTF8 or env.get("TERM") == "linux":
        return True
    chosen = env.get("LC_CTYPE", "")
    if chosen == _COERCED and env.get("LANG"):
        chosen = ""
    locale = env.get("LC_ALL") or chosen or env.get("LANG") or _COERCED
    return not any(name in locale.lower() for name in _UTF8)


def _width(env: Mapping[str, str]) -> int:
    """Return the width in cells: COLUMNS, else the terminal's, else 80."""
    columns = env.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) > 0:
        return int(columns)
    return shutil.get_terminal_size((80, 24)).columns
