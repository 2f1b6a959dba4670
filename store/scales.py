"""The rating scale: which values are accepted, and what scale the stored values show."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from store import errors
from store.database import Connection

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STARS = (0.5, 5.0)
_USUAL = ((0.0, 5.0), (1.0, 7.0), (0.0, 10.0), (0.0, 100.0), (-10.0, 10.0))
_ENOUGH = 0.8  # of the ratings in the first block
_HALF = 0.5


class StoredScale(NamedTuple):
    """The scale of the stored ratings; `step` is None where any value between the ends occurs."""

    low: float
    high: float
    step: float | None

    def holds(self, value: float) -> bool:
        """Tell whether a value lies between the ends."""
        return self.low <= value <= self.high

    def is_step(self, value: float) -> bool:
        """Tell whether a value is one of the steps, counted from the lower end."""
        if self.step is None:
            return True
        steps = (value - self.low) / self.step
        return abs(steps - round(steps)) < 1e-9

    def __str__(self) -> str:
        step = "" if self.step is None else f" in steps of {self.step:g}"
        return f"{self.low:g} to {self.high:g}{step}"


@dataclass(frozen=True)
class Acceptance:
    """Which ratings are taken, and whether the operator stated the scale (then it does not follow the data)."""

    scale: StoredScale
    stated: bool

    def check(self, value: float) -> None:
        """Refuse a rating that is not on the scale.

        Raises:
            DataRefused: it is outside the scale, between its steps, or no number.
        """
        if not math.isfinite(value) or not self.scale.holds(value) or not self.takes_step(value):
            raise errors.DataRefused(
                f"rating {value:g} is not on the scale, which goes from {self.scale}",
                hint=f"give a value from {self.scale}",
            )

    def takes_step(self, value: float) -> bool:
        """Tell whether a value fits the steps; half ones stay welcome unless whole ones were stated."""
        low, high, step = self.scale
        if step is None:
            return True
        return StoredScale(low, high, step if self.stated else min(step, _HALF)).is_step(value)


def read_scale(db: Connection) -> Acceptance | None:
    """Return the scale of the database and whether it was stated, or None before the first rating."""
    found = dict(db.execute("SELECT key, value FROM meta WHERE key LIKE 'scale#_%' ESCAPE '#'").fetchall())
    if "scale_low" not in found:
        return None
    scale = StoredScale(found["scale_low"], found["scale_high"], found.get("scale_step"))
    return Acceptance(scale, bool(found.get("scale_stated")))


def write_scale(db: Connection, acceptance: Acceptance) -> None:
    """Store the scale, inside the caller's transaction."""
    low, high, step = acceptance.scale
    rows = {"scale_low": low, "scale_high": high, "scale_step": step, "scale_stated": int(acceptance.stated)}
    db.executemany("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", list(rows.items()))


def settle(stored: Acceptance | None, stated: StoredScale | None) -> Acceptance | None:
    """Return what an import accepts, or None where its first ratings decide.

    Args:
        stored: the scale of the database, if it has one.
        stated: what the operator asks for with this import.

    Raises:
        UsageRefused: the request contradicts the database.
    """
    asked = None if stated is None else Acceptance(stated, stated=True)
    if stored is None or asked is None:
        return asked or (None if stored is None else Acceptance(accepted(stored), stored.stated))
    inside = asked.scale.low <= stored.scale.low and stored.scale.high <= asked.scale.high
    if asked.scale != stored.scale if stored.stated else not inside:
        raise errors.UsageRefused(
            f"--scale {asked.scale} contradicts the ratings stored, which go from {stored.scale}",
            hint="leave --scale out, or import into a new database with --db",
        )
    return asked


def accepted(found: Acceptance) -> StoredScale:
    """Return which values are taken: half stars stay welcome where so far only whole stars were seen."""
    low, high, _ = found.scale
    if found.stated:
        return found.scale
    return (
        StoredScale(STARS[0], high, None) if high == STARS[1] and STARS[0] <= low <= 1 else StoredScale(low, high, None)
    )


def decide(ratings: "NDArray[np.float64]") -> Acceptance:
    """Return the scale that the first ratings of a source suggest: the first usual one that holds 80 % of them.

    Args:
        ratings: finite (n,), n >= 1.
    """
    for low, high in (STARS, *_USUAL):
        if ((ratings >= low) & (ratings <= high)).mean() >= _ENOUGH:
            return Acceptance(StoredScale(low, high, None), stated=False)
    return Acceptance(StoredScale(float(ratings.min()), float(ratings.max()), None), stated=False)


def shown(before: StoredScale | None, taken: Acceptance, values: Collection[float]) -> StoredScale:
    """Return the scale to report once these ratings are stored beside those that made `before`.

    Of the stars, the lower end is 1 until a value below 1 is stored. The step is 1 or 0.5 where all values fit it, else
    None.

    Args:
        before: what was reported so far, None for none.
        taken: which values are accepted; a stated scale is reported as it is.
        values: the distinct ratings stored now, at least one.
    """
    low, high, _ = taken.scale
    if taken.stated:
        return taken.scale
    if (low, high) == STARS and min(values) >= 1 and (before is None or before.low >= 1):
        low = 1.0
    step = next((step for step in (1.0, 0.5) if all(value % step == 0 for value in values)), None)
    if before is not None:
        step = None if step is None or before.step is None else min(step, before.step)
    return StoredScale(low, high, step)


def check_stated(stated: tuple[float, float, float | None] | None) -> StoredScale | None:
    """Return what the operator stated as a scale.

    Raises:
        UsageRefused: it is none.
    """
    if stated is None:
        return None
    low, high, step = stated
    sound = math.isfinite(low) and math.isfinite(high) and low < high
    if sound and step is not None:
        steps = (high - low) / step if step > 0 else 0.0
        sound = steps >= 1 and abs(steps - round(steps)) < 1e-9
    if not sound:
        given = ":".join(f"{part:g}" for part in stated if part is not None)
        raise errors.UsageRefused(f"--scale {given} is no scale", hint="LOW:HIGH or LOW:HIGH:STEP, such as 0.5:5:0.5")
    return StoredScale(float(low), float(high), None if step is None else float(step))
