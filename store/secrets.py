"""Addresses as they may be shown: who logs in, and with which password, is taken out."""

import re

_CREDENTIALS = re.compile(r"(?<=//)[^\s\"'`]*@|[^\s\"'`/]+:[^\s\"'`/]+@(?=[\w.-]+[:/])")


def redacted(text: str) -> str:
    """Return a text, such as an error message, in which no address carries a user or a password any more."""
    return _CREDENTIALS.sub("", text)


def shown_address(address: str) -> str:
    """Return an address as scheme, hosts and path: no user, no password, no options (some of them are secrets too).

    A password may hold any character, properly escaped or not, so all that stands before the last @ goes.
    """
    scheme, slashes, rest = address.partition("//")
    if not slashes:
        scheme, slashes, rest = "", "", address.rpartition(":")[2] if "@" not in address else address
    return (scheme + slashes + rest.rpartition("@")[2].partition("?")[0]).rstrip("/")


def looks_like_login(text: str) -> bool:
    """Tell whether a text may be an address with a login, perhaps mistyped: it is not shown as it is then."""
    before, at, _ = text.rpartition("@")
    return bool(at) and (":" in before or "//" in before)


def has_password(address: str) -> bool:
    """Tell whether an address carries a password."""
    return ":" in login_of(address)


def login_of(address: str) -> str:
    """Return `user:password` or `user` of an address as written in it, or an empty text."""
    return address.partition("//")[2].rpartition("@")[0]


def with_login(address: str, login: str) -> str:
    """Return an address without a login with this one, `user:password`, in front of its hosts."""
    scheme, slashes, rest = address.partition("//")
    return f"{scheme}{slashes}{login}@{rest.rpartition('@')[2]}" if login else address
