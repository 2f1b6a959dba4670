"""Which queries may go to somebody's MongoDB: JSON with operators from a list, none of which runs code or writes."""

import json
from typing import Any

from store import errors

OPERATORS = frozenset(
    {
        "$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$and", "$or", "$nor", "$not", "$exists", "$type",
        "$size", "$all", "$elemMatch", "$mod", "$regex", "$options",
    }
)  # fmt: skip
VALUES = frozenset(
    {
        "$oid", "$date", "$numberLong", "$numberInt", "$numberDouble", "$numberDecimal", "$uuid", "$binary", "$base64",
        "$subType", "$timestamp",
    }
)  # fmt: skip
_LONGEST, _DEEPEST = 100_000, 50


def check_query(text: str) -> None:
    """Check a query.

    Args:
        text: MongoDB's extended JSON, such as '{"at": {"$gt": {"$date": "2026-01-01T00:00:00Z"}}}'.

    Raises:
        UsageRefused: it is no JSON object, or holds an operator that is not on the list.
    """
    hint = """such as --query '{"rating": {"$gte": 1}}'"""
    if len(text) > _LONGEST:
        raise errors.UsageRefused(f"--query is longer than {_LONGEST:,} characters", hint=hint)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise errors.UsageRefused(f"--query is no JSON: {error}", hint=hint) from None
    if not isinstance(found, dict):
        raise errors.UsageRefused("--query is no JSON object", hint=hint)
    _check(found, 0)


def _check(value: Any, depth: int) -> None:
    if depth > _DEEPEST:
        raise errors.UsageRefused(f"--query is nested more than {_DEEPEST} times", hint="ask for less at once")
    parts = value if isinstance(value, list) else []
    if isinstance(value, dict):
        for key in value:
            if key.startswith("$") and key not in OPERATORS and key not in VALUES:
                raise errors.UsageRefused(
                    f"--query: the operator {key} is not allowed", hint=f"allowed: {', '.join(sorted(OPERATORS))}"
                )
        parts = list(value.values())
    for part in parts:
        _check(part, depth + 1)
