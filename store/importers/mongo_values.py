"""BSON's own kinds of values as text, told by their names, so that nothing of pymongo need be imported here."""

from collections.abc import Callable
from typing import Any

from store.importers.documents import Kinds

_SHORTEST = 5  # bytes of a document
_LAST_SECOND = 253_402_300_799
_TEXTS: dict[str, Callable[[Any], str]] = {
    "ObjectId": str,
    "Decimal128": str,
    "UUID": str,
    "DatetimeMS": lambda value: str(int(value)),
    "Binary": bytes.hex,
    "bytes": bytes.hex,
}
GROWING = frozenset({"ObjectId", "int", "Int64", "DatetimeMS", "datetime"})
"""Kinds of `_id` that are greater in later documents, as a rule."""


def kind(value: Any) -> str:
    """Return the bracket in which MongoDB compares a value: all numbers share one."""
    name = type(value).__name__
    return "number" if name in {"int", "Int64", "float", "Decimal128"} else name


def _text(value: Any) -> str:
    """Return an id, rating or title of a kind that JSON does not know."""
    return _TEXTS.get(type(value).__name__, lambda _: "")(value)


def _time(value: Any) -> str:
    """Return a time as seconds, or as a text that is none where it lies beyond all years."""
    name = type(value).__name__
    if name == "DatetimeMS":
        seconds = int(value) // 1000
        return str(seconds) if abs(seconds) <= _LAST_SECOND else "beyond"
    if name == "Timestamp":
        return str(value.time)
    if name == "ObjectId":
        return str(int(value.generation_time.timestamp()))
    return str(int(value)) if isinstance(value, int) else _text(value) or "?"


KINDS = Kinds(_text, _time)


def last_document(reply: bytes) -> tuple[int, bytes]:
    """Return how many documents a reply holds, one after the other, and the bytes of the last; b"" where damaged."""
    count = start = end = 0
    while end < len(reply):
        start, end = end, end + int.from_bytes(reply[end : end + 4], "little")
        count += 1
        if end - start < _SHORTEST:
            return count, b""
    return count, reply[start:end]
