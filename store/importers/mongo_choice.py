"""What the operator chose of a MongoDB server, held against what is there; nothing of pymongo is needed for that."""

from collections.abc import Sequence

from store import errors
from store.near import near_names
from store.secrets import redacted

_PREFERENCES = ("primary", "primaryPreferred", "secondary", "secondaryPreferred", "nearest")
_LOGIN_CODES = frozenset({13, 18, 8000})


def check_preference(wanted: str) -> None:
    """Refuse a read preference that MongoDB does not know; "" is none.

    Raises:
        UsageRefused: no such one.
    """
    if wanted and wanted not in _PREFERENCES:
        raise errors.UsageRefused(f"--read-preference {wanted}: no such one", hint=f"one of {', '.join(_PREFERENCES)}")


def check_database(name: str, names: Sequence[str]) -> None:
    """Refuse a database that the server does not have; the hint names those near.

    Raises:
        NotFound: no such one.
    """
    if name not in names:
        raise errors.NotFound(f"the server has no database {name!r}", hint=near_names(name, names))


def check_collection(name: str, names: Sequence[str], *, database: str, flag: str) -> None:
    """Refuse a collection that is missing or unknown; the hint names those there are, or those near.

    Raises:
        UsageRefused: none was named with the flag.
        NotFound: no such one.
    """
    if not name:
        shown = ", ".join(sorted(names)[:10]) or "none"
        raise errors.UsageRefused(f"{flag} is missing", hint=f"{flag} NAME; {database} has {shown}")
    if name not in names:
        raise errors.NotFound(f"{database} has no collection {name!r}", hint=near_names(name, names))


def refusal(source: str, code: int | None, said: str) -> errors.DataRefused:
    """Return the error for a command that the server refused, without any login in its text."""
    if code in _LOGIN_CODES:
        return errors.DataRefused(
            f"{source}: the server refuses the login, or the user may not read there",
            hint="check user, password and authSource in RECSYS_MONGO_URI or --uri-file",
        )
    first = redacted(said.partition("\n")[0][:200])
    return errors.DataRefused(f"{source}: the server refuses: {first}", hint="check --query and --map")
