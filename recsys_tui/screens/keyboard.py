"""What is typed on a real terminal: Esc acts as soon as it is clear that no more of a sequence comes."""

import os
import selectors
from codecs import getincrementaldecoder
from contextlib import suppress

from textual import constants
from textual._parser import ParseError
from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver

_LOOK_SECONDS = 0.1  # for the end of the program, while nothing is typed
_MOST_BYTES = 4096


class Keyboard(LinuxDriver):
    """Reads the terminal; the driver of Textual looks only every tenth of a second whether an Esc stands alone."""

    def run_input_thread(self) -> None:
        """Hand on what is typed until the program or the terminal ends; an Esc is one `ESCDELAY` milliseconds on."""
        parser, decode = XTermParser(self._debug), getincrementaldecoder("utf-8")("replace").decode
        soon = 1.1 * constants.ESCAPE_DELAY  # a wait may end a little early
        with selectors.SelectSelector() as selector, suppress(OSError):
            selector.register(self.fileno, selectors.EVENT_READ)
            wait = _LOOK_SECONDS
            while not self.exit_event.is_set():
                if came := bool(selector.select(wait)):
                    sent = os.read(self.fileno, _MOST_BYTES)
                    if not sent:
                        break
                    for event in parser.feed(text) if (text := decode(sent)) else ():
                        self.process_message(event)
                for event in parser.tick():
                    self.process_message(event)
                wait = soon if came else _LOOK_SECONDS
        with suppress(EOFError, ParseError):
            for _ in parser.feed(""):
                pass
