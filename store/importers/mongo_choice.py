"""What the operator chose of a MongoDB server, held against what is there; nothing of pymongo is needed for that."""

from collections.abc import Sequence

from store import errors
from store.near import near_names
from store.secrets import redacted

PREFERENCES = ("primary", "primaryPreferred", "secondary", "secondaryPreferred", "nearest")
_LOGIN_CODES = frozenset({13, 18, 8000})


def preference(wanted: str) -> dict[str, str]:
    """Return pymongo's option for a read preference; "" is the one of the address, or primary.

    Raises:
        UsageRefused: MongoDB knows no such one.
    """
    if wanted and wanted not in PREFERENCES:
        raise errors.UsageRefused(f"--read-preference {wanted}: no such one", hint=f"one of {', '.join(PREFERENCES)}")
    return {"readPreference": wanted} if wanted else {}


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


def no_logins(source: str) -> errors.DataRefused:
    """Return the error for a server that answers a login with nothing that a login needs: it knows of none."""
    return errors.DataRefused(
        f"{source}: the server refuses the login: it does not answer as one that knows users",
        hint="is it the right server? without user and password in the address it may be read as it is",
    )


def unusable(source: str) -> errors.UsageRefused:
    """Return the error for an address that pymongo does not take, of which it may quote the password."""
    hint = "mongodb://USER:PASSWORD@HOST:27017/DATABASE; write %40 for @ and %3A for : in a password"
    if source.startswith("mongodb+srv://"):
        return errors.UsageRefused(
            f"{source}: the name is not found, or an option of the address cannot be used",
            hint="mongodb+srv:// needs SRV records of its name in DNS; mongodb://HOST:27017/DATABASE needs none",
        )
    return errors.UsageRefused(f"{source}: the address or one of its options cannot be used", hint=hint)
