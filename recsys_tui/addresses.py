"""Where the address of a MongoDB comes from, so that its password need not stand on a command line."""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from store.errors import NotFound, UsageRefused, translate
from store.secrets import has_password, login_of, with_login

VARIABLE = "RECSYS_MONGO_URI"
_PLACEHOLDERS = ("", "mongodb", "mongodb:", "mongodb://")


def is_address(source: str) -> bool:
    """Tell whether a source stands for a MongoDB, wherever its address is."""
    return source.lower().startswith(("mongodb://", "mongodb+srv://")) or source.lower() in _PLACEHOLDERS


def full_address(
    source: str, uri_file: Path | None, *, say: Callable[[str], None], env: Mapping[str, str] | None = None
) -> str:
    """Return the address with its login: of `--uri-file`, else of RECSYS_MONGO_URI, else as given or asked for.

    Args:
        source: as given; a placeholder such as `mongodb:` takes the address from the file or the variable.
        uri_file: a file whose first line is the address.
        say: tells the operator something.
        env: the environment, `os.environ` by default.

    Raises:
        UsageRefused: no address anywhere.
        NotFound: no such file.
    """
    known = _of_file(uri_file, say) if uri_file else (os.environ if env is None else env).get(VARIABLE, "").strip()
    if known and not is_address(known):
        raise UsageRefused(
            f"{uri_file or VARIABLE} holds no address of MongoDB", hint="mongodb://USER:PASSWORD@HOST:27017/DATABASE"
        )
    if source.lower() in _PLACEHOLDERS:
        if not known:
            raise UsageRefused("no source", hint=f"name a file, a folder or mongodb://…, or set {VARIABLE}")
        return known
    if has_password(source):
        say(f"the password stands in the list of processes and in the shell's history: use {VARIABLE} or --uri-file")
        return source
    if known and login_of(source) in {"", login_of(known).partition(":")[0]}:
        return with_login(source, login_of(known))
    return with_login(source, f"{login_of(source)}:{_asked()}") if login_of(source) and sys.stdin.isatty() else source


def _of_file(path: Path, say: Callable[[str], None]) -> str:
    try:
        if path.stat().st_mode & 0o077:
            say(f"{path} can be read by others: chmod 600 {path}")
        return path.read_text(encoding="utf-8").strip().partition("\n")[0].strip()
    except FileNotFoundError:
        raise NotFound(f"no file {path}", hint="--uri-file names a file whose first line is the address") from None
    except UnicodeDecodeError:
        raise UsageRefused(f"{path} is no text", hint="its first line is to be the address") from None
    except OSError as error:
        raise translate(error, path) from error


def _asked() -> str:
    """Ask for a password on the terminal, without showing it, and return it as an address writes it."""
    from getpass import getpass
    from urllib.parse import quote_plus

    return quote_plus(getpass("MongoDB password: "))
