"""Cells of CSV files that this program wrote: without the quote that keeps a spreadsheet from running them."""

import re

EXPORTED = frozenset({("user", "item", "rating", "at"), ("item", "title", "year", "genres")})
"""Headers of our own exports; only there does a leading quote stand for nothing."""

_GUARDED = re.compile(r"'+[=+\-@\t\r]")


def unguarded(cell: str) -> str:
    """Return a cell as it was before it was guarded: one quote less before what begins a formula."""
    return cell[1:] if _GUARDED.match(cell) else cell
