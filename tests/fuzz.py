"""Hypothesis inside a test, where the number of cases is known only when it runs."""

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Cases = Callable[[int], int]


def fuzz(cases: int, strategy: st.SearchStrategy[Any], check: Callable[[Any], None]) -> None:
    """Run a check on so many drawn cases; the fixture `cases` tells how many."""
    quick = settings(
        max_examples=cases, database=None, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
    )
    quick(given(strategy)(check))()
