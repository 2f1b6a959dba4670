"""A comparison in one sentence, for whoever reads it on Monday."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.comparison import Row

_MOST_NAMED = 4  # metrics named after the first one


def verdict_of(rows: "Sequence[Row]", primary: str) -> str:
    """Return what a comparison comes to: the difference by one metric, how sure it is, and what else differs.

    With several opponents it says the first two of each.

    Args:
        rows: of the comparison, corrected and with winners.
        primary: full name of the metric that the sentence is about; the first row's where no row has it.
    """
    tested = [row for row in rows if row.p is not None]
    opponents = list(dict.fromkeys(row.second for row in tested))
    chiefs = [_chief([row for row in tested if row.second == name], primary) for name in opponents]
    if not chiefs:
        return "Nothing can be said: the versions have no metric with one value a user in common."
    claims = [f"{_claim(row)} ({_evidence(row, len(tested))})" for row in chiefs]
    return "; ".join(claims) + (_others(tested, chiefs[0]) if len(chiefs) == 1 else "") + "."


def _chief(rows: "Sequence[Row]", primary: str) -> "Row":
    """Return the row of the primary metric, or the first one."""
    return next((row for row in rows if row.metric == primary), rows[0])


def power_of(row: "Row") -> str:
    """Say how many users it would take to see a difference, or that those there are were enough."""
    if row.p is None:
        return ""
    if row.winner is not None:
        return f"{row.users:,} users were enough to see this difference"
    if row.users_needed is None:
        return "there is no difference to see"
    return f"you would need about {max(row.users_needed, row.users + 1):,} users to see this difference"


def _claim(row: "Row") -> str:
    """Say which version is better, or that it cannot be told."""
    here, there = row.values[row.first], row.values[row.second]
    if row.winner is None:
        return (
            f"{row.first} and {row.second} cannot be told apart by {row.metric}, {here:.4f} against {there:.4f}: "
            f"{power_of(row)}"
        )
    loser = row.second if row.winner == row.first else row.first
    figures = f"{row.values[row.winner]:.4f} against {row.values[loser]:.4f}"
    return f"{row.winner} is better than {loser} by {row.metric}, {figures}"


def _evidence(row: "Row", tested: int) -> str:
    """Return interval, p-value and number of users."""
    parts = [f"difference {row.difference:+.4f}"]
    if row.low is not None:
        parts.append(f"95% {row.low:+.4f} to {row.high:+.4f}")
    p = row.p_adjusted or 0.0
    parts.append("p < 0.001" if p < 0.001 else f"p = {p:.3f}")
    if tested > 1:
        parts[-1] += f" corrected for {tested} tests"
    return ", ".join([*parts, f"{row.users:,} users"])


def _others(rows: "Sequence[Row]", chief: "Row") -> str:
    """Name the other metrics by which one of the same two versions wins."""
    same = [row for row in rows if row.winner and row is not chief and row.second == chief.second]
    words = []
    for name in (chief.first, chief.second):
        won = [row.metric for row in same if row.winner == name]
        if won:
            more = f" and {len(won) - _MOST_NAMED} more" if len(won) > _MOST_NAMED else ""
            words.append(f"{name} also wins by {', '.join(won[:_MOST_NAMED])}{more}")
    return "; " + "; ".join(words) if words else ""
