"""What is kept of each sample of Bayesian matrix factorization, and what a user's ratings say in it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.models.levels import Levels

_Floats = NDArray[np.float64]

ROUNDS = 3
"""How often latent values and a user's vector are worked out from each other."""

_DIRECTIONS = 64
_FLOOR = 1e-3  # of the average variance: what a direction has at least, so that new users can differ from the known


class History(NamedTuple):
    """A user's n ratings in one sample, with vectors of length k.

    Attributes:
        system: float64 (k, k), A = Λ + τ ZᵀZ.
        known: float64 (n, k), z.
        left: float64 (n,), t - z · μ.
        implied: float64 (n, k), y / √n.
    """

    system: _Floats
    known: _Floats
    left: _Floats
    implied: _Floats


@dataclass(frozen=True, eq=False)
class Sample:
    """One state of the chain, in standardized ratings; k is the length of a vector, bias included.

    Attributes:
        number: of the iteration.
        items: float32 (n_items, k), bias and factors.
        effects: float32 (n_items, k), y: what having rated an item says of a user; (0, k) without such features.
        level: float64 (k,), μ of the users.
        precision: float64 (k, k), Λ of the users.
        noise_precision: τ, what a rating counts for.
        users: float32 (n_users, k), x - μ.
        expected: float32 (n_items, k), the items' expectation where `items` is the draw.
        root: one over the standard deviation of ratings, or of the latent values behind them, around their scores.
        cuts, centres: of the levels of a probit, see `Levels`; empty where ratings are on a line.
        rough: whether `users` follow from latent values as drawn, which is to be mended before they are served.
    """

    number: int
    items: NDArray[np.float32]
    effects: NDArray[np.float32]
    level: NDArray[np.float64]
    precision: NDArray[np.float64]
    noise_precision: float
    root: float
    users: NDArray[np.float32] | None = None
    expected: NDArray[np.float32] | None = None
    cuts: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    centres: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    rough: bool = False

    def levels(self, values: _Floats) -> Levels:
        """Return the levels of a probit, whose ratings are the values given."""
        return Levels(values, self.cuts, self.centres, self.root)

    def history(
        self, items: NDArray[np.integer[Any]], standard: _Floats, places: NDArray[np.intp] | None = None
    ) -> History:
        """Return what standardized ratings (n,) say of their user.

        Args:
            items: (n,), the rated items.
            standard: the ratings.
            places: (n,), their levels; None where ratings are on a line.
        """
        known = self.items[items].astype(np.float64)
        base = known[:, 0] + self.level[0] + known[:, 1:] @ self.level[1:]
        known[:, 0] = 1.0
        implied = self.effects[items] / len(items) ** 0.5 if len(self.effects) else np.zeros_like(known)
        system = self.precision + self.noise_precision * known.T @ known
        history = History(system, known, standard - base, implied.astype(np.float64))
        if places is None:
            return history
        levels = self.levels(np.zeros(0))
        history = history._replace(left=levels.centres[places] - base)
        for _ in range(ROUNDS):
            scores = base + known @ self.expectation(history)
            history = history._replace(left=levels.latent(places, scores) - base)
        return history

    def expectation(self, history: History) -> _Floats:
        """Return the expected vector (k,) of a user with a history, less μ."""
        right = self.precision @ history.implied.sum(axis=0) + self.noise_precision * (history.left @ history.known)
        found: _Floats = np.linalg.solve(history.system, right)
        return found


def thinned(samples: list[Sample], most: int, burn_in: float) -> list[Sample]:
    """Leave out the samples of the first share of the iterations, then those that are nearest to their neighbours."""
    last = samples[-1].number
    kept = [sample for sample in samples if sample.number > burn_in * last or sample.number == last]
    while len(kept) > most:
        gaps = [kept[place + 1].number - kept[place - 1].number for place in range(1, len(kept) - 1)]
        del kept[1 + int(np.argmin(gaps)) if gaps else 0]
    return kept


def arrays_of(samples: Sequence[Sample]) -> dict[str, NDArray[Any]]:
    """Return the arrays of all samples by name; users and expectations are needed to go on training only."""
    named = {f"samples.{name}": np.stack([np.asarray(getattr(sample, name)) for sample in samples]) for name in _KEPT}
    for name in ("users", "expected"):
        found = [getattr(sample, name) for sample in samples]
        if all(array is not None for array in found):
            named[f"resume.samples.{name}"] = np.stack(found)
    return named


def samples_from(arrays: dict[str, NDArray[Any]]) -> list[Sample]:
    """Take back what `arrays_of` gave; what earlier versions did not have is empty."""
    count = len(arrays["samples.number"])
    columns = {name: arrays.get(f"samples.{name}", np.zeros((count, 0))) for name in _KEPT}
    for name in ("users", "expected"):
        if (found := arrays.get(f"resume.samples.{name}")) is not None:
            columns[name] = found
    if "samples.root" not in arrays:
        columns["root"] = columns["noise_precision"] ** 0.5
    scalars: dict[str, Any] = {"number": int, "noise_precision": float, "root": float}
    samples = []
    for place in range(count):
        values: dict[str, Any] = {
            name: scalars.get(name, np.asarray)(column[place]) for name, column in columns.items()
        }
        samples.append(Sample(**values))
    return samples


def principal(
    users: NDArray[np.float64], items: NDArray[np.float64], known: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return T and B (m, d) with items T (users B)ᵀ nearly items usersᵀ: the best such product of rank d.

    With usersᵀ users / n = R Rᵀ and Rᵀ itemsᵀ items R = V Σ² Vᵀ:  T = R V_d, B = R⁻ᵀ V_d.
    """
    moments = users[known].T @ users[known] / max(int(known.sum()), 1)
    variances, axes = np.linalg.eigh(moments)
    floor = _FLOOR * max(float(variances.mean()), 1e-12)
    roots = np.sqrt(np.maximum(variances, 0.0) + floor)
    root = axes * roots
    inner = items @ root
    _, directions = np.linalg.eigh(inner.T @ inner)
    kept = directions[:, ::-1][:, :_DIRECTIONS]
    return root @ kept, (axes / roots) @ kept


_KEPT = ("number", "items", "effects", "level", "precision", "noise_precision", "cuts", "centres", "root")
