"""The one place where errors become exit codes, for commands and for the terminal UI."""

import os
import signal
import sys
from collections.abc import Callable

from recsys_tui import render

INTERRUPTED, TERMINATED, BROKEN_PIPE = 130, 143, 141


class Interrupted(Exception):
    """Ctrl-C in a command, with what to know now; of the interrupt itself the libraries would swallow the words."""


def ended(work: Callable[[], int | None], *, as_json: bool = False) -> int:
    """Do a piece of work and return the exit code of the program: its own, or that of what it was ended by."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = work()
        render.Terminal.of(sys.stdout).flush()
    except (Interrupted, KeyboardInterrupt) as error:
        hint = str(error) or "what was committed stays; the same command can be given again"
        render.error("interrupted", hint, as_json=as_json, code="interrupted")
        return INTERRUPTED
    except render.OutputClosedError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains while it exits
        return BROKEN_PIPE
    except Exception as error:  # noqa: BLE001  the last line of defence: a traceback is a bug
        return _failed(error, as_json=as_json)
    return code or 0


def _failed(error: Exception, *, as_json: bool) -> int:
    """Report an error; those that are ours carry a code and a hint."""
    from store.secrets import redacted

    if not hasattr(error, "code") or not hasattr(error, "hint"):
        if os.environ.get("RECSYS_DEBUG"):
            raise error
        message = redacted(f"unexpected {type(error).__name__}: {error}")
        render.error(message, "RECSYS_DEBUG=1 shows where; please report it", as_json=as_json)
        return 1
    render.error(redacted(str(error)), error.hint, as_json=as_json, code=str(error.code))
    return render.exit_code(error)


def _terminate(*_: object) -> None:
    raise SystemExit(TERMINATED)
